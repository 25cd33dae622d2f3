//! Portals that join at random moments, and what they may be told: a machine is shown as available
//! only if it really was, a bounded time ago.

use anyhow::{Result, ensure};
use fastrand::Rng;
use lineside_proto::{Availability, AvailableNow, GatewayStatus, Receipt, believed};
use lineside_tests::broker::Persistence;
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::site::Site;
use lineside_tests::subscriber::{Event, Subscriber};
use lineside_tests::wait;
use std::time::Duration;

use crate::availability::{SAID_MS, map};
use lineside_tests::stand::{QUICK, Stand};

/// Three heartbeats of a second: for so long a portal believes what it has received.
const MAX_AGE_MS: i64 = 3_000;
/// What the harness itself may need between doing something and writing down when, and a busy machine
/// beyond that.
const SLACK_MS: i64 = 1_000;
/// How closely the portals are looked at.
const STEP_MS: usize = 50;

/// When the machine could really be used and somebody could know: spans on the boot clock.
#[derive(Default)]
struct Truth {
    spans: Vec<(i64, i64)>,
    since: Option<i64>,
}

impl Truth {
    fn available(&mut self) {
        self.since.get_or_insert_with(wait::boot_ms);
    }

    /// To be called after it has ceased to be so.
    fn over(&mut self) {
        if let Some(since) = self.since.take() {
            self.spans.push((since, wait::boot_ms()));
        }
    }

    /// Whether it was so at some moment of the span.
    fn at_some_time(&self, from: i64, to: i64) -> bool {
        let open = self.since.is_some_and(|since| since <= to);
        open || self
            .spans
            .iter()
            .any(|(start, end)| *start <= to && from <= *end)
    }
}

/// What a portal made of what it received: for each step, whether it showed the machine as available.
fn shown(events: &[Event], until_ms: i64) -> Vec<(i64, bool)> {
    let first = events.iter().map(at_ms).next().unwrap_or(until_ms);
    let mut status: Option<Receipt<GatewayStatus>> = None;
    let mut availability: Option<Receipt<Availability>> = None;
    let mut rest = events.iter().peekable();
    let mut shown = Vec::new();
    for now in (first..until_ms).step_by(STEP_MS) {
        while let Some(event) = rest.next_if(|event| at_ms(event) <= now) {
            let Event::Message(message) = event else {
                continue;
            };
            let received_ms = u64::try_from(message.at_ms).unwrap_or_default();
            let (payload, expiry_s) = (message.payload.as_bytes(), message.expiry_s);
            if message.topic.ends_with("/status") {
                status = Receipt::read(payload, received_ms, message.retain, expiry_s);
            } else {
                availability = Receipt::read(payload, received_ms, message.retain, expiry_s);
            }
        }
        let now_ms = u64::try_from(now).unwrap_or_default();
        let belief = believed(status.as_ref(), availability.as_ref(), now_ms);
        shown.push((now, belief.available_now == AvailableNow::Yes));
    }
    shown
}

fn at_ms(event: &Event) -> i64 {
    match event {
        Event::Message(message) => message.at_ms,
        Event::Connected { at_ms, .. } | Event::Disconnected { at_ms, .. } => *at_ms,
    }
}

/// A machine, its agent and its broker, all of which fail, and the portals that look on.
struct Scene {
    stand: Stand,
    device: Device,
    mode: Cell,
    truth: Truth,
    portals: Vec<Subscriber>,
    rng: Rng,
}

impl Scene {
    fn begin() -> Result<Self> {
        let mode = Cell::new("holding", 0, "u16", 0);
        let device = Device::start(Transport::Tcp, &[(1, vec![mode.clone()])])?;
        // A session that nobody booked must not keep the machine taken for a quarter of an hour.
        let settings = format!("{QUICK}\n[sessions]\nidle-close = \"1s\"");
        let mut stand = Stand::new(Persistence::On, &settings)?;
        stand
            .site
            .machine("mill", &map(&device.connection("timeout = \"200ms\"")))?;
        let mut truth = Truth::default();
        truth.available();
        stand.start()?;
        Ok(Self {
            stand,
            device,
            mode,
            truth,
            portals: Vec::new(),
            rng: Rng::with_seed(11),
        })
    }

