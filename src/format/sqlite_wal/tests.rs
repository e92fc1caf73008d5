use super::frame::{Shape, Sum};
use super::*;
use crate::analysis::OpenLog;
use crate::format::Image;
use crate::log::survey::BatchState;

const SHAPE: Shape = Shape { page_bytes: 512, big: false };
const SALTS: u64 = 0x0000_0009_aaaa_bbbb;

fn header(version: u32, salts: u64) -> (Vec<u8>, Sum) {
    let mut bytes = Vec::new();
    [MAGIC, version, 512, 0].iter().for_each(|field| bytes.extend(field.to_be_bytes()));
    bytes.extend(salts.to_be_bytes());
    let sum = Sum::default().over(&bytes, false);
    bytes.extend(sum.number().to_be_bytes());
    (bytes, sum)
}

fn frame(seed: &mut Sum, page: u32, commit: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    [page, commit].iter().for_each(|field| bytes.extend(field.to_be_bytes()));
    bytes.extend(SALTS.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend([page as u8; 512]);
    *seed = SHAPE.sum(*seed, &bytes);
    bytes[16..24].copy_from_slice(&seed.number().to_be_bytes());
    bytes
}

/// A WAL of these frames, page number and commit field.
fn wal(frames: &[(u32, u32)]) -> Vec<u8> {
    let (mut bytes, mut sum) = header(VERSION, SALTS);
    frames.iter().for_each(|&(page, commit)| bytes.extend(frame(&mut sum, page, commit)));
    bytes
}

fn log(wal: Vec<u8>, database: Option<usize>) -> OpenLog {
    let mut files = vec![("x-wal".to_owned(), wal)];
    files.extend(database.map(|len| ("x".to_owned(), vec![7; len])));
    OpenLog::memory(&SqliteWal, files, None)
}

fn engine(log: &OpenLog) -> (Outcome, Vec<(u32, u64)>) {
    let files = log.files();
    let job = Job { files: &files, surveys: &[], revision: None, engine: None, mode: None, until: None };
    let mut taken = Vec::new();
    let outcome = SqliteWal.engine(&job, Some(&mut |t| taken.push((t.key.file as u32, t.place.at))));
    (outcome, taken)
}

fn len(outcome: &Outcome) -> u64 {
    outcome.image.as_ref().map_or(0, |image: &Image| image.len)
}

#[test]
fn the_sum_is_the_one_of_the_format() {
    // Worked out by hand: (0 + 1 + 0, 0 + 2 + 1), then (1 + 3 + 3, 3 + 4 + 7).
    let words = [1u32, 2, 3, 4];
    let little: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let big: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    assert_eq!(Sum::default().over(&little, false), Sum(7, 14));
    assert_eq!(Sum::default().over(&big, true), Sum(7, 14));
    assert_ne!(Sum::default().over(&big, false), Sum(7, 14));
}

#[test]
fn the_last_commit_decides_about_length_and_pages() {
    let log = log(wal(&[(4, 0), (1, 4), (2, 0), (1, 2), (2, 0)]), Some(2048));
    let (outcome, taken) = engine(&log);
    // Page 4 lies behind the new end, the last frame behind the last commit.
    assert_eq!((outcome.records, len(&outcome)), (4, 1024));
    assert_eq!(taken, [(0, 32 + 3 * 536), (0, 32 + 2 * 536)]);
    assert_eq!(outcome.image.unwrap().patches.len(), 2);
}

#[test]
fn a_size_that_nothing_explains_is_not_written() {
    let room = |pages| engine(&log(wal(&[(1, pages)]), Some(512))).0;
    let most = (512 + 65536 + 512) / 512;
    assert_eq!(len(&room(most)), u64::from(most) * 512);
    assert_eq!(len(&room(most + 1)), 512);
}

#[test]
fn without_a_database_nothing_is_left() {
    for database in [None, Some(0)] {
        let log = log(wal(&[(1, 1)]), database);
        let (outcome, taken) = engine(&log);
        assert_eq!((outcome.records, len(&outcome), taken.len()), (0, 0, 0));
        let report = log.analyse(1);
        assert_eq!(report.forecast.as_ref().unwrap().at_stake(), 1, "{database:?}");
    }
}

#[test]
fn another_version_is_refused_and_still_read() {
    let (mut bytes, mut sum) = header(VERSION + 1, SALTS);
    bytes.extend(frame(&mut sum, 1, 1));
    let log = log(bytes, Some(512));
    assert!(!engine(&log).0.opens);
    let report = log.analyse(1);
    assert_eq!(report.files[0].survey.counts(), (1, 0, 0));
    assert!(report.findings().any(|f| f.code == Code::EngineRefuses));
}

#[test]
fn a_header_alone_was_cut_off() {
    let report = log(wal(&[]), Some(512)).analyse(1);
    assert!(report.findings().any(|f| f.code == Code::TornTail));
    assert!(log(Vec::new(), Some(512)).analyse(1).findings().next().is_none());
}

#[test]
fn a_transaction_whose_first_frame_is_lost_has_lost_a_member() {
    let mut bytes = wal(&[(1, 2), (2, 0), (1, 2), (2, 2)]);
    bytes[32 + 536 + 100] ^= 1;
    let report = log(bytes, Some(1024)).analyse(1);
    let lost: Vec<_> = report.conclusions.batches.iter().map(|u| (u.batch.state, u.batch.last)).collect();
    assert_eq!(lost, [(BatchState::LostMember, 3)]);
    assert_eq!(report.conclusions.committed, 2);
}

/// The salts everywhere, so that every offset looks like a frame: the search must not become quadratic.
#[test]
fn a_file_full_of_salts_is_read_in_time() {
    let mut bytes = wal(&[(1, 1), (2, 0)]);
    for _ in 0..1 << 17 {
        bytes.extend(SALTS.to_be_bytes());
    }
    let began = std::time::Instant::now();
    let report = log(bytes, Some(512)).analyse(1);
    assert_eq!(report.files[0].survey.counts().0, 2);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}
