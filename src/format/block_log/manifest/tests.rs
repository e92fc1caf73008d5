use super::*;

fn varint(n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    crate::codec::varint::put(n, &mut out);
    out
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn numbers(all: &[u64]) -> Vec<u8> {
    all.iter().flat_map(|&n| varint(n)).collect()
}

/// Two internal keys, `a` and `z`.
fn bounds() -> Vec<u8> {
    [string(b"a\x01\x05\0\0\0\0\0\0"), string(b"z\x01\x09\0\0\0\0\0\0")].concat()
}

fn new_file4(level: u64, number: u64, custom: &[u8]) -> Vec<u8> {
    [numbers(&[103, level, number, 900]), bounds(), numbers(&[5, 9]), custom.to_vec(), vec![1]].concat()
}

#[test]
fn a_leveldb_history_leaves_its_live_tables() {
    let mut catalogue = Catalogue::default();
    let first =
        [varint(1), string(b"leveldb.BytewiseComparator"), numbers(&[2, 3, 9, 0, 3, 4, 4, 0])].concat();
    catalogue.apply(&first).unwrap();
    let added = [numbers(&[2, 6, 9, 0, 3, 7, 4, 70, 7, 0, 5, 900]), bounds()].concat();
    catalogue.apply(&added).unwrap();
    // The table moves a level down: one edit deletes and adds it.
    let cursor = [numbers(&[5, 0]), string(b"a\x01\x05\0\0\0\0\0\0")].concat();
    let moved = [cursor, numbers(&[6, 0, 5, 7, 1, 5, 900]), bounds()].concat();
    catalogue.apply(&moved).unwrap();
    let family = &catalogue.families[&0];
    assert_eq!(family.comparator.as_deref(), Some(&b"leveldb.BytewiseComparator"[..]));
    assert_eq!(family.tables[&5].level, 1);
    assert_eq!((family.tables.len(), family.log_number), (1, 6));
    assert_eq!((catalogue.previous_log, catalogue.last_sequence), (Some(0), Some(70)));
    assert_eq!((catalogue.next_file, catalogue.edits), (Some(7), 3));
}

#[test]
fn families_logs_and_blobs_are_told_apart() {
    let mut catalogue = Catalogue::default();
    let apply = |catalogue: &mut Catalogue, record: &[&[u8]]| catalogue.apply(&record.concat());
    // The family's id stands behind what it holds for.
    apply(&mut catalogue, &[&varint(201), &string(b"cf"), &numbers(&[200, 2])]).unwrap();
    let custom =
        [numbers(&[65, 1, 2, 16, 1, 0, 3]), string(&77u64.to_le_bytes()), numbers(&[63, 1, 9])].concat();
    apply(&mut catalogue, &[&new_file4(6, 13, &custom), &numbers(&[200, 2])]).unwrap();
    apply(&mut catalogue, &[&numbers(&[102, 1, 14, 3, 800]), &bounds(), &numbers(&[5, 9])]).unwrap();
    apply(&mut catalogue, &[&numbers(&[2, 12, 200, 2])]).unwrap();
    apply(&mut catalogue, &[&numbers(&[2, 11, 200, 2])]).unwrap();
    let cf = &catalogue.families[&2];
    assert_eq!((cf.name.as_deref(), cf.log_number), (Some(&b"cf"[..]), 12));
    let table = &cf.tables[&13];
    assert_eq!((table.level, table.path_id, table.sequences), (6, 2, Some([5, 9])));
    assert!(table.timestamps_stripped);
    assert_eq!(catalogue.families[&0].tables[&14].path_id, 3);
    assert_eq!((catalogue.min_log_to_keep, catalogue.log_number), (Some(77), Some(11)));

    for log in [4u64, 8, 12] {
        apply(&mut catalogue, &[&varint(8199), &string(&[&varint(log)[..], &[2, 50, 1]].concat())]).unwrap();
    }
    apply(&mut catalogue, &[&numbers(&[8196, 12, 2, 40, 1])]).unwrap();
    apply(&mut catalogue, &[&varint(8200), &string(&[8])]).unwrap();
    assert_eq!(catalogue.logs, BTreeMap::from([(8, Some(50)), (12, Some(50))]));

    apply(&mut catalogue, &[&numbers(&[400, 20, 10, 1000, 0, 0, 0, 401, 20, 4, 300, 0])]).unwrap();
    let blob = &catalogue.families[&0].blobs[&20];
    assert_eq!((blob.total, blob.garbage), ([10, 1000], [4, 300]));
    apply(&mut catalogue, &[&varint(8205), &string(b"from the future"), &numbers(&[202, 200, 2])]).unwrap();
    assert!(catalogue.families[&2].dropped && catalogue.families[&2].tables.is_empty());
    assert_eq!(catalogue.skipped, BTreeSet::from([8205]));
}

#[test]
fn an_atomic_group_counts_once_it_is_whole() {
    let mut catalogue = Catalogue::default();
    catalogue.apply(&numbers(&[4, 1, 300, 2])).unwrap();
    catalogue.apply(&numbers(&[4, 2, 300, 1])).unwrap();
    assert_eq!((catalogue.last_sequence, catalogue.waiting()), (None, 2));
    assert_eq!(catalogue.apply(&numbers(&[4, 9])).unwrap_err().tag, 300);
    assert_eq!(catalogue.apply(&numbers(&[4, 9, 300, 1])).unwrap_err().tag, 300);
    catalogue.apply(&numbers(&[4, 3, 300, 0])).unwrap();
    assert_eq!((catalogue.last_sequence, catalogue.waiting(), catalogue.edits), (Some(3), 0, 3));
}

#[test]
fn what_cannot_be_read_changes_nothing_and_says_where() {
    let cases: [(&[u8], usize, u32, &str); 5] = [
        (&[4, 9, 104, 1, 1], 2, 104, "must not be ignored"),
        (&[4, 9, 2, 0x80], 2, 2, "does not fit"),
        (&[4, 9, 0x80], 2, 0, "no tag"),
        (&[4, 9, 7, 0, 5, 9, 3, 1, 2, 3], 2, 7, "internal key"),
        (&[4, 9, 0x88, 0x41, 9], 2, 8328, "does not fit"),
    ];
    for (record, at, tag, what) in cases {
        let mut catalogue = Catalogue::default();
        let fault = catalogue.apply(record).unwrap_err();
        assert_eq!((fault.at, fault.tag), (at, tag));
        assert!(fault.to_string().contains(what), "{fault}");
        assert_eq!(catalogue.last_sequence, None);
    }
    let binding = new_file4(0, 5, &[66, 1, 0]);
    assert!(Catalogue::default().apply(&binding).unwrap_err().what.contains("must not be ignored"));
}

#[test]
fn an_edit_is_shown_up_to_its_fault() {
    let record = [new_file4(0, 5, &[]), numbers(&[4, 9, 8203, 1, 5]), vec![99]].concat();
    let shown = pairs(&record, 10);
    let names: Vec<_> = shown.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["table-added", "last-sequence", "skipped", "fault"]);
    assert_eq!(shown[0].1, "5 at level 0, 900 bytes, a to z");
    assert_eq!(shown[2].1, "size of the last compacted manifest, 1 bytes");
    assert_eq!(pairs(&record, 1).len(), 1);
}

#[test]
fn damage_of_any_kind_is_survived() {
    let record =
        [new_file4(0, 5, &[65, 1, 2]), numbers(&[400, 20, 10, 1000, 0, 0, 0, 300, 1, 4, 9])].concat();
    for at in 0..record.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, record[at] ^ 1, record[at] ^ 0x40] {
            let mut damaged = record.clone();
            damaged[at] = byte;
            for end in [at, damaged.len()] {
                let told = pairs(&damaged[..end], usize::MAX);
                let failed = told.last().is_some_and(|(name, _)| *name == "fault");
                let applied = Catalogue::default().apply(&damaged[..end]);
                assert_eq!(failed, applied.is_err());
            }
        }
    }
}
