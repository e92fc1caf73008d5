//! What CREATE TABLE and CREATE INDEX say about how rows are stored: column names, which column is the rowid, which columns
//! are not stored, what keys are ordered by. Reads what the engine keeps of a statement and is content with less: whatever
//! it does not understand it steps over.

use super::order::{Collation, Part};

/// One word, name, number or sign of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A word that is not quoted.
    Word(String),
    /// A quoted name or a string.
    Quoted(String),
    /// A single character.
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Token::Word(name) | Token::Quoted(name) => Some(name),
            Token::Sign(_) => None,
        }
    }
}

/// A column as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whole numbers in it are doubles that are stored shorter.
    pub real: bool,
    /// How its text is ordered, unless someone says otherwise.
    pub collation: Collation,
}

/// What CREATE TABLE says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns in the order of the stored values.
    pub columns: Vec<Column>,
    /// Which of them is another name of the rowid, and stored as NULL.
    pub rowid: Option<usize>,
    /// Stored as an index over its key.
    pub without_rowid: bool,
    /// What it is ordered by, where it has no rowid: the first columns.
    pub key: Vec<Part>,
    /// The indexes that its constraints make, in the order of their numbers.
    pub indexes: Vec<Index>,
}

/// What CREATE INDEX says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// What it is ordered by, up to the first term that is not a stored column.
    pub key: Vec<Part>,
    /// Which columns these are.
    pub columns: Vec<usize>,
    /// All terms are stored columns.
    pub plain: bool,
    /// Rows are left out by a condition.
    pub partial: bool,
}

/// Longer statements are not looked at: the engine takes a million bytes.
const LONGEST: usize = 1 << 20;
/// More columns the engine does not take.
const COLUMNS: usize = 32_767;

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql.get(..LONGEST.min(sql.len())).unwrap_or_default();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '-' if rest.starts_with("--") => rest.find('\n').map_or(rest.len(), |end| end + 1),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' | '"' | '`' | '[' => {
                let (name, len) = quoted(rest, if first == '[' { ']' } else { first });
                tokens.push(Token::Quoted(name));
                len
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ if word(first) => {
                let len = rest.find(|c| !word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..len].to_owned()));
                len
            }
            _ => {
                tokens.push(Token::Sign(first));
                first.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    tokens
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The name between quotes, of which two stand for one, and the bytes that it takes with them.
fn quoted(text: &str, close: char) -> (String, usize) {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != close {
            name.push(c);
        } else if close != ']' && chars.peek().is_some_and(|(_, next)| *next == close) {
            name.push(close);
            chars.next();
        } else {
            return (name, at + 1);
        }
    }
    (name, text.len())
}

