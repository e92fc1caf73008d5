//! The vocabulary of findings: one code per kind of trouble, the same over all formats.

use super::fault::{Behind, Cause};
use super::region::Kind;

/// What `--allow` and the detailed exit codes tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The file ends inside its last record.
    TornTail,
    /// A batch or transaction that never committed.
    Orphan,
    /// Numbers are missing, repeated or out of order.
    Gap,
    /// Bytes are not what was written.
    Corruption,
    /// Records of another log, or of this log twice.
    Foreign,
    /// A side file contradicts the data.
    Stale,
    /// Part of the input could not be read, or changed while it was.
    Incomplete,
    /// Worth knowing; never changes the exit code.
    Note,
}

impl Class {
    /// Every class that `--allow` takes.
    pub const ALLOWABLE: [Class; 6] =
        [Class::TornTail, Class::Orphan, Class::Gap, Class::Corruption, Class::Foreign, Class::Stale];

    /// The word in JSON and for `--allow`.
    pub fn word(self) -> &'static str {
        match self {
            Class::TornTail => "torn-tail",
            Class::Orphan => "orphan",
            Class::Gap => "gap",
            Class::Corruption => "corruption",
            Class::Foreign => "foreign",
            Class::Stale => "stale",
            Class::Incomplete => "incomplete",
            Class::Note => "note",
        }
    }
}

macro_rules! codes {
    ($($name:ident $text:literal $class:ident $title:literal;)*) => {
        /// A kind of finding. Codes are stable: they are never renumbered or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// All of them, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The stable code, as in JSON.
            pub fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// Its class.
            pub fn class(self) -> Class {
                match self { $(Code::$name => Class::$class,)* }
            }

            /// What it is, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    TornTail "WM-101" TornTail "torn tail";
    WrittenBehindTornTail "WM-102" Corruption "records written behind a torn tail";
    ChecksumMismatch "WM-201" Corruption "checksum mismatch";
    InconsistentLength "WM-202" Corruption "inconsistent length";
    IllegalKind "WM-203" Corruption "illegal record kind";
    ImpossibleNumber "WM-204" Corruption "impossible number";
    ZeroFilled "WM-205" Corruption "zero-filled range";
    NotUtf8 "WM-206" Corruption "text that is not UTF-8";
    Malformed "WM-207" Corruption "malformed record";
    UnreadableRange "WM-208" Incomplete "unreadable range";
    TooMuchDamage "WM-209" Corruption "more damage than is listed";
    LocatedWord "WM-210" Note "damage located in a single word";
    MissingRange "WM-301" Gap "missing sequence range";
    MissingFile "WM-302" Gap "missing file";
    RepeatedRange "WM-303" Gap "repeated or overlapping sequence range";
    Reset "WM-304" Gap "sequence numbers start again";
    MisorderedNames "WM-305" Gap "file names sort in another order than their numbers";
    FirstFileMissing "WM-306" Note "log does not start at its beginning";
    MissingNumber "WM-307" Note "file number not present";
    StatedGap "WM-308" Note "gap stated by a repair";
    OrphanedBatch "WM-401" Orphan "orphaned batch";
    LostMember "WM-402" Corruption "committed batch with a lost member";
    CommitWithoutBegin "WM-403" Note "commit without begin";
    UndecidedTail "WM-404" Note "records behind the last commit are undecided";
    ForeignRecords "WM-501" Foreign "records of another log";
    EmbeddedRecord "WM-502" Note "record inside a damaged record's contents";
    ForeignFile "WM-503" Note "file that is not part of the log";
    StaleHint "WM-601" Stale "hint file contradicts the data";
    RevisionMismatch "WM-602" Corruption "written by another revision";
    RevisionUndecided "WM-603" Note "the bytes do not tell the revision";
    ActiveHint "WM-604" Note "hint beside the file that is written to";
    TableWithoutFooter "WM-701" Corruption "table without a usable footer";
    TableIndexMismatch "WM-702" Corruption "table index contradicts its entries";
    PageDamaged "WM-703" Corruption "page that does not parse";
    TreeInconsistent "WM-704" Corruption "tree structure contradicts itself";
    PageOverflow "WM-705" Corruption "page image larger than a page";
    UnfinishedOperation "WM-706" Note "operation that the engine finishes when it opens";
    EngineRefuses "WM-707" Corruption "engine refuses to open the log";
    PageMismatch "WM-708" Corruption "page differs from its image in the log";
    StaleGeneration "WM-801" Note "older generation behind the end";
    Preallocated "WM-802" Note "space written ahead";
    NeverSynced "WM-803" Note "records that were never synced";
    PaddingCommits "WM-804" Note "commits repeated to fill a sector";
    FlushedLog "WM-805" Note "log whose contents the tables hold";
    PutAway "WM-806" Note "logs that the engine has put away";
    UnknownType "WM-807" Note "parts of a type that nobody knows";
    RenamedLog "WM-808" Note "log under another number";
    StillWritten "WM-901" Note "the log is still being written";
    ChangedWhileRead "WM-902" Incomplete "file became shorter while it was read";
    Unopenable "WM-903" Incomplete "file that could not be opened";
    Unfollowed "WM-904" Incomplete "more than is followed";
}

impl Code {
    /// The code with this text.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.text().eq_ignore_ascii_case(text))
    }

    /// Whether an engine can be trusted to read a log with such a note as it is.
    pub fn harmless(self) -> bool {
        use Code::{
            CommitWithoutBegin, FirstFileMissing, FlushedLog, LocatedWord, MissingNumber, NeverSynced,
            PaddingCommits, Preallocated, PutAway, RenamedLog, RevisionUndecided, StaleGeneration, StatedGap,
            StillWritten, UndecidedTail,
        };
        matches!(
            self,
            CommitWithoutBegin
                | FirstFileMissing
                | FlushedLog
                | LocatedWord
                | MissingNumber
                | NeverSynced
                | PaddingCommits
                | Preallocated
                | PutAway
                | RenamedLog
                | RevisionUndecided
                | StaleGeneration
                | StatedGap
                | StillWritten
                | UndecidedTail
        )
    }

    /// The code of a region that is not sound.
    pub fn of_region(kind: Kind, cause: Cause) -> Code {
        match (kind, cause) {
            (Kind::Torn, _) => Code::TornTail,
            (Kind::Foreign, _) => Code::ForeignRecords,
            (Kind::Unreadable, _) | (_, Cause::Unreadable) => Code::UnreadableRange,
            (Kind::Mixed, _) => Code::TooMuchDamage,
            (Kind::Preallocated, _) => Code::Preallocated,
            (Kind::Stale, Cause::Behind(Behind::Unsynced)) => Code::NeverSynced,
            (Kind::Stale, _) => Code::StaleGeneration,
            (_, Cause::TornThenAppended) => Code::WrittenBehindTornTail,
            (_, Cause::Checksum { .. }) => Code::ChecksumMismatch,
            (_, Cause::Length { .. } | Cause::Short { .. }) => Code::InconsistentLength,
            (_, Cause::Kind(_)) => Code::IllegalKind,
            (_, Cause::Number { .. }) => Code::ImpossibleNumber,
            (_, Cause::Zeros) => Code::ZeroFilled,
            (_, Cause::Text) => Code::NotUtf8,
            (_, Cause::Malformed(_) | Cause::Behind(_)) => Code::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_found_by_their_text() {
        for &code in Code::ALL {
            assert_eq!(Code::parse(code.text()), Some(code));
            assert_eq!(Code::parse(&code.text().to_lowercase()), Some(code));
        }
        assert_eq!(Code::parse("WM-000"), None);
    }
}
