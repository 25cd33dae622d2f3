//! Gateways that are off: the city's archive may answer for them, whoever asks over the broker.
//!
//! Bounds: one that nobody answers for is waited for `SILENCE_MAX`, all of them together `WHOLE_MAX`; when an archive falls
//! silent that had begun to answer, `LOST_MAX` of its gateways are waited for. Each run begins with others, so that none
//! is left out for ever.

use futures_util::{StreamExt, stream};
use lineside_proto::Identifier;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::archived::{self, Over};
use super::pull::{Job, no_answer};
use crate::archive::Held;
use crate::cli::Failure;
use crate::evidence::inquiry::Rhythm;
use crate::evidence::wire::{Broker, Gateways, Seen, Wire};
use crate::evidence::{Informant, Inquiry, PullError};
use crate::text;

/// How long is waited for somebody who answers for one gateway. An archive reads a few files for it.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// And for all of them together.
const WHOLE_MAX: Duration = Duration::from_secs(300);
/// Gateways one after the other of which nothing comes any more though somebody answered for them; then no others are tried.
const LOST_MAX: u32 = 3;
/// How long an archive may put off a question, or fall silent: it does neither for long.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Epochs of a gateway at most: they are begun by hand.
const LOGS_MAX: usize = 256;

type Name = (Identifier, Identifier);

/// Who answers for a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answered {
    /// Somebody does.
    Yes,
    /// Nobody does.
    No,
    /// It was not asked for: no time was left.
    NotAsked,
}

/// Gateways that are there, in order of their names; and those that are off, in another order each time: many strangers
/// before those that an archive knows can't keep these from being asked for in every run.
pub(super) fn parted(gateways: Gateways) -> (Vec<Name>, Vec<Name>) {
    let (online, off): (Vec<_>, Vec<_>) = gateways.into_iter().partition(|(_, seen)| seen.online);
    let names = |of: Vec<(Name, Seen)>| of.into_iter().map(|(name, _)| name).collect();
    let mut off: Vec<Name> = names(off);
    fastrand::shuffle(&mut off);
    (names(online), off)
}

/// For which of these gateways somebody answers, so many asked for at once. First come those that are known first.
pub(super) async fn answered(
    off: Vec<Name>,
    window: usize,
    ask: impl AsyncFn(&Name, Duration) -> bool,
) -> Vec<(Name, Answered)> {
    let end = Instant::now() + WHOLE_MAX;
    let ask = &ask;
    let asked = off.into_iter().map(|gateway| async move {
        let patience = end.saturating_duration_since(Instant::now());
        let patience = patience.min(SILENCE_MAX);
        let answered = if patience.is_zero() {
            Answered::NotAsked
        } else if ask(&gateway, patience).await {
            Answered::Yes
        } else {
            Answered::No
        };
        (gateway, answered)
    });
    let asked = stream::iter(asked).buffer_unordered(window.max(1));
    asked.collect().await
}

/// How patiently is asked for a gateway, by what the broker keeps of it: if it is off, only an archive may answer.
pub(super) fn rhythm(usual: Rhythm, seen: Option<Seen>) -> Rhythm {
    if seen.is_none_or(|seen| seen.online) {
        return usual;
    }
    Rhythm {
        give_up: GIVE_UP,
        give_up_unheard: GIVE_UP,
        ..usual
    }
}

/// Fetches what whoever answers for a gateway has of it: archives say of which epochs they have leaves. Whether that is all.
///
/// # Errors
///
/// As those of every pull.
pub(super) async fn pull(
    job: &Job<'_>,
    broker: &Arc<Broker>,
    gateway: &Name,
    rhythm: Rhythm,
) -> Result<bool, Failure> {
    let wire = Wire::gathering(broker, &gateway.0, &gateway.1, None);
    let inquiry = Inquiry::new(wire, rhythm);
    match held(&inquiry, gateway).await.map_err(no_answer)? {
        Some((held, archives)) => {
            let source = Over {
                broker: Arc::clone(broker),
                rhythm,
                archives: u32::try_from(archives).unwrap_or(u32::MAX),
            };
            archived::over(job, source, &held).await
        }
        // It answers itself, or says why not.
        None => job.over(broker, gateway, rhythm).await,
    }
}

