use super::header::{Header, Shape, Trailer};
use super::*;
use crate::analysis::OpenLog;
use crate::log::bytes::Window;
use crate::log::region::Kind;

const SHAPE: Shape = Shape { page_bytes: 512, sector: 512 };

fn header(count: u32, nonce: u32, pages: u32) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    [count, nonce, pages, 512, 512].iter().for_each(|field| out.extend(field.to_be_bytes()));
    out.resize(512, 0);
    out
}

/// Bytes 312 and 112 of the page are what the checksum takes in.
fn record(page: u32, nonce: u32) -> Vec<u8> {
    let mut out = page.to_be_bytes().to_vec();
    out.extend((0..512u32).map(|i| (i * 7 + page) as u8));
    let sum = u32::from(out[4 + 312]) + u32::from(out[4 + 112]);
    out.extend(nonce.wrapping_add(sum).to_be_bytes());
    out
}

fn log(journal: Vec<u8>, database: Option<usize>) -> OpenLog {
    let mut files = vec![("x-journal".to_owned(), journal)];
    files.extend(database.map(|len| ("x".to_owned(), vec![7; len])));
    OpenLog::memory(&SqliteJournal, files, None)
}

fn journal(pages: &[u32]) -> Vec<u8> {
    let mut out = header(pages.len() as u32, 99, 8);
    pages.iter().for_each(|&page| out.extend(record(page, 99)));
    out
}

#[test]
fn the_checksum_takes_one_byte_in_two_hundred() {
    assert_eq!(SHAPE.slot(&record(5, 1234)), Some((5, 1234)));
    let mut other = record(5, 1234);
    for at in (0..512).filter(|at| ![112, 312].contains(at)) {
        other[4 + at] ^= 0xff;
    }
    assert_eq!(SHAPE.slot(&other), Some((5, 1234)));
    other[4 + 112] ^= 1;
    assert_ne!(SHAPE.slot(&other), Some((5, 1234)));
    assert_eq!(SHAPE.slot(&other[1..]), None);
}

#[test]
fn the_page_that_is_locked_has_no_record() {
    assert_eq!(SHAPE.lock_page(), (1 << 21) + 1);
    assert_eq!(Shape { page_bytes: 65536, sector: 512 }.lock_page(), 16385);
}

#[test]
fn a_header_of_nothing_but_zeros_is_of_a_transaction_that_is_over() {
    let sort = |bytes: &[u8]| Header::at(&mut Window::whole(bytes), 0).map(|header| header.sort());
    use super::header::Sort;
    let mut bytes = header(3, 99, 8);
    assert_eq!(sort(&bytes), Some(Sort::Live));
    bytes[0] = 0;
    assert_eq!(sort(&bytes), Some(Sort::Cleared));
    bytes[..12].fill(0);
    assert_eq!(sort(&bytes), Some(Sort::Unsynced));
    bytes[2] = 0x10;
    assert_eq!(sort(&bytes), Some(Sort::Unsynced));
    bytes[..12].fill(0xaa);
    assert_eq!(sort(&bytes), Some(Sort::Damaged));
    assert_eq!(sort(&[0; 28]), Some(Sort::Finished));
    assert_eq!(sort(&[0; 27]), None);
}

#[test]
fn a_super_journal_is_known_by_its_name_and_its_checksum() {
    for (name, is) in [
        ("a-mj012345967", true),
        ("a-mjABCDEF9fe", true),
        ("-mjABCDEF9fe", false),
        ("a-mjABCDEF8fe", false),
        ("a-mjABCDEG9fe", false),
        ("a-mjABCDEF9fe0", false),
    ] {
        assert_eq!(is_super_journal(name.as_bytes()), is, "{name}");
    }
    let name = "/db/\u{e9}-mj012345967".as_bytes();
    let sum = name.iter().fold(0u32, |sum, &b| sum.wrapping_add_signed(i32::from(b as i8)));
    let mut bytes = vec![1, 2, 3];
    bytes.extend(SHAPE.lock_page().to_be_bytes());
    bytes.extend(name);
    bytes.extend((name.len() as u32).to_be_bytes());
    bytes.extend(sum.to_be_bytes());
    bytes.extend(MAGIC);
    let of = |bytes: &[u8], page_bytes| Trailer::of(&mut Window::whole(bytes), page_bytes);
    assert_eq!(of(&bytes, Some(512)).map(|t| (t.at, t.name)), Some((3, (7, 7 + name.len() as u64))));
    assert_eq!(of(&bytes, Some(1024)).map(|t| t.at), Some(7));
    for at in 7..bytes.len() {
        let mut hurt = bytes.clone();
        hurt[at] ^= 1;
        assert_eq!(of(&hurt, Some(512)), None, "byte {at}");
    }
}

#[test]
fn a_count_that_is_too_low_hides_nothing() {
    let mut bytes = journal(&[3, 1, 4]);
    bytes[11] = 1;
    let report = log(bytes, Some(4096)).analyse(1);
    assert_eq!(report.files[0].survey.counts(), (3, 0, 0));
    let codes: Vec<_> = report.findings().map(|f| f.code).collect();
    assert_eq!(codes, [Code::UnfinishedOperation, Code::Malformed]);
    assert_eq!(report.forecast.as_ref().map(|f| f.at_stake()), Some(2));
}

#[test]
fn without_a_header_the_records_agree_on_their_nonce() {
    for database in [None, Some(4096)] {
        let mut bytes = journal(&[3, 1, 4]);
        bytes[..512].fill(0xee);
        let report = log(bytes, database).analyse(1);
        assert_eq!(report.files[0].survey.counts(), (0, 3, 0), "{database:?}");
    }
}

#[test]
fn noise_is_no_record() {
    for len in [1usize, 27, 28, 511, 512, 513, 5000, 70_001] {
        let text = (0..len).map(|i| b'a' + (i * i % 23) as u8).collect();
        for bytes in [vec![0; len], vec![0xff; len], vec![1; len], text] {
            let what = bytes[0];
            let report = log(bytes, None).analyse(1);
            assert_eq!(report.files[0].survey.counts(), (0, 0, 0), "{len} bytes, first {what}");
        }
    }
}

/// Numbers that any page may have, everywhere: the search must not become quadratic.
#[test]
fn a_file_full_of_page_numbers_is_read_in_time() {
    let mut bytes = journal(&[3, 1, 4]);
    let mut noise = 12345u32;
    for _ in 0..1 << 19 {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend([0, 0, 0, (noise >> 24) as u8 % 9]);
    }
    let began = std::time::Instant::now();
    let report = log(bytes, Some(4096)).analyse(1);
    assert_eq!(report.files[0].survey.counts().0, 3);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn what_is_over_is_stale_and_counted() {
    let mut bytes = journal(&[3, 1, 4]);
    bytes[..28].fill(0);
    let report = log(bytes, Some(4096)).analyse(1);
    let regions: Vec<_> =
        report.files[0].survey.regions.as_slice().iter().map(|r| (r.kind, r.records)).collect();
    assert_eq!(regions, [(Kind::Stale, 3)]);
    assert_eq!(report.findings().map(|f| f.code).collect::<Vec<_>>(), [Code::StaleGeneration]);
}
