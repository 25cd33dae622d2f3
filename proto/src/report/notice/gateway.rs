//! What concerns a gateway: bundles that did not verify, periods that are missing, its clock, corrections.

use super::{Case, bare, whole};
use crate::Time;
use crate::evidence::Verdict;
use crate::report::{Anomaly, AnomalyKind, BegunAnew, ClockChange, Source, shanghai};
use crate::text::Text;

pub(super) fn all(case: &Case<'_>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for source in case.sources {
        if source.verdict != Verdict::Verified {
            found.push(unverified(source));
        }
    }
    let following = case.sources.iter().zip(case.sources.iter().skip(1));
    found.extend(following.filter_map(|(one, other)| missing(one, other)));
    found.extend(
        case.sources
            .iter()
            .filter_map(|source| short(case.sources, source)),
    );
    for bundle in case.evidence {
        let Some(totals) = &bundle.verification.totals else {
            continue;
        };
        let observed = &bundle.observed;
        let here = |anomaly: Anomaly| Anomaly {
            site: totals.site.clone(),
            gateway: Some(totals.gateway.clone()),
            ..anomaly
        };
        let steps = observed.clocks.first.iter();
        found.extend(steps.map(|step| {
            here(clock(
                step,
                bare(AnomalyKind::Clock, &totals.site, Text::default()),
            ))
        }));
        if let Some(over) = more(observed.clocks.count, observed.clocks.first.len()) {
            let text = over_text(over, AnomalyKind::Clock);
            found.push(here(
                bare(AnomalyKind::More, &totals.site, text).with("count", whole(over)),
            ));
        }
        let corrections = observed.corrections.first.iter();
        found.extend(corrections.map(|said| {
            let text = Text::new(
                format!(
                    "{} says that leaf {} is wrong: {}",
                    said.by, said.refers, said.reason
                ),
                format!(
                    "{} 声明第 {} 条记录有误：{}",
                    said.by, said.refers, said.reason
                ),
            );
            here(Anomaly {
                from: Some(said.at),
                leaves: vec![said.refers, said.index],
                ..bare(AnomalyKind::Correction, &totals.site, text)
            })
        }));
        if let Some(over) = more(observed.corrections.count, observed.corrections.first.len()) {
            let text = over_text(over, AnomalyKind::Correction);
            found.push(here(
                bare(AnomalyKind::More, &totals.site, text).with("count", whole(over)),
            ));
        }
    }
    found
}

/// How many are not told.
pub(super) fn more(count: u64, told: usize) -> Option<u64> {
    let told = u64::try_from(told).unwrap_or(u64::MAX);
    count.checked_sub(told).filter(|over| *over > 0)
}

pub(super) fn over_text(over: u64, kind: AnomalyKind) -> Text {
    let name = kind.name();
    Text::new(
        format!("{over} more of: {}", name.en),
        format!("另有 {over} 条：{}", name.zh),
    )
}

fn unverified(source: &Source) -> Anomaly {
    let why = source.said.first().map_or("-", String::as_str);
    let text = match source.verdict {
        Verdict::Failed => Text::new(
            format!(
                "{} did not verify and is in this report all the same: {why}",
                source.file
            ),
            format!("{} 未通过核验，仍被采用：{why}", source.file),
        ),
        Verdict::SelfConsistent | Verdict::Verified => Text::new(
            format!(
                "nobody trusted signed {}, and it is in this report all the same",
                source.file
            ),
            format!("{} 的签名者不受信任，仍被采用", source.file),
        ),
    };
    Anomaly {
        gateway: Some(source.gateway.clone()),
        from: Some(source.from),
        to: Some(source.to),
        ..bare(AnomalyKind::Unverified, &source.site, text)
    }
}

