//! The gateway of the sample year: the real recorder and the real ledger, with clocks that the script moves.

use lineside_proto::booking::{Book, Trust};
use lineside_proto::ledger::{
    Audit, Boot, ConfigLeaf, Correction, GapReason, LeafBody, SessionEvent, Shutdown,
};
use lineside_proto::{CheckIn, ClockStatus, Identifier, Time};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::script::Deed;
use crate::clock::Stamp;
use crate::config::Config;
use crate::config::model::{MachineMap, Publish, Telemetry};
use crate::ledger::{Ledger, Opened};
use crate::machine::account::Word;
use crate::machine::availability::Origin;
use crate::machine::memory::Folded;
use crate::machine::recorder::{Commit, Input, Recorder, Resume};
use crate::machine::session::Rules;
use crate::maps::Maps;
use crate::progress::{Extent, Progress};
use crate::record::Entry;
use crate::sample::{Batch, Observation, Sample, Slot};

/// Entries that are written together: durable in one go, as nobody waits for them here.
const ENTRIES_AT_ONCE: usize = 4_096;

/// Nobody reads the sample's availability, so that it is said as rarely as may be.
const HEARTBEAT: Duration = Duration::from_secs(86_400);

/// Who keeps the gateway.
const KEEPER: &str = "operator";

/// The clocks.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    letter: ClockStatus,
    /// When the gateway booted, in true time.
    booted: i64,
    /// What the wall clock shows too much since then.
    error_ms: i64,
    since: i64,
    gain_ppm: i64,
}

impl Clocks {
    fn error_ms(&self, at: i64) -> i64 {
        self.error_ms + (at - self.since) * self.gain_ppm / 1_000_000
    }

    fn stamp(&self, at: i64) -> Stamp {
        Stamp {
            boot_ms: u64::try_from(at - self.booted).unwrap_or(0),
            wall: Time::from_millis(at + self.error_ms(at)),
        }
    }
}

/// The agent as it runs.
struct Life {
    recorder: Recorder,
    progress: Progress,
}

/// The gateway.
pub(super) struct Gateway {
    state_dir: PathBuf,
    origin: Origin,
    genesis: Opened,
    ledger: Ledger,
    maps: Maps,
    book: Book,
    machines: BTreeMap<Identifier, (Arc<MachineMap>, Slot)>,
    life: Option<Life>,
    clocks: Clocks,
    entries: Vec<Entry>,
    boots: u64,
    slots: u32,
    seed: u64,
    /// How the run before ended.
    previous: Shutdown,
    /// The newest leaf that ends a session.
    ended: Option<u64>,
}

impl Gateway {
    /// A gateway that was never switched on.
    pub(super) fn new(config: &Config, seed: u64) -> anyhow::Result<Self> {
        let gateway = &config.gateway;
        let settings = &gateway.ledger;
        let (ledger, genesis) = Ledger::open(&gateway.state_dir, &settings.key, &settings.origin)?;
        let trust = Trust {
            keys: gateway.bookings.issuer_keys.clone(),
            own: gateway.sessions.own.clone(),
            affiliates: gateway.sessions.affiliates.clone(),
        };
        let machines = config.machines.iter();
        Ok(Self {
            state_dir: gateway.state_dir.clone(),
            origin: Origin {
                site: gateway.site.clone(),
                gateway: gateway.id.clone(),
                boot: String::new(),
                heartbeat: HEARTBEAT,
            },
            genesis,
            ledger,
            maps: Maps::open(&gateway.state_dir)?,
            book: Book::new(gateway.site.clone(), gateway.id.clone(), trust),
            machines: machines
                .map(|map| (map.machine.clone(), (Arc::clone(map), Slot(0))))
                .collect(),
            life: None,
            clocks: Clocks {
                letter: ClockStatus::U,
                booted: 0,
                error_ms: 0,
                since: 0,
                gain_ppm: 0,
            },
            entries: Vec::new(),
            boots: 0,
            slots: 0,
            seed,
            previous: Shutdown::None,
            ended: None,
        })
    }

    /// Whether the agent runs.
    pub(super) fn is_running(&self) -> bool {
        self.life.is_some()
    }

    /// The ledger.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Leaves so far.
    pub(super) fn size(&self) -> u64 {
        self.ledger.size() + self.entries.len() as u64
    }

    /// What the wall clock shows.
    pub(super) fn wall(&self, at: i64) -> Time {
        self.clocks.stamp(at).wall
    }

    /// The clock is set, or can be trusted otherwise.
    pub(super) fn set_clock(
        &mut self,
        at: i64,
        letter: ClockStatus,
        error_ms: Option<i64>,
        gain_ppm: i64,
    ) {
        self.clocks.error_ms = error_ms.unwrap_or(self.clocks.error_ms(at));
        (self.clocks.since, self.clocks.gain_ppm) = (at, gain_ppm);
        self.clocks.letter = letter;
        if let Some(life) = &mut self.life {
            life.recorder.set_clock(letter, None);
        }
    }

