//! Who is connected: how many may be, and who has to give way to others. Knows nothing of what is
//! said on a connection but whether a request is under way.
//!
//! When there is no room, connections that nobody uses make some: first those that have not sent the
//! whole head of a request for a while, then those between two requests or in the midst of one, the
//! least used ones before others, always the oldest first. Where nobody can give way, who comes is
//! sent away.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use crate::load::{Outstanding, network};

/// A new connection is left alone for so long.
const YOUNG: Duration = Duration::from_secs(1);

/// Such a part of all connections makes room at once, so that nobody looks through them each time.
const SHARE: usize = 16;

/// All connections; clones share them.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Mutex<Register>>);

#[derive(Debug)]
struct Register {
    most: usize,
    most_per_address: usize,
    next: u64,
    /// In the order in which they came.
    present: BTreeMap<u64, (IpAddr, Arc<Connection>)>,
    by_address: HashMap<IpAddr, usize>,
    /// How many have given way and are not closed yet.
    leaving: usize,
}

/// One connection, as far as it matters whether it can give way.
#[derive(Debug)]
pub struct Connection {
    began: Instant,
    heads: AtomicU32,
    under_way: AtomicU32,
    /// It was used since somebody last looked for who can give way.
    is_used: AtomicBool,
    /// Requests of which not all has come.
    pub outstanding: Outstanding,
    task: OnceLock<AbortHandle>,
}

/// A request on a connection, until its answer has been given.
#[derive(Debug)]
pub struct UnderWay(Arc<Connection>);

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    connections: Connections,
    number: u64,
    pub connection: Arc<Connection>,
}

