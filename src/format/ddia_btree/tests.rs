//! Small stores made by hand: a root over three leaves, and the WAL of an insertion that splits one of them.

use super::page::NONE;
use super::page::tests::{internal, leaf, metadata};
use super::*;
use crate::codec::crc32;
use crate::format::Memo;
use crate::log::conclude::{Member, conclude};
use crate::log::finding::Code;
use crate::log::region::Kind;
use crate::log::scan::scan;
use crate::log::surveyor::Surveyor;

const SIZE: usize = 128;

fn entry(seq: u32, page: u32, image: &[u8], r1: bool) -> Vec<u8> {
    let sum = image.iter().fold(0u32, |sum, &b| sum.wrapping_add(b.into()));
    let checksum = if r1 { sum } else { crc32::update(0, image) };
    let head = [seq, page, image.len() as u32].map(u32::to_be_bytes).concat();
    [&head[..], image, &checksum.to_be_bytes()].concat()
}

/// Pages 0 to 4: metadata, three leaves, the root.
fn store() -> Vec<u8> {
    [
        metadata(SIZE, [4, 2, 8, 5, NONE]),
        leaf(SIZE, 2, &[("a", b"1"), ("b", b"2")]),
        leaf(SIZE, 3, &[("d", b"3"), ("f", b"4"), ("h", b"5"), ("i", b"6")]),
        leaf(SIZE, NONE, &[("m", b"7"), ("n", b"")]),
        internal(SIZE, 1, &[("d", 2), ("m", 3)]),
    ]
    .concat()
}

/// Insertion of `g`: page 2 is split, its right half becomes page 5.
fn split(r1: bool) -> Vec<Vec<u8>> {
    let mut entries = vec![
        entry(1, 5, &leaf(SIZE, 3, &[("g", b"x"), ("h", b"5"), ("i", b"6")]), r1),
        entry(2, 2, &leaf(SIZE, 5, &[("d", b"3"), ("f", b"4")]), r1),
        entry(3, 4, &internal(SIZE, 1, &[("d", 2), ("g", 5), ("m", 3)]), r1),
    ];
    if !r1 {
        entries.push(entry(4, 0, &metadata(SIZE, [4, 2, 9, 6, NONE]), r1));
        entries.push(entry(5, COMMIT, &[], r1));
    }
    entries
}

struct Seen {
    wal: Survey,
    dat: Option<Survey>,
    codes: Vec<Code>,
    told: String,
    applied: u64,
}

impl Seen {
    fn wal_kinds(&self) -> Vec<(Kind, u64)> {
        self.wal.regions.as_slice().iter().map(|r| (r.kind, r.records)).collect()
    }

    fn fix(&self) -> Option<Fix> {
        self.wal.regions.as_slice().iter().find_map(|r| r.fix)
    }
}

fn see(wal: &[u8], dat: Option<&[u8]>, revision: Option<&str>) -> Seen {
    let mut files = vec![LogFile {
        name: "btree.wal",
        claim: DdiaBtree.claim("btree.wal").unwrap(),
        src: &wal,
        memo: None,
        stream: false,
    }];
    let dat = dat.as_ref();
    files.extend(dat.map(|src| LogFile {
        name: "btree.dat",
        claim: DdiaBtree.claim("btree.dat").unwrap(),
        src,
        memo: None,
        stream: false,
    }));
    let told = DdiaBtree.revision(&files).name;
    let revision = revision.or(told);
    let mut surveys: Vec<Survey> = (0..files.len())
        .map(|file| {
            let Opened { mut decoder, rules } = DdiaBtree.open(&files, file, revision);
            let mut surveyor = Surveyor::new(rules);
            scan(&mut Reader::new(files[file].src), &mut *decoder, 0, &mut surveyor);
            surveyor.finish()
        })
        .collect();
    let remarks = DdiaBtree.inspect(&files, &mut surveys, revision);
    let mut members: Vec<Member<'_>> = surveys
        .iter_mut()
        .zip(&files)
        .map(|(survey, f)| Member { number: None, counts: f.claim.role.counts(), survey })
        .collect();
    conclude(&mut members, None);
    let all: Vec<&Survey> = surveys.iter().collect();
    let ask = |surveys| {
        DdiaBtree
            .engine(&Job { files: &files, surveys, revision, engine: None, mode: None, until: None }, None)
    };
    let engine = ask(&all[..]);
    assert_eq!(engine, ask(&[]), "by the survey and by the bytes");
    let applied = engine.records;
    let dat = if surveys.len() > 1 { surveys.pop() } else { None };
    let codes = remarks.iter().map(|r| r.code).collect();
    let told = remarks.into_iter().map(|r| r.message).collect::<Vec<_>>().join("\n");
    Seen { wal: surveys.remove(0), dat, codes, told, applied }
}

