//! How the process's memory is divided, so that no tenant's manifests, values or
//! volumes end it.
//!
//! What grows with what pod authors ask for has a budget of its own, shared by
//! namespaces; the rest is fixed by other limits.

/// What other limits bound: the program and its connections (16 MiB), requests
/// that are received and read ([`RECEIVED`]), answers of AWS on their way (96
/// calls of 64 KiB, held twice while they are decoded, beside what the mounts have
/// taken for the values: 12 MiB), and two workers that shape values (8 MiB).
const FIXED: usize = 48 << 20;
/// Least that is divided, however little there is.
const LEAST: usize = 16 << 20;

/// Requests that are being received and read: their own bytes three times, as
/// the message, its fields and the attributes within.
pub const RECEIVED: usize = 12 << 20;
/// The limit that the chart gives the container.
pub const DEFAULT_LIMIT: usize = 128 << 20;

/// The budgets, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Values that are kept, the value cache.
    pub values: usize,
    /// Requests of mounts under way, as they were read.
    pub requests: usize,
    /// Classes that were read before, as they were read.
    pub classes: usize,
    /// Values that mounts under way have read.
    pub reads: usize,
    /// Files of mounts under way, and the answers that carry them. Those of one
    /// namespace stand before another's on the driver's one connection: few at once.
    pub answers: usize,
    /// Volumes that Latchkey writes: their pages of tmpfs, which the kernel counts
    /// for whoever writes them, and what is remembered of them.
    pub volumes: usize,
}

impl Memory {
    /// Divides `limit`, the memory limit of the container. With `writes_volumes`
    /// the answers carry no contents, and what they would take is the volumes'.
    pub fn of(limit: usize, writes_volumes: bool) -> Self {
        let divided = limit.saturating_sub(FIXED).max(LEAST);
        let (values, requests, reads, answers, volumes) =
            if writes_volumes { (5, 2, 2, 1, 5) } else { (6, 2, 2, 2, 0) };
        // Some stays free: freed memory is never without gaps.
        let part = |sixteenths| divided / 16 * sixteenths;
        Self {
            values: part(values),
            requests: part(requests),
            classes: part(1) / 2,
            reads: part(reads),
            answers: part(answers),
            volumes: part(volumes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_budgets_are_within_the_limit_in_both_modes() {
        for limit in [32, 64, 128, 256, 1024].map(|mib| mib * MIB) {
            for writes_volumes in [false, true] {
                let Memory { values, requests, classes, reads, answers, volumes } =
                    Memory::of(limit, writes_volumes);
                let divided = limit.saturating_sub(FIXED).max(LEAST);
                assert!(
                    values + requests + classes + reads + answers + volumes <= divided / 32 * 31,
                    "{limit} {writes_volumes}"
                );
            }
        }
    }

    #[test]
    fn the_charts_memory_limit_gives_these_budgets() {
        let driver_writes = Memory {
            values: 30 * MIB,
            requests: 10 * MIB,
            classes: 5 * MIB / 2,
            reads: 10 * MIB,
            answers: 10 * MIB,
            volumes: 0,
        };
        assert_eq!(Memory::of(128 * MIB, false), driver_writes);
        let provider_writes = Memory {
            values: 25 * MIB,
            requests: 10 * MIB,
            classes: 5 * MIB / 2,
            reads: 10 * MIB,
            answers: 5 * MIB,
            volumes: 25 * MIB,
        };
        assert_eq!(Memory::of(128 * MIB, true), provider_writes);
    }
}
