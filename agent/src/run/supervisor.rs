//! The supervisor: owns the field and the list of machines, applies reloads, answers questions.

use lineside_proto::ledger::{Audit, Correction};
use lineside_proto::{Identifier, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, Refused, Reply};
use super::clock_document;
use super::probed::{ProbeFailure, Probed, places, probed};
use super::recording::{Order, Parting};
use super::sessions::{self, PastSession};
use crate::clock::{Clock, Discipline};
use crate::config::model::{Gateway, MachineMap};
use crate::config::{self, Faults};
use crate::field::{Field, Texts};
use crate::ledger::Ledger;
use crate::live::{LedgerFigures, Live, LiveMachine, UplinkFigures};
use crate::logs::chain;
use crate::outbox::Outbox;
use crate::sample::Slot;
use crate::text;

/// Why a reload was refused: the old configuration keeps running.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The files have faults.
    #[error("the configuration has faults")]
    Faults(Faults),
}

/// What a reload changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Difference {
    /// Machines that come.
    pub added: Vec<Identifier>,
    /// Machines that go.
    pub removed: Vec<Identifier>,
    /// Machines whose map changed.
    pub changed: Vec<Identifier>,
    /// Machines that are not touched.
    pub unchanged: Vec<Identifier>,
    /// Whether `gateway.toml` changed in a way that only a restart can take up.
    pub restart: bool,
}

impl Difference {
    /// The same in one line of bounded length: names of what changed, as far as they fit.
    fn in_short(&self) -> String {
        let mut said = String::new();
        for (mark, machines) in [
            ("+", &self.added),
            ("-", &self.removed),
            ("~", &self.changed),
        ] {
            for machine in machines {
                if said.len() + machine.as_str().len() > WHAT_BYTES_MAX {
                    return said + " …";
                }
                let space = if said.is_empty() { "" } else { " " };
                said += &format!("{space}{mark}{machine}");
            }
        }
        said
    }
}

/// Bytes of what an audit leaf says was changed: the leaf holds 4,096 with all else.
const WHAT_BYTES_MAX: usize = 1024;

fn audit(who: String, action: &str, what: String) -> Audit {
    Audit {
        who,
        action: action.to_owned(),
        what,
    }
}

/// How often it is looked whether a link was lost to a fault in the program.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The supervisor's own things.
pub(super) struct Supervisor {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started: Time,
    pub(super) gateway: Gateway,
    pub(super) config_path: PathBuf,
    pub(super) field: Field,
    pub(super) machines: Vec<(Slot, Arc<MachineMap>)>,
    pub(super) slot_next: u32,
    /// What was last said of each machine's enumerations.
    pub(super) texts: BTreeMap<Slot, Vec<(u16, Texts)>>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) outbox: Outbox,
    pub(super) ledger: Ledger,
    pub(super) discipline: watch::Receiver<Discipline>,
    pub(super) uplink: watch::Receiver<UplinkFigures>,
}

