//! How an account begins, or goes on after a time in which nobody watched.

use lineside_proto::ledger::{CloseReason, GapLeaf, GapReason, LeafBody, StateLeaf};
use lineside_proto::{ClockStatus, Identifier, State, Time};
use std::sync::Arc;

use super::{Account, Context};
use crate::clock::Stamp;
use crate::config::model::MachineMap;
use crate::machine::booking::History;
use crate::machine::counter::Meter;
use crate::machine::letters::Letters;
use crate::machine::memory::{Lasting, Memory, Running, shift_ms};
use crate::machine::usage::{Maker, Usage};
use crate::record::Entry;

impl Account {
    /// Takes a machine in, now. What was accounted for before, if anything, goes on after a gap; then also
    /// gives where that ended, on the present boot's clock and in wall time.
    pub fn join(
        map: Arc<MachineMap>,
        memory: Option<Memory>,
        reason: GapReason,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> (Self, Option<(i64, Time)>) {
        let memory = memory.unwrap_or_default();
        let (boot, now) = (&context.origin.boot, context.now);
        let meter = |point: Option<u16>| point.map(|point| Meter::new(&map, point));
        let (energy, hours) = (meter(map.evidence.energy), meter(map.evidence.hours));
        let begin = || Running::begin(boot, context.clock, &map.hash, now.millis(), context.wall);
        let is_first = memory.running.is_none();
        let mut account = Self {
            running: memory.running.unwrap_or_else(begin),
            lasting: memory.lasting,
            history: History::default(),
            hold_ms: None,
            awaited: None,
            energy,
            hours,
            map,
        };
        let resumed = (!is_first).then(|| account.resume(reason, context, out));
        let since = resumed.unwrap_or((now.millis(), now.wall));
        let leaf = StateLeaf {
            machine: account.map.machine.clone(),
            from: account.running.state,
            to: State::Unknown,
            since: since.1,
            since_ms: since.0,
            rule: None,
            config: account.map.hash.clone(),
        };
        account.running.state = State::Unknown;
        account.running.config.clone_from(&account.map.hash);
        account.write(LeafBody::State(leaf), now, out);
        (account, resumed)
    }

    /// What the account goes on with, after [`finish`](Self::finish).
    pub fn into_memory(self) -> Memory {
        Memory {
            running: Some(self.running),
            lasting: self.lasting,
        }
    }

    /// Ends what was accounted for before and names the gap; gives where it began, on the present boot's clock.
    fn resume(
        &mut self,
        reason: GapReason,
        context: Context<'_>,
        out: &mut Vec<Entry>,
    ) -> (i64, Time) {
        let (now, boot) = (context.now, &context.origin.boot);
        let join_ms = now.millis();
        // Before its spans are cut: another boot's wall clock knows nothing of that moment.
        let usage = &self.running.usage;
        let (end_ms, end) = (usage.frontier_ms(), usage.frontier());
        self.write_remembered(context, out);
        let is_one_boot = self.running.boot == *boot && end_ms <= join_ms;
        let shift_ms = shift_ms(end_ms, end, join_ms, now.wall, is_one_boot);
        let is_timeless = context.clock == ClockStatus::U || self.running.clock == ClockStatus::U;
        let away_ms = join_ms.saturating_sub(end_ms.saturating_add(shift_ms));
        let leaf = GapLeaf {
            machine: self.map.machine.clone(),
            from: end,
            to: now.wall,
            from_boot: self.running.boot.clone(),
            mono_from_ms: u64::try_from(end_ms).unwrap_or(0),
            mono_to_ms: now.boot_ms,
            ms: (is_one_boot || !is_timeless).then(|| u64::try_from(away_ms).unwrap_or(0)),
            clock: context.clock,
            reason,
        };
        self.write(LeafBody::Gap(leaf), now, out);
        self.running.shift(shift_ms);
        self.running.boot.clone_from(boot);
        self.running.clock = context.clock;
        self.running.letters = Letters::default();
        self.running.usage = Usage::begin(join_ms, context.wall);
        (end_ms.saturating_add(shift_ms), end)
    }

    /// Writes the spans that an earlier run had not written: decided ones as its session's, others as nobody's.
    fn write_remembered(&mut self, context: Context<'_>, out: &mut Vec<Entry>) {
        let session = self.running.session.as_ref();
        let owner = session.map(|session| (session.id.clone(), session.class));
        let owner = owner.as_ref().map(|(id, class)| (id.as_str(), *class));
        let owned = self.running.usage.part(context.wall);
        self.running.usage.cut(context.wall);
        let rest = self.running.usage.ready();
        let (boot, config) = (self.running.boot.clone(), self.running.config.clone());
        let is_other_boot = boot != context.origin.boot;
        let spans = owned.iter().map(|span| (span, owner));
        for (span, owner) in spans.chain(rest.iter().map(|span| (span, None))) {
            let maker = Maker {
                machine: &self.map.machine,
                config: &config,
                span_boot: is_other_boot.then_some(boot.as_str()),
            };
            let leaf = maker.leaf(span, owner);
            self.write(LeafBody::Usage(leaf), context.now, out);
        }
    }
}

/// Ends the session of a machine that is no longer configured, if one runs.
pub fn retire(machine: &Identifier, memory: &mut Memory, now: Stamp) -> Vec<Entry> {
    let Some(running) = &mut memory.running else {
        return Vec::new();
    };
    running.queue.clear();
    let Some(session) = running.session.take() else {
        return Vec::new();
    };
    let end = (session.spent_ms, session.spent);
    let leaf = session.closed(machine, end, CloseReason::Removed, None);
    let body = LeafBody::Session(leaf);
    let lasting: &mut Lasting = Arc::make_mut(&mut memory.lasting);
    lasting.take(&body, now.wall);
    vec![Entry { at: now, body }]
}
