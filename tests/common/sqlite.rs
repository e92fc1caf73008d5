//! Encoder of SQLite's write-ahead log. All fields big-endian.
//!
//! ```text
//! header  magic u32 | version u32 | page size u32 | sequence u32 | salt u32, u32 | sum u32, u32
//! frame   page u32 | commit u32 | salt u32, u32 | sum u32, u32 | page image
//! ```
//! The sums run on from the header through every frame; of a frame its first 8 bytes and the image are summed, in words
//! of the byte order that the lowest bit of the magic names.

use super::log::{Field, File, Log, Promise};
use super::random::Random;

const FIELDS: &[Field] = &[
    Field { name: "page", length: false, offset: |_| 0, width: 4, big_endian: true },
    Field { name: "commit", length: false, offset: |_| 4, width: 4, big_endian: true },
];

/// A frame is proved by the one before it or, where that is destroyed, by the one behind it.
const PROMISE: Promise = Promise::Beside { lost: 1, chain: 2 };

/// Writes frames.
#[derive(Clone, Debug)]
pub struct Writer {
    pub page_bytes: usize,
    pub big_endian: bool,
    pub salts: [u32; 2],
    pub sums: [u32; 2],
}

impl Writer {
    /// A writer, and the header that it begins with.
    pub fn new(page_bytes: usize, big_endian: bool, salts: [u32; 2]) -> (Writer, Vec<u8>) {
        let mut writer = Writer { page_bytes, big_endian, salts, sums: [0, 0] };
        let fields =
            [0x377f_0682 | u32::from(big_endian), 3_007_000, page_bytes as u32, 7, salts[0], salts[1]];
        let mut header: Vec<u8> = fields.iter().flat_map(|field| field.to_be_bytes()).collect();
        writer.sum(&header);
        header.extend(writer.sums.iter().flat_map(|sum| sum.to_be_bytes()));
        (writer, header)
    }

    fn sum(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks(8) {
            let word = |b: &[u8]| {
                let b = [b[0], b[1], b[2], b[3]];
                if self.big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
            };
            self.sums[0] = self.sums[0].wrapping_add(word(&pair[..4])).wrapping_add(self.sums[1]);
            self.sums[1] = self.sums[1].wrapping_add(word(&pair[4..])).wrapping_add(self.sums[0]);
        }
    }

    /// The next frame; `commit`: pages of the database, 0 where it commits nothing.
    pub fn frame(&mut self, page: u32, commit: u32, image: &[u8]) -> Vec<u8> {
        assert_eq!(image.len(), self.page_bytes);
        let mut out: Vec<u8> = [page, commit].iter().flat_map(|field| field.to_be_bytes()).collect();
        self.sum(&out.clone());
        self.sum(image);
        out.extend(self.salts.iter().chain(&self.sums).flat_map(|field| field.to_be_bytes()));
        out.extend(image);
        out
    }
}

/// A page of its own for every number and version.
pub fn page(number: u32, version: u32, page_bytes: usize) -> Vec<u8> {
    let mut page: Vec<u8> = (0..page_bytes)
        .map(|i| (i as u32).wrapping_mul(31 + number).wrapping_add(version * 7) as u8)
        .collect();
    if number == 1 {
        page[..16].copy_from_slice(b"SQLite format 3\0");
        page[16..18]
            .copy_from_slice(&(if page_bytes == 65536 { 1 } else { page_bytes as u16 }).to_be_bytes());
        page[18..20].copy_from_slice(&[2, 2]);
        page[24..28].copy_from_slice(&version.to_be_bytes());
    }
    page
}

/// A database of `pages` pages.
pub fn database(pages: u32, page_bytes: usize) -> File {
    let mut file = File::new("app.db", Promise::Tiled, &[]);
    (1..=pages).for_each(|number| file.push_framing(&page(number, 1, page_bytes)));
    file
}

/// A WAL of these transactions, each the pages that it changes; the database has `pages` pages behind each.
pub fn wal(writer: &mut Writer, header: &[u8], transactions: &[Vec<u32>], pages: u32) -> File {
    let mut file = File::new("app.db-wal", PROMISE, FIELDS);
    file.push_framing(header);
    push(&mut file, writer, transactions, pages);
    file
}

/// Appends transactions.
pub fn push(file: &mut File, writer: &mut Writer, transactions: &[Vec<u32>], pages: u32) {
    for (version, changed) in transactions.iter().enumerate() {
        for (i, &number) in changed.iter().enumerate() {
            let commit = if i + 1 == changed.len() { pages } else { 0 };
            let image = page(number, 2 + version as u32, writer.page_bytes);
            let frame = writer.frame(number, commit, &image);
            file.push(&frame);
        }
    }
}

/// What is left of an older generation that was `frames` long; its pages are in the database.
pub fn leftovers(salts: [u32; 2], page_bytes: usize, frames: u32) -> Vec<u8> {
    let (mut writer, _) = Writer::new(page_bytes, false, [salts[0].wrapping_sub(1), salts[1] ^ 0x5555]);
    writer.sums = [salts[1], salts[0]];
    (0..frames).flat_map(|i| writer.frame(2 + i % 3, 5 * (i % 2), &page(2 + i % 3, 1, page_bytes))).collect()
}

/// A database and a WAL of about so many frames. `stale`: an older generation lies behind them.
pub fn sample(random: &mut Random, records: usize, big_endian: bool, stale: bool) -> Log {
    let (page_bytes, pages) = (512, 6);
    let salts = [random.next() as u32 | 1, random.next() as u32 | 1];
    let (mut writer, header) = Writer::new(page_bytes, big_endian, salts);
    let mut transactions = Vec::new();
    let mut left = records.max(1);
    while left > 0 {
        let len = random.within(1, 3).min(left);
        transactions.push((0..len).map(|_| 1 + random.below(pages as usize) as u32).collect());
        left -= len;
    }
    let mut log = Log::new("sqlite-wal", None);
    log.files.push(database(pages, page_bytes));
    let mut file = wal(&mut writer, &header, &transactions, pages);
    if stale {
        file.push_framing(&leftovers(salts, page_bytes, 4));
    }
    log.files.push(file);
    log
}
