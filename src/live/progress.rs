//! A line on a terminal that says what takes long, and how far it is.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::table::grouped;

/// What takes less needs no line.
const QUICK: Duration = Duration::from_secs(1);
const REDRAWN: Duration = Duration::from_millis(200);
/// Returns to the start of the line, and clears it.
const CLEAR: &str = "\r\u{1b}[K";

/// A progress line on standard error. The last clone to go clears it.
#[derive(Clone)]
pub struct Progress(Option<Arc<Drawn>>);

struct Drawn {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    doing: &'static str,
    /// How many there are of each kind.
    read: BTreeMap<String, usize>,
    shown: bool,
    done: bool,
}

impl Progress {
    /// The line of a read of the cluster.
    pub fn of_cluster() -> Self {
        Self::start("Reading the cluster")
    }

    /// Does the work with a line that says what it is.
    pub fn during<T>(doing: &'static str, work: impl FnOnce() -> T) -> T {
        let _line = Self::start(doing);
        work()
    }

    /// A line that appears after a second, if standard error is a terminal. Another thread
    /// of the runtime draws it, so the work may block.
    pub fn start(doing: &'static str) -> Self {
        if !io::stderr().is_terminal() || std::env::var("TERM").is_ok_and(|term| term == "dumb") {
            return Self::silent();
        }
        let state = State { doing, read: BTreeMap::new(), shown: false, done: false };
        let state = Arc::new(Mutex::new(state));
        let drawn = Arc::clone(&state);
        let began = Instant::now();
        let task = tokio::spawn(async move {
            sleep(QUICK).await;
            loop {
                draw(&mut locked(&drawn), began.elapsed());
                sleep(REDRAWN).await;
            }
        });
        Self(Some(Arc::new(Drawn { state, task })))
    }

    /// No line.
    pub fn silent() -> Self {
        Self(None)
    }

    /// So many of these have been read.
    pub fn show(&self, what: &str, count: usize) {
        if let Some(drawn) = &self.0 {
            locked(&drawn.state).read.insert(what.to_owned(), count);
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw(state: &mut State, elapsed: Duration) {
    if state.done {
        return;
    }
    state.shown = true;
    let read: Vec<String> =
        state.read.iter().map(|(what, count)| format!("{} {what}", grouped(*count))).collect();
    let read = if read.is_empty() { String::new() } else { format!(": {}", read.join(", ")) };
    let _ = write!(io::stderr(), "{CLEAR}{}{read} ({} s)", state.doing, elapsed.as_secs());
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.task.abort();
        let mut state = locked(&self.state);
        state.done = true;
        if state.shown {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
