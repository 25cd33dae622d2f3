//! How much of something one address may hold, so that whoever takes all he can leaves something for others.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one address may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Most {
    /// One from elsewhere.
    pub far: usize,
    /// One of this machine: a reverse proxy speaks for many, and has bounds of its own.
    pub near: usize,
}

/// Who holds how many.
#[derive(Debug)]
pub struct Shares {
    most: Most,
    held: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One that is held; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    address: IpAddr,
}

impl Shares {
    /// Nobody holds any yet. Who may hold any at all is bounded by whoever counts them all.
    pub fn new(most: Most) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self { most, held })
    }

    /// One more for an address; none where it has its share.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let address = whose(address);
        let most = if address.is_loopback() {
            self.most.near
        } else {
            self.most.far
        };
        let mut held = self.held();
        let count = held.get(&address).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        held.insert(address, count + 1);
        let of = Arc::clone(self);
        Some(Share { of, address })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        // Counts, each of which is written at once.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.of.held();
        let left = held
            .get(&self.address)
            .map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            held.remove(&self.address);
        } else {
            held.insert(self.address, left);
        }
    }
}

/// The address as one that one peer has: of IPv6 the network, since each has a whole one.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(of) if !of.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(of.to_bits() >> 64 << 64))
        }
        plain @ (IpAddr::V4(_) | IpAddr::V6(_)) => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::{Most, Shares};
    use std::net::IpAddr;

    #[test]
    fn one_address_has_its_share_and_gives_it_back() {
        let shares = Shares::new(Most { far: 2, near: 3 });
        let check = |first: &str, same: &str, other: &str, most: usize| {
            let at = |text: &str| -> IpAddr { text.parse().unwrap() };
            let mut held: Vec<_> = (0..most).map(|_| shares.take(at(first))).collect();
            assert!(held.iter().all(Option::is_some), "{first}");
            assert!(shares.take(at(first)).is_none(), "{first}");
            assert!(shares.take(at(same)).is_none(), "{same}");
            assert!(shares.take(at(other)).is_some(), "{other}");
            held.pop();
            held.push(shares.take(at(same)));
            assert!(held.iter().all(Option::is_some) && shares.take(at(first)).is_none());
        };
        check("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", 2);
        check("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1", 2);
        check("127.0.0.1", "127.0.0.1", "127.0.0.2", 3);
        check("::1", "::1", "::2", 3);
        assert!(shares.held().is_empty());
    }
}
