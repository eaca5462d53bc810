//! The connections of the probes' port, with a fair limit: when the port is full, a new
//! connection replaces the oldest one of the address that holds the most.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use tokio::task::{AbortHandle, Id, JoinSet};

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
}

impl Connections {
    /// Allows `max` connections; `max` must be at least 1.
    pub(super) fn new(max: usize) -> Self {
        Self { tasks: JoinSet::new(), held: HashMap::new(), opened: 0, max }
    }

    /// Serves a connection. If there are too many, ends another one. kubelet sends its
    /// request and gets its response immediately, so the oldest connection is not its own.
    pub(super) fn open(&mut self, address: IpAddr, connection: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(connection);
        self.opened += 1;
        let held = Held { number: self.opened, task };
        self.held.entry(address.to_canonical()).or_default().push_back(held);
        while self.len() > self.max && self.drop_oldest() {}
    }

    /// Ends the oldest connection of the address that holds the most. Returns false if
    /// there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let oldest = |held: &VecDeque<Held>| Reverse(held.front().map_or(0, |held| held.number));
        let heaviest = self.held.iter().max_by_key(|(_, held)| (held.len(), oldest(held)));
        let Some(address) = heaviest.map(|(address, _)| *address) else { return false };
        let held = self.held.get_mut(&address);
        if let Some(oldest) = held.and_then(VecDeque::pop_front) {
            oldest.task.abort();
        }
        self.held.retain(|_, held| !held.is_empty());
        true
    }

    /// Waits until a connection ends, and frees its place. Never completes while there is
    /// no connection.
    pub(super) async fn ended(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
        };
        self.release(ended);
    }

    fn release(&mut self, ended: Id) {
        self.held.retain(|_, held| {
            held.retain(|held| held.task.id() != ended);
            !held.is_empty()
        });
    }

    fn len(&self) -> usize {
        self.held.values().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::{Arc, Mutex},
    };

    use tokio::task::yield_now;

    use super::*;

    /// Remembers that a connection ended.
    struct OnDrop(Arc<Mutex<Vec<u8>>>, u8);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    #[tokio::test]
    async fn the_host_with_most_connections_loses_its_oldest() {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let mut connections = Connections::new(4);
        let mut open = |host: u8, number: u8| {
            let mark = OnDrop(Arc::clone(&ended), number);
            let connection = async move {
                let _mark = mark;
                std::future::pending::<()>().await;
            };
            connections.open(Ipv4Addr::new(10, 0, 0, host).into(), connection);
        };
        for (host, number) in [(1, 0), (2, 1), (2, 2), (2, 3), (3, 4), (4, 5), (5, 6)] {
            open(host, number);
            yield_now().await;
        }
        // Host 2 loses connections until it holds as many as the others; then the oldest of all is closed.
        assert_eq!(*ended.lock().unwrap(), [1, 2, 0]);
    }

    #[tokio::test]
    async fn a_connection_that_ends_frees_its_place() {
        let mut connections = Connections::new(2);
        for host in 1..=2 {
            connections.open(Ipv4Addr::new(10, 0, 0, host).into(), async {});
        }
        connections.ended().await;
        connections.ended().await;
        assert_eq!(connections.len(), 0);
        assert!(!connections.drop_oldest());
    }
}
