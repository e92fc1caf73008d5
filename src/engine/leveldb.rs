//! LevelDB as a target: a new database all of which is in a log that was never closed, as after a crash. There is nothing to
//! open one by; LevelDB does that.

use super::storage::Storage;
use super::{Error, Result, io_error};
use crate::format::block_log::fresh::{CATALOGUE, CURRENT, Fresh, LOG, Set, catalogue};

/// Bytes written at a time.
const PIECE: usize = 1 << 20;

/// Fills a directory with a database that holds these keys; the first batch has the number `seq`.
///
/// # Errors
/// [`Error::Refused`] where no batch can hold a key or its value; [`Error::Io`].
pub fn build(
    storage: impl Storage,
    seq: u64,
    entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<()> {
    let mut storage = storage;
    let (mut log, mut at, mut piece) = (Fresh::new(seq), 0, Vec::new());
    storage.set_len(LOG, 0).map_err(io_error(LOG))?;
    for (key, value) in entries {
        piece.extend_from_slice(log.put(0, &key, Set::Value(&value)).map_err(Error::Refused)?);
        if piece.len() >= PIECE {
            storage.write(LOG, at, &piece).map_err(io_error(LOG))?;
            at += piece.len() as u64;
            piece.clear();
        }
    }
    storage.write(LOG, at, &piece).map_err(io_error(LOG))?;
    let [current, names] = CURRENT;
    for (name, bytes) in [(CATALOGUE, &catalogue()[..]), (current, names.as_bytes())] {
        storage.write(name, 0, bytes).map_err(io_error(name))?;
    }
    for name in [LOG, CATALOGUE, current] {
        storage.sync(name).map_err(io_error(name))?;
    }
    storage.sync_dir().map_err(io_error("the directory"))
}