impl Supervisor {
    /// Takes the machines in and answers questions until told to stop; then ends every link.
    pub(super) async fn start(
        mut self,
        machines: Vec<Arc<MachineMap>>,
        mut asks: mpsc::Receiver<Ask>,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        self.change(machines).await;
        tokio::spawn(async move {
            let mut look = tokio::time::interval(LOOK_EVERY);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                let ask = tokio::select! {
                    () = stop.cancelled() => break,
                    _ = look.tick() => {
                        self.field.revive().await;
                        continue;
                    }
                    ask = asks.recv() => ask,
                    () = self.field.texts_changed() => {
                        self.say_texts().await;
                        continue;
                    }
                };
                let Some(ask) = ask else { break };
                self.answer(ask).await;
            }
            self.field.stop().await;
        })
    }

    /// Answers one question. An asker who no longer waits is no fault.
    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Live(reply) => {
                let live = self.snapshot().await;
                drop(reply.send(live));
            }
            Ask::Reload { apply, who, reply } => {
                let result = self.reload(apply, who).await;
                drop(reply.send(result));
            }
            Ask::Probe {
                machine,
                points,
                reply,
            } => {
                let result = self.probe(&machine, &points).await;
                drop(reply.send(result));
            }
            Ask::Sessions { machine, reply } => self.sessions(machine, reply),
            // The recorder answers these itself; where it has ended, the reply goes with the order.
            Ask::CheckIn {
                arrival,
                who,
                reply,
            } => {
                let audit = audit(who, "session-start", arrival.machine.to_string());
                self.order(Order::CheckIn(arrival, audit, reply)).await;
            }
            Ask::CheckOut {
                departure,
                who,
                reply,
            } => {
                let audit = audit(who, "session-stop", departure.machine.to_string());
                self.order(Order::CheckOut(departure, audit, reply)).await;
            }
            Ask::Correct {
                refers,
                reason,
                by,
                who,
                reply,
            } => {
                let correction = Correction { refers, reason, by };
                let audit = audit(who, "correct", refers.to_string());
                self.order(Order::Correct(correction, audit, reply)).await;
            }
            Ask::RotateKey { finish, who, reply } => {
                let action = if finish {
                    "keys-rotate-finish"
                } else {
                    "keys-rotate"
                };
                let audit = audit(who, action, self.gateway.ledger.origin.clone());
                let order = if finish {
                    Order::FinishKey
                } else {
                    Order::RotateKey
                };
                self.order(order(audit, reply)).await;
            }
        }
    }

    /// Looks sessions up beside everything else: that reads the disk.
    fn sessions(&self, machine: Identifier, reply: Reply<Vec<PastSession>>) {
        let ledger = self.ledger.clone();
        tokio::task::spawn_blocking(move || {
            let told = sessions::recent(&ledger, &machine).map_err(|error| {
                let said = chain(&error);
                Refused::Unavailable(text!(
                    "the ledger can't be read: {said}",
                    "无法读取台账：{said}"
                ))
            });
            drop(reply.send(told));
        });
    }

    async fn snapshot(&self) -> Live {
        let (reply, answer) = oneshot::channel();
        let machines = match self.orders.send(Order::Snapshot(reply)).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let machines = machines
            .into_iter()
            .map(|(slot, machine)| LiveMachine {
                links: self.field.figures(slot),
                ..machine
            })
            .collect();
        self.live(machines)
    }

    /// A snapshot with the given machines.
    pub(super) fn live(&self, machines: Vec<LiveMachine>) -> Live {
        Live {
            site: self.gateway.site.clone(),
            gateway: self.gateway.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            at: self.clock.now().wall,
            clock: clock_document(*self.discipline.borrow()),
            machines,
            uplink: self.uplink.borrow().clone(),
            outbox: self.outbox.figures(),
            ledger: Some(LedgerFigures {
                origin: self.ledger.origin(),
                size: self.ledger.size(),
                signed: self.ledger.signed(),
                delivered: self.ledger.delivered(),
                acknowledged: self.ledger.acknowledged(),
                cosigned: self.ledger.cosigned(),
                quorum: u64::try_from(self.ledger.quorum()).unwrap_or(u64::MAX),
                witnesses: self.ledger.witnesses(self.clock.now().wall),
                suspended: self.ledger.suspended().map(|why| why.to_string()),
                keys: self.ledger.keys().iter().map(ToString::to_string).collect(),
            }),
        }
    }

    async fn probe(
        &self,
        machine: &Identifier,
        points: &[String],
    ) -> Result<Vec<Probed>, ProbeFailure> {
        let (slot, map) = self
            .machines
            .iter()
            .find(|(_, map)| map.machine == *machine)
            .ok_or_else(|| ProbeFailure::UnknownMachine(machine.to_string()))?;
        let readings = self.field.probe(*slot, places(map, points)?).await?;
        Ok(probed(map, readings))
    }

    async fn reload(&mut self, apply: bool, who: String) -> Result<Difference, ReloadError> {
        let path = self.config_path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let config = match loaded {
            Ok(Ok(loaded)) => loaded.config,
            Ok(Err(faults)) => return Err(ReloadError::Faults(faults)),
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        let mut difference = self.difference(&config.machines);
        difference.restart = config.gateway != self.gateway;
        if apply {
            self.change(config.machines).await;
            let audit = audit(who, "apply", difference.in_short());
            self.order(Order::Audit(audit)).await;
            tracing::info!(
                added = difference.added.len(),
                removed = difference.removed.len(),
                changed = difference.changed.len(),
                unchanged = difference.unchanged.len(),
                "configuration applied"
            );
            if difference.restart {
                tracing::warn!("gateway.toml changed: its settings take effect at the next start");
            }
        }
        Ok(difference)
    }

    fn difference(&self, machines: &[Arc<MachineMap>]) -> Difference {
        let mut difference = Difference::default();
        let mut old: BTreeMap<_, _> = self
            .machines
            .iter()
            .map(|(_, map)| (&map.machine, &map.fingerprint))
            .collect();
        for map in machines {
            let list = match old.remove(&map.machine) {
                None => &mut difference.added,
                Some(fingerprint) if *fingerprint == map.fingerprint => &mut difference.unchanged,
                Some(_) => &mut difference.changed,
            };
            list.push(map.machine.clone());
        }
        difference.removed = old.into_keys().cloned().collect();
        difference
    }

    /// Makes these the machines. One whose map did not change keeps its slot and is not touched.
    async fn change(&mut self, machines: Vec<Arc<MachineMap>>) {
        let mut old: BTreeMap<Identifier, (Slot, Arc<MachineMap>)> = self
            .machines
            .drain(..)
            .map(|(slot, map)| (map.machine.clone(), (slot, map)))
            .collect();
        let mut joining = Vec::new();
        for map in machines {
            match old.remove(&map.machine) {
                Some((slot, before)) if before.fingerprint == map.fingerprint => {
                    if before.files != map.files {
                        self.order(Order::Files(Arc::clone(&map))).await;
                    }
                    self.machines.push((slot, map));
                }
                other => {
                    if let Some((slot, _)) = other {
                        self.order(Order::Leave(slot, Parting::Changed)).await;
                    }
                    let slot = Slot(self.slot_next);
                    self.slot_next += 1;
                    joining.push((slot, Arc::clone(&map)));
                    self.machines.push((slot, map));
                }
            }
        }
        for (slot, _) in old.into_values() {
            self.order(Order::Leave(slot, Parting::Gone)).await;
        }
        for (slot, map) in joining {
            self.order(Order::Join(slot, map)).await;
        }
        self.field.apply(&self.machines).await;
    }

    /// Has the map document of each machine whose enumerations have other texts now said anew.
    async fn say_texts(&mut self) {
        let mut texts = BTreeMap::new();
        for (slot, _) in &self.machines {
            let now = self.field.texts(*slot);
            let before = self.texts.get(slot);
            if before.map_or(!now.is_empty(), |before| *before != now) {
                self.order(Order::Texts(*slot, now.clone())).await;
            }
            texts.insert(*slot, now);
        }
        self.texts = texts;
    }

    async fn order(&self, order: Order) {
        if self.orders.send(order).await.is_err() {
            // The agent is on its way down; whoever waits for it says why.
            tracing::debug!("the recorder has ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Difference, WHAT_BYTES_MAX};

    #[test]
    fn a_difference_in_short_names_what_changed_and_is_bounded() {
        let named = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let difference = Difference {
            added: named(&["a", "b"]),
            removed: named(&["c"]),
            changed: named(&["d"]),
            unchanged: named(&["e"]),
            restart: true,
        };
        assert_eq!(difference.in_short(), "+a +b -c ~d");
        assert_eq!(Difference::default().in_short(), "");
        let many: Vec<String> = (0..200).map(|n| format!("machine-{n}")).collect();
        let difference = Difference {
            changed: named(&many.iter().map(String::as_str).collect::<Vec<_>>()),
            ..Difference::default()
        };
        let said = difference.in_short();
        assert!(said.len() <= WHAT_BYTES_MAX + 70, "{}", said.len());
        assert!(
            said.starts_with("~machine-0 ~machine-1 ") && said.ends_with(" …"),
            "{said}"
        );
    }
}
