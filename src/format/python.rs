//! The words of Python, in which the teaching engines say why they stop.

/// What `bytes.decode("utf-8")` raises.
pub fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> String {
    let from = error.valid_up_to();
    let first = bytes.get(from).copied().unwrap_or(0);
    let (to, reason) = match error.error_len() {
        None => (bytes.len(), "unexpected end of data"),
        Some(n) if matches!(first, 0xc2..=0xf4) => (from + n, "invalid continuation byte"),
        Some(n) => (from + n, "invalid start byte"),
    };
    let place = if to - from > 1 {
        format!("bytes in position {from}-{}", to - 1)
    } else {
        format!("byte 0x{first:02x} in position {from}")
    };
    format!("UnicodeDecodeError: 'utf-8' codec can't decode {place}: {reason}")
}