    /// The agent starts.
    pub(super) fn start(&mut self, at: i64, is_boot: bool) -> anyhow::Result<()> {
        if is_boot {
            self.boots += 1;
            self.clocks.booted = at - 41_000;
            // The shape of a kernel's boot id.
            self.origin.boot = format!(
                "{:08x}-0000-4000-8000-{:012x}",
                self.seed & 0xffff_ffff,
                self.boots
            );
        }
        let telemetry = Telemetry {
            batch: Duration::from_secs(3_600),
            full_every: Duration::from_secs(86_400),
            publish: Publish::None,
            external: crate::config::model::External::Publish,
        };
        let origin = self.origin.clone();
        let mut recorder = Recorder::new(origin, telemetry, Rules::default(), "sample");
        recorder.set_clock(self.clocks.letter, None);
        let progress = Progress::open(&self.state_dir, &self.origin.boot)?;
        let name = self.ledger.origin();
        let extent = Extent {
            origin: &name,
            leaves: self.ledger.size(),
        };
        let folded = Folded::new(progress.recalled(extent));
        self.life = Some(Life { recorder, progress });
        if self.size() == 0 {
            let genesis = self
                .genesis
                .genesis(&self.origin.site, &self.origin.gateway);
            self.write(at, genesis)?;
        }
        let boot = LeafBody::Boot(Boot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: format!("sha256:{:064x}", self.seed),
            previous: self.previous,
            clock: self.clocks.letter,
            error_ms: None,
        });
        self.write(at, boot)?;
        self.previous = Shutdown::Crash;
        let machines: Vec<Identifier> = self.machines.keys().cloned().collect();
        for machine in &machines {
            let evidence = self.life.as_ref().and_then(|life| {
                let now = self.clocks.stamp(at);
                life.progress.evidence(machine, now)
            });
            let memory = folded.memory(machine).cloned();
            let resume = Resume {
                seq_next: 1,
                evidence,
                absent: true,
                memory: memory.map(Box::new),
                reason: GapReason::Agent,
            };
            self.join(at, machine, resume)?;
        }
        Ok(())
    }

    fn join(&mut self, at: i64, machine: &Identifier, resume: Resume) -> anyhow::Result<()> {
        self.slots += 1;
        let slot = Slot(self.slots);
        let Some((map, place)) = self.machines.get_mut(machine) else {
            return Ok(());
        };
        *place = slot;
        let map = Arc::clone(map);
        self.maps.keep(&map)?;
        let config = LeafBody::Config(ConfigLeaf {
            machine: machine.clone(),
            map: map.hash.clone(),
            files: map.files.clone(),
        });
        self.write(at, config)?;
        let now = self.clocks.stamp(at);
        if let Some(life) = &mut self.life {
            life.recorder.join(slot, map, resume, now);
        }
        self.handle(&Input::Tick(now))?;
        let bookings = self.book.in_force(machine).into();
        self.handle(&Input::Bookings {
            machine: machine.clone(),
            bookings,
            at: now,
        })
    }

    /// The agent stops as it should.
    pub(super) fn stop(&mut self, at: i64) -> anyhow::Result<()> {
        self.handle(&Input::Tick(self.clocks.stamp(at)))?;
        let Some(mut life) = self.life.take() else {
            return Ok(());
        };
        self.keep(life.recorder.finish())?;
        self.previous = Shutdown::Clean;
        self.remember(&mut life)
    }

    /// The power goes. What was read is remembered every second.
    pub(super) fn cut(&mut self, at: i64) -> anyhow::Result<()> {
        self.handle(&Input::Tick(self.clocks.stamp(at)))?;
        match self.life.take() {
            Some(mut life) => self.remember(&mut life),
            None => Ok(()),
        }
    }

    fn remember(&mut self, life: &mut Life) -> anyhow::Result<()> {
        self.flush()?;
        let origin = self.ledger.origin();
        let extent = Extent {
            origin: &origin,
            leaves: self.ledger.size(),
        };
        let recorder = &life.recorder;
        let written = life
            .progress
            .write(recorder.evidence(), recorder.memory(), extent);
        Ok(written?)
    }

    /// Another map of a machine counts from now on.
    pub(super) fn change_map(&mut self, at: i64, map: &Arc<MachineMap>) -> anyhow::Result<()> {
        let machine = map.machine.clone();
        let what = format!("{machine}.toml");
        self.audit(at, "apply", &what)?;
        let Some((known, slot)) = self.machines.get_mut(&machine) else {
            return Ok(());
        };
        *known = Arc::clone(map);
        let slot = *slot;
        let mut commit = Commit::default();
        let life = self.life.as_mut();
        let resume = life.and_then(|life| life.recorder.leave(slot, &mut commit));
        self.keep(commit)?;
        match resume {
            Some(resume) => self.join(at, &machine, resume),
            None => Ok(()),
        }
    }

    /// Somebody says that the newest session's end is wrong.
    pub(super) fn correct(&mut self, at: i64) -> anyhow::Result<()> {
        let Some(refers) = self.ended else {
            return Ok(());
        };
        self.audit(at, "correct", &refers.to_string())?;
        let correction = LeafBody::Correction(Correction {
            refers,
            reason: "the renter had left an hour earlier; the invoice was changed".to_owned(),
            by: KEEPER.to_owned(),
        });
        self.write(at, correction)
    }

    fn audit(&mut self, at: i64, action: &str, what: &str) -> anyhow::Result<()> {
        let audit = LeafBody::Audit(Audit {
            who: KEEPER.to_owned(),
            action: action.to_owned(),
            what: what.to_owned(),
        });
        self.write(at, audit)
    }

    /// What was read of a machine.
    pub(super) fn read(
        &mut self,
        at: i64,
        machine: &Identifier,
        samples: Vec<Sample>,
    ) -> anyhow::Result<()> {
        let Some((_, slot)) = self.machines.get(machine) else {
            return Ok(());
        };
        let batch = Batch {
            slot: *slot,
            group: 0,
            at: self.clocks.stamp(at),
            source: None,
            samples,
        };
        self.handle(&Input::Seen(Observation::Batch(batch)))
    }

    /// Time passes.
    pub(super) fn tick(&mut self, at: i64) -> anyhow::Result<()> {
        self.handle(&Input::Tick(self.clocks.stamp(at)))
    }

    /// The portal says something of a machine. What it says while the agent does not run is lost here.
    pub(super) fn mail(
        &mut self,
        at: i64,
        machine: &Identifier,
        payload: &[u8],
    ) -> anyhow::Result<()> {
        if self.life.is_none() {
            return Ok(());
        }
        let now = self.clocks.stamp(at);
        let letter = self.clocks.letter;
        let received = self.book.receive(machine, payload, now.wall, letter);
        if let Some(refused) = received.ack.refused.first() {
            anyhow::bail!("the sample's portal was refused: {}", refused.text);
        }
        if let Some(bookings) = received.changed {
            self.handle(&Input::Bookings {
                machine: machine.clone(),
                bookings: bookings.into(),
                at: now,
            })?;
        }
        if let Some(arrival) = received.check_in {
            let word = Word {
                booking: arrival.booking.clone(),
                issued: arrival.issued,
            };
            self.handle(&Input::CheckIn {
                machine: machine.clone(),
                booking: Some(arrival.booking.id),
                class: None,
                check_in: CheckIn::Portal,
                word: Some(Box::new(word)),
                by: None,
                at: now,
            })?;
        }
        Ok(())
    }

    /// Somebody at a machine checks in or out.
    pub(super) fn visit(
        &mut self,
        at: i64,
        machine: &Identifier,
        deed: Deed,
    ) -> anyhow::Result<()> {
        let machine = machine.clone();
        let now = self.clocks.stamp(at);
        let by = Some("keeper-1".to_owned());
        match deed {
            Deed::CheckIn(class) => {
                self.audit(at, "session-start", machine.as_str())?;
                self.handle(&Input::CheckIn {
                    machine,
                    booking: None,
                    class: Some(class),
                    check_in: CheckIn::Local,
                    word: None,
                    by,
                    at: now,
                })
            }
            Deed::CheckOut => {
                self.audit(at, "session-stop", machine.as_str())?;
                self.handle(&Input::CheckOut {
                    machine,
                    by,
                    at: now,
                })
            }
        }
    }

    fn handle(&mut self, input: &Input) -> anyhow::Result<()> {
        match &mut self.life {
            Some(life) => {
                let commit = life.recorder.handle(input);
                self.keep(commit)
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, at: i64, body: LeafBody) -> anyhow::Result<()> {
        let at = self.clocks.stamp(at);
        let leaves = vec![Entry { at, body }];
        self.keep(Commit {
            leaves,
            ..Commit::default()
        })
    }

    fn keep(&mut self, commit: Commit) -> anyhow::Result<()> {
        for entry in commit.leaves {
            if matches!(&entry.body, LeafBody::Session(said) if said.event == SessionEvent::Close) {
                self.ended = Some(self.size());
            }
            self.entries.push(entry);
        }
        if self.entries.len() >= ENTRIES_AT_ONCE {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes durable what was said.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let entries = std::mem::take(&mut self.entries);
        self.ledger.append(&self.origin.boot, &entries)?;
        Ok(())
    }
}
