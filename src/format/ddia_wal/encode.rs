//! Writes records of the standalone WAL: what the engine appends and what a repair puts down anew.

use super::{FIXED, OP_CRC, PUT};
use crate::codec::crc32;
use crate::format::{Fresh, Put};

/// Key and value of one record have at most so many bytes together: both lengths are signed, and the whole must fit, too.
pub const PAYLOAD_MAX: usize = i32::MAX as usize - FIXED as usize;

/// Appends one record to `out`. Key and value must be UTF-8 and no longer than [`PAYLOAD_MAX`], or no reader takes it.
pub fn record(out: &mut Vec<u8>, seq: u64, op: u8, key: &[u8], value: &[u8]) {
    debug_assert!(key.len() + value.len() <= PAYLOAD_MAX);
    let crc = OP_CRC.get(usize::from(op)).copied().unwrap_or_else(|| crc32::update(0, &[op]));
    let crc = crc32::update2(crc, key, value);
    let length = FIXED as usize - 4 + key.len() + value.len();
    out.extend((length as u32).to_le_bytes());
    out.extend(crc.to_le_bytes());
    out.extend(seq.to_le_bytes());
    out.push(op);
    out.extend((key.len() as u32).to_le_bytes());
    out.extend(key);
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(value);
}

/// Appends the record that sets a key to `out`.
///
/// # Errors
/// Why no record can say that.
pub fn put(fresh: &Fresh<'_>, out: &mut Vec<u8>) -> Put {
    let Fresh { key, value, seq, .. } = *fresh;
    if key.len().saturating_add(value.len()) > PAYLOAD_MAX {
        return Err("it and its value are too long for one record");
    }
    if std::str::from_utf8(key).is_err() || std::str::from_utf8(value).is_err() {
        return Err("it and its value have to be UTF-8");
    }
    record(out, seq, PUT, key, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::chain::Framing;
    use crate::format::ddia_wal::{BEGIN, COMMIT, PUT, WalFraming};
    use crate::log::bytes::Window;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        for (seq, op, key, value) in [(1, BEGIN, "", ""), (2, PUT, "ké", "value"), (u64::MAX, COMMIT, "", "")]
        {
            let at = out.len();
            record(&mut out, seq, op, key.as_bytes(), value.as_bytes());
            let mut window = Window::whole(&out);
            let read = WalFraming.frame(&mut window, at as u64).expect("framed");
            assert_eq!((read.seq, read.kind, read.end()), (seq, op, out.len() as u64));
            WalFraming.prove(&mut window, &read).expect("proved");
        }
    }

    #[test]
    fn a_commit_is_the_constant_record() {
        let mut out = Vec::new();
        record(&mut out, 7, COMMIT, b"", b"");
        assert_eq!(out[..8], [21, 0, 0, 0, 0x37, 0xBE, 0x0B, 0x4B]);
        assert_eq!(out[8..], [7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
