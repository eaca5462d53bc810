//! The thread that writes the log. What cannot be written waits in the queue's memory
//! until it can.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use super::{
    first_seen::{FirstSeen, Pair},
    line,
    output::{Cut, Output},
    queue::{Entry, Queue},
    state_file::StateFile,
};
use crate::model::message::causes;

/// Bytes of one write.
const BATCH_BYTES: usize = 256 << 10;

struct Writer {
    output: Output,
    state: Option<StateFile>,
    first_seen: Arc<Mutex<FirstSeen>>,
    queue: Arc<Queue>,
    node: Option<String>,
    unwritten: VecDeque<Entry>,
    failing: bool,
}

/// Starts the thread. It ends when the queue is closed.
pub(super) fn start(
    output: Output,
    state: Option<StateFile>,
    first_seen: Arc<Mutex<FirstSeen>>,
    queue: Arc<Queue>,
    node: Option<String>,
) -> io::Result<()> {
    let writer =
        Writer { output, state, first_seen, queue, node, unwritten: VecDeque::new(), failing: false };
    std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run()).map(drop)
}

impl Writer {
    fn run(mut self) {
        loop {
            let work = self.queue.take(self.failing);
            self.unwritten.extend(work.entries);
            let written = self.reopen(work.reopen).and_then(|()| self.write(work.lost));
            self.told(written, work.lost);
            if work.closing {
                break;
            }
        }
        self.queue.closed();
    }

    fn reopen(&mut self, asked: bool) -> Result<(), Cut> {
        if asked { self.output.reopen().map_err(|error| Cut { written: 0, error }) } else { Ok(()) }
    }

    /// Writes everything, and then how many lines were lost.
    fn write(&mut self, lost: u64) -> Result<(), Cut> {
        while !self.unwritten.is_empty() {
            let mut batch = Vec::new();
            for entry in &self.unwritten {
                if !batch.is_empty() && batch.len() + entry.bytes.len() > BATCH_BYTES {
                    break;
                }
                batch.extend_from_slice(&entry.bytes);
            }
            let result = self.output.write(&batch);
            self.settle(&batch[..result.as_ref().map_or_else(|cut| cut.written, |()| batch.len())]);
            result?;
        }
        if lost > 0
            && let Ok(line) = line::lost(self.node.as_deref(), lost)
        {
            self.output.write(&line)?;
            self.queue.told_lost(lost);
        }
        Ok(())
    }

    /// Forgets what was written: whole events, and the whole lines of the next one.
    fn settle(&mut self, written: &[u8]) {
        self.queue.written(lines_of(written));
        let (mut left, mut pairs): (usize, Vec<Pair>) = (written.len(), Vec::new());
        while let Some(entry) = self.unwritten.front_mut() {
            if entry.bytes.len() > left {
                let whole = entry.bytes[..left].iter().rposition(|byte| *byte == b'\n');
                entry.bytes.drain(..whole.map_or(0, |end| end + 1));
                break;
            }
            left -= entry.bytes.len();
            pairs.append(&mut entry.pairs);
            self.unwritten.pop_front();
        }
        if let Some(state) = &mut self.state {
            state.save(&pairs, &self.first_seen);
        }
    }

    /// Warns once when the log cannot be written, and says once that it can again.
    fn told(&mut self, written: Result<(), Cut>, lost: u64) {
        match written {
            Ok(()) if self.failing || lost > 0 => {
                tracing::info!(lines_lost = lost, "the audit log is written again");
                self.failing = false;
            }
            Ok(()) => {}
            Err(Cut { error, .. }) if !self.failing => {
                tracing::warn!(
                    "{}. Lines wait in memory and are lost when it is full; mounts go on",
                    causes(&error)
                );
                self.failing = true;
            }
            Err(_) => {}
        }
    }
}

fn lines_of(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
