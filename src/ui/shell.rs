//! Paths as words of a command line: what is printed can be pasted, and cannot do anything but name the file.

use std::fmt::Write;
use std::path::Path;

use crate::ui::bytes::printable;

/// A path as one word of a shell.
pub fn quote(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    // A name that begins with a dash would be an option; a dash alone is standard input.
    let front = if bytes.first() == Some(&b'-') && bytes.len() > 1 { "./" } else { "" };
    match path.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => format!("{front}{text}"),
        Some(text) if printable(text) == text => format!("'{front}{}'", text.replace('\'', "'\\''")),
        _ => format!("$'{front}{}'", escaped(bytes)),
    }
}

/// Characters that no shell gives a meaning to.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c)
}

/// The form in which bash, zsh and ksh take any byte. Three digits of eight are the same to all of them.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &b in bytes {
        match b {
            b'\'' | b'\\' => out.extend(['\\', char::from(b)]),
            b' '..=b'~' => out.push(char::from(b)),
            // Writing into memory does not fail.
            _ => write!(out, "\\{b:03o}").unwrap_or_default(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_more_into_them() {
        for (path, word) in [
            ("wal/000001.wal", "wal/000001.wal"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(reboot);`x`*?{a,b}", "'$(reboot);`x`*?{a,b}'"),
            ("~", "'~'"),
            ("", "''"),
            ("-", "-"),
            ("-rf", "./-rf"),
            ("- x", "'./- x'"),
            ("a\n'\\", "$'a\\012\\'\\\\'"),
            ("a\u{202e}b", "$'a\\342\\200\\256b'"),
            ("äöü", "'äöü'"),
        ] {
            assert_eq!(quote(Path::new(path)), word);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_gives_every_byte_back() {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let all: Vec<u8> = (1..=255).collect();
        let ascii: Vec<u8> = (b' '..=b'~').collect();
        for bytes in [&all[..], &ascii, b"\xff1", b"a'b\\c"] {
            let name = std::ffi::OsString::from_vec(bytes.to_vec());
            let line = format!("printf %s {}", quote(Path::new(&name)));
            let Ok(out) = std::process::Command::new("bash").args(["-c", &line]).output() else {
                println!("not tried: there is no bash");
                return;
            };
            assert_eq!(std::ffi::OsStr::from_bytes(&out.stdout), name, "{line}");
        }
    }
}
