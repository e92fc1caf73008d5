//! The files of tables: how they are called, and whether one can be the table that the catalogue names.

use super::Flavour;
use super::manifest::LiveTable;

impl Flavour {
    /// Names that the table with this number may have, in the order in which the engine tries them.
    pub fn table_names(self, number: u64) -> [String; 2] {
        let endings = match self {
            Flavour::LevelDb => ["ldb", "sst"],
            Flavour::RocksDb => ["sst", "ldb"],
        };
        endings.map(|ending| format!("{number:06}.{ending}"))
    }
}

/// The number of a table by its name; `None`: no engine looks for a table there.
pub fn table_number(name: &str) -> Option<u64> {
    let (stem, _) = name.split_once('.')?;
    let number = stem.parse().ok()?;
    Flavour::RocksDb.table_names(number).iter().any(|usual| usual == name).then_some(number)
}

impl LiveTable {
    /// Whether a file of so many bytes can be this table: LevelDB looks for its end where the catalogue says that it is.
    pub fn fits(&self, flavour: Flavour, bytes: u64) -> bool {
        bytes == self.size || flavour == Flavour::LevelDb && bytes > self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_tables_only_where_an_engine_looks_for_it() {
        for name in ["000007.sst", "000007.ldb", "12345678.ldb"] {
            let number = table_number(name).expect("the number of a table");
            assert!(Flavour::LevelDb.table_names(number).iter().any(|usual| usual == name), "{name}");
        }
        assert_eq!(Flavour::LevelDb.table_names(7)[0], "000007.ldb");
        assert_eq!(Flavour::RocksDb.table_names(7)[0], "000007.sst");
        for name in [
            "7.sst",
            "+00007.sst",
            "0000007.ldb",
            "000007.log",
            "000007",
            "000007.sst.bak",
            ".sst",
            "x/000007.sst",
        ] {
            assert_eq!(table_number(name), None, "{name}");
        }
    }
}
