//! Keys and values as text, without loss.

/// `--bytes`: how keys and values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Notation {
    /// Text as it is, other bytes as \xNN, a backslash doubled
    #[default]
    Escape,
    /// Two digits a byte
    Hex,
    /// RFC 4648
    Base64,
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes `bytes` in a notation. `json`: the result stands inside a JSON string, so quotes and backslashes are escaped
/// once more.
pub fn write(out: &mut Vec<u8>, bytes: &[u8], notation: Notation, json: bool) {
    match notation {
        Notation::Escape => escape(out, bytes, json),
        Notation::Hex => {
            bytes.iter().for_each(|b| out.extend([HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]))
        }
        Notation::Base64 => base64(out, bytes),
    }
}

/// Compares a key with what the user typed, in the notation that `dump` prints; a `*` at the end stands for any ending.
pub fn matches(key: &[u8], wanted: &str, notation: Notation) -> bool {
    let mut text = Vec::with_capacity(key.len());
    write(&mut text, key, notation, false);
    match wanted.strip_suffix('*') {
        Some(start) => text.starts_with(start.as_bytes()),
        None => text == wanted.as_bytes(),
    }
}

/// The bytes that [`write()`] puts into a notation so; `None`: none are.
pub fn read(text: &str, notation: Notation) -> Option<Vec<u8>> {
    let digits = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
    let text = text.as_bytes();
    match notation {
        Notation::Hex if text.len().is_multiple_of(2) => text.chunks(2).map(digits).collect(),
        Notation::Hex => None,
        Notation::Base64 => text.chunks(4).try_fold(Vec::new(), |mut out, four| {
            out.extend(three(four)?);
            Some(out)
        }),
        Notation::Escape => {
            let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
            while let Some((&first, behind)) = rest.split_first() {
                let byte;
                (byte, rest) = match (first, behind) {
                    (b'\\', [b'\\', behind @ ..]) => (b'\\', behind),
                    (b'\\', [b'x', a, b, behind @ ..]) => (digits(&[*a, *b])?, behind),
                    (b'\\', _) => return None,
                    other => other,
                };
                out.push(byte);
            }
            Some(out)
        }
    }
}

/// Up to three bytes from four digits.
fn three(four: &[u8]) -> Option<Vec<u8>> {
    let (mut n, mut digits) = (0u32, 0);
    for &digit in four.iter().filter(|&&digit| digit != b'=') {
        n = n << 6 | BASE64.iter().position(|&known| known == digit)? as u32;
        digits += 1;
    }
    let bytes = (n << (6 * (4 - digits))).to_be_bytes();
    (four.len() == 4 && digits >= 2).then(|| bytes[1..digits].to_vec())
}

fn plain(b: u8) -> bool {
    (0x20..0x7f).contains(&b) && b != b'\\' && b != b'"'
}

fn escape(out: &mut Vec<u8>, mut bytes: &[u8], json: bool) {
    let backslash: &[u8] = if json { b"\\\\" } else { b"\\" };
    loop {
        let run = bytes.iter().position(|&b| !plain(b)).unwrap_or(bytes.len());
        out.extend_from_slice(&bytes[..run]);
        bytes = &bytes[run..];
        let Some(&b) = bytes.first() else { return };
        let mut used = 1;
        match b {
            b'"' if json => out.extend_from_slice(b"\\\""),
            b'"' => out.push(b),
            b'\\' => {
                out.extend_from_slice(backslash);
                out.extend_from_slice(backslash);
            }
            _ => match character(bytes) {
                Some(text) => {
                    out.extend_from_slice(text.as_bytes());
                    used = text.len();
                }
                None => {
                    out.extend_from_slice(backslash);
                    out.extend([b'x', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
                }
            },
        }
        bytes = &bytes[used..];
    }
}

/// The printable character that `bytes` begin with, if they begin with one.
fn character(bytes: &[u8]) -> Option<&str> {
    let head = &bytes[..bytes.len().min(4)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&head[..e.valid_up_to()]).ok()?,
    };
    let c = text.chars().next().filter(|c| !c.is_control() && !invisible(*c))?;
    Some(&text[..c.len_utf8()])
}

/// Characters that would reorder or hide what is printed around them.
fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    for three in bytes.chunks(3) {
        let n = three.iter().fold(0u32, |n, &b| n << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = BASE64[(n >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { digit } else { b'=' });
        }
    }
}

/// A name or message that is safe to print: control characters escaped.
pub fn printable(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape_controls(&mut out, text);
    String::from_utf8(out).unwrap_or_else(|_| text.escape_debug().to_string())
}

fn escape_controls(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        if c.is_control() || invisible(c) {
            out.extend(c.escape_default().to_string().as_bytes());
        } else {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], notation: Notation, json: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, bytes, notation, json);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_is_written_is_read() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"\\x", b"\x00\xff\\", "é \u{200b}".as_bytes()] {
            for notation in [Notation::Escape, Notation::Hex, Notation::Base64] {
                let mut text = Vec::new();
                write(&mut text, bytes, notation, false);
                let text = String::from_utf8(text).unwrap();
                assert_eq!(read(&text, notation).as_deref(), Some(bytes), "{text}");
            }
        }
        assert_eq!(read("\\q", Notation::Escape), None);
        assert_eq!(read("\\x1", Notation::Escape), None);
        assert_eq!(read("abc", Notation::Hex), None);
        assert_eq!(read("a*==", Notation::Base64), None);
        assert_eq!(read("a", Notation::Base64), None);
    }

    #[test]
    fn every_byte_survives() {
        assert_eq!(text("a\\b\0\u{fc}".as_bytes(), Notation::Escape, false), "a\\\\b\\x00\u{fc}");
        assert_eq!(text(&[0xff, b'"', 0xc3], Notation::Escape, false), "\\xff\"\\xc3");
        assert_eq!(text(&[0, 255], Notation::Hex, false), "00ff");
    }

    #[test]
    fn json_strings_give_the_notation_back() {
        let all: Vec<u8> = (0..=255).collect();
        let json = format!("\"{}\"", text(&all, Notation::Escape, true));
        let back: String = serde_json::from_str(&json).expect("valid JSON");
        assert_eq!(back, text(&all, Notation::Escape, false));
    }

    #[test]
    fn keys_are_compared_as_printed() {
        assert!(matches(b"a\0b", "a\\x00b", Notation::Escape));
        assert!(matches(b"abc", "ab*", Notation::Escape));
        assert!(!matches(b"abc", "ab", Notation::Escape));
    }

    #[test]
    fn base64_pads() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(text(plain.as_bytes(), Notation::Base64, false), coded);
        }
    }
}
