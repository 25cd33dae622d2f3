//! Who asks for more than a share of what the index reckons, and who asks and goes away.

use super::super::{FIGURES_AT_ONCE, FIGURES_EACH, Waits, Wanted};
use super::Stand;
use crate::serve::Sender;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Longer than any test.
const EVER: Duration = Duration::from_secs(3_600);

#[test]
fn an_answer_is_wanted_until_nobody_waits_or_its_time_is_over() {
    let (wanted, waits): (Wanted, Waits) = Wanted::new(EVER);
    assert!(!wanted.is_over());
    drop(waits);
    assert!(wanted.is_over());
    let (wanted, _waits) = Wanted::new(Duration::ZERO);
    assert!(wanted.is_over());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_its_share_and_whoever_goes_away_is_not_reckoned_for() {
    let stand = Stand::new();
    let desk = Arc::new(stand.desk());
    let of = |last| Sender(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
    let (begun, begins) = sync_channel(2 * FIGURES_AT_ONCE);
    // Reckons until nobody waits any more.
    let reckon = |sender: Sender| -> JoinHandle<()> {
        let (desk, begun) = (Arc::clone(&desk), begun.clone());
        tokio::spawn(async move {
            let reckoned = desk.reckon(Some(&sender), move |wanted| {
                begun.send(true).unwrap();
                let (_kept, never) = sync_channel::<()>(1);
                let pause = || never.recv_timeout(Duration::from_millis(5)).is_err();
                while !wanted.is_over() && pause() {}
                begun.send(false).unwrap();
                Ok(())
            });
            drop(reckoned.await);
        })
    };
    let next = |said: &Receiver<bool>| said.recv_timeout(EVER).unwrap();
    let mut all: Vec<_> = (0..FIGURES_EACH.far).map(|_| reckon(of(1))).collect();
    for _ in 0..FIGURES_EACH.far {
        assert!(next(&begins));
    }
    // One more of this address is told so at once; another address has its place, and so has whoever looks at the logs.
    let refused = desk.reckon(Some(&of(1)), |_| Ok(())).await;
    let refused = format!("{:?}", refused.unwrap_err());
    assert!(refused.contains("\"busy\""), "{refused}");
    assert!(desk.reckon(Some(&of(2)), |_| Ok(())).await.is_ok());
    all.extend((FIGURES_EACH.far..FIGURES_AT_ONCE).map(|_| reckon(of(2))));
    for _ in FIGURES_EACH.far..FIGURES_AT_ONCE {
        assert!(next(&begins));
    }
    assert!(desk.read(|_| Ok(())).await.is_ok());
    // All hang up: nothing goes on, and the next is answered.
    all.iter().for_each(JoinHandle::abort);
    for _ in 0..FIGURES_AT_ONCE {
        assert!(!next(&begins));
    }
    assert!(desk.reckon(Some(&of(3)), |_| Ok(())).await.is_ok());
}
