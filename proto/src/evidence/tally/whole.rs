//! What the leaves add up to in the end, as one sees them who believes this or that.

use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

use super::grade::{Grounds, Witnesses, grade};
use super::machine::Machine;
use super::room::{SUM_MAX, add};
use super::session::Session;
use super::token::{Case, Standing, related};
use super::{SessionPlace, Sight, TALLY_BYTES_MAX, Tallied, Tally, TreeEnd};
use crate::evidence::{Findings, MachineTotals, SessionTotals, TOTALS_KIND, Totals};
use crate::text;
use crate::{Class, Identifier};

/// What was found of tokens.
#[derive(Default)]
struct Judged {
    found: Findings,
    external: u64,
    unsigned: u64,
}

impl Tally {
    /// The sessions of the period that a leaf in the bundle proves, in order of that leaf. A session whose begin
    /// and end both lie outside the bundle has no such leaf and is not among them.
    pub fn sessions(&self) -> Vec<SessionPlace> {
        let mut places: Vec<SessionPlace> = self
            .of_period()
            .filter_map(|(machine, session)| {
                let end = session.end.as_ref().map(|end| end.index);
                Some(SessionPlace {
                    machine: machine.clone(),
                    session: session.id.clone(),
                    index: end.or(session.open)?,
                })
            })
            .collect();
        places.sort_by_key(|place| place.index);
        places
    }

    fn of_period(&self) -> impl Iterator<Item = (&Identifier, &Session)> {
        let all = self.by_name();
        let all =
            all.flat_map(|(name, machine)| machine.sessions.iter().map(move |one| (name, one)));
        all.filter(|(_, session)| session.is_of(self.scope.from, self.scope.to))
    }

    /// What the leaves taken in so far add up to, as one sees them who believes as `sight` says. May be asked for
    /// several times.
    pub fn finish(&self, tree: &TreeEnd, sight: &Sight) -> Tallied {
        let scope = &self.scope;
        let witnesses = Witnesses::of(sight);
        let mut judged = Judged::default();
        for booked in &self.booked {
            booked.hold(&self.tokens, &mut judged.found);
        }
        let mut machines = Vec::new();
        for (name, machine) in self.by_name() {
            let totals = self.machine(name, machine, (sight, &witnesses), &mut judged);
            if machine.is_of_period || !totals.sessions.is_empty() {
                machines.push(totals);
            }
        }
        let totals = Totals {
            v: 1,
            kind: TOTALS_KIND.to_owned(),
            site: scope.site.clone(),
            gateway: scope.gateway.clone(),
            origin: scope.origin.clone(),
            from: scope.from,
            to: scope.to,
            first: scope.first,
            end: tree.end,
            size: tree.size,
            root: tree.root.to_string(),
            machines,
        };
        if judged.unsigned > 0 {
            let unsigned = judged.unsigned;
            judged.found.note(|| {
                text!(
                    "no issuer key is trusted: the signatures of {unsigned} tokens were not checked",
                    "没有受信任的签发方密钥：{unsigned} 个令牌的签名未校验"
                )
            });
        }
        let sessions = totals.machines.iter().map(|machine| machine.sessions.len());
        Tallied {
            sessions_count: u64::try_from(sessions.sum::<usize>()).unwrap_or(u64::MAX),
            totals,
            sessions: self.rules(),
            tokens: judged.found,
            external_count: judged.external,
        }
    }

    /// The rules that only all leaves together show to be broken.
    fn rules(&self) -> Findings {
        let mut found = self.found.clone();
        for (name, machine) in self.by_name() {
            let mut opened: BTreeMap<&str, &str> = BTreeMap::new();
            for session in &machine.sessions {
                let Some(token) = session.token() else {
                    continue;
                };
                let id = session.id.as_str();
                if let Some(other) = opened.insert(token, id) {
                    found.fail(|| {
                        text!(
                            "machine {name}: the token {token} opens session {other} and session {id}",
                            "设备 {name}：令牌 {token} 开始了上机记录 {other}，又开始了上机记录 {id}"
                        )
                    });
                }
            }
        }
        if self.room.is_full() {
            found.fail(|| {
                let room = TALLY_BYTES_MAX >> 20;
                text!(
                    "more sessions, days, maps and tokens than {room} MiB hold: check a shorter period",
                    "上机记录、日期、设备点表和令牌超过 {room} MiB 所能容纳：请校验较短的时段"
                )
            });
        }
        found
    }

