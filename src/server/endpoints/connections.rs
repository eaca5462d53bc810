//! The connections of the probes' port, with a fair limit: when the port is full, the
//! oldest connection of the address that holds the most makes room for the next one.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    task::{AbortHandle, Id, JoinSet},
    time::Instant,
};

/// How long a connection may use its place, from the first time that it runs. kubelet
/// sends its request immediately after it connects, so that is enough for a response,
/// however fast others connect. It is short, so that a place becomes free soon.
const GRACE: Duration = Duration::from_millis(20);

pub(super) struct Connections {
    tasks: JoinSet<()>,
    held: HashMap<IpAddr, VecDeque<Held>>,
    opened: u64,
    max: usize,
}

/// One connection of an address.
struct Held {
    /// In the order of arrival.
    number: u64,
    task: AbortHandle,
    /// When the task ran for the first time. A busy node may not have run it yet.
    begun: Arc<OnceLock<Instant>>,
}

impl Connections {
    /// Allows `max` connections; `max` must be at least 1.
    pub(super) fn new(max: usize) -> Self {
        Self { tasks: JoinSet::new(), held: HashMap::new(), opened: 0, max }
    }

    /// Waits until one more connection may be opened. If there are too many, ends another
    /// one, but never one that has had no time to be answered.
    pub(super) async fn place(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.release(ended);
        }
        while self.len() >= self.max {
            let since = self.oldest_of_heaviest().and_then(|(_, held)| held.begun.get().copied());
            let until = since.unwrap_or_else(Instant::now) + GRACE;
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.release(ended),
                () = tokio::time::sleep_until(until) => {
                    if since.is_some() {
                        self.drop_oldest();
                    }
                }
            }
        }
    }

    /// Serves a connection.
    pub(super) fn open(&mut self, address: IpAddr, connection: impl Future<Output = ()> + Send + 'static) {
        let begun = Arc::new(OnceLock::new());
        let mark = Arc::clone(&begun);
        let task = self.tasks.spawn(async move {
            mark.get_or_init(Instant::now);
            connection.await;
        });
        self.opened += 1;
        let held = Held { number: self.opened, task, begun };
        self.held.entry(address.to_canonical()).or_default().push_back(held);
    }

    /// Ends the oldest connection of the address that holds the most.
    pub(super) fn drop_oldest(&mut self) {
        let Some((address, _)) = self.oldest_of_heaviest() else { return };
        let held = self.held.get_mut(&address);
        if let Some(oldest) = held.and_then(VecDeque::pop_front) {
            oldest.task.abort();
        }
        self.held.retain(|_, held| !held.is_empty());
    }

    fn oldest_of_heaviest(&self) -> Option<(IpAddr, &Held)> {
        let oldest = |held: &VecDeque<Held>| Reverse(held.front().map_or(0, |held| held.number));
        let heaviest = self.held.iter().max_by_key(|(_, held)| (held.len(), oldest(held)))?;
        Some((*heaviest.0, heaviest.1.front()?))
    }

    fn release(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.held.retain(|_, held| {
            held.retain(|held| held.task.id() != id);
            !held.is_empty()
        });
    }

    fn len(&self) -> usize {
        self.held.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Mutex};

    use tokio::task::yield_now;

    use super::*;

    /// Remembers that a connection ended.
    struct OnDrop(Arc<Mutex<Vec<u8>>>, u8);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    fn host(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_host_with_most_connections_loses_its_oldest() {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let mut connections = Connections::new(4);
        for (address, number) in [(1, 0), (2, 1), (2, 2), (2, 3), (3, 4), (4, 5), (5, 6)] {
            connections.place().await;
            let mark = OnDrop(Arc::clone(&ended), number);
            connections.open(host(address), async move {
                let _mark = mark;
                std::future::pending::<()>().await;
            });
            yield_now().await;
        }
        // Host 2 loses connections until it holds as many as the others; then the oldest of all is closed.
        assert_eq!(*ended.lock().unwrap(), [1, 2, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_just_begun_keeps_its_place() {
        let mut connections = Connections::new(2);
        connections.open(host(1), std::future::pending());
        tokio::time::advance(Duration::from_secs(1)).await;
        // Neither has run: the second before cannot count.
        let answered = Arc::new(OnceLock::new());
        let answer = Arc::clone(&answered);
        connections.open(host(1), async move {
            tokio::time::sleep(GRACE / 2).await;
            answer.get_or_init(Instant::now);
        });
        let opened = Instant::now();
        connections.place().await;
        assert!(answered.get().is_some(), "the second one was answered");
        assert!(opened.elapsed() < GRACE, "and its place was used again at once");
        connections.open(host(1), std::future::pending());
        connections.place().await;
        assert!(opened.elapsed() >= GRACE, "the first one had its time");
        assert_eq!(connections.len(), 1);
    }

    #[tokio::test]
    async fn a_connection_that_ends_frees_its_place() {
        let mut connections = Connections::new(2);
        for number in 1..=2 {
            connections.open(host(number), async {});
        }
        yield_now().await;
        connections.place().await;
        assert_eq!(connections.len(), 0);
    }
}
