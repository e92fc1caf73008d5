//! Steps that many findings call for.

use super::Step;

pub const COPY: Step = Step {
    say: "Keep the engine stopped, and copy the whole directory to another place before it is opened again.",
    run: None,
};
pub const FORECAST: Step =
    Step { say: "See what the engine would keep, and what is at stake.", run: Some("walmedic verify PATH") };
pub const LOOK: Step = Step {
    say: "Look at the bytes, field by field. FILE and OFFSET stand in the finding.",
    run: Some("walmedic dump PATH/FILE --at OFFSET --hex"),
};
pub const NUMBERS: Step = Step {
    say: "List all missing and repeated numbers, with the likely cause of each.",
    run: Some("walmedic gaps PATH"),
};
pub const AGAIN: Step = Step { say: "Then check again.", run: Some("walmedic verify PATH") };
pub const OLDER_COPY: Step =
    Step { say: "Look for the lost records in a backup or in a replica of this log.", run: None };
pub const WORDS: Step = Step {
    say: "See what comes back with that word put right, then repair with it.",
    run: Some("walmedic replay PATH --repair-words"),
};
pub const OTHER_FORMAT: Step = Step {
    say: "Make sure that the right format was used. Name it if it was only guessed.",
    run: Some("walmedic verify PATH --as FORMAT"),
};
pub const NAME_REVISION: Step = Step {
    say: "Name the revision of the engine that wrote the log, if you know it.",
    run: Some("walmedic verify PATH --revision REVISION"),
};
pub const NOTHING: Step = Step { say: "Nothing has to be done.", run: None };
/// Brings the log back beside the original.
pub const REPAIR: Step = Step {
    say: "Have a sound copy made; the original is not touched. Without --apply only the plan is shown.",
    run: Some("walmedic repair PATH --output COPY --apply"),
};
