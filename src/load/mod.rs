//! How much is under way, and how much may be: requests, waits, and what one client asks for. Knows
//! nothing of connections, of tokens, or of what requests are about.
//!
//! A request that waits for something, a lease or the rest of its body, gives its place among the
//! requests to others meanwhile, and takes one among the waits. A stream takes one of those too.

mod body;
mod usage;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::Code;

pub use body::{BODY_TOO_SLOW, Outstanding, Timely};
pub use usage::Usage;

use crate::fault::Fault;
use usage::Usages;

/// How much may be under way. 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests, without those that wait.
    pub requests: usize,
    /// Waits and streams.
    pub waits: usize,
    /// Those of one client.
    pub waits_per_client: usize,
    /// Requests of one client in a second; so many may also come at once.
    pub requests_per_second: u32,
    /// For how long a request's body may be on its way; zero is as long as it takes.
    pub body_time: Duration,
}

impl Bounds {
    /// Nothing has a limit.
    pub const NONE: Self = Self {
        requests: 0,
        waits: 0,
        waits_per_client: 0,
        requests_per_second: 0,
        body_time: Duration::ZERO,
    };
}

/// What is under way; clones share it.
#[derive(Clone, Debug)]
pub struct Load(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    bounds: Bounds,
    requests: AtomicUsize,
    waits: AtomicUsize,
    clients: Usages<String>,
    addresses: Usages<IpAddr>,
}

/// A place among the requests, until it is dropped.
#[derive(Debug)]
pub struct Place(Load);

/// A place among the waits, until it is dropped.
#[derive(Debug)]
pub struct Wait {
    load: Load,
    client: Option<Arc<Usage>>,
    /// It waits in the middle of a request.
    is_within: bool,
}

impl Load {
    /// Nothing is under way yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Counts {
            bounds,
            requests: AtomicUsize::new(0),
            waits: AtomicUsize::new(0),
            clients: Usages::new(bounds),
            addresses: Usages::new(bounds),
        }))
    }

    /// A request begins.
    #[must_use]
    pub fn begin(&self) -> Place {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    /// More requests have begun than may be under way: the one that asks is to be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let most = self.0.bounds.requests;
        most > 0 && self.0.requests.load(Ordering::Relaxed) > most
    }

    /// What a client uses, known by a name that no other has.
    #[must_use]
    pub fn client(&self, name: String) -> Arc<Usage> {
        self.0.clients.of(name)
    }

    /// What the network of an address uses, without showing who it is.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> Arc<Usage> {
        self.0.addresses.of(network(address))
    }

    /// A stream begins, of a client if it is known.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: the client has too many; UNAVAILABLE: there are too many.
    pub fn stream(&self, client: Option<Arc<Usage>>) -> Result<Wait, Fault> {
        let Counts { bounds, waits, .. } = &*self.0;
        if let Some(client) = &client {
            client.begin_wait()?;
        }
        let before = waits.fetch_add(1, Ordering::Relaxed);
        // From here on its end is counted, whatever happens.
        let wait = Wait {
            load: self.clone(),
            client,
            is_within: false,
        };
        if bounds.waits > 0 && before >= bounds.waits {
            return Err(overloaded(
                "everybody together waits for as much as possible",
            ));
        }
        Ok(wait)
    }

    /// A request begins to wait.
    ///
    /// # Errors
    /// Those of [`Self::stream`].
    pub fn wait(&self, client: Option<Arc<Usage>>) -> Result<Wait, Fault> {
        let mut wait = self.stream(client)?;
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
        wait.is_within = true;
        Ok(wait)
    }

    /// A body that has to arrive in time, of a client if it is known.
    #[must_use]
    pub fn timely<B>(
        &self,
        body: B,
        client: Option<Arc<Usage>>,
        outstanding: Option<Outstanding>,
    ) -> Timely<B> {
        Timely::new(body, self.clone(), client, outstanding)
    }

    /// For how long a body may be on its way, if that has a limit.
    fn body_time(&self) -> Option<Duration> {
        let time = self.0.bounds.body_time;
        (!time.is_zero()).then_some(time)
    }
}

impl Default for Load {
    /// Without limits.
    fn default() -> Self {
        Self::new(Bounds::NONE)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Load(counts) = &self.0;
        counts.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Counts {
            requests, waits, ..
        } = &*self.load.0;
        waits.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = &self.client {
            client.end_wait();
        }
        if self.is_within {
            // The request goes on, also where that makes one too many for a moment.
            requests.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The process as a whole has enough to do.
#[must_use]
pub fn overloaded(why: &str) -> Fault {
    let message = format!("the server is busy: {why}; try again later");
    Fault::new(Code::Unavailable, "OVERLOADED", message).with_retry(1)
}

/// Whom an address counts as: a household has all addresses of an IPv6 network of 64 bits.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: Bounds = Bounds {
        requests: 2,
        waits: 3,
        waits_per_client: 2,
        ..Bounds::NONE
    };

    #[test]
    fn requests_have_places_and_give_them_back() {
        let load = Load::new(FEW);
        let (first, _second) = (load.begin(), load.begin());
        assert!(!load.is_full());
        let third = load.begin();
        assert!(load.is_full());
        drop(third);
        assert!(!load.is_full(), "who was refused takes no place");
        drop(first);
        let _third = load.begin();
        assert!(!load.is_full());
    }

    #[test]
    fn who_waits_leaves_its_place_to_others() {
        let load = Load::new(FEW);
        let (_first, _second) = (load.begin(), load.begin());
        let wait = load.wait(None).unwrap();
        let _third = load.begin();
        assert!(!load.is_full());
        drop(wait);
        assert!(load.is_full(), "the first goes on");
    }

    #[test]
    fn waits_are_counted_by_client_and_in_all() {
        let load = Load::new(FEW);
        let reason = |wait: Result<Wait, Fault>| wait.unwrap_err().reason();
        let (ada, bob) = (load.client("ada".into()), load.client("bob".into()));
        let first = load.stream(Some(ada.clone())).unwrap();
        let _second = load.stream(Some(load.client("ada".into()))).unwrap();
        assert_eq!(reason(load.stream(Some(ada.clone()))), "TOO_MANY_WAITS");
        let third = load.stream(Some(bob.clone())).unwrap();
        assert_eq!(reason(load.stream(Some(bob.clone()))), "OVERLOADED");
        assert_eq!(reason(load.stream(None)), "OVERLOADED");
        drop((first, third));
        let _again = load.stream(Some(ada)).unwrap();
        let _another = load.stream(Some(bob)).unwrap();
    }

    #[test]
    fn nothing_has_a_limit_unless_one_is_set() {
        let load = Load::default();
        let client = load.client("ada".into());
        let places: Vec<_> = (0..1000).map(|_| load.begin()).collect();
        assert!(!load.is_full());
        let waits: Vec<_> = (0..1000)
            .map(|_| load.stream(Some(client.clone())).unwrap())
            .collect();
        assert!((0..1000).all(|_| client.admit().is_ok()));
        drop((places, waits));
    }

    #[test]
    fn a_household_counts_as_one() {
        let network = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(network("2001:db8::1:2:3:4"), "2001:db8::");
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }
}
