//! Which logs of a gateway tell of a period: its ledger may have been begun anew in it, each time with a first leaf that cites
//! the one before.

use lineside_proto::ledger::Genesis;
use lineside_proto::{CheckpointResult, Identifier, Period, Time};
use std::sync::Arc;

use super::informant::Informant;
use super::inquiry::{Inquiry, PullError, Rhythm};
use super::named::Named;
use super::plan::{beginning, leaf, told, unverified};
use crate::archive::cards::{base_of, epoch_of};
use crate::ledger::head::origin;

/// Logs of a gateway that are looked for at most.
const EPOCHS_MAX: usize = 64;

/// Epochs that are tried one after the other where one can't be had: numbers may have been left out.
const PASSED_MAX: usize = 8;

/// Epochs that are put off at most; then no others before them are tried.
const PUT_OFF_MAX: u32 = 2;

/// One log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Its origin.
    pub origin: String,
    /// The epoch.
    pub epoch: u32,
    /// Leaves that the next one cites of it; 0 of the newest.
    pub cited: u64,
}

/// Those of a period.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logs {
    /// The site and the gateway, by the ledger's own word.
    pub gateway: (Identifier, Identifier),
    /// The logs, oldest first; one at least.
    pub logs: Vec<Log>,
    /// Epochs that may tell of the period, too, and that can't be had here.
    pub missing: Vec<u32>,
    /// The gateway's newest epoch, whether or not it tells of the period.
    pub newest: u32,
}

impl Logs {
    /// Asks for them. Nothing of it is verified: what is fetched of each log is.
    ///
    /// # Errors
    ///
    /// Whatever comes of asking.
    pub async fn ask<I: Informant>(
        informant: &Arc<I>,
        rhythm: Rhythm,
        period: Period,
    ) -> Result<Self, PullError> {
        let newest = Inquiry::new(Arc::clone(informant), rhythm);
        let (mut genesis, mut at) = beginning(&newest).await?;
        let gateway = (genesis.site.clone(), genesis.gateway.clone());
        let newest = genesis.epoch;
        let mut put_off = 0;
        let (mut found, mut missing): (Vec<(Log, Time)>, _) = (Vec::new(), Vec::new());
        let mut cited = 0;
        loop {
            let log = Log {
                origin: genesis.origin.clone(),
                epoch: genesis.epoch,
                cited,
            };
            let before = Cited::by(&genesis, at, period);
            found.push((log, at));
            let Some(before) = before else { break };
            if found.len() + missing.len() >= EPOCHS_MAX {
                missing.push(before.epoch);
                break;
            }
            cited = before.size;
            let mut next = before.begin(informant, rhythm, &mut put_off).await?;
            if next.is_none() {
                missing.push(before.epoch);
                cited = 0;
                next = before
                    .begin_before(informant, rhythm, period, &mut put_off)
                    .await?;
            }
            let Some(next) = next else { break };
            (genesis, at) = next;
        }
        // Those that began after it don't either; where all did, the oldest may.
        let begun = found
            .iter()
            .filter(|(_, at)| *at < period.to)
            .count()
            .max(1);
        let all = found.len();
        let logs = found.into_iter().skip(all - begun).rev();
        let logs = logs.map(|(log, _)| log).collect();
        Ok(Self {
            gateway,
            logs,
            missing,
            newest,
        })
    }
}

/// A log that the next epoch cites, and that may tell of a period, too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cited {
    /// Its epoch.
    pub epoch: u32,
    /// Leaves of it that are cited.
    pub size: u64,
    origin: String,
}

impl Cited {
    /// What a first leaf of this time cites; none where the epoch before had ended when the period began.
    fn by(genesis: &Genesis, at: Time, period: Period) -> Option<Self> {
        let prior = genesis.prior.as_ref();
        let prior = prior.filter(|prior| prior.size > 0 && at > period.from)?;
        let epoch = epoch_of(base_of(&genesis.origin), &prior.origin)?;
        (epoch < genesis.epoch).then(|| Self {
            epoch,
            size: prior.size,
            origin: prior.origin.clone(),
        })
    }

