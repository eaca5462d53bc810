//! CPU-bound work: parsing large manifests, extracting fields from values.
//!
//! Pod authors determine its amount, so it never runs on the threads that answer the
//! driver. A few workers run it step by step and alternate between namespaces. They drop
//! work that nobody waits for any more.

use std::{
    collections::{HashMap, VecDeque},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::oneshot;

/// The number of concurrent steps. The largest classes of the bench keep a core busy for
/// milliseconds; more workers would only take cores from the threads that answer the
/// driver.
const WORKERS: usize = 2;

/// Set when nobody waits for the work any more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

/// A step panicked, which is a bug. The panic's own message may quote a value, so it is
/// not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// The workers and their queue.
#[derive(Debug, Default)]
pub struct Workers {
    queue: Mutex<Queue>,
}

/// Runs one step, and returns whether there is more to do.
type Job = Box<dyn FnMut() -> ControlFlow<()> + Send>;

#[derive(Default)]
struct Queue {
    jobs: HashMap<Arc<str>, VecDeque<Job>>,
    /// The namespaces with waiting jobs, the next one first.
    order: VecDeque<Arc<str>>,
    /// The number of running workers.
    working: usize,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.order).field("working", &self.working).finish()
    }
}

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sets the stop when the waiting caller goes away.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Workers {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Runs `step` until it breaks with a result. Other namespaces have their turn between
    /// two steps. A long step must check [`Stop`] itself, which is set when the returned
    /// future is dropped.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        namespace: &str,
        mut step: impl FnMut(&Stop) -> ControlFlow<T> + Send + 'static,
    ) -> Result<T, Panicked> {
        let stop = Stop::default();
        let _stop_on_drop = StopOnDrop(stop.clone());
        let (sender, result) = oneshot::channel();
        let mut sender = Some(sender);
        let job: Job = Box::new(move || {
            if stop.is_set() {
                return ControlFlow::Break(());
            }
            match step(&stop) {
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
                ControlFlow::Break(result) => {
                    // The caller may have gone.
                    let _ = sender.take().map(|sender| sender.send(result));
                    ControlFlow::Break(())
                }
            }
        });
        self.add(namespace, job);
        // Only a panic drops the job without a result.
        result.await.map_err(|_| Panicked)
    }

    fn add(self: &Arc<Self>, namespace: &str, job: Job) {
        let mut queue = self.queue();
        queue.push(namespace.into(), job);
        if queue.working < WORKERS {
            queue.working += 1;
            let workers = Arc::clone(self);
            tokio::task::spawn_blocking(move || workers.work());
        }
    }

    /// Runs one worker until the queue is empty.
    fn work(&self) {
        while let Some((namespace, mut job)) = self.next() {
            // A panic ends only its own job. The hook has logged the location.
            let done = catch_unwind(AssertUnwindSafe(&mut job)).unwrap_or(ControlFlow::Break(()));
            if done.is_continue() {
                self.queue().push(namespace, job);
            }
        }
    }

    /// The next job. Without one, the worker ends.
    fn next(&self) -> Option<(Arc<str>, Job)> {
        let mut queue = self.queue();
        let next = queue.pop();
        if next.is_none() {
            queue.working -= 1;
        }
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, namespace: Arc<str>, job: Job) {
        let jobs = self.jobs.entry(Arc::clone(&namespace)).or_default();
        jobs.push_back(job);
        if jobs.len() == 1 {
            self.order.push_back(namespace);
        }
    }

    fn pop(&mut self) -> Option<(Arc<str>, Job)> {
        let namespace = self.order.pop_front()?;
        let jobs = self.jobs.get_mut(&namespace)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.jobs.remove(&namespace);
        } else {
            self.order.push_back(Arc::clone(&namespace));
        }
        Some((namespace, job))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Condvar,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use futures_util::future::join_all;

    use super::*;

    /// A gate at which steps wait until the test opens it.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        changed: Condvar,
    }

    impl Gate {
        fn pass(&self) {
            let open = self.open.lock().unwrap();
            drop(self.changed.wait_while(open, |open| !*open).unwrap());
        }

        fn open(&self) {
            *self.open.lock().unwrap() = true;
            self.changed.notify_all();
        }
    }

    #[tokio::test]
    async fn another_namespace_waits_for_one_step_and_not_for_all_earlier_work() {
        let (workers, gate) = (Workers::new(), Arc::new(Gate::default()));
        let order = Arc::new(Mutex::new(Vec::new()));
        let many = |namespace: &'static str, jobs: usize, steps: usize| {
            let jobs = (0..jobs).map(|_| {
                let (gate, order, mut left) = (Arc::clone(&gate), Arc::clone(&order), steps);
                workers.run(namespace, move |_| {
                    gate.pass();
                    order.lock().unwrap().push(namespace);
                    left -= 1;
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
            });
            jobs.collect::<Vec<_>>()
        };
        let (greedy, modest) = (many("greedy", 50, 10), many("modest", 1, 3));
        let all = async { tokio::join!(join_all(greedy), join_all(modest)) };
        let opened = async { gate.open() };
        let ((greedy, modest), ()) = tokio::join!(all, opened);
        for result in greedy.into_iter().chain(modest) {
            result.unwrap();
        }
        let order = order.lock().unwrap();
        let last = order.iter().rposition(|namespace| *namespace == "modest").unwrap();
        // Its three steps alternate with the first steps of the others, on two workers.
        assert!(last < 12, "the last step of the modest one was the {last}th");
        assert_eq!(order.len(), 503);
    }

    #[tokio::test]
    async fn a_job_that_nobody_waits_for_is_stopped() {
        let (workers, gate) = (Workers::new(), Arc::new(Gate::default()));
        let steps = Arc::new(AtomicUsize::new(0));
        let (stopped, seen) = std::sync::mpsc::channel();
        let job = workers.run("a", {
            let (gate, steps) = (Arc::clone(&gate), Arc::clone(&steps));
            move |stop| {
                steps.fetch_add(1, Ordering::Relaxed);
                gate.pass();
                stopped.send(stop.is_set()).unwrap();
                ControlFlow::<()>::Continue(())
            }
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), job).await.is_err());
        gate.open();
        assert!(seen.recv().unwrap(), "the step does not see that it must stop");
        // The job is dropped, and its sender with it.
        assert!(seen.recv().is_err());
        assert_eq!(steps.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_panic_ends_only_its_own_job() {
        let workers = Workers::new();
        let lost = workers.run("a", |_| -> ControlFlow<()> { panic!("canary") });
        let (lost, kept) = tokio::join!(lost, workers.run("a", |_| ControlFlow::Break(7)));
        assert_eq!(lost, Err(Panicked));
        assert_eq!(kept, Ok(7));
        assert_eq!(workers.run("b", |_| ControlFlow::Break(8)).await, Ok(8));
    }
}
