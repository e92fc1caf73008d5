//! Whether an index holds what its table holds: of both sides the values of each row are hashed, and the hashes are added
//! up. So two numbers an index are kept, and no order is asked for.

use std::hash::{DefaultHasher, Hasher};

use super::header::Encoding;
use super::order::{Collation, Part};
use super::record::{Field, Fields, Value};
use super::schema::{Schema, Shape};

/// Indexes of one table that are looked at; a hostile schema must not make that quadratic.
const INDEXES: usize = 64;

/// The sums of all indexes.
pub struct Twins {
    /// By the place of an index in the schema; `None`: there is none to be had.
    sums: Vec<[Option<u64>; 2]>,
    /// Tables and their indexes, by their places in the schema.
    pairs: Vec<(usize, usize)>,
    /// The pairs that each of them is in.
    of: Vec<Vec<usize>>,
}

/// One tree, seen as one side.
pub struct Side {
    table: bool,
    /// The field that stands for the rowid.
    alias: Option<usize>,
    takes: Vec<Take>,
    encoding: Encoding,
    fields: Vec<Field>,
}

/// What of a record is compared.
struct Take {
    index: usize,
    /// Fields, and how their text is compared.
    fields: Vec<(usize, Collation)>,
    /// The rowid as well: in an index it comes last.
    rowid: bool,
}

impl Twins {
    /// Of these tables and indexes.
    pub fn new(schema: &Schema) -> Twins {
        let mut of = vec![Vec::new(); schema.objects.len()];
        let mut pairs = Vec::new();
        for (i, object) in schema.objects.iter().enumerate() {
            let Shape::Index(index) = &object.shape else { continue };
            let Some(table) = schema.place(&object.table).filter(|_| !index.partial) else { continue };
            if of[table].len() < INDEXES {
                of[table].push(pairs.len());
                of[i].push(pairs.len());
                pairs.push((table, i));
            }
        }
        Twins { sums: vec![[Some(0); 2]; schema.objects.len()], pairs, of }
    }

    /// The tree at this place of the schema.
    pub fn side(&self, schema: &Schema, tree: usize, encoding: Encoding) -> Side {
        let pairs = self.of[tree].iter().map(|&pair| &self.pairs[pair]);
        let take = |&(table, index): &(usize, usize)| {
            let Shape::Index(terms) = &schema.objects[index].shape else { return None };
            let of = schema.objects[table].table_shape()?;
            let own = terms.columns.iter().copied().zip(&terms.key);
            // Where there is no rowid, an entry goes on with those columns of the key that it does not have yet.
            let has =
                |at: usize, part: &Part| own.clone().any(|(c, p)| c == at && p.collation == part.collation);
            let rest = of.key.iter().enumerate().filter(|(at, part)| terms.plain && !has(*at, part));
            let rest = rest.map(|(at, part)| (at, part.collation));
            let columns = own.clone().map(|(at, _)| (at, Collation::Binary)).chain(rest).enumerate();
            let fields = columns.map(|(nth, (at, text))| (if table == tree { at } else { nth }, text));
            let fields = fields.collect();
            Some(Take { index, fields, rowid: !of.without_rowid })
        };
        let object = &schema.objects[tree];
        let alias = object.table_shape().and_then(|table| table.rowid);
        Side {
            table: object.is_table(),
            alias,
            takes: pairs.filter_map(take).collect(),
            encoding,
            fields: Vec::new(),
        }
    }

    /// One more row; `None`: its record is not to be had.
    pub fn add(&mut self, side: &mut Side, rowid: i64, record: Option<&[u8]>) {
        side.fields.clear();
        side.fields.extend(record.and_then(Fields::of).into_iter().flatten());
        for take in &side.takes {
            let Some(sums) = self.sums.get_mut(take.index) else { continue };
            let sum = &mut sums[usize::from(side.table)];
            let hash = record.and_then(|record| side.hash(take, rowid, record));
            *sum = sum.zip(hash).map(|(sum, hash)| sum.wrapping_add(hash));
        }
    }

    /// Tables and their indexes, and whether their values differ.
    pub fn differing(&self) -> impl Iterator<Item = (usize, usize, bool)> {
        self.pairs.iter().map(|&(table, index)| {
            let [a, b] = self.sums[index];
            (table, index, a.zip(b).is_some_and(|(a, b)| a != b))
        })
    }
}

impl Side {
    /// Whether more of a record is needed than its first bytes.
    pub fn wants_more(&self, local: &[u8]) -> bool {
        let last = self.takes.iter().any(|take| take.rowid && !self.table);
        let most = self.takes.iter().flat_map(|take| take.fields.iter().map(|(at, _)| *at)).max();
        let within = |field: Field| field.within(local.len());
        Fields::of(local).is_none_or(|mut fields| {
            if last {
                !fields.all(within)
            } else {
                most.is_some_and(|most| !fields.take(most + 1).all(within))
            }
        })
    }

    fn hash(&self, take: &Take, rowid: i64, record: &[u8]) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        for &(at, collation) in &take.fields {
            let field = self.fields.get(at).filter(|field| field.within(record.len()))?;
            let value = field.value(record)?;
            let alias = value == Value::Null && self.alias == Some(at);
            let value = if alias { Value::Int(rowid) } else { value };
            match value {
                Value::Text(text) => put(&mut hasher, Value::Text(&collation.key(text, self.encoding))),
                value => put(&mut hasher, value),
            }
        }
        if take.rowid {
            let last = || self.fields.last()?.value(record);
            put(&mut hasher, if self.table { Value::Int(rowid) } else { last()? });
        }
        Some(hasher.finish())
    }
}

fn put(hasher: &mut DefaultHasher, value: Value<'_>) {
    let (kind, number, bytes): (u8, u64, &[u8]) = match value {
        Value::Null => (0, 0, &[]),
        Value::Int(number) => (1, number as u64, &[]),
        // A table keeps whole numbers shorter than an index does.
        Value::Real(number) if number.trunc() == number && number.abs() < 9e18 => {
            (1, number as i64 as u64, &[])
        }
        Value::Real(number) => (2, number.to_bits(), &[]),
        Value::Text(bytes) => (3, bytes.len() as u64, bytes),
        Value::Blob(bytes) => (4, bytes.len() as u64, bytes),
    };
    hasher.write_u8(kind);
    hasher.write_u64(number);
    hasher.write(bytes);
}
