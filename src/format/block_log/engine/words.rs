//! What the engines do at each finding, for `explain`.

use super::super::Flavour;
use crate::log::finding::Code;

/// See [`crate::format::Format::engine_at`].
pub fn at(flavour: Flavour, code: Code) -> Option<&'static str> {
    match flavour {
        Flavour::LevelDb => leveldb(code),
        Flavour::RocksDb => rocksdb(code),
    }
}

fn leveldb(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "Leaves out the record that the file cuts off, without a word and with paranoid_checks, too; what was written before \
             counts. The next log goes on as if nothing were missing."
        }
        Code::ChecksumMismatch | Code::InconsistentLength => {
            "Drops what is left of the block of 32 KiB, intact batches and all, goes on with the next block, and says so only \
             in the file LOG. A length that reaches past the end of the file ends the log. With paranoid_checks it does not \
             open (\"Corruption: checksum mismatch\"). Its RepairDB reads without checksums: damaged values come back as if \
             they were sound."
        }
        Code::ZeroFilled => {
            "Takes zeros where a record should begin for space written ahead and drops what is left of the block of 32 KiB, without \
             a word, with paranoid_checks, too."
        }
        Code::IllegalKind => {
            "Leaves out a record of a type that it does not know; with paranoid_checks it does not open."
        }
        Code::Malformed => {
            "Applies the operations in front of the one that it cannot read and goes on; with paranoid_checks it does not open. \
             Fragments without a first one are left out, and the head of one record can be joined to the tail of another."
        }
        Code::ImpossibleNumber | Code::Reset => {
            "Never compares the numbers of batches. Of several operations on a key the one with the highest number counts, and \
             numbers above those it believes in cannot be seen."
        }
        Code::RepeatedRange => {
            "Inserts the batches a second time, which changes nothing; a build with assertions aborts."
        }
        Code::MissingRange => "Notices nothing.",
        Code::MissingFile => {
            "Notices nothing where a log is missing. Without a table that its MANIFEST names it does not open (\"Corruption: 1 \
             missing files\")."
        }
        Code::TableWithoutFooter => "Opens, and fails where it reads the table.",
        Code::StaleGeneration | Code::Preallocated => "Reads no record in it, and says nothing.",
        Code::EngineRefuses => "Does not open; what it says stands in the message.",
        _ => return None,
    })
}

fn rocksdb(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "tolerate-corrupted-tail and skip-any leave out the record that is cut off and go on with the next log; point-in-time \
             stops for good, unless the next log begins with the very number that is due; absolute-consistency does not open."
        }
        Code::ChecksumMismatch | Code::InconsistentLength | Code::IllegalKind => {
            "point-in-time, the default, stops in front of it: nothing behind counts, in this log or later ones, and the open \
             succeeds. skip-any drops what is left of the block of 32 KiB, intact batches and all. tolerate-corrupted-tail \
             and absolute-consistency do not open. A type that says \"recycled\" in a log that is not makes the open run for \
             ever: in every mode from 9.8.4 on, in skip-any before, where the other modes end the log there."
        }
        Code::ZeroFilled => {
            "Zeros where a record should begin pass for space written ahead: what is left of the block of 32 KiB is dropped without \
             a word, in every mode, absolute-consistency included. Inside a record they are damage like any other."
        }
        Code::Malformed => {
            "A batch whose checksum holds and whose contents do not parse keeps the database from opening, in every mode. \
             Fragments out of order are damage like any other."
        }
        Code::ImpossibleNumber | Code::Reset => {
            "Numbers are compared only where point-in-time has stopped before. Where they fall back, 10.4.2 does not open; \
             earlier versions go on, and operations with higher numbers may not be seen any more."
        }
        Code::RepeatedRange => {
            "An operation with the same key and number as one before is damage: point-in-time stops there, skip-any gives up the \
             rest of that log (before 10.4.2), the other modes do not open."
        }
        Code::MissingRange => "Notices nothing, in no mode.",
        Code::MissingFile => {
            "Notices nothing where a log is missing, in no mode, unless track_and_verify_wals_in_manifest was on when the log was \
             written and is on now: then it does not open (\"Missing WAL with log number\"). Without a table that its MANIFEST \
             names it does not open; without a file of values it does, and fails where it reads one."
        }
        Code::OrphanedBatch => {
            "A prepared transaction without an end waits for the application's word when TransactionDB opens the database; \
             DB::Open refuses a log that holds any (\"Not implemented: WAL contains prepared transactions\")."
        }
        Code::StaleGeneration => {
            "The first record with an older log number ends the log, but the half-overwritten record before it is damage to \
             absolute-consistency, which does not open. skip-any runs for ever in 7.8.3."
        }
        Code::Preallocated => "Takes it for what it is.",
        Code::EngineRefuses => "Does not open; what it says stands in the message.",
        _ => return None,
    })
}
