# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_walmedic_global_optspecs
    string join \n q/quiet v/verbose color= progress= h/help V/version
end

function __fish_walmedic_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_walmedic_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_walmedic_using_subcommand
    set -l cmd (__fish_walmedic_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c walmedic -n "__fish_walmedic_needs_command" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_needs_command" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_needs_command" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_needs_command" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_needs_command" -s V -l version -d 'Print version'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "verify" -d 'Is this log sound? Every damaged range, gap and orphan; what the engine would keep'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "dump" -d 'The records, filtered, each with its fate; or annotated hex'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "gaps" -d 'Missing, repeated and overlapping sequence ranges, each with its likely cause'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "replay" -d 'The state after recovery, by policy, and where policies differ'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "truncate" -d 'Cut the log at a chosen point, whole transactions only'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "repair" -d 'A copy that verifies clean and holds everything intact and committed'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "undo" -d 'Put back, byte for byte, what an in-place truncate or repair changed'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "explain" -d 'What a finding code means, and what to do about it'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "completions" -d 'Completions for a shell'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "man" -d 'The manual page'
complete -c walmedic -n "__fish_walmedic_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l as -d 'Read as this format instead of recognising it' -r -f -a "bitcask\t''
bitcask-hash\t''
bitcask-log\t''
ddia-btree\t''
ddia-lsm\t''
ddia-wal\t''
leveldb\t''
rocksdb\t''
sqlite\t''
sqlite-journal\t''
sqlite-wal\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l revision -d 'Revision of the format, where the bytes do not tell it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l stdin-name -d 'Name that standard input would have as a file' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -s j -l threads -d 'Threads [default: one per core]; the output does not depend on it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l allow -d 'Classes of findings that are notes here, separated by commas' -r -f -a "torn-tail\t''
orphan\t''
gap\t''
corruption\t''
foreign\t''
stale\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l format -d 'How to print the report' -r -f -a "text\t'For people'
json\t'One document'
ndjson\t'One object a line: `meta` first, `summary` last'
csv\t'One line a row, with a header'"
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l map -d 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile'
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l detailed-exitcode -d 'Exit with 10 to 14 instead of 1, by the worst finding'
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -l keys -d 'Tell what is at stake in keys, too, however large the log: both states are built'
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l as -d 'Read as this format instead of recognising it' -r -f -a "bitcask\t''
bitcask-hash\t''
bitcask-log\t''
ddia-btree\t''
ddia-lsm\t''
ddia-wal\t''
leveldb\t''
rocksdb\t''
sqlite\t''
sqlite-journal\t''
sqlite-wal\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l revision -d 'Revision of the format, where the bytes do not tell it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l stdin-name -d 'Name that standard input would have as a file' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -s j -l threads -d 'Threads [default: one per core]; the output does not depend on it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l table -d 'Only rows of this table' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l state -d 'Only rows in these states: live, superseded, deleted, uncommitted' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l seq -d 'Only these sequence numbers: A..B, A.. or ..B, ends included, or one number' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l op -d 'Only this operation, such as PUT or COMMIT' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l key -d 'Only this key, as `dump` prints it; a trailing * means any ending' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l key-range -d 'Only keys from A on and in front of B, A.. or ..B, as `dump` prints them; what deletes a range counts if it touches it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l family -d 'Only keys of this column family, by name or number' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l tx -d 'Only this transaction: its name, as `dump` prints it (a trailing * means any ending), or its number; in logs of pages the number of a page' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l page -d 'Only images of this page, in logs of pages: its history, older generations behind the live end included' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l at -d 'Only the record or damaged range that holds this offset (decimal or 0x…)' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l file -d 'Only this file of the log' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l limit -d 'At most so many' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l bytes -d 'How to write keys and values [default: escape]; with --rows also: long values whole, not just their first 4 KiB' -r -f -a "escape\t'Text as it is, other bytes as \\xNN, a backslash doubled'
hex\t'Two digits a byte'
base64\t'RFC 4648'"
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l format -d 'How to print records' -r -f -a "text\t'For people'
json\t'One document'
ndjson\t'One object a line: `meta` first, `summary` last'
csv\t'One line a row, with a header'"
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l map -d 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile'
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l rows -d 'The rows of tables on the pages, with what has become of each, instead of the records'
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l reverse -d 'Last first'
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -l hex -d 'Annotated hex: every field named, stored and computed checksum side by side'
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l as -d 'Read as this format instead of recognising it' -r -f -a "bitcask\t''
bitcask-hash\t''
bitcask-log\t''
ddia-btree\t''
ddia-lsm\t''
ddia-wal\t''
leveldb\t''
rocksdb\t''
sqlite\t''
sqlite-journal\t''
sqlite-wal\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l revision -d 'Revision of the format, where the bytes do not tell it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l stdin-name -d 'Name that standard input would have as a file' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -s j -l threads -d 'Threads [default: one per core]; the output does not depend on it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l allow -d 'Classes of findings that are notes here, separated by commas' -r -f -a "torn-tail\t''
orphan\t''
gap\t''
corruption\t''
foreign\t''
stale\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l format -d 'How to print the report' -r -f -a "text\t'For people'
json\t'One document'
ndjson\t'One object a line: `meta` first, `summary` last'
csv\t'One line a row, with a header'"
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l map -d 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile'
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -l detailed-exitcode -d 'Exit with 10 to 14 instead of 1, by the worst finding'
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand gaps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l as -d 'Read as this format instead of recognising it' -r -f -a "bitcask\t''
bitcask-hash\t''
bitcask-log\t''
ddia-btree\t''
ddia-lsm\t''
ddia-wal\t''
leveldb\t''
rocksdb\t''
sqlite\t''
sqlite-journal\t''
sqlite-wal\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l revision -d 'Revision of the format, where the bytes do not tell it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l stdin-name -d 'Name that standard input would have as a file' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -s j -l threads -d 'Threads [default: one per core]; the output does not depend on it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l policy -d 'Which records make up the state [default: committed]' -r -f -a "engine\t'What the engine would hold after its next open, its mistakes included'
committed\t'Every intact committed record, past damage too; a transaction that lost a member is left out whole'
salvage\t'Every intact data record, orphans and survivors of broken batches included'"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l diff -d 'Two policies, whose states are compared key by key; exit code 1 when they differ' -r -f -a "engine\t'What the engine would hold after its next open, its mistakes included'
committed\t'Every intact committed record, past damage too; a transaction that lost a member is left out whole'
salvage\t'Every intact data record, orphans and survivors of broken batches included'"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l history -d 'Every version of a key, as `dump` prints it; a trailing * means any ending' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l engine -d 'Version of the engine to follow with the policy engine, by its commit; or the engine to build with --into: wal, btree, lsm or leveldb. May be given twice' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l undecided -d 'Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch' -r -f -a "keep\t'They count'
drop\t'They do not'"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l family -d 'Only the keys of this column family' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l base -d 'The tables that the log goes on from: beside (in its own directory, where there are any), none (the state is the log\'s alone), or their directory' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l mode -d 'How the engine recovers with the policy engine, where it has several ways: for leveldb lenient or paranoid, for rocksdb tolerate-corrupted-tail, absolute-consistency, point-in-time or skip-any; without it, as the store\'s OPTIONS file says' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l until -d 'Only up to this sequence number, or behind the N-th commit that is intact (in logs of batches each that is no part of a transaction in two phases is one, too); whole transactions only' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l into -d 'Write the state here: a new file that ends in .ndjson or .csv, or in .log (a log of RocksDB\'s), with --engine a new directory, or of a log of pages the database file' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l grade-with -d 'Let this program check the files that can be made of a damaged log, too: it is run as PROGRAM FILE "PRAGMA integrity_check;" on copies' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l memory -d 'Memory for a state; what is more goes to a temporary file' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l bytes -d 'How to write keys and values' -r -f -a "escape\t'Text as it is, other bytes as \\xNN, a backslash doubled'
hex\t'Two digits a byte'
base64\t'RFC 4648'"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l format -d 'How to print the answer; ndjson and csv print every live key' -r -f -a "text\t'For people'
json\t'One document'
ndjson\t'One object a line: `meta` first, `summary` last'
csv\t'One line a row, with a header'"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l map -d 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile'
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -l repair-words -d 'Put a single damaged word right where the checksum tells which it is and what it was'
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l as -d 'Read as this format instead of recognising it' -r -f -a "bitcask\t''
bitcask-hash\t''
bitcask-log\t''
ddia-btree\t''
ddia-lsm\t''
ddia-wal\t''
leveldb\t''
rocksdb\t''
sqlite\t''
sqlite-journal\t''
sqlite-wal\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l revision -d 'Revision of the format, where the bytes do not tell it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l stdin-name -d 'Name that standard input would have as a file' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -s j -l threads -d 'Threads [default: one per core]; the output does not depend on it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l at -d 'Cut at this offset (decimal or 0x…), of the last file or the one that --file names' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l after-seq -d 'Keep this sequence number and those before it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l before-seq -d 'Drop the records before this sequence number: the start of the log, not its end' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l file -d 'The file that --at is about' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l output -d 'Write a new copy; it must not exist yet' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l backup -d 'Where --in-place puts the originals and the undo record [default: beside the log]' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l plan -d 'Only if this plan, as printed with --format json, still fits' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l format -d 'How to print the plan' -r -f -a "text\t'For people'
json\t'One document'
ndjson\t'One object a line: `meta` first, `summary` last'
csv\t'One line a row, with a header'"
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l map -d 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l at-damage -d 'Cut where the first damage begins'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l last-commit -d 'Cut behind the last committed record in front of any damage'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l force-partial -d 'Cut through a transaction or record, too'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l apply -d 'Do it; without this only the plan is shown'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l in-place -d 'Change the log itself, after a verified backup'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -l drop-wal-tracking -d 'Leave the sizes of logs out of the copy\'s MANIFEST, so that RocksDB does not miss what a shorter log lacks'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand truncate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l as -d 'Read as this format instead of recognising it' -r -f -a "bitcask\t''
bitcask-hash\t''
bitcask-log\t''
ddia-btree\t''
ddia-lsm\t''
ddia-wal\t''
leveldb\t''
rocksdb\t''
sqlite\t''
sqlite-journal\t''
sqlite-wal\t''"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l revision -d 'Revision of the format, where the bytes do not tell it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l stdin-name -d 'Name that standard input would have as a file' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -s j -l threads -d 'Threads [default: one per core]; the output does not depend on it' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l strategy -d 'What to keep' -r -f -a "salvage\t'Every intact committed record, past damage too'
engine\t'What the engine would keep by itself'
tail\t'Everything; only a torn end is cut off'"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l mode -d 'How the engine recovers with the strategy engine, where it has several ways; see replay --mode' -r
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l undecided -d 'Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch' -r -f -a "keep\t'They count'
drop\t'They do not'"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l survivors -d 'Intact records of transactions that lost another, in logs of pages, where a later page heals what is missing' -r -f -a "keep\t'They count'
drop\t'They do not'"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l prepared -d 'Transactions that are prepared and neither committed nor rolled back' -r -f -a "keep\t'They count'
drop\t'They do not'"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l output -d 'Write a new copy; it must not exist yet' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l backup -d 'Where --in-place puts the originals and the undo record [default: beside the log]' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l plan -d 'Only if this plan, as printed with --format json, still fits' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l format -d 'How to print the plan' -r -f -a "text\t'For people'
json\t'One document'
ndjson\t'One object a line: `meta` first, `summary` last'
csv\t'One line a row, with a header'"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l map -d 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l repair-words -d 'Put a single damaged word right where the checksum tells which it is and what it was'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l renumber -d 'Give records new numbers where the numbers fall back'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l checkpoint -d 'Of a log of pages: write the database that it leads to, and an empty log'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l undo-last-commit -d 'Write the database before its last commit, from a rollback journal that was kept'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l rebuild-manifest -d 'Write the copy\'s CURRENT and MANIFEST anew, from the edits that can be read and the tables that are there'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l force -d 'Go on although the log does not seem to be its database\'s, undoing its last commit makes no sound one, or it is in doubt which tables a lost edit added or deleted'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l apply -d 'Do it; without this only the plan is shown'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l in-place -d 'Change the log itself, after a verified backup'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -l drop-wal-tracking -d 'Leave the sizes of logs out of the copy\'s MANIFEST, so that RocksDB does not miss what a shorter log lacks'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand undo" -l log -d 'The directory of the log, where it has been moved since' -r -F
complete -c walmedic -n "__fish_walmedic_using_subcommand undo" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand undo" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand undo" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand undo" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand explain" -l format -d 'How to print it' -r -f -a "text\t'For people'
json\t'One document'
markdown\t'For a page of documentation'"
complete -c walmedic -n "__fish_walmedic_using_subcommand explain" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand explain" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand explain" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand explain" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand completions" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand completions" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand completions" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand completions" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand man" -l color -d 'Colour' -r -f -a "auto\t'On a terminal, unless the environment says otherwise'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand man" -l progress -d 'Progress on standard error' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c walmedic -n "__fish_walmedic_using_subcommand man" -s q -l quiet -d 'Say no more than asked: no progress, no words about the run'
complete -c walmedic -n "__fish_walmedic_using_subcommand man" -s v -l verbose -d 'Say more: every file of a long list, every note'
complete -c walmedic -n "__fish_walmedic_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "verify" -d 'Is this log sound? Every damaged range, gap and orphan; what the engine would keep'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "dump" -d 'The records, filtered, each with its fate; or annotated hex'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "gaps" -d 'Missing, repeated and overlapping sequence ranges, each with its likely cause'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "replay" -d 'The state after recovery, by policy, and where policies differ'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "truncate" -d 'Cut the log at a chosen point, whole transactions only'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "repair" -d 'A copy that verifies clean and holds everything intact and committed'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "undo" -d 'Put back, byte for byte, what an in-place truncate or repair changed'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "explain" -d 'What a finding code means, and what to do about it'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "completions" -d 'Completions for a shell'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "man" -d 'The manual page'
complete -c walmedic -n "__fish_walmedic_using_subcommand help; and not __fish_seen_subcommand_from verify dump gaps replay truncate repair undo explain completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
