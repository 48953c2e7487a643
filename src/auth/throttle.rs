//! How often somebody may show a bad token. Knows addresses, not who is behind them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are counted one by one. All further ones of a window share one count, so that
/// an attacker who has many addresses does not have our memory too.
const ADDRESSES: usize = 10_000;

/// The address that a connection comes from; the server puts it into the extensions of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(pub IpAddr);

/// Counts failures by address, in windows of a minute.
#[derive(Debug)]
pub struct Throttle {
    limit: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    failures: HashMap<IpAddr, u32>,
}

impl Throttle {
    /// Allows so many failures of one address in a minute; 0 is no limit.
    pub fn new(limit: u32) -> Self {
        let window = Window {
            began: Instant::now(),
            failures: HashMap::new(),
        };
        Self {
            limit,
            window: Mutex::new(window),
        }
    }

    /// How long to send an address away, if it has failed too often.
    pub fn wait(&self, peer: Peer, now: Instant) -> Option<Duration> {
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let left = WINDOW.checked_sub(now.duration_since(window.began))?;
        let failures = window.failures.get(&window.counted_as(peer))?;
        (self.limit > 0 && *failures >= self.limit).then_some(left)
    }

    /// An address has shown a bad token.
    pub fn failed(&self, peer: Peer, now: Instant) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(window.began) >= WINDOW {
            window.began = now;
            window.failures.clear();
        }
        let address = window.counted_as(peer);
        let failures = window.failures.entry(address).or_default();
        *failures = failures.saturating_add(1);
    }
}

impl Window {
    /// One host has all addresses of an IPv6 network of 64 bits.
    fn counted_as(&self, Peer(address): Peer) -> IpAddr {
        let address = match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        };
        if self.failures.len() < ADDRESSES || self.failures.contains_key(&address) {
            address
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer(address.parse().unwrap())
    }

    #[test]
    fn who_fails_too_often_waits_for_the_rest_of_the_minute() {
        let throttle = Throttle::new(2);
        let began = Instant::now();
        let (ann, bob) = (peer("10.0.0.1"), peer("10.0.0.2"));
        throttle.failed(ann, began);
        assert_eq!(throttle.wait(ann, began), None);
        throttle.failed(peer("::ffff:10.0.0.1"), began);
        let wait = throttle.wait(ann, began + Duration::from_secs(20)).unwrap();
        assert_eq!(wait.as_secs().clamp(38, 40), wait.as_secs());
        assert_eq!(throttle.wait(bob, began), None);
        assert_eq!(throttle.wait(ann, began + Duration::from_secs(61)), None);
        throttle.failed(ann, began + Duration::from_secs(61));
        assert_eq!(throttle.wait(ann, began + Duration::from_secs(61)), None);
    }

    #[test]
    fn a_network_counts_as_one_and_no_limit_is_none() {
        let now = Instant::now();
        let throttle = Throttle::new(1);
        throttle.failed(peer("2001:db8::1"), now);
        assert!(throttle.wait(peer("2001:db8::ffff:2"), now).is_some());
        assert!(throttle.wait(peer("2001:db8:0:1::1"), now).is_none());
        let open = Throttle::new(0);
        open.failed(peer("10.0.0.1"), now);
        assert_eq!(open.wait(peer("10.0.0.1"), now), None);
    }

    #[test]
    fn memory_has_a_bound() {
        let now = Instant::now();
        let throttle = Throttle::new(2);
        let address = |index: u32| Peer(Ipv4Addr::from_bits(0x0a00_0000 + index).into());
        for index in 0..2 * ADDRESSES as u32 {
            throttle.failed(address(index), now);
        }
        assert_eq!(
            throttle.window.lock().unwrap().failures.len(),
            ADDRESSES + 1
        );
        assert_eq!(throttle.wait(address(0), now), None);
        assert!(throttle.wait(address(3 * ADDRESSES as u32), now).is_some());
    }
}