#[test]
fn a_closed_store_has_nothing_to_say() {
    let seen = see(&[], Some(&store()), None);
    assert_eq!(seen.codes, []);
    assert_eq!(seen.dat.unwrap().counts(), (5, 0, 0));
}

#[test]
fn a_committed_split_is_sound_and_redone() {
    let seen = see(&split(false).concat(), Some(&store()), None);
    assert_eq!(seen.wal_kinds(), [(Kind::Records, 5)]);
    assert_eq!((seen.codes, seen.applied), (vec![Code::UnfinishedOperation], 4));
}

#[test]
fn a_missing_and_an_empty_data_file_are_told() {
    let wal = split(false).concat();
    let alone = see(&wal, None, None);
    assert_eq!(alone.codes, [Code::UnfinishedOperation; 2]);
    assert!(alone.told.contains("btree.dat, whose pages these are, is not among the files"));
    for wal in [&wal[..], &wal[..3 * (SIZE + 16)]] {
        let empty = see(wal, Some(&[]), Some("r3"));
        assert_eq!(empty.codes, [Code::UnfinishedOperation, Code::PageDamaged]);
        assert!(empty.told.contains("btree.dat is empty"));
    }
    assert_eq!(see(&[], None, None).codes, [], "a WAL without entries needs no pages");
}

