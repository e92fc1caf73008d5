//! Tables and files of values that the catalogue names: what of them does not lie beside the log, or not as it should.

use super::Flavour;
use super::directory::Directory;
use crate::format::{Lack, Remark};
use crate::log::finding::Code;

/// Names that are told.
const NAMES: usize = 4;

/// See [`crate::format::Format::lacks`].
pub fn lacks(directory: &Directory, size: &dyn Fn(&str) -> Option<u64>) -> Vec<Lack> {
    let Some(file) = directory.manifest.filter(|_| directory.broken.is_none()) else { return Vec::new() };
    let rocks = directory.flavour == Flavour::RocksDb;
    let (mut gone, mut changed, mut values) = (Names::default(), Names::default(), Names::default());
    for family in directory.catalogue.families.values().filter(|family| !family.dropped) {
        // Tables with another path lie in a directory that only the application knows.
        for table in family.tables.values().filter(|table| table.path_id == 0) {
            let endings = if rocks { ["sst", "ldb"] } else { ["ldb", "sst"] };
            let names = endings.map(|ending| format!("{:06}.{ending}", table.number));
            match names.iter().find_map(|name| Some((name, size(name)?))) {
                None => gone.push(&names[0]),
                // LevelDB looks for what stands at the end where the catalogue says that it is.
                Some((_, bytes)) if bytes == table.size || !rocks && bytes > table.size => {}
                Some((name, bytes)) => changed.push(&format!("{name} ({bytes} bytes, not {})", table.size)),
            }
        }
        let blobs = family.blobs.keys().map(|number| format!("{number:06}.blob"));
        blobs.filter(|name| size(name).is_none()).for_each(|name| values.push(&name));
    }
    let lack = |code, message, error: Option<String>| {
        let remark = Remark { code, file, at: 0, len: 0, message };
        Lack { remark, error }
    };
    let mut lacks = Vec::new();
    if let Some(names) = gone.told() {
        let message =
            format!("tables that the catalogue names are not there: {names}; the engine does not open");
        let error = format!("Corruption: missing files: {names}");
        lacks.push(lack(Code::MissingFile, message, Some(error)));
    }
    if let Some(names) = changed.told() {
        let (code, what) = match rocks {
            true => (Code::EngineRefuses, "the engine does not open"),
            false => (Code::TableWithoutFooter, "the engine opens, and fails where it reads them"),
        };
        let message = format!("tables are of another size than the catalogue says: {names}; {what}");
        let error = rocks.then(|| format!("Corruption: Sst file size mismatch: {names}"));
        lacks.push(lack(code, message, error));
    }
    if let Some(names) = values.told() {
        let message = format!(
            "files of values that the catalogue names are not there: {names}; the engine opens, and fails where it reads such a \
             value"
        );
        lacks.push(lack(Code::MissingFile, message, None));
    }
    lacks
}

/// The first names of a list, and how many there are.
#[derive(Default)]
struct Names {
    first: Vec<String>,
    all: usize,
}

impl Names {
    fn push(&mut self, name: &str) {
        self.all += 1;
        if self.first.len() < NAMES {
            self.first.push(name.to_owned());
        }
    }

    fn told(&self) -> Option<String> {
        let more = self.all - self.first.len();
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        (self.all > 0).then(|| self.first.join(", ") + &rest)
    }
}
