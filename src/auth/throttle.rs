//! How often somebody may show a bad token. Knows addresses, not who is behind them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::load::network;

/// What is counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// How many networks are counted one by one. All further ones of a window share one count for each
/// family, so that an attacker who has many addresses does not have our memory too.
const NETWORKS: usize = 10_000;

/// So many bits of an IPv6 address a provider gives to one customer, who has 65,536 households; and
/// how many times as often as one of these all of them together may fail.
const SITE: (u8, u32) = (48, 8);

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
    /// By network, and how many bits of an address tell it.
    failures: HashMap<(IpAddr, u8), u32>,
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
        let is_over = |(network, times): ((IpAddr, u8), u32)| {
            let failures = window.failures.get(&window.counted_as(network));
            failures.is_some_and(|failures| *failures >= self.limit.saturating_mul(times))
        };
        (self.limit > 0 && networks(peer).into_iter().flatten().any(is_over)).then_some(left)
    }

    /// An address has shown a bad token.
    pub fn failed(&self, peer: Peer, now: Instant) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(window.began) >= WINDOW {
            window.began = now;
            window.failures.clear();
        }
        for (network, _) in networks(peer).into_iter().flatten() {
            let network = window.counted_as(network);
            let failures = window.failures.entry(network).or_default();
            *failures = failures.saturating_add(1);
        }
    }
}

impl Window {
    fn counted_as(&self, network: (IpAddr, u8)) -> (IpAddr, u8) {
        if self.failures.len() < NETWORKS || self.failures.contains_key(&network) {
            return network;
        }
        match network.0 {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), 0),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), 0),
        }
    }
}

/// The networks that an address is of, and how many times the limit each of them may fail.
fn networks(Peer(address): Peer) -> [Option<((IpAddr, u8), u32)>; 2] {
    match network(address) {
        address @ IpAddr::V4(_) => [Some(((address, 32), 1)), None],
        household @ IpAddr::V6(address) => {
            let (bits, times) = SITE;
            let site = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)));
            [
                Some(((household, 64), 1)),
                Some(((site.into(), bits), times)),
            ]
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

    /// 65,536 networks are no way around the limit, nor a way to fill the table.
    #[test]
    fn a_site_has_a_limit_for_all_its_networks() {
        let now = Instant::now();
        let throttle = Throttle::new(10);
        let of_site = |index: u128| {
            let site = 0x2001_0db8_0000_u128 << 80;
            Peer(Ipv6Addr::from_bits(site | index << 64 | 1).into())
        };
        let tries = (0..65_536).filter(|index| {
            let may = throttle.wait(of_site(*index), now).is_none();
            if may {
                throttle.failed(of_site(*index), now);
            }
            may
        });
        assert_eq!(tries.count(), 80);
        assert_eq!(throttle.window.lock().unwrap().failures.len(), 81);
        assert_eq!(throttle.wait(peer("2001:db8:1::1"), now), None);
    }

    #[test]
    fn memory_has_a_bound() {
        let now = Instant::now();
        let throttle = Throttle::new(2);
        let address = |index: u32| Peer(Ipv4Addr::from_bits(0x0a00_0000 + index).into());
        for index in 0..2 * NETWORKS as u32 {
            throttle.failed(address(index), now);
        }
        // One whose network shares a count, and the count that they share.
        let known = throttle.window.lock().unwrap().failures.len();
        assert_eq!(known, NETWORKS + 1);
        assert_eq!(throttle.wait(address(0), now), None);
        assert!(throttle.wait(address(3 * NETWORKS as u32), now).is_some());
        assert_eq!(
            throttle.wait(peer("2001:db8::1"), now),
            None,
            "of another family"
        );
    }
}
