//! How much of something one address may hold, so that whoever takes all he can leaves something for others; and places
//! for work, of which each address has a share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::Sender;

/// What one address may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Most {
    /// One from elsewhere.
    pub far: usize,
    /// One of this machine: a reverse proxy speaks for many, and has bounds of its own.
    pub near: usize,
}

impl Most {
    /// That of an address.
    fn of(self, address: IpAddr) -> usize {
        if address.is_loopback() {
            self.near
        } else {
            self.far
        }
    }
}

/// Who holds how many, and who waits for one.
#[derive(Debug)]
pub struct Shares {
    most: Most,
    waiting: Most,
    held: Mutex<BTreeMap<IpAddr, Held>>,
}

/// What one address holds.
#[derive(Debug)]
struct Held {
    free: Arc<Semaphore>,
    /// Who hold one, and who wait.
    count: usize,
}

/// One that is held; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    // Before it is counted that one has left: whoever comes to an empty address finds all of them free.
    _held: OwnedSemaphorePermit,
    _counted: Counted,
}

/// One who holds or waits.
#[derive(Debug)]
struct Counted {
    of: Arc<Shares>,
    address: IpAddr,
}

impl Shares {
    /// Nobody holds any yet. Who may hold any at all is bounded by whoever counts them all.
    pub fn new(most: Most) -> Arc<Self> {
        Self::queued(most, Most { far: 0, near: 0 })
    }

    /// The same; of each address so many may wait.
    pub fn queued(most: Most, waiting: Most) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self {
            most,
            waiting,
            held,
        })
    }

    /// One more for an address; none where it has its share.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let (counted, free) = self.enter(address, 0)?;
        let held = free.try_acquire_owned().ok()?;
        Some(Share {
            _held: held,
            _counted: counted,
        })
    }

    /// The same once the address has less than its share; none where too many wait already, or it has not until then.
    /// Whoever no longer wants it leaves the queue.
    pub async fn queue(self: &Arc<Self>, address: IpAddr, until: Instant) -> Option<Share> {
        let waiting = self.waiting.of(whose(address));
        let (counted, free) = self.enter(address, waiting)?;
        let held = timeout_at(until.into(), free.acquire_owned()).await;
        Some(Share {
            _held: held.ok()?.ok()?,
            _counted: counted,
        })
    }

    fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        waiting: usize,
    ) -> Option<(Counted, Arc<Semaphore>)> {
        let address = whose(address);
        let most = self.most.of(address);
        let mut all = self.held();
        let held = all.entry(address).or_insert_with(|| Held {
            free: Arc::new(Semaphore::new(most)),
            count: 0,
        });
        if held.count >= most.saturating_add(waiting) {
            return None;
        }
        held.count += 1;
        let of = Arc::clone(self);
        Some((Counted { of, address }, Arc::clone(&held.free)))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Held>> {
        // Counts, each of which is written at once.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.of.held();
        if let Some(held) = all.get_mut(&self.address) {
            held.count = held.count.saturating_sub(1);
            if held.count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// Places for work, of which an address may have its share.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    shares: Option<Arc<Shares>>,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Places {
    /// So many, for whoever comes.
    pub fn new(at_once: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(at_once)),
            shares: None,
        }
    }

    /// So many; of each address these shares.
    pub fn shared(at_once: usize, shares: Arc<Shares>) -> Self {
        Self {
            shares: Some(shares),
            ..Self::new(at_once)
        }
    }

    /// A place for whoever is at this address, once there is one: none where there is not until then, or too many of the
    /// address wait already. Whoever waits for the address's share is in nobody else's way.
    pub async fn take(&self, sender: Option<&Sender>, until: Instant) -> Option<Place> {
        let share = match (sender, &self.shares) {
            (Some(sender), Some(shares)) => Some(shares.queue(sender.0, until).await?),
            (Some(_), None) | (None, _) => None,
        };
        let place = timeout_at(until.into(), Arc::clone(&self.all).acquire_owned()).await;
        Some(Place {
            _place: place.ok()?.ok()?,
            _share: share,
        })
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
    use super::{Most, Places, Shares};
    use crate::serve::Sender;
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

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

    #[tokio::test]
    async fn a_place_is_waited_for_until_its_time() {
        let shares = Shares::queued(Most { far: 1, near: 2 }, Most { far: 1, near: 1 });
        let places = Places::shared(2, shares.clone());
        let of = |text: &str| Sender(text.parse().unwrap());
        let (one, other, third) = (of("192.0.2.1"), of("192.0.2.2"), of("192.0.2.3"));
        let (later, soon) = (Duration::from_secs(3_600), Duration::from_millis(20));
        let first = places
            .take(Some(&one), Instant::now() + later)
            .await
            .unwrap();
        let second = places
            .take(Some(&other), Instant::now() + later)
            .await
            .unwrap();
        // One waits for its address's share, and one for a place.
        for sender in [&one, &third] {
            let place = places.take(Some(sender), Instant::now() + soon).await;
            assert!(place.is_none(), "{sender:?}");
        }
        assert_eq!(
            shares.held().len(),
            2,
            "who has waited in vain holds nothing"
        );
        drop((first, second));
        for sender in [Some(&one), Some(&third), None] {
            assert!(places.take(sender, Instant::now() + later).await.is_some());
        }
        assert!(shares.held().is_empty());
    }
}
