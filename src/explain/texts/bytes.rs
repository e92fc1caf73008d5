//! Findings about single records and ranges of bytes: codes 1xx and 2xx.

use crate::explain::steps::{AGAIN, COPY, FORECAST, LOOK, NUMBERS, OLDER_COPY, OTHER_FORMAT, REPAIR, WORDS};
use crate::explain::{Explanation, Step};
use crate::log::finding::Code;

/// In the order of their codes.
pub(super) const TEXTS: &[Explanation] = &[
    Explanation {
        code: Code::TornTail,
        meaning: "The file ends inside its last record. The first part of that record is there, the rest is \
                  missing, and no intact record follows.",
        causes: &[
            "The process was killed or the power failed while the record was being written.",
            "The file was copied while the engine was writing to it.",
            "A copy or download was cut off.",
            "The disk was full.",
        ],
        walmedic: "Left out, and not counted as a record. If nothing else is wrong in the file, its end is \
                   called torn. If the file was written to during the read, this is only a note.",
        risk: "Small for the past: a write that was not finished was usually not confirmed to anyone. Large \
               for the future: an engine that appends behind the torn bytes can lose what it writes from \
               then on.",
        next: &[
            COPY,
            LOOK,
            Step {
                say: "Where hard stops are expected, accept torn tails in scripts.",
                run: Some("walmedic verify PATH --allow torn-tail"),
            },
        ],
    },
    Explanation {
        code: Code::WrittenBehindTornTail,
        meaning: "A record is cut off, and intact records stand right behind the cut. The torn record \
                  claims more bytes than it has, so its length reaches into the records behind it. No \
                  number is missing.",
        causes: &[
            "After a crash the engine opened the log, left the torn record in place and appended behind it.",
            "Two processes wrote to the same file.",
        ],
        walmedic: "The torn bytes are damage and left out. The records behind them are kept and counted as \
                   intact after damage. A batch that was open at the cut ends there.",
        risk: "High. The records behind the cut were written and confirmed after the crash, and a reader \
               that believes the torn record's length does not see them.",
        next: &[COPY, FORECAST, LOOK, REPAIR],
    },
    Explanation {
        code: Code::ChecksumMismatch,
        meaning: "The checksum stored in the record is not the one computed from its bytes. The contents \
                  changed, or the checksum did. The bytes do not tell which.",
        causes: &[
            "Bit rot: a failing disk, memory or cable.",
            "Power failed when only some blocks of the record had reached the disk.",
            "Another program changed the file.",
            "A faulty copy.",
            "The log was read as the wrong format or revision.",
        ],
        walmedic: "If one wrong length explains it, the record is recovered and reported as WM-202. \
                   Otherwise the record is damage and left out. Reading goes on at the next record that can \
                   be proved; records found there count as intact after damage.",
        risk: "This record is lost unless a copy has it. Worse, many engines stop at the first wrong \
               checksum and drop everything behind it, intact or not, without an error.",
        next: &[COPY, FORECAST, LOOK, REPAIR, OLDER_COPY],
    },
    Explanation {
        code: Code::InconsistentLength,
        meaning: "A length in the record contradicts its other lengths, the limits of the format, or the \
                  end of the file. The contents themselves may be fine.",
        causes: &[
            "Bit rot in a length. Many formats do not cover lengths with the checksum.",
            "A record that was written only in part.",
            "Another program wrote over these bytes.",
            "The log was read as the wrong format or revision.",
        ],
        walmedic: "If the other fields and the checksum prove one value for the length, the record is \
                   recovered with it and counted as recovered. Otherwise the bytes up to the next provable \
                   record are damage and left out.",
        risk: "A reader that follows the wrong length loses its place. It stops, crashes, or skips intact \
               records without an error.",
        next: &[COPY, FORECAST, LOOK, REPAIR],
    },
    Explanation {
        code: Code::IllegalKind,
        meaning: "The field that says what kind of record this is holds a value that the format does not \
                  have.",
        causes: &[
            "Bit rot.",
            "A newer engine wrote a kind of record that this format did not have before.",
            "Another program wrote over these bytes.",
            "The log was read as the wrong format or revision.",
        ],
        walmedic: "Damage, and left out. Where the checksum holds with exactly one other kind, the finding says which: \
                   inferred, not proved.",
        risk: "This record is lost. Some engines skip a kind that they do not know, others stop here and \
               drop what follows.",
        next: &[COPY, LOOK, FORECAST, REPAIR],
    },
    Explanation {
        code: Code::ImpossibleNumber,
        meaning: "The record's sequence number, timestamp or page number cannot be right here: the records \
                  around it, or the limits of the format, contradict it. The rest of the record holds.",
        causes: &[
            "Bit rot in a field that the checksum does not cover.",
            "The clock of the machine jumped, in formats with timestamps.",
            "A fault in the engine, or a record put in the wrong place by another program.",
        ],
        walmedic: "A record whose contents are proved is recovered. It takes the number that its neighbours \
                   leave for it, if they leave just one. A record is damage and left out if the number \
                   decides what it is about and cannot be told.",
        risk: "An engine may stop at a number that is too low and drop what follows. A number that is too \
               high makes it count on from there. A wrong page number makes it write over another page.",
        next: &[COPY, LOOK, NUMBERS],
    },
    Explanation {
        code: Code::ZeroFilled,
        meaning: "A record should start here, but these bytes are all zero. The engine does not reserve \
                  space in this way, so the zeros took the place of data or were added behind it.",
        causes: &[
            "Power failed after the file system had lengthened the file and before the data reached the disk.",
            "A copy or restore left a hole in the file.",
            "The disk returned zeros for blocks that it lost or discarded.",
            "Another program reserved space in the file.",
        ],
        walmedic: "The zeros are damage and left out, also in formats in which they would pass for an empty \
                   record. Records behind them are found and kept.",
        risk: "What stood there is lost. Some engines read zeros as records: an empty key appears, a key is \
               deleted, a page is wiped. Others refuse to open the log.",
        next: &[COPY, FORECAST, LOOK, REPAIR],
    },
    Explanation {
        code: Code::NotUtf8,
        meaning: "A field that must be text holds bytes that are not UTF-8. If the record has a checksum \
                  and it fits, these are the bytes that were written: the program that wrote them is at \
                  fault, not the disk.",
        causes: &[
            "Another program or another version of the engine wrote binary data into a text field.",
            "Bit rot, in formats without a checksum.",
            "The log was read as the wrong format or revision.",
        ],
        walmedic: "The record is damage and left out. Reading goes on at the next record that can be proved.",
        risk: "Engines differ: some stop here and drop what follows, some die when they open the log.",
        next: &[COPY, LOOK, FORECAST, REPAIR],
    },
    Explanation {
        code: Code::Malformed,
        meaning: "The bytes break a rule of the format that has no code of its own. The finding names the \
                  part.",
        causes: &[
            "Bit rot.",
            "A record, header or page that was written only in part.",
            "Another program wrote over these bytes.",
            "The log was read as the wrong format or revision.",
        ],
        walmedic: "The bytes are damage and left out. Reading goes on at the next record that can be proved.",
        risk: "What stood there is lost, and the engine may stop here and drop what follows.",
        next: &[COPY, LOOK, OTHER_FORMAT],
    },
    Explanation {
        code: Code::UnreadableRange,
        meaning: "The operating system could not read these bytes. What they hold is unknown. This says \
                  something about the storage, and nothing yet about the log.",
        causes: &[
            "A bad sector or a failing disk.",
            "A network file system that went away.",
            "A fault of the controller, the cable or the driver.",
        ],
        walmedic: "The range is set apart as unreadable and everything else is read. The run is incomplete: \
                   exit code 3, whatever else is found.",
        risk: "The disk may be dying, and each further read can make it worse. Other findings may change \
               once the bytes can be read.",
        next: &[
            Step { say: "Look at the system log and at the health data of the disk.", run: None },
            Step {
                say: "Copy the files once, with a tool that goes on after read errors, and work on that copy only.",
                run: None,
            },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::TooMuchDamage,
        meaning: "There are more damaged places, or more breaks in the numbers, than are listed one by one. \
                  Lists end at 32,768 entries.",
        causes: &[
            "The log was read as the wrong format or revision.",
            "A large part was overwritten or encrypted.",
            "Damage at regular distances: faulty memory, or one disk of an array.",
        ],
        walmedic: "From here on, intact records and damage share one range. Intact records are still found \
                   and counted, but not listed.",
        risk: "If the format is wrong, none of the findings means anything. If it is right, expect large \
               losses.",
        next: &[OTHER_FORMAT, COPY, OLDER_COPY],
    },
    Explanation {
        code: Code::LocatedWord,
        meaning: "The checksum says not only that a record is damaged, but which of its 32-bit words must be wrong and \
                  what it was, if it is one alone.",
        causes: &["a flipped bit or byte in memory, on the wire or on the medium."],
        walmedic: "Only a note. The record counts as damaged. With --repair-words it is read with that word put right, and said to be.",
        risk: "Damage of another shape looks like this by chance about once in as many times as the finding says.",
        next: &[COPY, WORDS, OLDER_COPY],
    },
];