    /// Lets a random time pass, and a portal join at a random moment of it.
    fn pass(&mut self) -> Result<()> {
        let before = Duration::from_millis(self.rng.u64(0..2_000));
        wait::throughout(before, || Ok(()))?;
        let id = format!("portal-{}", self.portals.len());
        let topics = [Site::topic("status"), Site::topic("availability/+")];
        let topics = [&*topics[0], &*topics[1]];
        self.portals
            .push(Subscriber::joining(self.stand.broker.port(), &id, &topics)?);
        let after = Duration::from_millis(self.rng.u64(1_000..4_000));
        wait::throughout(after, || Ok(()))
    }

    fn mode(&mut self, value: u16) -> Result<()> {
        self.mode.value = value.into();
        self.device.set(1, &self.mode)
    }

    /// Available for long enough that everybody must have noticed.
    fn quiet_time(&mut self) -> Result<()> {
        self.truth.available();
        let mark = self.stand.archive.mark()?;
        self.stand.availability("mill", mark, |document, _| {
            (document.available_now == AvailableNow::Yes).then_some(())
        })?;
        self.pass()
    }

    fn agent_dies(&mut self) -> Result<()> {
        self.stand.kill()?;
        self.truth.over();
        self.pass()?;
        self.stand.start()
    }

    fn device_falls_silent(&mut self) -> Result<()> {
        self.device.silent(true)?;
        self.truth.over();
        self.pass()?;
        self.device.silent(false)
    }

    fn machine_runs(&mut self) -> Result<()> {
        self.mode(1)?;
        // Read at the latest one interval later: until then the device itself still says IDLE.
        self.truth.over();
        self.pass()?;
        self.mode(0)
    }

    fn link_to_the_broker_goes(&mut self) -> Result<()> {
        self.stand.proxy.freeze();
        self.truth.over();
        self.pass()?;
        self.stand.proxy.thaw();
        Ok(())
    }

    fn broker_restarts(&mut self, kill: bool) -> Result<()> {
        if kill {
            self.stand.broker.kill()?;
        } else {
            self.stand.broker.stop()?;
        }
        self.truth.over();
        self.pass()?;
        self.stand.broker.restart()
    }
}

#[test]
fn no_portal_ever_shows_a_machine_as_available_that_nobody_knows_to_be() -> Result<()> {
    let mut scene = Scene::begin()?;
    for _ in 0..2 {
        scene.quiet_time()?;
        scene.device_falls_silent()?;
        scene.quiet_time()?;
        scene.agent_dies()?;
        scene.quiet_time()?;
        scene.machine_runs()?;
        scene.quiet_time()?;
        scene.broker_restarts(false)?;
        scene.quiet_time()?;
        scene.link_to_the_broker_goes()?;
        scene.quiet_time()?;
        scene.broker_restarts(true)?;
        scene.quiet_time()?;
    }
    scene.truth.over();
    let until_ms = wait::boot_ms();
    let (mut steps, mut available) = (0, 0);
    let bound = SAID_MS + MAX_AGE_MS + SLACK_MS;
    for portal in &mut scene.portals {
        for (now, yes) in shown(portal.events()?, until_ms) {
            steps += 1;
            available += u64::from(yes);
            let was = scene.truth.at_some_time(now - bound, now);
            ensure!(
                !yes || was,
                "shown as available at {now}: {:?}",
                scene.truth.spans
            );
        }
    }
    eprintln!(
        "{} portals, {steps} looks, {available} showed the machine as available",
        scene.portals.len()
    );
    ensure!(
        available * 20 > steps,
        "the machine was hardly ever shown as available"
    );
    ensure!(
        available < steps,
        "the machine was always shown as available"
    );
    scene.stand.stop()?;
    scene.device.was_only_read()
}
