use super::{KEPT_MS, Live, MACHINES_EACH_MAX, MachineNow, Received};
use crate::archive::events::{Kind, Listener};
use crate::archive::testing::{at, name};
use crate::archive::{Cards, Roll};
use crate::clock::{Clock, Stamp};
use lineside_proto::{
    Availability, AvailableNow, ClockStatus, Doubt, GatewayStatus, Identifier, Link, LocalText,
    Reason, ReasonCode, State,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that is set by hand, in seconds.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn set(&self, seconds: u64) {
        self.0.store(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Stamp {
        Stamp {
            boot_ms: self.0.load(Ordering::SeqCst),
            wall: at(0),
        }
    }
}

pub(in crate::archive) fn status(gateway: &str, link: Link) -> Vec<u8> {
    let document = GatewayStatus {
        link,
        max_age_s: Some(90),
        at: Some(at(0)),
        ..GatewayStatus::offline(name("zs"), name(gateway))
    };
    serde_json::to_vec(&document).unwrap()
}

pub(in crate::archive) fn availability(gateway: &str, machine: &str, state: State) -> Vec<u8> {
    let document = Availability {
        v: 1,
        site: name("zs"),
        gateway: name(gateway),
        machine: name(machine),
        name: LocalText::default(),
        at: at(0),
        state,
        opc: None,
        rule: None,
        since: at(0),
        decided_at: at(0),
        observed_at: Some(at(0)),
        reason: Reason {
            code: ReasonCode::Rule,
            text: "x".to_owned(),
        },
        available_now: state.available_now(),
        available_from: None,
        warmup_s: 0,
        max_age_s: 60,
        fresh_until: at(0),
        clock: ClockStatus::S,
        session: None,
        next_booking: None,
        maintenance: None,
        seq: 1,
        boot: "b".to_owned(),
        config: "sha256:00".to_owned(),
        ledger: None,
    };
    serde_json::to_vec(&document).unwrap()
}

pub(in crate::archive) fn fresh(payload: &[u8], at_ms: u64) -> Received<'_> {
    Received {
        payload,
        at_ms,
        expiry_s: Some(90),
        retained: false,
    }
}

struct Stand {
    live: Live,
    clock: Hand,
    listener: Listener,
    roll: Arc<Roll>,
}

impl Stand {
    fn new() -> Self {
        let clock = Hand::default();
        let roll = Arc::new(Roll::default());
        let live = Live::new(Arc::new(clock.clone()), Arc::clone(&roll));
        let listener = live.events().listen(None);
        Self {
            live,
            clock,
            listener,
            roll,
        }
    }

    fn status(&self, payload: &[u8]) {
        let at_ms = self.clock.now().boot_ms;
        self.live
            .status(&name("zs"), &name("gw"), fresh(payload, at_ms));
    }

    fn availability(&self, machine: &str, payload: &[u8]) {
        let (machine, at_ms): (Identifier, u64) = (name(machine), self.clock.now().boot_ms);
        let received = fresh(payload, at_ms);
        self.live
            .availability(&name("zs"), &name("gw"), &machine, received);
    }

    /// The news since the last time: machines, their states, and why they are in doubt.
    async fn news(&mut self) -> Vec<(String, State, Option<Doubt>)> {
        let newest = self.live.events().listen(None).at();
        let mut all = Vec::new();
        while self.listener.at() < newest {
            let heard = self.listener.next(self.live.events()).await.unwrap();
            for event in heard
                .iter()
                .filter(|event| event.kind == Kind::Availability)
            {
                let now: MachineNow = serde_json::from_str(&event.data).unwrap();
                all.push((now.machine.to_string(), now.state, now.doubt));
            }
        }
        all
    }
}

fn told(machine: &str, state: State, doubt: Option<Doubt>) -> (String, State, Option<Doubt>) {
    (machine.to_owned(), state, doubt)
}

#[tokio::test]
async fn a_machine_is_what_the_consumer_s_rule_says_and_changes_are_told_once() {
    let mut stand = Stand::new();
    stand.clock.set(10);
    stand.availability("mill", &availability("gw", "mill", State::Idle));
    let (unknown, no_status) = (State::Unknown, Some(Doubt::NoStatus));
    assert_eq!(stand.news().await, [told("mill", unknown, no_status)]);
    stand.status(&status("gw", Link::Online));
    assert_eq!(stand.news().await, [told("mill", State::Idle, None)]);
    assert_eq!(stand.live.is_online(&name("zs"), &name("gw")), Some(true));
    let machines = stand.live.machines(|_, _| true);
    assert_eq!(machines[0].available_now, AvailableNow::Yes);
    assert!(machines[0].said.is_some());
    // The same again is no news.
    stand.clock.set(40);
    stand.availability("mill", &availability("gw", "mill", State::Idle));
    stand.live.look();
    assert_eq!(stand.news().await, []);
    stand.availability("mill", &availability("gw", "mill", State::Run));
    assert_eq!(stand.news().await, [told("mill", State::Run, None)]);
    // The status is of second 10, and holds for 90 s.
    stand.clock.set(99);
    stand.live.look();
    assert_eq!(stand.news().await, []);
    stand.clock.set(100);
    stand.live.look();
    let stale = Some(Doubt::StatusStale);
    assert_eq!(stand.news().await, [told("mill", unknown, stale)]);
    let machines = stand.live.machines(|_, _| true);
    assert_eq!((&machines[0].said, machines[0].state), (&None, unknown));
    stand.status(&status("gw", Link::Online));
    // The availability is of second 40, and holds for 60 s.
    let stale = Some(Doubt::Stale);
    assert_eq!(stand.news().await, [told("mill", unknown, stale)]);
    stand.availability("mill", &availability("gw", "mill", State::Idle));
    stand.status(&status("gw", Link::Offline));
    let offline = Some(Doubt::Offline);
    let expected = [
        told("mill", State::Idle, None),
        told("mill", unknown, offline),
    ];
    assert_eq!(stand.news().await, expected);
    // A machine that is no longer configured.
    stand.availability("mill", b"");
    let none = Some(Doubt::NoAvailability);
    assert_eq!(
        stand.news().await.last(),
        Some(&told("mill", unknown, none))
    );
    assert_eq!(stand.live.figures().machines, 0);
    stand.status(b"");
    assert_eq!(stand.live.figures().gateways, 0);
}

#[tokio::test]
async fn what_is_not_theirs_or_makes_no_sense_counts_as_nothing() {
    let mut stand = Stand::new();
    for payload in [
        &b"junk"[..],
        b"",
        b"{}",
        &availability("other", "mill", State::Idle),
    ] {
        stand.availability("mill", payload);
    }
    stand.status(&status("other", Link::Online));
    assert_eq!(stand.live.figures().gateways, 0);
    stand.status(&status("gw", Link::Online));
    stand.availability("mill", &availability("gw", "mill", State::Idle));
    assert_eq!(stand.news().await.len(), 1);
    // What takes the place of a good document takes its word from it.
    stand.availability("mill", &availability("gw", "lathe", State::Run));
    let none = Some(Doubt::NoAvailability);
    assert_eq!(stand.news().await, [told("mill", State::Unknown, none)]);
}

#[test]
fn no_gateway_takes_the_room_of_others() {
    let large = |machine: &str| {
        let mut document: serde_json::Value =
            serde_json::from_slice(&availability("gw", machine, State::Idle)).unwrap();
        document["reason"]["text"] = "x".repeat(200_000).into();
        document.to_string().into_bytes()
    };
    let small = |machine: &str| availability("gw", machine, State::Idle);
    let check = |document: &dyn Fn(&str) -> Vec<u8>, machines: u64| {
        let stand = Stand::new();
        for number in 0..1_000 {
            let machine = format!("m{number}");
            stand.availability(&machine, &document(&machine));
        }
        let figures = stand.live.figures();
        assert_eq!(
            (figures.machines, figures.refused),
            (machines, 1_000 - machines)
        );
        assert!(stand.live.known().bytes <= super::BYTES_EACH_MAX);
        // What was taken in can still be replaced, and go, and then there is room again.
        stand.availability("m0", &document("m0"));
        stand.availability("m0", b"");
        assert_eq!(stand.live.figures().machines, machines - 1);
        stand.availability("other", &document("other"));
        assert_eq!(stand.live.figures().machines, machines);
        // Somebody else is heard.
        let (gateway, machine) = (name("g2"), name("mill"));
        let payload = availability("g2", "mill", State::Run);
        let received = fresh(&payload, 0);
        stand
            .live
            .availability(&name("zs"), &gateway, &machine, received);
        assert_eq!(stand.live.figures().machines, machines + 1);
    };
    check(&large, 2);
    check(&small, u64::try_from(MACHINES_EACH_MAX).unwrap());
}

#[test]
fn what_is_known_is_bounded() {
    let stand = Stand::new();
    for number in 0..5_000 {
        let gateway = format!("g{number}");
        let payload = status(&gateway, Link::Online);
        let received = fresh(&payload, 0);
        stand.live.status(&name("zs"), &name(&gateway), received);
    }
    assert_eq!(stand.live.figures().gateways, 4_096);
}

#[tokio::test]
async fn what_nobody_renews_goes_after_a_day() {
    let mut stand = Stand::new();
    stand.status(&status("gw", Link::Online));
    for machine in ["mill", "lathe"] {
        stand.availability(machine, &availability("gw", machine, State::Idle));
    }
    stand.clock.set(KEPT_MS / 2_000);
    stand.live.look();
    stand.availability("mill", &availability("gw", "mill", State::Run));
    assert_eq!(stand.live.figures().machines, 2);
    stand.news().await;
    stand.clock.set(KEPT_MS / 1_000);
    stand.live.look();
    let none = Some(Doubt::NoStatus);
    let gone = stand.news().await;
    assert!(
        gone.contains(&told("lathe", State::Unknown, none)),
        "{gone:?}"
    );
    assert_eq!(stand.live.figures().machines, 1);
    stand.clock.set(KEPT_MS / 500);
    stand.live.look();
    assert_eq!(
        (stand.live.figures().gateways, stand.live.known().bytes),
        (0, 0)
    );
}

#[tokio::test]
async fn only_enrolled_gateways_are_taken_in() {
    let mut stand = Stand::new();
    // Before the cards were read nobody is passed over.
    stand.status(&status("gw", Link::Online));
    stand.availability("mill", &availability("gw", "mill", State::Idle));
    assert_eq!(stand.live.figures().machines, 1);
    stand.news().await;
    stand.roll.set(&Cards::default());
    stand.live.look();
    let none = Some(Doubt::NoStatus);
    assert_eq!(stand.news().await, [told("mill", State::Unknown, none)]);
    stand.availability("mill", &availability("gw", "mill", State::Idle));
    stand.status(&status("gw", Link::Online));
    let figures = stand.live.figures();
    assert_eq!(
        (figures.gateways, figures.machines, figures.refused),
        (0, 0, 2)
    );
    assert_eq!(stand.live.known().bytes, 0);
}
