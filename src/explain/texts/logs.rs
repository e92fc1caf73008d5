//! Findings about numbers, batches, files and what engines make of them: codes from 3xx on.

use crate::explain::steps::{
    AGAIN, COPY, FORECAST, LOOK, NAME_REVISION, NOTHING, NUMBERS, OLDER_COPY, REPAIR,
};
use crate::explain::{Explanation, Step};
use crate::log::finding::Code;

/// In the order of their codes.
pub(super) const TEXTS: &[Explanation] = &[
    Explanation {
        code: Code::MissingRange,
        meaning: "Sequence numbers are missing between two intact records. The finding says which, and \
                  names the likely cause.",
        causes: &[
            "damage: the missing records lay in the damaged bytes at this place.",
            "truncated-file: the file before ends too early; its end was cut off or never reached the disk.",
            "empty-file: the file that should hold them is there, but empty.",
            "unexplained: nothing at this place explains it; whole records were removed or never written. In \
             RocksDB writes without the log (disableWAL) and files that are ingested take numbers, too, and \
             leave none of them here: ask the application whether it makes any.",
        ],
        walmedic: "The records on both sides are kept. The missing numbers are reported as a gap. If some \
                   of them were recovered from the damage, the finding says how many.",
        risk: "Later records may build on the missing ones. A replay that skips them can end in a wrong \
               state without an error, and most engines do not notice.",
        next: &[NUMBERS, COPY, OLDER_COPY],
    },
    Explanation {
        code: Code::MissingFile,
        meaning: "The files of the log are numbered, and a number between two of them has no file. The \
                  sequence numbers that belong into it are missing, too. Or the store's own catalogue \
                  counts on a file, a log or a table, that is not there.",
        causes: &[
            "The file was deleted or moved, by hand or by a clean-up job.",
            "A backup or copy left it out.",
            "Power failed before the new file's name had reached the disk.",
        ],
        walmedic: "The files on both sides are kept. The missing numbers are reported as a gap with the \
                   cause missing-file, also in front of the first file where the catalogue tells with which \
                   number the log must begin.",
        risk: "No write of that file is replayed, and the engine may not notice. Without a table it does \
               not open.",
        next: &[
            NUMBERS,
            COPY,
            Step {
                say: "Look for the file in backups, in replicas, in lost+found and where clean-up jobs move files.",
                run: None,
            },
        ],
    },
    Explanation {
        code: Code::RepeatedRange,
        meaning: "Sequence numbers occur twice. Either the same records are there twice, or the numbers \
                  were given out again to other records. The finding says which.",
        causes: &[
            "A copy of a file lies in the directory of the log under another name.",
            "The engine was restarted behind damage and counted on from the last record that it could see.",
            "A restored backup was mixed with newer files.",
        ],
        walmedic: "What is there twice counts once: replay and repair leave the second out, and of a file that is a copy \
                   of another the one whose number nothing speaks for. Numbers that were given out again \
                   count both times; which of the two writes is the right one is not decided.",
        risk: "A replay of both can put old values over new ones. An engine that wants rising numbers stops \
               at the second one.",
        next: &[
            NUMBERS,
            COPY,
            Step {
                say: "If a stray copy is the cause, move it out of the directory. Renaming it inside may not be enough.",
                run: None,
            },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::Reset,
        meaning: "A file begins with sequence number 1 again, although a file before it has higher numbers.",
        causes: &[
            "The log was emptied, and the engine began to count from 1 again.",
            "Files of two logs lie in the same directory.",
            "A new log was started over the rest of an old one.",
        ],
        walmedic: "Both stretches are kept and counted. The step back is reported and is no gap.",
        risk: "An engine that wants rising numbers stops here. A reader that remembers its position sees \
               nothing new until the numbers have passed it.",
        next: &[
            NUMBERS,
            COPY,
            Step { say: "Find out whether the files before this one belong to the same log.", run: None },
        ],
    },
    Explanation {
        code: Code::MisorderedNames,
        meaning: "The order of the file names is not the order of what the files hold. Read in the order of \
                  names as text, old records come behind newer ones.",
        causes: &[
            "The number in the names got one digit more: 1000000 sorts before 999999.",
            "A file was renamed or copied by hand.",
        ],
        walmedic: "Files are read in the order of the numbers in their names. All records are kept and \
                   counted.",
        risk: "An engine that sorts names as text applies records in the wrong order, or stops where the \
               numbers fall back.",
        next: &[NUMBERS, FORECAST, COPY],
    },
    Explanation {
        code: Code::FirstFileMissing,
        meaning: "The first record has a sequence number above 1. Earlier records are not here.",
        causes: &[
            "The engine removed them because they were no longer needed. This is normal.",
            "A clean-up job removed old files.",
            "The first files were deleted, or a copy left them out.",
        ],
        walmedic: "Only a note. Nothing is counted as missing.",
        risk: "None, if what was removed is contained in a checkpoint or in the data files. Otherwise the \
               start of the history is gone.",
        next: &[
            NUMBERS,
            Step {
                say: "Compare the first number with the last checkpoint or truncation that you know of.",
                run: None,
            },
        ],
    },
    Explanation {
        code: Code::MissingNumber,
        meaning: "Between the numbers of two files of this log there is one that no file has. Or the store's catalogue \
                  speaks of a file that is not there, and nothing tells whether it held anything.",
        causes: &[
            "The engine compacted the store: it leaves numbers out.",
            "This is a checkpoint or a restored backup of RocksDB: they leave out the last log while it is empty.",
            "The logs of the store lie in another directory (RocksDB's wal_dir), which the note names.",
            "A file was deleted or not copied.",
        ],
        walmedic: "Only a note. What was lost with the file is a finding only where numbers are missing, \
                   or the catalogue proves that the file was there.",
        risk: "If the file was lost, its records are missing and nothing else shows it.",
        next: &[Step { say: "Compare the list of files with a backup.", run: None }],
    },
    Explanation {
        code: Code::StatedGap,
        meaning: "A record, written by a repair, says that these sequence numbers are missing and no longer looked for.",
        causes: &[
            "walmedic repair could not bring the records of these numbers back, or left out an unfinished batch.",
        ],
        walmedic: "Only a note. It is no gap any more: the loss was reported when the log was repaired. To the engine the record is a \
                   CHECKPOINT, which it ignores.",
        risk: "Whoever reads only the repaired log may not know what was lost; the original and the plan tell.",
        next: &[NUMBERS, OLDER_COPY],
    },
    Explanation {
        code: Code::OrphanedBatch,
        meaning: "A batch or transaction begins here and does not commit. Before any commit comes the end \
                  of the file, another begin, missing numbers or a torn record.",
        causes: &[
            "The process was killed or the power failed before the commit was written.",
            "The commit lies in damaged or missing bytes.",
            "The application never finished it.",
        ],
        walmedic: "Its records are intact and stay in the counts of intact records. They do not count as \
                   committed, so they are not part of what is at stake.",
        risk: "To apply these records is to apply half a transaction; some engines do. Others throw away \
               later writes together with it.",
        next: &[
            COPY,
            LOOK,
            Step {
                say: "Where hard stops are expected, accept orphans in scripts.",
                run: Some("walmedic verify PATH --allow orphan"),
            },
        ],
    },
    Explanation {
        code: Code::LostMember,
        meaning: "The begin and the commit of this batch are there, but numbers between them are missing. \
                  It was committed, and it is no longer whole.",
        causes: &[
            "Damage inside the batch; see the other findings at this place.",
            "Another program removed records from the file.",
        ],
        walmedic: "The members that are left are intact and counted as such. They do not count as \
                   committed: a part of a batch is not applied.",
        risk: "A confirmed transaction is incomplete. An engine may apply what is left of it, drop it, or \
               stop here and drop what follows.",
        next: &[COPY, NUMBERS, LOOK, REPAIR, OLDER_COPY],
    },
    Explanation {
        code: Code::CommitWithoutBegin,
        meaning: "A commit stands here, and the begin of its batch does not.",
        causes: &[
            "The engine cut the front of the log, and the cut went through the batch. This is normal.",
            "The begin lies in damaged or missing bytes; see the other findings before this place.",
            "An older engine wrote the log and had no begin records.",
        ],
        walmedic: "Only a note. The commit and the records before it are kept and count as committed.",
        risk: "None after a normal cut. If numbers are missing before the commit, the first members of the \
               batch are lost.",
        next: &[NUMBERS, LOOK],
    },
    Explanation {
        code: Code::UndecidedTail,
        meaning: "This format does not mark where a batch begins. The records behind the last commit are \
                  either single writes or members of a batch that never committed. The bytes do not tell \
                  which.",
        causes: &["Single writes after the last batch.", "A crash inside a batch."],
        walmedic: "Only a note. The records are intact and counted, and the note says how many there are. \
                   Nothing is guessed.",
        risk: "If they are part of an unfinished batch, to apply them is to apply half of it.",
        next: &[
            NAME_REVISION,
            Step {
                say: "Read the records behind the last commit, and ask the application what they are.",
                run: Some("walmedic dump PATH"),
            },
        ],
    },
    Explanation {
        code: Code::ForeignRecords,
        meaning: "These records pass every check, but their numbers do not belong at this place in this log.",
        causes: &[
            "The file system handed out old blocks after a crash, and they still held another log.",
            "Part of another log was copied into this file.",
            "A log was stored as a value, and the record around it is damaged.",
        ],
        walmedic: "They are set apart as records of another log and left out of all counts of intact \
                   records.",
        risk: "An engine that looks at checksums only applies them as its own, or goes on counting from \
               their numbers.",
        next: &[COPY, LOOK, NUMBERS],
    },
    Explanation {
        code: Code::EmbeddedRecord,
        meaning: "A perfect record lies inside the contents of a damaged one. The lengths of the damaged \
                  record still hold, so the inner record is part of its contents.",
        causes: &["The application stores logs, or backups of logs, as values."],
        walmedic: "Only a note. The inner record is not counted and not applied. Reading goes on behind the \
                   damaged record.",
        risk: "Tools that search for anything that looks like a record take it for real.",
        next: &[LOOK],
    },
    Explanation {
        code: Code::ForeignFile,
        meaning: "A file in the directory looks like part of the log, but its name is not one that the \
                  engine gives to its files.",
        causes: &[
            "Someone copied or renamed a file of the log in its own directory.",
            "An interrupted operation of the engine left a temporary file behind.",
            "Another program stores its files there.",
        ],
        walmedic: "Only a note. A file that the engine reads is read and counted, too. A file that the \
                   engine ignores is named and otherwise left alone.",
        risk: "The engine may apply a stray copy, or fail on its name. A temporary file can hold a more \
               complete copy of the data: do not delete it unread.",
        next: &[
            COPY,
            NUMBERS,
            Step { say: "Move the file out of the directory, if it does not belong there.", run: None },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::StaleHint,
        meaning: "A hint file is an index made from a data file. This one contradicts the data: an offset \
                  is no record, a key is another one or was deleted, or records are not listed.",
        causes: &[
            "A crash while the hint file was written, or right after.",
            "The engine appended to a data file that already had a hint file.",
            "Bit rot: hint files often have no checksum.",
            "The hint file belongs to another data file.",
        ],
        walmedic: "Hint files are never believed. The records are read from the data files, so no count \
                   depends on a hint.",
        risk: "An engine that believes the hint misses keys, reads from wrong offsets or cannot open the \
               store, although the data are intact.",
        next: &[
            COPY,
            Step {
                say: "In the copy, move the hint file out of the directory. The engine then reads the data file.",
                run: None,
            },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::RevisionMismatch,
        meaning: "These bytes were written by another revision of the engine than the one by which the log \
                  is read.",
        causes: &[
            "The engine was upgraded or downgraded, and the log was not converted.",
            "Files of two revisions lie in the same directory.",
            "The wrong revision was named with --revision.",
        ],
        walmedic: "Reported where it begins. Nothing is converted. Bytes that the revision in use cannot prove \
                   are damage.",
        risk: "An engine of the wrong revision can take the log for empty, without an error, and overwrite \
               it at its next clean stop.",
        next: &[COPY, NAME_REVISION],
    },
    Explanation {
        code: Code::RevisionUndecided,
        meaning: "Several revisions of the engine write the bytes that this log holds, but do not treat \
                  them alike. Nothing in the log tells which one wrote it.",
        causes: &["The log holds no record that only one revision writes. In a young log this is normal."],
        walmedic: "Only a note. Where it matters, the log is read as the newest revision would read it.",
        risk: "The forecast may be that of another engine than yours.",
        next: &[NAME_REVISION],
    },
    Explanation {
        code: Code::ActiveHint,
        meaning: "The newest data file, to which the engine will append, has a hint file. Hints belong beside files \
                  that are not written to any more.",
        causes: &[
            "A crash at the end of a compaction, before the active file was renamed.",
            "The newest data file was lost, and an older one took its place.",
        ],
        walmedic: "Only a note. Records that the hint leaves out are a finding of their own.",
        risk: "At the next open the engine believes the hint, so everything that it appends before is invisible \
               then.",
        next: &[
            COPY,
            Step {
                say: "In the copy, move the hint file out of the directory before the engine opens the store.",
                run: None,
            },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::TableWithoutFooter,
        meaning: "The last bytes of a sorted table say where its entries end and its index begins. Here \
                  they are missing or wrong.",
        causes: &[
            "A crash while the table was written.",
            "A copy that was cut off.",
            "Bit rot at the end of the file.",
        ],
        walmedic: "The entries are read from the start of the file, for as long as they make sense and \
                   their keys rise.",
        risk: "The engine may refuse to open the whole store because of this one file, although the entries \
               are intact or still in the log.",
        next: &[
            COPY,
            FORECAST,
            Step {
                say: "If the log still holds the same entries, the table can be moved aside in the copy.",
                run: None,
            },
        ],
    },
    Explanation {
        code: Code::TableIndexMismatch,
        meaning: "The index of a sorted table names a key or an offset that its entries contradict.",
        causes: &[
            "Bit rot in the index or in an entry.",
            "The table was written only in part.",
            "Another program changed the file.",
        ],
        walmedic: "The entries are believed, the index is not.",
        risk: "The engine misses keys that are there or returns the wrong entry, without an error.",
        next: &[COPY, LOOK, REPAIR],
    },
    Explanation {
        code: Code::PageDamaged,
        meaning: "A page of the data file is none of the kinds of page that the format has.",
        causes: &[
            "Power failed while the page was written.",
            "Bit rot, or zeros in place of the page.",
            "The page size was taken for another one.",
        ],
        walmedic: "The page is reported and left out. Images of it in the log are read and counted on their \
                   own.",
        risk: "All keys on this page and below it are out of reach. The log may hold the only good image of \
               it, and some engines empty the log when they open it.",
        next: &[
            Step {
                say: "Keep the engine stopped. Copy the data file and its log together, before it is opened again.",
                run: None,
            },
            LOOK,
            FORECAST,
        ],
    },
    Explanation {
        code: Code::TreeInconsistent,
        meaning: "Each page can be read, but together they make no sound tree: links, order of keys, free \
                  list or counters contradict each other.",
        causes: &[
            "A crash between the page writes of one operation.",
            "A page was written to the wrong place, or a write was lost.",
            "Changes of the free list that the engine does not log.",
            "SQLite rollback journal: a wrong page number in it, which no checksum covers, or a database that was \
             damaged before.",
        ],
        walmedic: "The contradiction is reported. Nothing is changed, and no side is taken for the right \
                   one.",
        risk: "Look-up and scan give different answers: keys are there and not found. Following the links \
               may never end.",
        next: &[
            Step {
                say: "Keep the engine stopped. Copy the data file and its log together, before it is opened again.",
                run: None,
            },
            FORECAST,
            LOOK,
        ],
    },
    Explanation {
        code: Code::PageOverflow,
        meaning: "The log holds an image of a page that is longer than a page. It does not fit into the \
                  data file, so the whole of it is in the log only.",
        causes: &["The engine put more entries on a page than it can hold."],
        walmedic: "The image is kept whole.",
        risk: "In the data file the end of the page is cut off: values are short or the page cannot be \
               read. Some engines empty the log when they open it, and with it the only complete image.",
        next: &[
            Step {
                say: "Keep the engine stopped. Copy the data file and its log together, before it is opened again.",
                run: None,
            },
            LOOK,
        ],
    },
    Explanation {
        code: Code::UnfinishedOperation,
        meaning: "An operation was cut short. Either the log holds changes that the data file may not hold yet, \
                  and the engine deals with them at its next open; or pages were set aside and never used.",
        causes: &[
            "The process was killed or the power failed in the middle of an operation.",
            "The files were copied while the engine was running.",
        ],
        walmedic: "Only a note. The forecast says what the engine would take over.",
        risk: "Small as long as the log is intact and stays with its data file. The data file alone may not be \
               complete. Pages that are not used only take up space.",
        next: &[
            FORECAST,
            Step { say: "Copy the data file and its log together, never one without the other.", run: None },
        ],
    },
    Explanation {
        code: Code::EngineRefuses,
        meaning: "No record is damaged, and yet the engine dies when it opens this log. The finding gives its error.",
        causes: &[
            "A file in the directory has a name that the engine cannot make sense of.",
            "A log of RocksDB was cut or written anew, and the MANIFEST still tracks the size that it had \
             (track_and_verify_wals_in_manifest).",
        ],
        walmedic: "All records are counted as intact. All are at stake, for the engine reads none of them.",
        risk: "The data is there and cannot be reached. Who deletes it and starts anew loses it.",
        next: &[Step { say: "Move the file out of the way that the notes name.", run: None }, AGAIN],
    },
    Explanation {
        code: Code::PageMismatch,
        meaning: "The log still holds a page image that was copied into the database before the log began again, and \
                  the database holds something else in its place.",
        causes: &[
            "The page was damaged in the database file.",
            "The database file is an older copy, or one that lost writes in a power failure.",
            "The log is another database's, with pages that happen to agree.",
        ],
        walmedic: "The log is judged for itself; the image in it is intact. Nothing is copied from it unasked.",
        risk: "Everything that later pages say about the damaged one may be wrong, and no engine looks.",
        next: &[COPY, FORECAST, OLDER_COPY],
    },
    Explanation {
        code: Code::StaleGeneration,
        meaning: "Behind the end of the log lie older records, from before the engine began to write this \
                  file again from its start.",
        causes: &["The engine reuses the file and does not erase it. This is normal."],
        walmedic: "Only a note. Older records are listed apart and counted in none of the other numbers.",
        risk: "None for the log. The old contents can still be read, so think of it before you hand the \
               file to others.",
        next: &[NOTHING, LOOK],
    },
    Explanation {
        code: Code::Preallocated,
        meaning: "The end of the file is zeros that the engine wrote ahead, to have the space when it needs \
                  it.",
        causes: &["The engine reserves space in advance. This is normal."],
        walmedic: "Only a note. The zeros are neither records nor damage.",
        risk: "None.",
        next: &[NOTHING],
    },
    Explanation {
        code: Code::NeverSynced,
        meaning: "These records were written before a change, and nothing shows that they ever were on the disk for \
                  sure. The change itself had not begun.",
        causes: &["The engine was stopped, or the power failed, before it synced them. This is normal."],
        walmedic: "Only a note. They are listed apart and counted in none of the other numbers.",
        risk: "None.",
        next: &[NOTHING],
    },
    Explanation {
        code: Code::PaddingCommits,
        meaning: "The last frame of transactions stands there several times, each time with its commit mark, up to the end \
                  of a disk sector.",
        causes: &[
            "The engine was told that the disk can tear a whole sector (psow=0), and synchronous is FULL: it fills the \
             sector, so that the next transaction cannot harm this one.",
        ],
        walmedic: "Only a note. The copies count as frames and as transactions, as the engine counts them.",
        risk: "None. Numbers of transactions look larger than what was committed.",
        next: &[NOTHING],
    },
    Explanation {
        code: Code::FlushedLog,
        meaning: "The catalogue of the store (its MANIFEST) says that the tables hold everything in this log. The \
                  engine does not replay it any more.",
        causes: &[
            "The process ended between writing the tables and deleting the log.",
            "Something keeps old logs: a backup under way, an archive, recycling.",
        ],
        walmedic: "Only a note. Its records are listed and checked like all others; the state is made without them, \
                   for the tables have them already.",
        risk: "None, as long as the tables and the catalogue are sound. Where they are not, such a log can be \
               the last copy.",
        next: &[AGAIN],
    },
    Explanation {
        code: Code::PutAway,
        meaning: "A directory below the store's own holds logs: archive/, where RocksDB puts logs that its tables have taken in \
                  and that something keeps (WAL_ttl_seconds, WAL_size_limit_MB), or lost/, where RepairDB of both engines \
                  puts those that it has made tables of.",
        causes: &[
            "Logs are kept for replication or for recovery to a point in time.",
            "Somebody ran RepairDB.",
            "A log was moved there that still counts.",
        ],
        walmedic: "Only a note. They are read for what they hold and how that goes with the live logs, and counted in no \
                   other number; damage in them is only mentioned. Given a directory itself, walmedic reads it like any log.",
        risk: "None in what the store holds now. RepairDB drops what it cannot read, LevelDB's takes altered values for \
               good, and what it left out stands only in lost/.",
        next: &[
            Step {
                say: "Read the directory for itself, damage included.",
                run: Some("walmedic verify PATH/archive"),
            },
            Step {
                say: "If a log is said to be missing in the store and to lie there, copy the store and put the log back there.",
                run: None,
            },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::UnknownType,
        meaning: "The log holds fragments whose type no version that is known here writes. Their checksum holds, and their \
                  type has the bit by which its format says that readers may leave it out.",
        causes: &[
            "A later version of the engine wrote the log.",
            "A descendant of the engine did, with types of its own.",
        ],
        walmedic: "Only a note. They are counted apart and shown by dump as UNKNOWN, with their type and their bytes; the \
                   records around them are read as ever.",
        risk: "Versions of RocksDB before such types came up take them for damage. What they say is not known.",
        next: &[LOOK],
    },
    Explanation {
        code: Code::RenamedLog,
        meaning: "Every header of the log carries the number of the log that it belongs to, and none carries that of the \
                  file's name. Or the logs of a store come in another order by their names than by the numbers in them.",
        causes: &[
            "The file was copied or renamed, as evidence or for safety.",
            "Two logs got each other's name.",
            "It was taken for a new log, and nothing had been written into it yet: then all of it is what is left of the older one.",
        ],
        walmedic: "Only a note. Where the file is given by itself the headers are believed. Among the other files of a store \
                   its name counts, and what carries another number is an older generation. A repair writes headers that go \
                   with the name. The forecast for a file given by itself is the one for the number of its headers.",
        risk: "Under a name that its headers do not carry the engine takes nothing from it. In the wrong order older writes \
               may win over newer ones.",
        next: &[Step {
            say: "On a copy of the store give it the number that the note names, six digits and .log, before an engine reads it.",
            run: None,
        }],
    },
    Explanation {
        code: Code::StillWritten,
        meaning: "The file was written to while it was read.",
        causes: &["The engine is running.", "A copy or a restore of the file is under way."],
        walmedic: "Only a note. The bytes that were there when the file was opened are judged. A torn tail \
                   in them is only a note, for the record may just not be finished.",
        risk: "The report is a picture of a moment, and files that belong together may be from different \
               moments.",
        next: &[
            Step { say: "Stop the engine, or take a snapshot of the file system and read that.", run: None },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::ChangedWhileRead,
        meaning: "The file became shorter while it was read. Part of what was to be read is gone.",
        causes: &[
            "The engine is running and emptied or replaced the file.",
            "Another program cut the file, such as one that rotates logs.",
        ],
        walmedic: "What was read until then is reported. The run is incomplete: exit code 3, whatever else \
                   is found.",
        risk: "None of the findings in this file is certain.",
        next: &[
            Step { say: "Stop the engine, or take a snapshot of the file system and read that.", run: None },
            AGAIN,
        ],
    },
    Explanation {
        code: Code::Unopenable,
        meaning: "The operating system refused to open the file. The finding gives its reason.",
        causes: &[
            "Your user has no right to read it.",
            "It was removed or renamed meanwhile, or is a link that leads nowhere.",
            "The storage failed.",
        ],
        walmedic: "The other files are read. The run is incomplete: exit code 3, whatever else is found.",
        risk: "Gaps and orphans next to this file may only come from its absence.",
        next: &[Step { say: "Run walmedic as a user who has the right to read the file.", run: None }, AGAIN],
    },
    Explanation {
        code: Code::Unfollowed,
        meaning: "Records of this log hold far more than their bytes: compressed, they come to hundreds of times the size of \
                  the file, or one of them ends thousands of transactions. No data that people keep does.",
        causes: &[
            "The log was made to keep a reader busy.",
            "An application has written very large values that are all alike, such as zeros.",
        ],
        walmedic: "Their checksums hold and they count as intact; repair copies them as they are. What they say is not looked \
                   at: replay leaves it out, and the forecast says that it was not followed. The run is incomplete: exit code \
                   3, whatever else is found.",
        risk: "Nobody has checked their contents. The engine reads them, and may take minutes and gigabytes for it.",
        next: &[Step { say: "Find out who wrote them before an engine opens the log.", run: None }],
    },
];
