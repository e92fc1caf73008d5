//! The record by which a repair states that numbers are missing: a CHECKPOINT, which every engine ignores, with a key of
//! its own and the numbers as its value. It carries the last of them, so numbers go on rising and the counter is kept.

use super::{CHECKPOINT, FIXED, KEY, encode};
use crate::log::bytes::Bytes;
use crate::log::fault::Fault;
use crate::log::record::{Mark, Record};

/// Its key.
const NAME: &[u8] = b"walmedic.gap";
/// Two numbers and the dots between them.
const LONGEST: u64 = 42;

/// The record for the numbers `first..=last`.
pub fn record(first: u64, last: u64) -> Vec<u8> {
    let mut out = Vec::new();
    encode::record(&mut out, last, CHECKPOINT, NAME, format!("{first}..{last}").as_bytes());
    out
}

/// The CHECKPOINT `r`, which covers more than one number where it states a gap.
///
/// # Errors
/// [`Cause::Short`](crate::log::fault::Cause::Short) when it is not at hand.
pub fn read<B: Bytes>(b: &mut B, r: Record, key_len: u64) -> Result<Record, Fault> {
    let value = r.at + FIXED + key_len..r.end();
    if key_len != NAME.len() as u64 || value.end - value.start > LONGEST {
        return Ok(r);
    }
    if b.array::<{ NAME.len() }>(r.at + KEY)? != *NAME {
        return Ok(r);
    }
    let numbers = std::str::from_utf8(b.piece(value)?).ok().and_then(|text| text.split_once(".."));
    let numbers = numbers.and_then(|(a, z)| Some((a.parse::<u64>().ok()?, z.parse::<u64>().ok()?)));
    Ok(match numbers {
        Some((first, last)) if 0 < first && first <= last && last == r.seq => {
            Record { seq: first, mark: Mark::Gap, ..r }
        }
        _ => r,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::chain::Framing;
    use crate::format::ddia_wal::WalFraming;
    use crate::log::bytes::Window;

    fn read_back(bytes: &[u8]) -> (u64, u64, Mark) {
        let r = WalFraming.frame(&mut Window::whole(bytes), 0).unwrap();
        WalFraming.prove(&mut Window::whole(bytes), &r).unwrap();
        (r.seq, r.next, r.mark)
    }

    #[test]
    fn a_stated_gap_covers_its_numbers() {
        assert_eq!(read_back(&record(75, 75)), (75, 76, Mark::Gap));
        assert_eq!(read_back(&record(1, u64::MAX - 1)), (1, u64::MAX, Mark::Gap));
    }

    #[test]
    fn other_checkpoints_are_notes() {
        for (key, value) in
            [("", ""), ("walmedic.gap", "7"), ("walmedic.gap", "9..8"), ("walmedic.gop", "7..8")]
        {
            let mut bytes = Vec::new();
            encode::record(&mut bytes, 8, CHECKPOINT, key.as_bytes(), value.as_bytes());
            assert_eq!(read_back(&bytes), (8, 9, Mark::Note));
        }
    }
}
