//! Progress on standard error: only on a terminal, only for what takes longer than a blink.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Runs `work` and shows how far `done` has come towards `total` bytes, with speed and time left.
pub fn watch<T>(when: When, total: u64, done: &(dyn Fn() -> u64 + Sync), work: impl FnOnce() -> T) -> T {
    let shown = match when {
        When::Always => true,
        When::Never => false,
        When::Auto => std::io::stderr().is_terminal(),
    };
    if !shown {
        return work();
    }
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Where the system grants no thread the work goes on unseen.
        let watcher = std::thread::Builder::new().spawn_scoped(scope, || draw(total, done, &finished)).ok();
        let result = work();
        finished.store(true, Ordering::Release);
        watcher.inspect(|watcher| watcher.thread().unpark());
        result
    })
}

fn draw(total: u64, done: &dyn Fn() -> u64, finished: &AtomicBool) {
    const PATIENCE: Duration = Duration::from_millis(700);
    const TICK: Duration = Duration::from_millis(100);
    let start = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    while !finished.load(Ordering::Acquire) {
        std::thread::park_timeout(if bar.is_none() { PATIENCE } else { TICK });
        if start.elapsed() < PATIENCE || finished.load(Ordering::Acquire) {
            continue;
        }
        let bar = bar.get_or_insert_with(|| {
            let style = "{bytes}/{total_bytes} [{bar:30}] {bytes_per_sec}, {eta} left";
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_elapsed(start.elapsed());
            bar
        });
        bar.set_position(done());
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}
