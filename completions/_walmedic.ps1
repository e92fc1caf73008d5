
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'walmedic' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'walmedic'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'walmedic' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Is this log sound? Every damaged range, gap and orphan; what the engine would keep')
            [CompletionResult]::new('dump', 'dump', [CompletionResultType]::ParameterValue, 'The records, filtered, each with its fate; or annotated hex')
            [CompletionResult]::new('gaps', 'gaps', [CompletionResultType]::ParameterValue, 'Missing, repeated and overlapping sequence ranges, each with its likely cause')
            [CompletionResult]::new('replay', 'replay', [CompletionResultType]::ParameterValue, 'The state after recovery, by policy, and where policies differ')
            [CompletionResult]::new('truncate', 'truncate', [CompletionResultType]::ParameterValue, 'Cut the log at a chosen point, whole transactions only')
            [CompletionResult]::new('repair', 'repair', [CompletionResultType]::ParameterValue, 'A copy that verifies clean and holds everything intact and committed')
            [CompletionResult]::new('undo', 'undo', [CompletionResultType]::ParameterValue, 'Put back, byte for byte, what an in-place truncate or repair changed')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'What a finding code means, and what to do about it')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'The manual page')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'walmedic;verify' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'Read as this format instead of recognising it')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Revision of the format, where the bytes do not tell it')
            [CompletionResult]::new('--stdin-name', '--stdin-name', [CompletionResultType]::ParameterName, 'Name that standard input would have as a file')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Classes of findings that are notes here, separated by commas')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print the report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile')
            [CompletionResult]::new('--detailed-exitcode', '--detailed-exitcode', [CompletionResultType]::ParameterName, 'Exit with 10 to 14 instead of 1, by the worst finding')
            [CompletionResult]::new('--keys', '--keys', [CompletionResultType]::ParameterName, 'Tell what is at stake in keys, too, however large the log: both states are built')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;dump' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'Read as this format instead of recognising it')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Revision of the format, where the bytes do not tell it')
            [CompletionResult]::new('--stdin-name', '--stdin-name', [CompletionResultType]::ParameterName, 'Name that standard input would have as a file')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--table', '--table', [CompletionResultType]::ParameterName, 'Only rows of this table')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Only rows in these states: live, superseded, deleted, uncommitted')
            [CompletionResult]::new('--seq', '--seq', [CompletionResultType]::ParameterName, 'Only these sequence numbers: A..B, A.. or ..B, ends included, or one number')
            [CompletionResult]::new('--op', '--op', [CompletionResultType]::ParameterName, 'Only this operation, such as PUT or COMMIT')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Only this key, as `dump` prints it; a trailing * means any ending')
            [CompletionResult]::new('--key-range', '--key-range', [CompletionResultType]::ParameterName, 'Only keys from A on and in front of B, A.. or ..B, as `dump` prints them; what deletes a range counts if it touches it')
            [CompletionResult]::new('--family', '--family', [CompletionResultType]::ParameterName, 'Only keys of this column family, by name or number')
            [CompletionResult]::new('--tx', '--tx', [CompletionResultType]::ParameterName, 'Only this transaction: its name, as `dump` prints it (a trailing * means any ending), or its number; in logs of pages the number of a page')
            [CompletionResult]::new('--page', '--page', [CompletionResultType]::ParameterName, 'Only images of this page, in logs of pages: its history, older generations behind the live end included')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Only the record or damaged range that holds this offset (decimal or 0x…)')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Only this file of the log')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'At most so many')
            [CompletionResult]::new('--bytes', '--bytes', [CompletionResultType]::ParameterName, 'How to write keys and values [default: escape]; with --rows also: long values whole, not just their first 4 KiB')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print records')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile')
            [CompletionResult]::new('--rows', '--rows', [CompletionResultType]::ParameterName, 'The rows of tables on the pages, with what has become of each, instead of the records')
            [CompletionResult]::new('--reverse', '--reverse', [CompletionResultType]::ParameterName, 'Last first')
            [CompletionResult]::new('--hex', '--hex', [CompletionResultType]::ParameterName, 'Annotated hex: every field named, stored and computed checksum side by side')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;gaps' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'Read as this format instead of recognising it')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Revision of the format, where the bytes do not tell it')
            [CompletionResult]::new('--stdin-name', '--stdin-name', [CompletionResultType]::ParameterName, 'Name that standard input would have as a file')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Classes of findings that are notes here, separated by commas')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print the report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile')
            [CompletionResult]::new('--detailed-exitcode', '--detailed-exitcode', [CompletionResultType]::ParameterName, 'Exit with 10 to 14 instead of 1, by the worst finding')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;replay' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'Read as this format instead of recognising it')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Revision of the format, where the bytes do not tell it')
            [CompletionResult]::new('--stdin-name', '--stdin-name', [CompletionResultType]::ParameterName, 'Name that standard input would have as a file')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--policy', '--policy', [CompletionResultType]::ParameterName, 'Which records make up the state [default: committed]')
            [CompletionResult]::new('--diff', '--diff', [CompletionResultType]::ParameterName, 'Two policies, whose states are compared key by key; exit code 1 when they differ')
            [CompletionResult]::new('--history', '--history', [CompletionResultType]::ParameterName, 'Every version of a key, as `dump` prints it; a trailing * means any ending')
            [CompletionResult]::new('--engine', '--engine', [CompletionResultType]::ParameterName, 'Version of the engine to follow with the policy engine, by its commit; or the engine to build with --into: wal, btree, lsm or leveldb. May be given twice')
            [CompletionResult]::new('--undecided', '--undecided', [CompletionResultType]::ParameterName, 'Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch')
            [CompletionResult]::new('--family', '--family', [CompletionResultType]::ParameterName, 'Only the keys of this column family')
            [CompletionResult]::new('--base', '--base', [CompletionResultType]::ParameterName, 'The tables that the log goes on from: beside (in its own directory, where there are any), none (the state is the log''s alone), or their directory')
            [CompletionResult]::new('--mode', '--mode', [CompletionResultType]::ParameterName, 'How the engine recovers with the policy engine, where it has several ways: for leveldb lenient or paranoid, for rocksdb tolerate-corrupted-tail, absolute-consistency, point-in-time or skip-any; without it, as the store''s OPTIONS file says')
            [CompletionResult]::new('--until', '--until', [CompletionResultType]::ParameterName, 'Only up to this sequence number, or behind the N-th commit that is intact (in logs of batches each that is no part of a transaction in two phases is one, too); whole transactions only')
            [CompletionResult]::new('--into', '--into', [CompletionResultType]::ParameterName, 'Write the state here: a new file that ends in .ndjson or .csv, or in .log (a log of RocksDB''s), with --engine a new directory, or of a log of pages the database file')
            [CompletionResult]::new('--grade-with', '--grade-with', [CompletionResultType]::ParameterName, 'Let this program check the files that can be made of a damaged log, too: it is run as PROGRAM FILE "PRAGMA integrity_check;" on copies')
            [CompletionResult]::new('--memory', '--memory', [CompletionResultType]::ParameterName, 'Memory for a state; what is more goes to a temporary file')
            [CompletionResult]::new('--bytes', '--bytes', [CompletionResultType]::ParameterName, 'How to write keys and values')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print the answer; ndjson and csv print every live key')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile')
            [CompletionResult]::new('--repair-words', '--repair-words', [CompletionResultType]::ParameterName, 'Put a single damaged word right where the checksum tells which it is and what it was')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;truncate' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'Read as this format instead of recognising it')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Revision of the format, where the bytes do not tell it')
            [CompletionResult]::new('--stdin-name', '--stdin-name', [CompletionResultType]::ParameterName, 'Name that standard input would have as a file')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Cut at this offset (decimal or 0x…), of the last file or the one that --file names')
            [CompletionResult]::new('--after-seq', '--after-seq', [CompletionResultType]::ParameterName, 'Keep this sequence number and those before it')
            [CompletionResult]::new('--before-seq', '--before-seq', [CompletionResultType]::ParameterName, 'Drop the records before this sequence number: the start of the log, not its end')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'The file that --at is about')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write a new copy; it must not exist yet')
            [CompletionResult]::new('--backup', '--backup', [CompletionResultType]::ParameterName, 'Where --in-place puts the originals and the undo record [default: beside the log]')
            [CompletionResult]::new('--plan', '--plan', [CompletionResultType]::ParameterName, 'Only if this plan, as printed with --format json, still fits')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print the plan')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile')
            [CompletionResult]::new('--at-damage', '--at-damage', [CompletionResultType]::ParameterName, 'Cut where the first damage begins')
            [CompletionResult]::new('--last-commit', '--last-commit', [CompletionResultType]::ParameterName, 'Cut behind the last committed record in front of any damage')
            [CompletionResult]::new('--force-partial', '--force-partial', [CompletionResultType]::ParameterName, 'Cut through a transaction or record, too')
            [CompletionResult]::new('--apply', '--apply', [CompletionResultType]::ParameterName, 'Do it; without this only the plan is shown')
            [CompletionResult]::new('--in-place', '--in-place', [CompletionResultType]::ParameterName, 'Change the log itself, after a verified backup')
            [CompletionResult]::new('--drop-wal-tracking', '--drop-wal-tracking', [CompletionResultType]::ParameterName, 'Leave the sizes of logs out of the copy''s MANIFEST, so that RocksDB does not miss what a shorter log lacks')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;repair' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'Read as this format instead of recognising it')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Revision of the format, where the bytes do not tell it')
            [CompletionResult]::new('--stdin-name', '--stdin-name', [CompletionResultType]::ParameterName, 'Name that standard input would have as a file')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads [default: one per core]; the output does not depend on it')
            [CompletionResult]::new('--strategy', '--strategy', [CompletionResultType]::ParameterName, 'What to keep')
            [CompletionResult]::new('--mode', '--mode', [CompletionResultType]::ParameterName, 'How the engine recovers with the strategy engine, where it has several ways; see replay --mode')
            [CompletionResult]::new('--undecided', '--undecided', [CompletionResultType]::ParameterName, 'Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch')
            [CompletionResult]::new('--survivors', '--survivors', [CompletionResultType]::ParameterName, 'Intact records of transactions that lost another, in logs of pages, where a later page heals what is missing')
            [CompletionResult]::new('--prepared', '--prepared', [CompletionResultType]::ParameterName, 'Transactions that are prepared and neither committed nor rolled back')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write a new copy; it must not exist yet')
            [CompletionResult]::new('--backup', '--backup', [CompletionResultType]::ParameterName, 'Where --in-place puts the originals and the undo record [default: beside the log]')
            [CompletionResult]::new('--plan', '--plan', [CompletionResultType]::ParameterName, 'Only if this plan, as printed with --format json, still fits')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print the plan')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('--map', '--map', [CompletionResultType]::ParameterName, 'Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile')
            [CompletionResult]::new('--repair-words', '--repair-words', [CompletionResultType]::ParameterName, 'Put a single damaged word right where the checksum tells which it is and what it was')
            [CompletionResult]::new('--renumber', '--renumber', [CompletionResultType]::ParameterName, 'Give records new numbers where the numbers fall back')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'Of a log of pages: write the database that it leads to, and an empty log')
            [CompletionResult]::new('--undo-last-commit', '--undo-last-commit', [CompletionResultType]::ParameterName, 'Write the database before its last commit, from a rollback journal that was kept')
            [CompletionResult]::new('--rebuild-manifest', '--rebuild-manifest', [CompletionResultType]::ParameterName, 'Write the copy''s CURRENT and MANIFEST anew, from the edits that can be read and the tables that are there')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Go on although the log does not seem to be its database''s, undoing its last commit makes no sound one, or it is in doubt which tables a lost edit added or deleted')
            [CompletionResult]::new('--apply', '--apply', [CompletionResultType]::ParameterName, 'Do it; without this only the plan is shown')
            [CompletionResult]::new('--in-place', '--in-place', [CompletionResultType]::ParameterName, 'Change the log itself, after a verified backup')
            [CompletionResult]::new('--drop-wal-tracking', '--drop-wal-tracking', [CompletionResultType]::ParameterName, 'Leave the sizes of logs out of the copy''s MANIFEST, so that RocksDB does not miss what a shorter log lacks')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;undo' {
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'The directory of the log, where it has been moved since')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;explain' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print it')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;completions' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;man' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Progress on standard error')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say no more than asked: no progress, no words about the run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more: every file of a long list, every note')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'walmedic;help' {
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Is this log sound? Every damaged range, gap and orphan; what the engine would keep')
            [CompletionResult]::new('dump', 'dump', [CompletionResultType]::ParameterValue, 'The records, filtered, each with its fate; or annotated hex')
            [CompletionResult]::new('gaps', 'gaps', [CompletionResultType]::ParameterValue, 'Missing, repeated and overlapping sequence ranges, each with its likely cause')
            [CompletionResult]::new('replay', 'replay', [CompletionResultType]::ParameterValue, 'The state after recovery, by policy, and where policies differ')
            [CompletionResult]::new('truncate', 'truncate', [CompletionResultType]::ParameterValue, 'Cut the log at a chosen point, whole transactions only')
            [CompletionResult]::new('repair', 'repair', [CompletionResultType]::ParameterValue, 'A copy that verifies clean and holds everything intact and committed')
            [CompletionResult]::new('undo', 'undo', [CompletionResultType]::ParameterValue, 'Put back, byte for byte, what an in-place truncate or repair changed')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'What a finding code means, and what to do about it')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'The manual page')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'walmedic;help;verify' {
            break
        }
        'walmedic;help;dump' {
            break
        }
        'walmedic;help;gaps' {
            break
        }
        'walmedic;help;replay' {
            break
        }
        'walmedic;help;truncate' {
            break
        }
        'walmedic;help;repair' {
            break
        }
        'walmedic;help;undo' {
            break
        }
        'walmedic;help;explain' {
            break
        }
        'walmedic;help;completions' {
            break
        }
        'walmedic;help;man' {
            break
        }
        'walmedic;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
