//! A line on a terminal that says how far a long read is.

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

#[derive(Default)]
struct State {
    /// How many there are of each kind.
    read: BTreeMap<String, usize>,
    shown: bool,
    done: bool,
}

impl Progress {
    /// A line that appears after a second, if standard error is a terminal.
    pub fn start() -> Self {
        if !io::stderr().is_terminal() || std::env::var("TERM").is_ok_and(|term| term == "dumb") {
            return Self::silent();
        }
        let state = Arc::<Mutex<State>>::default();
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
    let read = if read.is_empty() { "waiting for the API server".to_owned() } else { read.join(", ") };
    let _ = write!(io::stderr(), "{CLEAR}Reading the cluster: {read} ({} s)", elapsed.as_secs());
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
