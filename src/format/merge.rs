//! RocksDB's own merge operators (utilities/merge_operators/): how operands become values. Which of them a column family has
//! is told by the OPTIONS file: `merge_operator={id=StringAppendOperator;delimiter=,;}`, before 6.x
//! `merge_operator=StringAppendOperator`, `nullptr` for none. An operator of the application's own is known by its name
//! alone; what it does is not.
//!
//! All of them are associative: operands may be joined before there is a value to merge them into. Only lists are left apart
//! till the end, or a long one would be read anew for every operand.

/// A merge operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Merger {
    /// None is known.
    #[default]
    Unknown,
    /// Operands follow each other behind this delimiter (`StringAppendOperator`, `StringAppendTESTOperator`).
    Append(Vec<u8>),
    /// Numbers of eight bytes are added; anything else counts as 0 (`UInt64AddOperator`).
    Add,
    /// The highest by its bytes (`MaxOperator`).
    Max,
    /// The last (`PutOperator`).
    Last,
    /// Byte by byte; the longer one's end stays (`BytesXOR`).
    Xor,
    /// Lists of rising decimal numbers, merged; a value below them is forgotten (`MergeSortOperator`).
    List,
}

/// The column families that an OPTIONS file speaks of.
pub fn families_of(options: &str) -> impl Iterator<Item = Vec<u8>> {
    lines(options).filter_map(titled)
}

fn lines(options: &str) -> impl Iterator<Item = &str> {
    options.lines().map(|line| uncommented(line).trim_start())
}

/// The family whose options follow this line.
fn titled(line: &str) -> Option<Vec<u8>> {
    let name = line.strip_prefix("[CFOptions \"")?.trim_end().strip_suffix("\"]");
    name.map(unescaped)
}

impl Merger {
    /// That of a column family, by the text of an OPTIONS file.
    pub fn of(options: &str, family: &str) -> Merger {
        let mut inside = false;
        for line in lines(options) {
            if line.starts_with('[') {
                inside = titled(line).is_some_and(|name| name == family.as_bytes());
            } else if let (true, Some(value)) = (inside, line.strip_prefix("merge_operator")) {
                let value = value.trim_start().strip_prefix('=');
                return value.map_or(Merger::Unknown, |value| Merger::named(value.trim()));
            }
        }
        Merger::Unknown
    }

    /// By the value of the option.
    fn named(value: &str) -> Merger {
        let inner = value.strip_prefix('{').and_then(|v| v.strip_suffix('}'));
        let inner = inner.map_or(value, |inner| inner.strip_suffix(';').unwrap_or(inner));
        let (id, rest) = inner.split_once(';').unwrap_or((inner, ""));
        match id.strip_prefix("id=").unwrap_or(id).trim() {
            "StringAppendOperator" | "stringappend" | "StringAppendTESTOperator" | "stringappendtest" => {
                // It is the only option, so a delimiter of semicolons ends where the options do.
                let delimiter = rest.trim_start().strip_prefix("delimiter=");
                Merger::Append(unescaped(delimiter.map_or(",", braced)))
            }
            "UInt64AddOperator" | "uint64add" => Merger::Add,
            "MaxOperator" | "max" => Merger::Max,
            "PutOperator" | "put" | "put_v1" => Merger::Last,
            "BytesXOR" | "bytesxor" => Merger::Xor,
            "MergeSortOperator" | "sortlist" => Merger::List,
            _ => Merger::Unknown,
        }
    }

    /// What operands, the oldest first, make of a value, or of none. `None`: that cannot be told.
    pub fn merge<'a>(
        &self,
        base: Option<&[u8]>,
        operands: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<Vec<u8>> {
        let mut operands = operands.into_iter();
        let mut value = match (self, base) {
            (Merger::List, _) => return merged_list(operands),
            (_, Some(base)) => base.to_vec(),
            (_, None) => self.alone(operands.next()?)?,
        };
        operands.all(|operand| self.join(&mut value, 0, operand)).then_some(value)
    }

    /// What one operand makes of nothing.
    fn alone(&self, operand: &[u8]) -> Option<Vec<u8>> {
        match self {
            Merger::Unknown => None,
            Merger::Add => Some(number(operand).to_le_bytes().to_vec()),
            _ => Some(operand.to_vec()),
        }
    }

    /// Joins an operand to the one, or to the value, that stands in `left` from `at` on. `false`: they cannot be joined,
    /// and nothing is changed.
    pub fn join(&self, left: &mut Vec<u8>, at: usize, operand: &[u8]) -> bool {
        let old = left.get(at..).unwrap_or_default();
        let joined = match self {
            Merger::Unknown | Merger::List => return false,
            Merger::Append(delimiter) => {
                left.extend_from_slice(delimiter);
                left.extend_from_slice(operand);
                return true;
            }
            Merger::Xor => {
                let (short, rest) = operand.split_at(old.len().min(operand.len()));
                left[at..].iter_mut().zip(short).for_each(|(byte, other)| *byte ^= other);
                left.extend_from_slice(rest);
                return true;
            }
            Merger::Max if old >= operand => return true,
            Merger::Max | Merger::Last => operand,
            Merger::Add => &number(old).wrapping_add(number(operand)).to_le_bytes(),
        };
        left.truncate(at);
        left.extend_from_slice(joined);
        true
    }
}