/// What archives say that they hold of a gateway, together, and how many say it; none where no archive answers, or the gateway does
/// after all.
async fn held<I: Informant>(
    inquiry: &Inquiry<I>,
    gateway: &Name,
) -> Result<Option<(Held, usize)>, PullError> {
    let said: Vec<Value> = match inquiry.ask("status", ()).await {
        Ok(said) => said,
        Err(PullError::Refused { .. } | PullError::Lies(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_asked =
        |site: &Identifier, named: &Identifier| (site, named) == (&gateway.0, &gateway.1);
    let mut all: Option<Held> = None;
    let archives = said.len();
    for said in said {
        let held = serde_json::from_value::<Held>(said).ok();
        let Some(mut held) = held.filter(|held| is_asked(&held.site, &held.gateway)) else {
            return Ok(None);
        };
        held.logs.retain(|log| is_asked(&log.site, &log.gateway));
        if held.logs.len() + held.unreadable.len() > LOGS_MAX {
            return Err(PullError::Lies(text!(
                "more epochs than any gateway has",
                "期数超过任何网关所能有的数量"
            )));
        }
        match &mut all {
            Some(all) => all.join(held),
            None => all = Some(held),
        }
    }
    Ok(all.map(|all| (all, archives)))
}

/// Whether others are still tried, after so many of which nothing came.
#[derive(Debug, Default)]
pub(super) struct Lost(u32);

impl Lost {
    pub(super) fn is_over(&self) -> bool {
        self.0 >= LOST_MAX
    }

    /// Takes in how it went with one.
    pub(super) fn note(&mut self, done: &Result<bool, Failure>) {
        let is_lost = matches!(done, Err(Failure::Unreachable(_)));
        self.0 = if is_lost { self.0.saturating_add(1) } else { 0 };
    }
}

/// Why one is not pulled, if it is not.
pub(super) fn refusal(answered: Answered, lost: &Lost) -> Option<Failure> {
    let why = match answered {
        Answered::Yes if lost.is_over() => text!(
            "it is offline, and the archive that answered for it fell silent: the same command goes on later, or ask the archive itself, by --archive DIR or URL",
            "离线，且代为应答的存证库已不再应答：稍后再次运行同一命令即可继续，或用 --archive 目录或网址 直接向存证库索取"
        ),
        Answered::Yes => return None,
        Answered::No => text!(
            "it is offline, and nobody answers for it: ask again when it is back, or ask the city's archive itself, by --archive DIR or URL",
            "离线，且没有存证库代为应答：请待其恢复后再取，或用 --archive 目录或网址 直接向城市存证库索取"
        ),
        Answered::NotAsked => text!(
            "it is offline, and was not asked for, since no time was left: the same command begins with others, or ask for it alone, by --site and --gateway",
            "离线，且因时间用尽而未询问：再次运行同一命令会先询问其他网关，也可用 --site 和 --gateway 单独索取"
        ),
    };
    Some(Failure::Unreachable(why))
}

#[cfg(test)]
mod tests {
    use super::{
        Answered, GIVE_UP, LOST_MAX, Lost, Name, SILENCE_MAX, WHOLE_MAX, answered, held, parted,
        refusal, rhythm,
    };
    use crate::archive::Held;
    use crate::archive::testing::{City, name};
    use crate::cli::Failure;
    use crate::evidence::inquiry::Rhythm;
    use crate::evidence::wire::Seen;
    use crate::evidence::{Informant, Inquiry, PullError, Trouble};
    use lineside_proto::AnswerError;
    use serde_json::{Value, json};
    use std::cell::Cell;
    use std::collections::BTreeSet;
    use tokio::time::{self, Instant};

    fn names(count: usize) -> Vec<Name> {
        let name = |number| {
            let gateway = format!("g{number}").parse().unwrap();
            ("zs".parse().unwrap(), gateway)
        };
        (0..count).map(name).collect()
    }

    fn count(asked: &[(Name, Answered)], of: Answered) -> usize {
        asked.iter().filter(|(_, answered)| *answered == of).count()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_off_is_asked_for_within_a_bound() {
        // Strangers first, of whom no archive knows.
        let off = names(200);
        let known: Vec<Name> = off.iter().skip(100).cloned().collect();
        let (now, most) = (Cell::new(0_usize), Cell::new(0_usize));
        let begun = Instant::now();
        let found = answered(off.clone(), 4, async |gateway, patience| {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            let is_known = known.contains(gateway);
            if !is_known {
                time::sleep(patience).await;
            }
            now.set(now.get() - 1);
            is_known
        });
        let found = found.await;
        let yes = found.iter().filter(|(_, of)| *of == Answered::Yes);
        let yes: BTreeSet<&Name> = yes.map(|(gateway, _)| gateway).collect();
        assert_eq!(yes, known.iter().collect());
        assert_eq!(count(&found, Answered::No), 100);
        assert!(begun.elapsed() <= SILENCE_MAX * 26, "{:?}", begun.elapsed());
        assert_eq!(most.get(), 4);
        // Nobody answers at all: of most it is said that they were not asked for.
        let begun = Instant::now();
        let silent = answered(names(10_000), 4, async |_, patience| {
            time::sleep(patience).await;
            false
        });
        let silent = silent.await;
        assert!(begun.elapsed() <= WHOLE_MAX + SILENCE_MAX);
        assert_eq!(count(&silent, Answered::No), 120);
        assert_eq!(count(&silent, Answered::NotAsked), 9_880);
    }

    #[test]
    fn whose_names_come_first_is_not_always_asked_for_first() {
        let all = || names(200).into_iter().enumerate();
        let mut firsts = BTreeSet::new();
        for _ in 0..50 {
            let seen = all().map(|(place, name)| {
                (
                    name,
                    Seen {
                        online: place % 2 == 0,
                    },
                )
            });
            let (online, off) = parted(seen.collect());
            firsts.extend(off.first().cloned());
            let part = |rest| all().filter(move |(place, _)| place % 2 == rest);
            let named = |rest| part(rest).map(|(_, name)| name).collect::<BTreeSet<_>>();
            assert!(online.is_sorted());
            assert_eq!(online.into_iter().collect::<BTreeSet<_>>(), named(0));
            assert_eq!(off.into_iter().collect::<BTreeSet<_>>(), named(1));
        }
        assert!(firsts.len() > 1, "{firsts:?}");
    }

    #[test]
    fn an_archive_that_falls_silent_is_not_waited_for_again_and_again() {
        let silent = || Err(Failure::Unreachable(crate::text!("cut", "cut")));
        let words = |answered, lost: &Lost| match refusal(answered, lost) {
            Some(Failure::Unreachable(text)) => text.en,
            other => panic!("{other:?}"),
        };
        let mut lost = Lost::default();
        for _ in 1..LOST_MAX {
            lost.note(&silent());
        }
        lost.note(&Ok(false));
        for _ in 0..LOST_MAX {
            assert!(!lost.is_over() && refusal(Answered::Yes, &lost).is_none());
            lost.note(&silent());
        }
        assert!(lost.is_over());
        // Each is told what was so.
        assert!(words(Answered::Yes, &lost).contains("fell silent"));
        assert!(words(Answered::No, &lost).contains("nobody answers for it"));
        let not_asked = words(Answered::NotAsked, &lost);
        assert!(not_asked.contains("not asked for") && !not_asked.contains("nobody"));
    }

    #[test]
    fn who_is_off_is_waited_for_as_an_archive_is_alone_or_not() {
        let usual = Rhythm::default();
        let off = rhythm(usual, Some(Seen { online: false }));
        assert_eq!((off.give_up, off.give_up_unheard), (GIVE_UP, GIVE_UP));
        assert_eq!(off.window, usual.window);
        for seen in [None, Some(Seen { online: true })] {
            assert_eq!(rhythm(usual, seen), usual);
        }
    }

    /// Says this to whatever is asked.
    struct Says(Result<Vec<Value>, Trouble>);

    impl Informant for Says {
        async fn ask(&self, method: &'static str, _: Value) -> Result<Vec<Value>, Trouble> {
            assert_eq!(method, "status");
            self.0.clone()
        }
    }

    async fn told(said: Result<Value, Trouble>) -> Result<Option<Held>, PullError> {
        heard(Says(said.map(|said| vec![said]))).await
    }

    async fn heard(says: Says) -> Result<Option<Held>, PullError> {
        let inquiry = Inquiry::new(says, Rhythm::default());
        let held = held(&inquiry, &(name("zs"), name("gw"))).await;
        held.map(|held| held.map(|(held, _)| held))
    }

    #[tokio::test(start_paused = true)]
    async fn an_archive_says_which_epochs_it_holds_and_a_gateway_does_not() {
        let city = City::new();
        let first = city.gateway("zs", "gw");
        first.grow(3, 0);
        city.keep(&first, None);
        city.keep(&first.next_epoch(4), None);
        let of = Held::of(&city.shelf(), &name("zs"), &name("gw")).unwrap();
        let of = of.unwrap();
        let said = serde_json::to_value(&of).unwrap();
        assert_eq!(told(Ok(said)).await.unwrap(), Some(of.clone()));
        // Of two, each has what the other lacks.
        let split = |epoch: u32| {
            let mut part = of.clone();
            part.logs.retain(|log| log.epoch == epoch);
            Ok(serde_json::to_value(&part).unwrap())
        };
        let both = Says(vec![split(2), split(1)].into_iter().collect());
        assert_eq!(heard(both).await.unwrap(), Some(of.clone()));
        let crowd = Held {
            unreadable: (1..1_000).collect(),
            ..of.clone()
        };
        let crowd = told(Ok(serde_json::to_value(&crowd).unwrap())).await;
        assert!(matches!(crowd, Err(PullError::Lies(_))));
        // What is said of another gateway is none of it.
        let mut mixed = of.clone();
        mixed.logs[0].gateway = name("gx");
        let said = serde_json::to_value(&mixed).unwrap();
        let kept = told(Ok(said)).await.unwrap().unwrap();
        assert_eq!(kept.logs, of.logs[1..]);
        let other = Held {
            gateway: name("gx"),
            ..of
        };
        let other = serde_json::to_value(&other).unwrap();
        for said in [other, json!({"v": 1, "site": "zs", "gateway": "gw"})] {
            assert_eq!(told(Ok(said)).await.unwrap(), None);
        }
        let no = AnswerError {
            code: "not-found".to_owned(),
            text: String::new(),
        };
        assert_eq!(told(Err(Trouble::No(no))).await.unwrap(), None);
        let silent = told(Err(Trouble::Lost("cut".to_owned()))).await;
        assert!(matches!(silent, Err(PullError::Unreachable(_))));
    }
}