impl Connections {
    /// Nobody is there yet; so many may be in all, and of one address.
    #[must_use]
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self(Arc::new(Mutex::new(Register {
            most,
            most_per_address,
            next: 0,
            present: BTreeMap::new(),
            by_address: HashMap::new(),
            leaving: 0,
        })))
    }

    /// Somebody comes. None where there is no room, and nobody who can give way.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> Option<Seat> {
        let address = network(address);
        let mut register = self.register();
        if register.of(address) >= register.most_per_address {
            register.make_room(Some(address));
        }
        if register.present.len() >= register.most {
            register.make_room(None);
        }
        let has_room = register.of(address) < register.most_per_address
            && register.present.len() < register.most;
        has_room.then(|| {
            let (number, connection) = register.add(address);
            Seat {
                connections: self.clone(),
                number,
                connection,
            }
        })
    }

    /// Waits as long as many have given way and are not closed yet, so that there are never many more
    /// than there may be.
    pub async fn settle(&self) {
        while self.is_crowded() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn is_crowded(&self) -> bool {
        let register = self.register();
        register.leaving > (register.most / SHARE).max(1)
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Register {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or_default()
    }

    fn add(&mut self, address: IpAddr) -> (u64, Arc<Connection>) {
        let number = self.next;
        self.next += 1;
        let connection = Arc::new(Connection::new());
        self.present.insert(number, (address, connection.clone()));
        *self.by_address.entry(address).or_default() += 1;
        (number, connection)
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Connection>> {
        let (address, connection) = self.present.remove(&number)?;
        let left = self.of(address).saturating_sub(1);
        if left == 0 {
            self.by_address.remove(&address);
        } else {
            self.by_address.insert(address, left);
        }
        Some(connection)
    }

    /// Ends connections, of one address or of all, that can give way.
    fn make_room(&mut self, of: Option<IpAddr>) {
        let most = of.map_or(self.most, |_| self.most_per_address);
        let here = self.present.iter();
        let here = here.filter(|(_, (address, _))| of.is_none_or(|of| of == *address));
        let mut ranked: Vec<_> = here
            .filter_map(|(number, (_, it))| Some((it.rank()?, *number)))
            .collect();
        ranked.sort_unstable();
        ranked.truncate((most / SHARE).max(1));
        tracing::debug!(
            connections = ranked.len(),
            "connections that nobody uses give way"
        );
        for (_, number) in ranked {
            let connection = self.remove(number);
            self.leaving += usize::from(connection.is_some());
            if let Some(task) = connection.as_ref().and_then(|it| it.task.get()) {
                task.abort();
            }
        }
    }
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            heads: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            is_used: AtomicBool::new(false),
            outstanding: Outstanding::default(),
            task: OnceLock::new(),
        }
    }

    /// What serves it, and can be ended.
    pub fn served_by(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    /// The head of a request has come.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.heads.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// How many heads have come, modulo 2^32.
    pub fn heads(&self) -> u32 {
        self.heads.load(Ordering::Relaxed)
    }

    /// A request is being answered.
    pub fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    /// Who is to give way first has the lowest; none who cannot.
    fn rank(&self) -> Option<u8> {
        let under_way = self.under_way.load(Ordering::Relaxed);
        if under_way > self.outstanding.count() {
            return None;
        }
        let was_used = self.is_used.swap(false, Ordering::Relaxed);
        Some(match self.heads() {
            0 if self.began.elapsed() < YOUNG => 3,
            0 => 0,
            _ if was_used => 2,
            _ => 1,
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut register = self.connections.register();
        if register.remove(self.number).is_none() {
            register.leaving = register.leaving.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;

    use super::*;
    use crate::load::Load;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_there(connections: &Connections, seat: &Seat) -> bool {
        connections.register().present.contains_key(&seat.number)
    }

    #[test]
    fn who_is_busy_never_gives_way() {
        let (connections, ada) = (Connections::new(2, 2), address("10.0.0.1"));
        let seats = [(); 2].map(|()| connections.admit(ada).unwrap());
        let busy = seats.each_ref().map(|seat| seat.connection.begin());
        assert!(connections.admit(ada).is_none());
        drop(busy);
        assert!(connections.admit(ada).is_some());
        assert!(!is_there(&connections, &seats[0]) && is_there(&connections, &seats[1]));
    }

    #[test]
    fn who_gives_way_is_waited_for() {
        let (connections, ada) = (Connections::new(2, 2), address("10.0.0.1"));
        let [first, second] = [(); 2].map(|()| connections.admit(ada).unwrap());
        let _third = connections.admit(ada).unwrap();
        assert!(!connections.is_crowded());
        let _fourth = connections.admit(ada).unwrap();
        assert!(connections.is_crowded());
        drop(first);
        assert!(!connections.is_crowded());
        drop(second);
        assert_eq!(connections.register().leaving, 0);
    }

    #[tokio::test]
    async fn who_keeps_half_a_request_back_gives_way() {
        let (connections, ada) = (Connections::new(2, 2), address("10.0.0.1"));
        let [half, whole] = [(); 2].map(|()| connections.admit(ada).unwrap());
        let _under_way = [&half, &whole].map(|seat| seat.connection.begin());
        let outstanding = half.connection.outstanding.clone();
        let body = Load::default().timely(Empty::<Bytes>::new(), None, Some(outstanding));
        let _next = connections.admit(ada).unwrap();
        assert!(!is_there(&connections, &half) && is_there(&connections, &whole));
        drop(body);
    }

    #[test]
    fn idle_connections_give_way_before_new_ones_and_used_ones_have_a_second_chance() {
        let (connections, ada) = (Connections::new(3, 3), address("10.0.0.1"));
        let [used, idle, new] = [(); 3].map(|()| connections.admit(ada).unwrap());
        drop((used.connection.begin(), idle.connection.begin()));
        idle.connection.is_used.store(false, Ordering::Relaxed);
        let next = connections.admit(ada).unwrap();
        assert!(!is_there(&connections, &idle), "{connections:?}");
        assert!(is_there(&connections, &used) && is_there(&connections, &new));
        drop(next);
        let _next = connections.admit(ada).unwrap();
        let _another = connections.admit(ada).unwrap();
        assert!(!is_there(&connections, &used), "{connections:?}");
    }

    #[test]
    fn an_address_makes_room_for_itself() {
        let connections = Connections::new(4, 2);
        let [ada, bob] = ["10.0.0.1", "10.0.0.2"].map(address);
        let other = connections.admit(bob).unwrap();
        let first = connections.admit(ada).unwrap();
        let second = connections.admit(ada).unwrap();
        let third = connections.admit(ada).unwrap();
        assert!(!is_there(&connections, &first));
        assert!([&other, &second, &third].map(|seat| is_there(&connections, seat)) == [true; 3]);
        drop((first, second, third, other));
        assert!(connections.register().by_address.is_empty());
        assert!(connections.register().present.is_empty());
    }
}
