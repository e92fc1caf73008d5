//! A catalogue as edits that make it from nothing, the way an engine begins a new MANIFEST.

use super::super::Flavour;
use super::super::framer::put_record;
use super::{Catalogue, Family, LiveTable};
use crate::codec::varint;

/// The order of keys where nothing tells another.
const BYTEWISE: &[u8] = b"leveldb.BytewiseComparator";

/// A MANIFEST that leads to this catalogue. Fields of tables and blob files stand in it as they stood in their edits; what
/// was skipped is not in it, nor where compactions go on.
///
/// # Errors
/// Why there can be none.
pub fn snapshot(flavour: Flavour, catalogue: &Catalogue, untracked: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut put = |edit: &[u8]| {
        let at = out.len() as u64;
        if !edit.is_empty() {
            put_record(edit, None, at, &mut out);
        }
    };
    if flavour == Flavour::LevelDb {
        let mut edit = comparator(&catalogue.families[&0]);
        number(2, catalogue.log_number.unwrap_or(0), &mut edit);
        files(&catalogue.families[&0], &mut edit);
        edit.extend(numbers(catalogue));
        put(&edit);
        return Ok(out);
    }
    let mut id = Vec::new();
    if let Some(name) = &catalogue.database_id {
        varint::put(8193u32, &mut id);
        string(name, &mut id);
    }
    put(&id);
    let living = || catalogue.families.iter().filter(|(_, family)| !family.dropped);
    for (&id, family) in living() {
        put(&begun(id, family)?);
    }
    for (&id, family) in living() {
        let mut edit = Vec::new();
        number(200, u64::from(id), &mut edit);
        number(2, family.log_number, &mut edit);
        files(family, &mut edit);
        put(&edit);
    }
    for (&log, &synced) in catalogue.logs.iter().filter(|_| !untracked) {
        put(&tracked(log, synced));
    }
    put(&numbers(catalogue));
    Ok(out)
}

/// The edit that adds a family; the default one is there.
fn begun(id: u32, family: &Family) -> Result<Vec<u8>, String> {
    let mut edit = comparator(family);
    if id > 0 {
        let name = family
            .name
            .as_deref()
            .ok_or_else(|| format!("the edit that adds column family {id} is lost, and its name with it"))?;
        varint::put(201u32, &mut edit);
        string(name, &mut edit);
        number(200, u64::from(id), &mut edit);
    }
    if family.timestamps_not_persisted {
        varint::put(8201u32, &mut edit);
        string(&[0], &mut edit);
    }
    Ok(edit)
}

fn comparator(family: &Family) -> Vec<u8> {
    let mut edit = vec![1];
    string(family.comparator.as_deref().unwrap_or(BYTEWISE), &mut edit);
    edit
}

/// The tables of a family, and its blob files with what is garbage in them.
fn files(family: &Family, edit: &mut Vec<u8>) {
    family.tables.values().for_each(|table| edit.extend_from_slice(&table.field));
    for (&file, blob) in &family.blobs {
        edit.extend_from_slice(&blob.field);
        if blob.garbage != [0; 2] {
            number(401, file, edit);
            blob.garbage.iter().for_each(|&n| varint::put(n, edit));
            edit.push(0);
        }
    }
}

/// What holds for all families.
fn numbers(catalogue: &Catalogue) -> Vec<u8> {
    let all = [
        (9, catalogue.previous_log),
        (3, catalogue.next_file),
        (4, catalogue.last_sequence),
        (203, catalogue.max_family.map(u64::from)),
        (10, catalogue.min_log_to_keep),
    ];
    let mut edit = Vec::new();
    for (tag, value) in all.into_iter().filter_map(|(tag, value)| Some((tag, value?))) {
        number(tag, value, &mut edit);
    }
    edit
}

fn tracked(log: u64, synced: Option<u64>) -> Vec<u8> {
    let mut body = Vec::new();
    varint::put(log, &mut body);
    if let Some(synced) = synced {
        number(2, synced, &mut body);
    }
    body.push(1);
    let mut edit = Vec::new();
    varint::put(8199u32, &mut edit);
    string(&body, &mut edit);
    edit
}

/// A field that adds a table at a level. `sequences`: RocksDB tells them.
pub fn table_field(level: u32, table: &LiveTable, sequences: Option<[u64; 2]>) -> Vec<u8> {
    let mut field = Vec::new();
    varint::put(if sequences.is_some() { 100u32 } else { 7 }, &mut field);
    [u64::from(level), table.number, table.size].iter().for_each(|&n| varint::put(n, &mut field));
    [&table.smallest, &table.largest].iter().for_each(|key| string(key, &mut field));
    sequences.iter().flatten().for_each(|&n| varint::put(n, &mut field));
    field
}

fn number(tag: u32, value: u64, out: &mut Vec<u8>) {
    varint::put(tag, out);
    varint::put(value, out);
}

fn string(bytes: &[u8], out: &mut Vec<u8>) {
    varint::put(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
