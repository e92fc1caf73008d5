//! Ctrl-C. A command that only reads ends at once; one that writes is asked to stop, so that it can clean up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static WRITERS: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicBool = AtomicBool::new(false);

/// The user wants the command to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; nothing was changed")]
pub struct Interrupted;

/// While one of these lives, an interruption waits for [`check`].
#[derive(Debug)]
pub struct Writing(());

impl Writing {
    /// Something is being written from now on.
    #[must_use]
    pub fn begin() -> Writing {
        WRITERS.fetch_add(1, Ordering::SeqCst);
        Writing(())
    }

    /// It is done, and can no longer be stopped: an interruption comes too late, and the exit code tells what was done.
    pub fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Called by the signal handler: whether the process may end at once.
pub fn interrupt() -> bool {
    ASKED.store(true, Ordering::SeqCst);
    WRITERS.load(Ordering::SeqCst) == 0
}

/// To be asked between two pieces of work that can be undone.
///
/// # Errors
/// [`Interrupted`], once the user has asked.
pub fn check() -> Result<(), Interrupted> {
    if ASKED.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
}