/// Without what follows a `#` that no backslash stands before.
fn uncommented(line: &str) -> &str {
    let hashes = line.match_indices('#').map(|(at, _)| at);
    let comment = hashes.into_iter().find(|&at| !line[..at].ends_with('\\'));
    comment.map_or(line, |at| &line[..at])
}

/// Without the braces around a value that holds separators.
fn braced(value: &str) -> &str {
    value.strip_prefix('{').and_then(|v| v.strip_suffix('}')).unwrap_or(value)
}

/// The text that an option stands for (EscapeOptionString).
fn unescaped(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => out.push(b'\n'),
                Some(b'r') => out.push(b'\r'),
                other => out.extend(other),
            },
            _ => out.push(byte),
        }
    }
    out
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// The numbers of all lists. `None`: one holds anything else, at which the engine would end, or does not rise; then it matters
/// when the engine merges which.
fn merged_list<'a>(operands: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut all: Vec<i32> = Vec::new();
    for operand in operands {
        let from = all.len();
        for number in std::str::from_utf8(operand).ok()?.split(',') {
            all.push(number.parse().ok()?);
        }
        if !all[from..].is_sorted() {
            return None;
        }
    }
    all.sort_unstable();
    let texts: Vec<String> = all.iter().map(i32::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(",").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_told_by_their_names() {
        let of = |value: &str| {
            let text = format!(
                "[Version]\n  rocksdb_version=7.8.3\n[CFOptions \"default\"]\n  merge_operator=nullptr\n\
                 [CFOptions \"us\\#ers\"]\n  comparator=x\n  merge_operator={value}\n  bloom_locality=0\n[TableOptions]\n"
            );
            assert_eq!(Merger::of(&text, "default"), Merger::Unknown);
            assert_eq!(Merger::of(&text, "users"), Merger::Unknown);
            Merger::of(&text, "us#ers")
        };
        let append = |delimiter: &str| Merger::Append(delimiter.into());
        assert_eq!(of("{id=StringAppendOperator;delimiter=,;}"), append(","));
        assert_eq!(of("StringAppendOperator"), append(","));
        assert_eq!(of("{id=StringAppendOperator;delimiter=;;}"), append(";"));
        assert_eq!(of("{id=StringAppendOperator;delimiter={;};}"), append(";"));
        assert_eq!(of("{id=StringAppendOperator;delimiter=;}"), append(""));
        assert_eq!(of("{id=StringAppendTESTOperator;delimiter=\\n\\#\\:;}"), append("\n#:"));
        assert_eq!(of("stringappendtest  # as always"), append(","));
        assert_eq!(of("{id=UInt64AddOperator;}"), Merger::Add);
        assert_eq!(of("uint64add"), Merger::Add);
        assert_eq!(of("MaxOperator"), Merger::Max);
        assert_eq!(of("put_v1"), Merger::Last);
        assert_eq!(of("BytesXOR"), Merger::Xor);
        assert_eq!(of("MergeSortOperator"), Merger::List);
        assert_eq!(of("com.example.Own"), Merger::Unknown);
        assert_eq!(of("nullptr"), Merger::Unknown);
    }

    #[test]
    fn operands_become_values() {
        let merge = |merger: &Merger, base: Option<&[u8]>, operands: &[&[u8]]| {
            let whole = merger.merge(base, operands.iter().copied());
            // Joining some of them first changes nothing.
            for n in 1..operands.len() {
                let (head, tail) = operands.split_at(n);
                let mut joined = tail[0].to_vec();
                if tail[1..].iter().all(|operand| merger.join(&mut joined, 0, operand)) {
                    let operands = head.iter().copied().chain([&joined[..]]);
                    assert_eq!(merger.merge(base, operands), whole, "{merger:?}");
                }
            }
            whole.map(|value| value.escape_ascii().to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        let append = Merger::Append(b", ".to_vec());
        assert_eq!(merge(&append, None, &[b"a", b"", b"c"]), some("a, , c"));
        assert_eq!(merge(&append, Some(b""), &[b"a", b"b"]), some(", a, b"));
        let one = 1u64.to_le_bytes();
        assert_eq!(
            merge(&Merger::Add, Some(&[0xff; 8]), &[&one, &one]),
            some("\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00")
        );
        assert_eq!(merge(&Merger::Add, None, &[b"x"]), some("\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"));
        assert_eq!(merge(&Merger::Max, None, &[b"b", b"ab", b"ba"]), some("ba"));
        assert_eq!(merge(&Merger::Max, Some(b"c"), &[b"b"]), some("c"));
        assert_eq!(merge(&Merger::Last, Some(b"c"), &[b"b", b"a"]), some("a"));
        assert_eq!(merge(&Merger::Xor, Some(b"ab"), &[b"  c", b"A"]), some("\\x00Bc"));
        assert_eq!(merge(&Merger::List, Some(b"9"), &[b"3,7", b"-1,5,5", b"4"]), some("-1,3,4,5,5,7"));
        for wrong in ["3,x", "3,1", ""] {
            assert_eq!(merge(&Merger::List, None, &[b"1", wrong.as_bytes()]), None);
        }
        assert_eq!(merge(&Merger::Unknown, Some(b"a"), &[b"b"]), None);
        assert_eq!(merge(&append, None, &[]), None);
    }
}
