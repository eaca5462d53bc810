//! The budget of one evaluation. Every step and every byte is paid for in advance, so
//! that a malicious expression fails instead of exhausting the node's memory or
//! delaying another pod.

/// Maximum steps of one evaluation. The most expensive attack in `attack_tests.rs`
/// (sorting, and comparing lists of lists) takes about 50 ns of CPU per step in a
/// release build, so an evaluation stays below 50 ms even at half that speed.
const MAX_STEPS: usize = 500_000;

/// The steps that an allocation costs, in addition to its bytes.
const STEPS_PER_ALLOCATION: usize = 4;

/// Maximum bytes that one evaluation may allocate; freed memory does not count back.
/// A growing buffer briefly keeps its old half, so less than 8 MiB are in use at a
/// time.
const MAX_BYTES: usize = 4 << 20;

/// The bytes that one step may read or copy.
const BYTES_PER_STEP: usize = 16;

/// The number of steps between two calls of `stop`.
const STEPS_PER_LOOK: usize = 4096;

/// The budget of one evaluation, or of parsing one value.
pub struct Fuel<'a> {
    steps: usize,
    bytes: usize,
    next_look: usize,
    stop: &'a dyn Fn() -> bool,
}

/// Why an evaluation was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfFuel {
    #[error(
        "takes too many steps for a value of this size: make it simpler, or split it into several entries"
    )]
    Steps,
    #[error(
        "takes too much memory for a value of this size: make it simpler, or split it into several entries"
    )]
    Memory,
    /// Nobody waits for the result, because the mount has ended.
    #[error("was stopped, because the mount timed out")]
    Stopped,
}

impl<'a> Fuel<'a> {
    /// A full budget. `stop` is called from time to time; when it returns true, the
    /// evaluation fails with [`OutOfFuel::Stopped`].
    pub fn new(stop: &'a dyn Fn() -> bool) -> Self {
        Self { steps: MAX_STEPS, bytes: MAX_BYTES, next_look: MAX_STEPS, stop }
    }

    /// Pays for `steps`.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), OutOfFuel> {
        self.steps = self.steps.checked_sub(steps).ok_or(OutOfFuel::Steps)?;
        if self.steps <= self.next_look {
            self.next_look = self.steps.saturating_sub(STEPS_PER_LOOK);
            if (self.stop)() {
                return Err(OutOfFuel::Stopped);
            }
        }
        Ok(())
    }

    /// Pays for reading, comparing or copying `bytes`.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), OutOfFuel> {
        self.spend(bytes / BYTES_PER_STEP + 1)
    }

    /// Pays for allocating and filling `bytes`.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), OutOfFuel> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(OutOfFuel::Memory)?;
        self.spend(STEPS_PER_ALLOCATION)?;
        self.read(bytes)
    }

    /// Appends to `list`, and pays for its growth.
    pub(super) fn push<T>(&mut self, list: &mut Vec<T>, item: T) -> Result<(), OutOfFuel> {
        if list.len() == list.capacity() {
            let more = list.len().max(4);
            self.hold(more * size_of::<T>() + OVERHEAD)?;
            list.reserve_exact(more);
        }
        list.push(item);
        Ok(())
    }
}

/// The overhead of an allocation and its reference count.
const OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn steps_and_bytes_are_limited() {
        let mut fuel = Fuel::new(&|| false);
        assert_eq!(fuel.spend(MAX_STEPS), Ok(()));
        assert_eq!(fuel.spend(1), Err(OutOfFuel::Steps));
        let mut fuel = Fuel::new(&|| false);
        assert_eq!(fuel.hold(MAX_BYTES), Ok(()));
        assert_eq!(fuel.hold(1), Err(OutOfFuel::Memory));
    }

    #[test]
    fn the_stop_condition_is_checked_at_once_and_then_regularly() {
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let mut fuel = Fuel::new(&stop);
        let steps = std::iter::repeat_with(|| fuel.spend(1)).take_while(Result::is_ok).count();
        assert_eq!(steps, 2 * STEPS_PER_LOOK);
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn a_growing_list_is_paid_for_as_it_grows() {
        let mut fuel = Fuel::new(&|| false);
        let mut list: Vec<u64> = Vec::new();
        while fuel.push(&mut list, 0).is_ok() {}
        let (held, used) = (list.capacity() * 8, list.len() * 8);
        assert!(held <= MAX_BYTES, "{held} bytes are held; the maximum is {MAX_BYTES}");
        assert!(used > MAX_BYTES / 4, "only {used} bytes of {MAX_BYTES} can be used");
    }
}
