//! Numbers in groups of seven bits, the lowest first; the highest bit of a byte says that another one follows. So LevelDB and
//! its descendants write them.

/// The number that `next` gives byte by byte, in `MOST` bytes at the most; `None`: the bytes run out, there are more of them, or
/// they do not fit.
#[inline]
pub fn read<const MOST: u32>(mut next: impl FnMut() -> Option<u8>) -> Option<u64> {
    const { assert!(MOST <= 10, "so many hold 64 bits") };
    let first = next()?;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    for i in 1..MOST {
        let byte = next()?;
        // The tenth group has room for one bit.
        if i == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends a number.
pub fn put(number: impl Into<u64>, out: &mut Vec<u8>) {
    let mut rest = number.into();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const MOST: u32>(bytes: &[u8]) -> Option<u64> {
        let mut bytes = bytes.iter().copied();
        read::<MOST>(|| bytes.next()).filter(|_| bytes.next().is_none())
    }

    #[test]
    fn what_is_put_is_read() {
        for n in [0, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(n, &mut bytes);
            assert_eq!(of::<10>(&bytes), Some(n));
            assert_eq!(of::<5>(&bytes), Some(n).filter(|n| *n != u64::MAX));
            assert_eq!(of::<10>(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(of::<10>(&[0x80; 11]), None);
        let mut more = vec![0xff; 9];
        more.push(2);
        assert_eq!(of::<10>(&more), None);
    }
}
