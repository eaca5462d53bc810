//! Divides the process's memory, so that no tenant's manifests, values or volumes
//! can exhaust it.
//!
//! Everything that grows with pod authors' requests has its own budget, shared by
//! namespaces. Other limits bound the rest.

/// Memory that other limits bound: the program and its connections (16 MiB),
/// requests being received and parsed ([`RECEIVED`]), responses from AWS (96 calls
/// of 64 KiB, held twice while they are decoded: 12 MiB; the mounts' own budgets
/// cover the values), and two workers that shape values (8 MiB).
const FIXED: usize = 48 << 20;
/// The minimum that is divided, even if the limit is lower.
const MIN_DIVIDED: usize = 16 << 20;

/// Requests being received and parsed. Their bytes count three times: as the
/// message, as its fields, and as the attributes within.
pub(crate) const RECEIVED: usize = 12 << 20;
/// The container's memory limit in the chart.
pub(crate) const DEFAULT_LIMIT: usize = 128 << 20;

/// The budgets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The value cache.
    pub(crate) values: usize,
    /// Parsed requests of mounts in progress.
    pub requests: usize,
    /// Parsed classes, kept for the next mount.
    pub(crate) classes: usize,
    /// Values that mounts in progress have read.
    pub(crate) reads: usize,
    /// Files of mounts in progress, and the responses that carry them. All namespaces
    /// share the driver's one connection, so one namespace may queue only few.
    pub answers: usize,
    /// Volumes that Latchkey writes: their tmpfs pages, which the kernel charges to
    /// the process that writes them, and the records about them.
    pub(crate) volumes: usize,
}

impl Memory {
    /// Divides `limit`, the container's memory limit. With `writes_volumes`, responses
    /// carry no contents, so most of their share goes to the volumes.
    pub(crate) fn of(limit: usize, writes_volumes: bool) -> Self {
        let divided = limit.saturating_sub(FIXED).max(MIN_DIVIDED);
        let (values, requests, reads, answers, volumes) =
            if writes_volumes { (5, 2, 2, 1, 5) } else { (6, 2, 2, 2, 0) };
        // The rest stays free, because freed memory is fragmented.
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
                let divided = limit.saturating_sub(FIXED).max(MIN_DIVIDED);
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