    /// How it begins; none where whoever is asked does not have it, or puts that off, of which there is an end.
    ///
    /// # Errors
    ///
    /// Whatever else comes of asking.
    async fn begin<I: Informant>(
        &self,
        informant: &Arc<I>,
        rhythm: Rhythm,
        put_off: &mut u32,
    ) -> Result<Option<(Genesis, Time)>, PullError> {
        if *put_off >= PUT_OFF_MAX {
            return Ok(None);
        }
        let named = Inquiry::new(Named::new(informant, &self.origin), rhythm);
        match beginning(&named).await {
            Ok((genesis, at)) => {
                let is_it = genesis.origin == self.origin && genesis.epoch == self.epoch;
                Ok(is_it.then_some((genesis, at)))
            }
            Err(PullError::Refused { .. } | PullError::Lies(_)) => Ok(None),
            Err(PullError::PutOff(_)) => {
                *put_off += 1;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How the newest of the epochs before it begins that can be had, where it can't itself: what it cites is not known then.
    /// None where that one has nothing of the period.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    async fn begin_before<I: Informant>(
        &self,
        informant: &Arc<I>,
        rhythm: Rhythm,
        period: Period,
        put_off: &mut u32,
    ) -> Result<Option<(Genesis, Time)>, PullError> {
        let base = base_of(&self.origin);
        for epoch in (1..self.epoch).rev().take(PASSED_MAX) {
            let lower = Self {
                epoch,
                size: 0,
                origin: origin(base, epoch),
            };
            let begun = lower.begin(informant, rhythm, put_off).await?;
            if begun.is_some() {
                let named = Inquiry::new(Named::new(informant, &lower.origin), rhythm);
                // Only one that says that it has nothing is believed to.
                let has_nothing = matches!(told(&named, period).await, Ok(None));
                return Ok(begun.filter(|_| !has_nothing));
            }
        }
        Ok(None)
    }
}

/// The ends of what is signed of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Leaves.
    pub size: u64,
    /// When the first was established.
    pub first: Time,
    /// When the last was.
    pub last: Time,
}

impl Ends {
    /// Asks for them.
    ///
    /// # Errors
    ///
    /// Whatever comes of asking.
    pub async fn ask<I: Informant>(inquiry: &Inquiry<I>) -> Result<Self, PullError> {
        let newest: CheckpointResult = inquiry.ask_one("ledger.checkpoint", ()).await?;
        let size = unverified(&newest.checkpoint)?.size;
        let at = async |index| Ok(leaf(inquiry, index).await?.leaf.head.at);
        Ok(Self {
            size,
            first: at(0).await?,
            last: at(size.saturating_sub(1)).await?,
        })
    }
}

/// The epoch before that a log cites, where that may tell of a period, too.
///
/// # Errors
///
/// Whatever comes of asking.
pub async fn cites<I: Informant>(
    inquiry: &Inquiry<I>,
    period: Period,
) -> Result<Option<Cited>, PullError> {
    let (genesis, at) = beginning(inquiry).await?;
    Ok(Cited::by(&genesis, at, period))
}

#[cfg(test)]
mod tests {
    use super::{Log, Logs};
    use crate::archive::testing::{City, at, name};
    use crate::evidence::copied::Copied;
    use crate::evidence::inquiry::Rhythm;
    use lineside_proto::Period;
    use std::cell::Cell;
    use std::fs;
    use std::sync::Arc;

    #[tokio::test]
    async fn each_log_of_a_period_is_found_and_one_that_is_not_there_is_named() {
        let city = City::new();
        let gateway = city.gateway("zs", "gw");
        gateway.grow(3, 1);
        let first = gateway.ledger.size();
        let gateway = gateway.next_epoch(10);
        gateway.grow(4, 11);
        let second = gateway.ledger.size();
        let gateway = gateway.next_epoch(60);
        gateway.grow(3, 61);
        let state = gateway.state.clone();
        drop(gateway);
        let base = "lineside/zs/gw";
        let is_known = Cell::new(true);
        let log = |epoch: u32| Log {
            origin: if epoch == 1 {
                base.to_owned()
            } else {
                format!("{base}/e{epoch}")
            },
            epoch,
            cited: match epoch {
                1 if is_known.get() => first,
                2 => second,
                _ => 0,
            },
        };
        let check = async |from: i64, to: i64, epochs: &[u32], missing: &[u32]| {
            let informant = Arc::new(Copied::open(&state).unwrap());
            let period = Period {
                from: at(from),
                to: at(to),
            };
            let found = Logs::ask(&informant, Rhythm::default(), period)
                .await
                .unwrap();
            let expected = Logs {
                gateway: (name("zs"), name("gw")),
                logs: epochs.iter().copied().map(log).collect(),
                missing: missing.to_vec(),
                newest: 3,
            };
            assert_eq!(found, expected, "{from} to {to}");
        };
        check(0, 70, &[1, 2, 3], &[]).await;
        check(0, 15, &[1, 2], &[]).await;
        check(0, 5, &[1], &[]).await;
        check(12, 70, &[2, 3], &[]).await;
        check(60, 70, &[3], &[]).await;
        check(-9, -5, &[1], &[]).await;
        // What was put aside is lost.
        let first = (state.join("ledger.e1"), state.join("away"));
        fs::rename(&first.0, &first.1).unwrap();
        check(0, 70, &[2, 3], &[1]).await;
        check(12, 70, &[2, 3], &[]).await;
        fs::remove_dir_all(state.join("ledger.e2")).unwrap();
        check(12, 70, &[3], &[2]).await;
        // One between others keeps those before it from nobody; how much of them is cited, nobody can say.
        fs::rename(&first.1, &first.0).unwrap();
        is_known.set(false);
        check(0, 70, &[1, 3], &[2]).await;
        check(9, 70, &[1, 3], &[2]).await;
        // It ended more than a day before the period.
        check(40, 70, &[3], &[2]).await;
    }
}
