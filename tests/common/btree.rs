//! Encoder of the B-tree's log, and of a small data file for it. All big-endian.
//!
//! ```text
//! seq u32 | page u32 | data_len u32 | page image | checksum u32
//! ```
//! r1: checksum is the byte sum, pages of the tree only, then `CMIT`. r2: CRC-32, page 0 last, no mark. r3: as r2, then
//! an entry with page 0xFFFFFFFF and data_len 0.

use super::log::{Field, File, Log, Promise};
use super::random::Random;
use super::tree::Tree;

const FIELDS: &[Field] = &[
    Field { name: "seq", length: false, offset: |_| 0, width: 4, big_endian: true },
    Field { name: "page", length: false, offset: |_| 4, width: 4, big_endian: true },
    Field { name: "data_len", length: true, offset: |_| 8, width: 4, big_endian: true },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    R1,
    R2,
    R3,
}

impl Revision {
    pub fn name(self) -> &'static str {
        match self {
            Revision::R1 => "r1",
            Revision::R2 => "r2",
            Revision::R3 => "r3",
        }
    }
}

/// One entry.
pub fn entry(revision: Revision, seq: u32, page: u32, image: &[u8]) -> Vec<u8> {
    let checksum = match revision {
        Revision::R1 => image.iter().fold(0u32, |sum, &b| sum.wrapping_add(u32::from(b))),
        _ => crc32fast::hash(image),
    };
    let mut out = Vec::new();
    out.extend(seq.to_be_bytes());
    out.extend(page.to_be_bytes());
    out.extend((image.len() as u32).to_be_bytes());
    out.extend(image);
    out.extend(checksum.to_be_bytes());
    out
}

/// The log of one operation that changed these pages. `committed`: the mark was written.
pub fn log_file(revision: Revision, tree: &Tree, pages: &[u32], committed: bool) -> File {
    let promise = if revision == Revision::R1 { Promise::BESIDE } else { Promise::Lossless };
    let mut file = File::new("btree.wal", promise, FIELDS);
    let mut seq = 1;
    for &page in pages {
        file.push(&entry(revision, seq, page, &tree.page(page)));
        seq += 1;
    }
    if revision != Revision::R1 {
        file.push(&entry(revision, seq, 0, &tree.meta()));
        seq += 1;
    }
    match revision {
        Revision::R1 if committed => file.push(b"CMIT"),
        Revision::R3 if committed => file.push(&entry(revision, seq, u32::MAX, b"")),
        _ => {}
    }
    file
}

/// The data file.
pub fn data_file(tree: &Tree) -> File {
    let mut file = File::new("btree.dat", Promise::Tiled, &[]);
    file.push_framing(&tree.image());
    file
}

/// A tree of `leaves` leaves with three pairs each.
pub fn tree(random: &mut Random, leaves: usize, page_bytes: usize) -> Tree {
    let pairs: Vec<_> = (0..leaves * 3)
        .map(|i| {
            let len = random.within(1, 8);
            (format!("key{i:03}").into_bytes(), random.text(len))
        })
        .collect();
    Tree::new(&pairs, 3, page_bytes)
}

/// A tree as before an insertion that splits a leaf, and the log of that insertion.
pub fn sample(random: &mut Random, records: usize, revision: Revision) -> Log {
    // An operation writes three or four pages however many records are asked for; the leaves make up for it.
    let before = tree(random, (2 + records / 8).min(8), 128);
    let mut after = before.clone();
    let pages = after.insert_last((b"key999".to_vec(), b"new".to_vec()), 3);
    let mut log = Log::new("ddia-btree", Some(revision.name()));
    log.files.push(data_file(&before));
    log.files.push(log_file(revision, &after, &pages, true));
    log
}