#[test]
fn a_flip_in_the_metadata_of_the_data_file_speaks_against_no_entry() {
    let unclosed = split(false)[..3].concat();
    let marked = [split(true).concat(), MARK.to_vec()].concat();
    for (name, wal) in [("r3", split(false).concat()), ("r2", unclosed), ("r1", marked)] {
        // Root, height, next free page.
        for at in (0..8).chain(12..16) {
            for bit in 0..8 {
                let mut dat = store();
                dat[at] ^= 1 << bit;
                let seen = see(&wal, Some(&dat), Some(name));
                assert_eq!(seen.wal.regions.first_bad(), None, "{name}, byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn pages_that_the_data_file_holds_are_in_use() {
    let mut dat = store();
    // 40 pages were in use, says the file, and 8, says its metadata.
    dat[12..16].copy_from_slice(&(40u32 ^ 32).to_be_bytes());
    dat.resize(40 * SIZE, 0);
    let right = leaf(SIZE, 3, &[("g", b"x"), ("h", b"5"), ("i", b"6")]);
    let left = leaf(SIZE, 39, &[("d", b"3"), ("f", b"4")]);
    let wal = [entry(1, 39, &right, false), entry(2, 2, &left, false)].concat();
    let seen = see(&wal, Some(&dat), Some("r2"));
    assert_eq!(seen.wal.regions.first_bad(), None);
}

#[test]
fn r2_redoes_what_no_commit_closes_and_r3_does_not() {
    let wal = split(false)[..4].concat();
    assert_eq!(see(&wal, Some(&store()), Some("r2")).applied, 4);
    assert_eq!(see(&wal, Some(&store()), Some("r3")).applied, 0);
}

#[test]
fn r1_does_nothing_where_its_mark_occurs() {
    let wal = [split(true).concat(), MARK.to_vec()].concat();
    let seen = see(&wal, Some(&store()), None);
    assert_eq!(seen.wal_kinds(), [(Kind::Records, 4)]);
    assert_eq!(seen.applied, 0);
    assert!(seen.codes.contains(&Code::TreeInconsistent), "nothing of it is in the data file");
    assert_eq!(see(&split(true).concat(), Some(&store()), None).applied, 3);
}

#[test]
fn every_flip_in_a_page_number_is_put_right() {
    for r1 in [false, true] {
        for (i, page) in [(0, 5), (1, 2), (2, 4), (3, 0)].into_iter().take(split(r1).len().min(4)) {
            // The last page of an unfinished operation may be new: r1 needs its commit mark to tell.
            for bit in 0..32 {
                let mut entries = split(r1);
                entries[i][7 - bit / 8] ^= 1 << (bit % 8);
                if r1 {
                    entries.push(MARK.to_vec());
                }
                let seen = see(&entries.concat(), Some(&store()), None);
                let fix = seen.fix().unwrap_or_else(|| panic!("entry {i}, bit {bit}, r1 {r1}"));
                assert_eq!((fix.field, fix.inferred), ("page", page), "entry {i}, bit {bit}, r1 {r1}");
                assert_eq!(seen.wal.counts().2, 1);
            }
        }
    }
}

#[test]
fn swapped_bytes_show_in_the_tree() {
    let mut entries = split(true);
    let at = DATA as usize + page::HEADER + 2;
    assert_eq!(entries[0][at], b'g');
    entries[0][at] = b'A';
    entries[0][at + 3] += b'g' - b'A';
    let seen = see(&entries.concat(), Some(&store()), None);
    let first = seen.wal.regions.as_slice()[0];
    assert_eq!((first.kind, first.at), (Kind::Damage, 0));
    assert!(matches!(first.cause, Some(Cause::Malformed(_))));
}

#[test]
fn wrong_lengths_and_numbers_are_recovered() {
    for i in 0..5 {
        for (field, offset) in [("data_len", 8), ("seq", 3), ("seq", 2)] {
            let mut entries = split(false);
            entries[i][offset] ^= 0x40;
            let seen = see(&entries.concat(), Some(&store()), None);
            assert_eq!(seen.fix().map(|f| f.field), Some(field), "entry {i}");
            assert_eq!(seen.wal.counts().2, 1, "entry {i} {field}");
        }
    }
}

#[test]
fn counting_begins_anew_behind_a_commit() {
    let both =
        [split(false).concat(), entry(1, 1, &leaf(SIZE, 2, &[("a", b"9"), ("b", b"2")]), false)].concat();
    let seen = see(&both, Some(&store()), None);
    assert_eq!(seen.wal.regions.first_bad(), None);
    let mut wrong = both.clone();
    let second = split(false).concat().len();
    wrong[second + 3] = 9;
    assert_eq!(see(&wrong, Some(&store()), None).fix().map(|f| f.inferred), Some(1));
}

#[test]
fn zeros_are_a_hole_and_no_entry() {
    let wal = [split(false).concat(), vec![0; 64]].concat();
    let seen = see(&wal, Some(&store()), None);
    assert_eq!(seen.wal_kinds(), [(Kind::Records, 5), (Kind::Damage, 0)]);
    assert_eq!(see(&[0; 4096], Some(&store()), None).wal_kinds(), [(Kind::Damage, 0)]);
}

#[test]
fn the_wal_alone_can_be_judged() {
    let seen = see(&split(false).concat(), None, None);
    assert_eq!(seen.wal_kinds(), [(Kind::Records, 5)]);
}

#[test]
fn an_overfull_image_is_intact_and_told() {
    let full = leaf(SIZE, 3, &[("d", &[7; 60]), ("f", &[8; 60])]);
    let wal = [entry(1, 2, &full, false), entry(2, 0, &metadata(SIZE, [4, 2, 6, 5, NONE]), false)].concat();
    let seen = see(&wal, Some(&store()), Some("r2"));
    assert_eq!(seen.wal_kinds(), [(Kind::Records, 2)]);
    assert!(seen.codes.contains(&Code::PageOverflow));
}

#[test]
fn broken_trees_are_told_and_end() {
    let set = |page: usize, image: Vec<u8>| {
        let mut dat = store();
        dat[page * SIZE..(page + 1) * SIZE].copy_from_slice(&image);
        see(&[], Some(&dat), None).codes
    };
    let cycle = leaf(SIZE, 1, &[("d", b"3"), ("f", b"4"), ("h", b"5"), ("i", b"6")]);
    assert!(set(2, cycle).contains(&Code::TreeInconsistent));
    let itself = internal(SIZE, 4, &[("d", 2), ("m", 3)]);
    assert!(set(4, itself).contains(&Code::TreeInconsistent));
    assert!(set(4, internal(SIZE, 1, &[("d", 2)])).contains(&Code::TreeInconsistent), "page 3 is lost");
    assert!(set(0, metadata(SIZE, [4, 2, 9, 5, NONE])).contains(&Code::TreeInconsistent));
    assert!(set(0, metadata(SIZE, [4, 2, 8, 5, 2])).contains(&Code::TreeInconsistent));
    assert!(set(2, vec![0xee; SIZE]).contains(&Code::PageDamaged));
}

#[test]
fn a_wiped_page_is_damage_and_an_unused_one_is_not() {
    let mut dat = store();
    dat[3 * SIZE..4 * SIZE].fill(0);
    let seen = see(&[], Some(&dat), None);
    assert_eq!(seen.dat.unwrap().regions.first_bad(), Some(3 * SIZE as u64));
    let mut dat = store();
    dat[12..16].copy_from_slice(&6u32.to_be_bytes());
    dat.resize(6 * SIZE, 0);
    let seen = see(&[], Some(&dat), None);
    assert_eq!(seen.dat.unwrap().regions.first_bad(), None);
    assert_eq!(seen.codes, [Code::UnfinishedOperation]);
}

#[test]
fn every_cut_and_every_flip_is_survived() {
    let (wal, dat) = (split(false).concat(), store());
    for to in 0..wal.len() {
        let seen = see(&wal[..to], Some(&dat), None);
        assert_eq!(seen.wal.regions.end(), to as u64);
        let whole = to.min(4 * (SIZE + 16)) / (SIZE + 16);
        assert!(seen.wal.counts().0 >= whole as u64, "a cut at {to} loses nothing in front of it");
    }
    for at in (0..wal.len()).step_by(3) {
        let mut flipped = wal.clone();
        flipped[at] ^= 0x10;
        let (before, after, recovered) = see(&flipped, Some(&dat), None).wal.counts();
        assert!(before + after + recovered >= 4, "a flip at {at} costs one entry at most");
    }
    for to in (0..dat.len()).step_by(7) {
        see(&wal, Some(&dat[..to]), None);
    }
}

#[test]
fn the_bytes_are_looked_at_once() {
    let wal = split(false).concat();
    let (wal, nothing): (&[u8], &[u8]) = (&wal, &[]);
    let memo = Memo::default();
    for src in [&wal, &nothing] {
        let claim = DdiaBtree.claim("btree.wal").unwrap();
        let files = [LogFile { name: "btree.wal", claim, src, memo: Some(&memo), stream: false }];
        assert_eq!(DdiaBtree.revision(&files).name, Some("r3"), "what was found out is kept");
    }
}

#[test]
fn entries_on_both_sides_of_endless_heads_are_found() {
    let heads = [1u32, 1, 64].map(u32::to_be_bytes).concat().repeat(1 << 15);
    let wal = [split(false).concat(), heads, split(false).concat()].concat();
    let (before, after, _) = see(&wal, Some(&store()), None).wal.counts();
    // What checking heads may cost is bounded: the first entry behind them may be the price.
    assert!(before == 5 && after >= 4, "{before} before, {after} after");
}