/// Time of a source's gateway that no bundle tells.
fn hole(source: &Source, (from, to): (Option<Time>, Time), text: Text) -> Anomaly {
    Anomaly {
        gateway: Some(source.gateway.clone()),
        from,
        to: Some(to),
        ..bare(AnomalyKind::MissingPeriod, &source.site, text)
    }
}

fn missing(one: &Source, other: &Source) -> Option<Anomaly> {
    let is_one = (&one.site, &one.gateway) == (&other.site, &other.gateway);
    if !is_one || one.to >= other.from {
        return None;
    }
    let (from, to) = (shanghai::moment(one.to), shanghai::moment(other.from));
    let text = Text::new(
        format!(
            "no bundle of {} tells {from} to {to}: this time is in no figure",
            one.gateway
        ),
        format!(
            "{} 自 {from} 至 {to} 没有证据包：此段时间不在任何指标之内",
            one.gateway
        ),
    );
    let anomaly = hole(one, (Some(one.to), other.from), text);
    Some(anomaly.with("missing_ms", whole(shanghai::millis(one.to, other.from))))
}

/// The ledger was begun anew, and cites more leaves of the one before than any bundle has of it, to whose end it was given.
fn short(sources: &[Source], next: &Source) -> Option<Anomaly> {
    let begun = next.begun.as_ref()?;
    let before = sources.iter().filter(|before| {
        let is_one = (&before.site, &before.gateway) == (&next.site, &next.gateway);
        is_one && before.origin == begun.prior
    });
    let Some(before) = before.max_by_key(|before| before.size) else {
        return (begun.size > 0).then(|| absent(begun, next));
    };
    let lacking = begun.size.checked_sub(before.size)?;
    if lacking == 0 || before.end < before.size {
        return None;
    }
    let (file, origin, at) = (&before.file, &begun.prior, shanghai::moment(begun.at));
    let text = Text::new(
        format!(
            "{file} ends {lacking} leaves before the end of {origin}, as the ledger after it says: what they tell of the time before {at} is in no figure"
        ),
        format!(
            "{file} 缺少 {origin} 末尾的 {lacking} 条记录（后续台账载明）：其中 {at} 之前的时间不在任何指标之内"
        ),
    );
    let anomaly = hole(next, (None, begun.at), text);
    Some(anomaly.with("leaves", whole(lacking)))
}

/// The ledger was begun anew in a period, and no bundle of the one before tells the time before that.
fn absent(begun: &BegunAnew, next: &Source) -> Anomaly {
    let (origin, size, at) = (&begun.prior, begun.size, shanghai::moment(begun.at));
    let text = Text::new(
        format!(
            "no bundle of {origin} is here, a ledger of {size} leaves that the one of {} continues: if any is of this period before {at}, it is in no figure; a bundle of its last leaves shows whether",
            next.file
        ),
        format!(
            "{} 的台账延续 {origin}（{size} 条记录），而此处没有后者的证据包：若其中有此时段内 {at} 之前的记录，则不在任何指标之内；含其末尾记录的证据包可以说明",
            next.file
        ),
    );
    hole(next, (Some(next.from), begun.at), text).with("leaves", whole(size))
}

fn clock(said: &ClockChange, bare: Anomaly) -> Anomaly {
    let at = shanghai::moment(said.at);
    let anomaly = Anomaly {
        from: Some(said.at),
        leaves: vec![said.index],
        ..bare
    };
    let (before, after) = (said.before, said.status);
    match said.step_ms {
        Some(step) => Anomaly {
            text: Text::new(
                format!("the clock was set by {step} ms at {at} (letter {before:?} to {after:?})"),
                format!("{at} 时钟被拨动 {step} 毫秒（状态 {before:?} → {after:?}）"),
            ),
            ..anomaly.with("step_ms", step)
        },
        None => Anomaly {
            text: Text::new(
                format!("the clock was no longer synchronised from {at} (letter {after:?})"),
                format!("{at} 起时钟不再同步（状态 {after:?}）"),
            ),
            ..anomaly
        },
    }
}
