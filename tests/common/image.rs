//! The database files that replays leave, made in memory.

use std::path::Path;

use walmedic::analysis::OpenLog;
use walmedic::format::{Fill, Image};
use walmedic::io::listing::{self, Wanted};
use walmedic::log::bytes::ReadAt;
use walmedic::replay::{Policy, Wish, replay};

/// The database file that a policy leaves; `None`: the engine would not open.
pub fn image(log: &OpenLog, policy: Policy) -> Option<Vec<u8>> {
    let wish = Wish::new(policy, u64::MAX);
    let replayed = replay(log, &log.analyse(1), &wish).expect("a state");
    replayed.opens.then(|| make(log, &replayed.image.expect("an image")))
}

/// An image as a file.
pub fn make(log: &OpenLog, image: &Image) -> Vec<u8> {
    let read = |file: usize, from: u64, len: usize| {
        let mut bytes = vec![0; len];
        let n = log.source(file).read_at(from, &mut bytes).expect("bytes");
        bytes.truncate(n);
        bytes
    };
    let mut out = image.base.map_or(Vec::new(), |file| read(file, 0, log.source(file).size() as usize));
    out.resize(image.len as usize, 0);
    for patch in &image.patches {
        let mut bytes = match &patch.fill {
            Fill::Part(part) => read(part.file, part.span.start, (part.span.end - part.span.start) as usize),
            Fill::Bytes(bytes) => bytes.clone(),
        };
        bytes.resize(patch.len as usize, 0);
        out[patch.at as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    out
}

/// The one log in a directory.
pub fn at(dir: &Path) -> OpenLog {
    let mut logs = listing::find(dir, &Wanted::default()).expect("a log");
    assert_eq!(logs.len(), 1);
    OpenLog::new(logs.remove(0), &Wanted::default()).expect("an open log")
}