/// The outermost list in brackets, split at its commas, and what stands behind it.
fn list(tokens: &[Token]) -> Option<(Vec<&[Token]>, &[Token])> {
    let open = tokens.iter().position(|t| *t == Token::Sign('('))?;
    let inner = &tokens[open + 1..];
    let (mut items, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (i, token) in inner.iter().enumerate() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') if depth == 0 => {
                items.push(&inner[from..i]);
                return Some((items, &inner[i + 1..]));
            }
            Token::Sign(')') => depth -= 1,
            Token::Sign(',') if depth == 0 => {
                items.push(&inner[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    None
}

/// A column as declared.
struct Declared {
    column: Column,
    integer: bool,
    stored: bool,
    keys: Vec<Key>,
}

/// A constraint that asks for an index.
struct Key {
    primary: bool,
    terms: Vec<Term>,
    /// It stands at its column, where DESC keeps it from being the rowid.
    at_column: bool,
}

/// Whether a statement creates an object of this kind; `None` where it creates none.
pub fn creates(sql: &str, kind: &str) -> Option<bool> {
    let mut words = sql.split_ascii_whitespace();
    let create = words.next()?.eq_ignore_ascii_case("CREATE");
    create.then(|| words.take(2).any(|word| word.eq_ignore_ascii_case(kind)))
}

/// Reads CREATE TABLE; `None` where it is none with columns.
pub fn table(sql: &str) -> Option<Table> {
    let tokens = tokens(sql);
    let create = tokens.first()?.is("CREATE") && tokens.iter().take(3).any(|t| t.is("TABLE"));
    let (items, behind) = list(&tokens).filter(|_| create)?;
    let constraint = |item: &[Token]| {
        let words = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];
        item.first().is_some_and(|t| words.iter().any(|word| t.is(word)))
    };
    let (mut columns, mut integers, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for item in items.into_iter().take(COLUMNS) {
        if constraint(item) {
            keys.extend(Key::apart(item));
        } else if let Some(mut declared) = Declared::of(item) {
            keys.append(&mut declared.keys);
            integers.extend(declared.integer.then(|| declared.column.name.clone()));
            columns.extend(declared.stored.then_some(declared.column));
        }
    }
    let mut table = Table { columns, ..Table::default() };
    table.without_rowid = behind.windows(2).any(|w| w[0].is("WITHOUT") && w[1].is("ROWID"));
    let primary = keys.iter().find(|key| key.primary);
    if table.without_rowid {
        table.key_first(primary.map_or(&[], |key| key.terms.as_slice()));
    } else if let Some(Key { terms, at_column, .. }) = primary
        && let [one] = terms.as_slice()
        && !(*at_column && one.desc)
        && integers.iter().any(|name| name.eq_ignore_ascii_case(&one.name))
    {
        table.rowid = table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(&one.name));
    }
    let indexed = keys.iter().filter(|key| !(key.primary && table.rowid.is_some()));
    for index in indexed.map(|key| Index::of(key.terms.iter().map(Some), &table.columns)) {
        let same = |other: &Index| {
            let collations = |index: &Index| index.key.iter().map(|part| part.collation).collect::<Vec<_>>();
            other.columns == index.columns && collations(other) == collations(&index)
        };
        if !table.indexes.iter().any(same) {
            table.indexes.push(index);
        }
    }
    Some(table)
}

impl Table {
    /// Without rowid the columns of the key come first.
    fn key_first(&mut self, terms: &[Term]) {
        let mut rest = std::mem::take(&mut self.columns);
        for term in terms {
            let found = rest.iter().position(|column| column.name.eq_ignore_ascii_case(&term.name));
            if let Some(at) = found {
                let column = rest.remove(at);
                let collation = term.collation.unwrap_or(column.collation);
                self.key.push(Part { collation, desc: term.desc });
                self.columns.push(column);
            }
        }
        self.columns.append(&mut rest);
    }
}

impl Declared {
    fn of(item: &[Token]) -> Option<Declared> {
        let name = item.first()?.name()?.to_owned();
        let ends = [
            "CONSTRAINT",
            "PRIMARY",
            "NOT",
            "NULL",
            "UNIQUE",
            "CHECK",
            "DEFAULT",
            "COLLATE",
            "REFERENCES",
            "GENERATED",
            "AS",
        ];
        let (mut kind, mut depth, mut generated, mut stored) = (String::new(), 0usize, false, false);
        let (mut typed, mut keys, mut collation) = (true, Vec::new(), Collation::Binary);
        for (i, token) in item.iter().enumerate().skip(1) {
            depth = match token {
                Token::Sign('(') => depth + 1,
                Token::Sign(')') => depth.saturating_sub(1),
                _ => depth,
            };
            if depth > 0 {
                continue;
            }
            typed &= !ends.iter().any(|end| token.is(end));
            if let Some(word) = token.name().filter(|_| typed) {
                kind += if kind.is_empty() { "" } else { " " };
                kind += word;
            }
            let next = item.get(i + 1);
            generated |= token.is("AS") && next == Some(&Token::Sign('('));
            stored |= generated && token.is("STORED");
            let primary = token.is("PRIMARY");
            if primary || token.is("UNIQUE") {
                let desc = primary && item.get(i + 2).is_some_and(|t| t.is("DESC"));
                let terms = vec![Term { name: name.clone(), collation: None, desc }];
                keys.push(Key { primary, terms, at_column: true });
            }
            if let Some(name) = next.filter(|_| token.is("COLLATE")).and_then(Token::name) {
                collation = Collation::of(name);
            }
        }
        let integer = kind.eq_ignore_ascii_case("INTEGER");
        let column = Column { name, real: is_real(&kind), collation };
        Some(Declared { column, integer, stored: stored || !generated, keys })
    }
}

/// By the rules that the engine derives the affinity of a column from, the first that holds.
fn is_real(kind: &str) -> bool {
    let kind = kind.to_ascii_uppercase();
    let any = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    !any(&["INT", "CHAR", "CLOB", "TEXT", "BLOB"]) && any(&["REAL", "FLOA", "DOUB"])
}

/// One term of a key.
struct Term {
    name: String,
    collation: Option<Collation>,
    desc: bool,
}

/// A term; `None`: it is more than the name of a column.
fn term(item: &[Token]) -> Option<Term> {
    let name = item.first()?.name()?.to_owned();
    let mut term = Term { name, collation: None, desc: false };
    let mut rest = &item[1..];
    while let Some(token) = rest.first() {
        let mut used = 1;
        if token.is("COLLATE") {
            term.collation = Some(Collation::of(rest.get(1)?.name()?));
            used = 2;
        } else if token.is("DESC") {
            term.desc = true;
        } else if !token.is("ASC") {
            return None;
        }
        rest = rest.get(used..)?;
    }
    Some(term)
}

impl Key {
    /// Of a constraint of the table.
    fn apart(item: &[Token]) -> Option<Key> {
        let at = item.iter().position(|t| t.is("PRIMARY") || t.is("UNIQUE") || *t == Token::Sign('('))?;
        let primary = item[at].is("PRIMARY");
        let (terms, _) = list(&item[at..]).filter(|_| item[at].name().is_some())?;
        Some(Key { primary, terms: terms.into_iter().filter_map(term).collect(), at_column: false })
    }
}

impl Index {
    fn of<'t>(terms: impl ExactSizeIterator<Item = Option<&'t Term>>, columns: &[Column]) -> Index {
        let (mut index, count) = (Index::default(), terms.len());
        for term in terms.map_while(|term| term) {
            let named = |column: &Column| column.name.eq_ignore_ascii_case(&term.name);
            let Some(at) = columns.iter().position(named) else { break };
            index.columns.push(at);
            let collation = term.collation.unwrap_or(columns[at].collation);
            index.key.push(Part { collation, desc: term.desc });
        }
        index.plain = index.key.len() == count;
        index
    }
}

/// Reads CREATE INDEX over `columns`, those of its table; `None` where it is none.
pub fn index(sql: &str, columns: &[Column]) -> Option<Index> {
    let tokens = tokens(sql);
    let create = tokens.first()?.is("CREATE") && tokens.iter().take(3).any(|t| t.is("INDEX"));
    let (items, behind) = list(&tokens).filter(|_| create)?;
    let terms: Vec<Option<Term>> = items.into_iter().map(term).collect();
    let partial = behind.iter().any(|t| t.is("WHERE"));
    Some(Index { partial, ..Index::of(terms.iter().map(Option::as_ref), columns) })
}