    fn machine(
        &self,
        name: &Identifier,
        machine: &Machine,
        seen: (&Sight, &Witnesses),
        judged: &mut Judged,
    ) -> MachineTotals {
        let (scope, sums) = (&self.scope, &machine.sums);
        let of_period = |session: &&Session| session.is_of(scope.from, scope.to);
        let maps = seen.0.trust.maps.iter().filter(|map| {
            map.machine == *name
                && map.site.as_ref().is_none_or(|only| *only == scope.site)
                && map
                    .gateway
                    .as_ref()
                    .is_none_or(|only| *only == scope.gateway)
        });
        let approved: BTreeSet<&str> = maps.map(|map| map.hash.as_str()).collect();
        let approves = |map: u32| approved.contains(self.maps.text(map));
        let mut hours: BTreeMap<Class, BTreeMap<_, u64>> = BTreeMap::new();
        let mut sessions = Vec::new();
        for session in machine.sessions.iter().filter(of_period) {
            let grounds = Grounds {
                witnesses: seen.1,
                base: sums.base,
                is_unproven: self.is_unproven(name, session, seen.0, judged),
                approves: &approves,
            };
            let totals = self.session(session, &grounds, seen.0);
            if totals.active_ms > 0 {
                let of = hours.entry(totals.class).or_default();
                add(of.entry(totals.grade).or_default(), totals.active_ms);
            }
            sessions.push(totals);
        }
        let period_ms = scope.period_ms();
        let known_ms = sums.known_ms(period_ms);
        let thousandths = u128::from(known_ms) * 1000 / u128::from(period_ms.max(1));
        let energy = sums.energy;
        MachineTotals {
            machine: name.clone(),
            period_ms,
            ms: sums.ms.clone(),
            known_ms,
            coverage_pm: u32::try_from(thousandths).unwrap_or(1000),
            active_ms: sums.active_ms,
            outside_ms: sums.outside_ms,
            hours,
            energy_session_mwh: energy.map(|energy| energy.session),
            energy_idle_mwh: energy.map(|energy| energy.idle),
            energy_run_mwh: energy.map(|energy| energy.run),
            energy_run_ms: energy.map(|energy| energy.run_ms),
            counter_milli: sums.counter_milli,
            counter_run_ms: sums.counter_run_ms,
            good: sums.good,
            bad: sums.bad,
            bookings: sums.bookings.clone(),
            maps: sums
                .maps
                .iter()
                .map(|map| self.maps.text(*map).to_owned())
                .collect(),
            sessions,
            days: sums.days_by_date(),
        }
    }

    /// A session's class, as one sees it who believes as `sight` says: what its token says of an organisation that
    /// is own or affiliated is no other company's.
    fn class(&self, session: &Session, sight: &Sight) -> Class {
        let class = session.class().unwrap_or(Class::Unb);
        let trust = &sight.trust;
        let is_asked =
            class == Class::Ext && !(trust.own.is_empty() && trust.affiliates.is_empty());
        let token = session.token().filter(|_| is_asked);
        let claims = token.and_then(|token| self.tokens.claims(token));
        let org = claims.and_then(|claims| claims.org);
        org.and_then(|org| related(trust, &org)).unwrap_or(class)
    }

    /// Whether a session is external and its token does not prove that.
    fn is_unproven(
        &self,
        machine: &Identifier,
        session: &Session,
        sight: &Sight,
        judged: &mut Judged,
    ) -> bool {
        if session.class() != Some(Class::Ext) {
            return false;
        }
        judged.external += 1;
        let case = Case {
            scope: &self.scope,
            machine,
            session,
            tokens: &self.tokens,
            sight,
        };
        let id = &session.id;
        match case.judge() {
            Ok(Standing::Signed) => return false,
            Ok(Standing::Unsigned) => judged.unsigned += 1,
            Ok(Standing::Related) => {
                judged.external -= 1;
                let claims = session.token().and_then(|token| self.tokens.claims(token));
                let org = claims.and_then(|claims| claims.org).unwrap_or_default();
                let class = self.class(session, sight);
                let zh = class.zh_cn();
                judged.found.note(|| {
                    text!(
                        "machine {machine}: session {id} is of {org}, which the trust file calls own or affiliated: it counts as {class}, not as EXT",
                        "设备 {machine}：上机记录 {id} 属于 {org}，信任文件将其列为自有或关联单位：按{zh}（{class}）计，不按对外计"
                    )
                });
            }
            Ok(Standing::Unknown) => judged.found.note(|| {
                text!(
                    "machine {machine}: session {id} neither begins nor ends in the bundle, so its token is not known",
                    "设备 {machine}：上机记录 {id} 的开始和结束都不在证据包内，无从得知其令牌"
                )
            }),
            Err(flaw) => judged.found.fail(|| {
                let Text { en, zh } = flaw.said();
                text!(
                    "machine {machine}: session {id} {en}",
                    "设备 {machine}：上机记录 {id}{zh}"
                )
            }),
        }
        self.class(session, sight) == Class::Ext
    }

    fn session(&self, session: &Session, grounds: &Grounds<'_>, sight: &Sight) -> SessionTotals {
        let (grade, why) = grade(session, grounds);
        let claims = session.token().and_then(|token| self.tokens.claims(token));
        let (org, org_kind) = claims.map(|claims| (claims.org, claims.org_kind)).unzip();
        let (begin, end) = (session.begin.as_ref(), session.end.as_ref());
        let counted = &session.counted;
        SessionTotals {
            session: session.id.clone(),
            booking: session.booking().cloned(),
            token: session.token().cloned(),
            class: self.class(session, sight),
            leaf_class: session
                .class()
                .filter(|class| *class != self.class(session, sight)),
            check_in: begin.map(|begin| begin.check_in),
            org: org.flatten(),
            org_kind: org_kind.flatten(),
            from: begin.map(|begin| begin.from),
            to: end.and_then(|end| end.to),
            reason: end.and_then(|end| end.reason),
            open: session.open,
            close: end.map(|end| end.index),
            ms: counted.ms.clone(),
            active_ms: counted.active_ms.min(SUM_MAX),
            energy_mwh: counted.energy_mwh,
            grade,
            why,
        }
    }
}
