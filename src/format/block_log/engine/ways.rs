//! One reading for several settings. Versions and modes part only at what is out of the ordinary, so a recovery is done for one
//! of them and counts for all that would have gone the same way: whatever depends on them is asked here, and those that answer
//! otherwise are left behind, for a reading of their own.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::Flavour;
use super::recover::Recovered;
use super::{Mode, Settings, Version};

/// The settings of a recovery under way; they can only be asked.
#[derive(Clone)]
pub struct Ways {
    settings: Settings,
    /// Others that have answered the same so far; of the same system.
    others: Rc<RefCell<Vec<Settings>>>,
    /// What the reader at hand makes of each.
    seen: fn(Settings) -> Settings,
}

impl Ways {
    /// Those of one recovery, and others for which it may count.
    pub fn new(settings: Settings, others: Vec<Settings>) -> Ways {
        Ways { settings, others: Rc::new(RefCell::new(others)), seen: |settings| settings }
    }

    /// The same for the catalogue, which each system reads in a mode of its own.
    pub fn of_catalogue(&self) -> Ways {
        let seen = |settings: Settings| {
            let rocks = settings.version > Version::LevelDb;
            let mode = if rocks { Mode::TolerateTail } else { Mode::Paranoid };
            Settings { mode, listens: true, ..settings }
        };
        Ways { seen, ..self.clone() }
    }

    /// Whose logs they are.
    pub fn flavour(&self) -> Flavour {
        if self.settings.version == Version::LevelDb { Flavour::LevelDb } else { Flavour::RocksDb }
    }

    /// The answer of the settings to a question. Ask it only where it makes a difference.
    pub fn ask<T: PartialEq>(&self, question: impl Fn(&Settings) -> T) -> T {
        let answer = question(&(self.seen)(self.settings));
        self.others.borrow_mut().retain(|&other| question(&(self.seen)(other)) == answer);
        answer
    }

    /// Whether it is this version or a later one.
    pub fn is(&self, version: Version) -> bool {
        self.ask(|settings| settings.version >= version)
    }
}

/// What came of recoveries of a log, by their settings.
#[derive(Default)]
pub struct Answers(Mutex<Vec<(Settings, Arc<Recovered>)>>);

impl Answers {
    /// What comes of a recovery with these settings. `all`: the settings that may be asked for.
    pub(super) fn get(
        &self,
        settings: Settings,
        all: Vec<Settings>,
        recover: impl FnOnce(&Ways) -> Recovered,
    ) -> Arc<Recovered> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = known.iter().find(|(of, _)| *of == settings) {
            return found.clone();
        }
        let open = |other: &Settings| *other != settings && !known.iter().any(|(of, _)| of == other);
        let ways = Ways::new(settings, all.into_iter().filter(open).collect());
        let found = Arc::new(recover(&ways));
        let alike = ways.others.borrow();
        known.extend(alike.iter().chain([&settings]).map(|&of| (of, found.clone())));
        found
    }
}
