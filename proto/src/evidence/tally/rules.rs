//! The rules that sessions follow, leaf by leaf.

use super::machine::Machine;
use super::room::Room;
use super::session::{Begin, End, Owner, Session};
use crate::ledger::{Bind, BookingLeaf, LeafHead, SessionLeaf, UsageLeaf};
use crate::text;
use crate::text::Text;
use crate::{Class, Time};

/// All of the time was watched, in thousandths.
const COVERAGE_PM_MAX: u32 = 1_000;

/// What says something of a session, in English and Chinese.
type What = (&'static str, &'static str);

const END: What = ("its end", "结束记录");
const USAGE: What = ("usage", "使用记录");
const BIND: What = ("the class before in a bind leaf", "绑定记录所写的原类别");
const OUTCOME: What = ("the outcome of a booking", "预约结果记录");

const CLASS: What = ("class", "类别");
const BOOKING: What = ("booking", "预约");
const TOKEN: What = ("token", "令牌");
const CHECK_IN: What = ("check-in", "签到方式");
const BEGIN: What = ("begin", "开始时间");
const BEGIN_MS: What = ("begin in ms", "开始毫秒数");

/// Where a leaf is, and what it says with its place.
pub(super) struct Scene<'a> {
    pub(super) head: &'a LeafHead,
    /// The boot on whose clock the leaf's times are, by its number.
    pub(super) boot: Option<u32>,
    /// The bundle begins with the ledger: there is no session of before.
    pub(super) is_whole: bool,
    pub(super) room: &'a mut Room,
    pub(super) broken: &'a mut Vec<Text>,
}

fn shown(text: Option<&String>) -> String {
    text.map_or_else(|| "none".to_owned(), ToString::to_string)
}

impl Scene<'_> {
    fn breaks(&mut self, broken: Text) {
        self.broken.push(broken);
    }

    /// Whether something is said of a session that is known of it.
    fn same<T: PartialEq>(
        &mut self,
        (what, field, session): (What, What, &str),
        (said, known): (T, T),
        show: impl Fn(&T) -> String,
    ) {
        if said != known {
            let (said, known) = (show(&said), show(&known));
            let ((what, what_zh), (field, field_zh)) = (what, field);
            self.breaks(text!(
                "{what} says {field} {said} of session {session}, which has {known}",
                "{what_zh}写明上机记录 {session} 的{field_zh}为 {said}，而应为 {known}"
            ));
        }
    }

    fn same_class(&mut self, what: What, session: &str, said: Class, known: Option<Class>) {
        if let Some(known) = known {
            self.same((what, CLASS, session), (said, known), Class::to_string);
        }
    }

    /// Whether nothing else is known to run, so that it may be this session.
    fn may_run(&self, machine: &Machine) -> bool {
        !machine.is_known && !self.is_whole
    }

    pub(super) fn opens(&mut self, machine: &mut Machine, leaf: &SessionLeaf) {
        let id = &leaf.session;
        if let Some(known) = machine.get(id) {
            let again = if known.open.is_some() || known.end.is_some() {
                text!(
                    "session {id} begins a second time",
                    "上机记录 {id} 第二次开始"
                )
            } else {
                text!(
                    "session {id} begins after a leaf that is of it",
                    "上机记录 {id} 开始之前已有属于它的记录"
                )
            };
            self.breaks(again);
        }
        if let Some(running) = machine.running.take() {
            self.breaks(text!(
                "session {id} begins while {running} runs",
                "上机记录 {id} 开始时 {running} 仍在进行"
            ));
        }
        if leaf.to.is_some() || leaf.to_ms.is_some() || leaf.reason.is_some() {
            self.breaks(text!(
                "the begin of session {id} says when or why it ended",
                "上机记录 {id} 的开始记录写有结束时间或原因"
            ));
        }
        machine.is_known = true;
        machine.running = Some(id.clone());
        let (index, begin) = (self.head.index, self.begin(leaf));
        let room = texts(leaf);
        let Some(session) = machine.session(id, self.room) else {
            return;
        };
        if self.room.take(room) {
            session.open = session.open.or(Some(index));
            session.begin = Some(begin);
            session.owner = session.owner.take().or_else(|| Some(owner(leaf)));
        }
    }

    fn begin(&self, leaf: &SessionLeaf) -> Begin {
        Begin {
            check_in: leaf.check_in,
            from: leaf.from,
            boot: self.boot,
            from_ms: leaf.from_ms,
        }
    }

    pub(super) fn closes(&mut self, machine: &mut Machine, leaf: &SessionLeaf) {
        let id = &leaf.session;
        let runs = machine.running.as_ref() == Some(id);
        if machine.get(id).is_some_and(|known| known.end.is_some()) {
            return self.breaks(text!(
                "session {id} ends a second time",
                "上机记录 {id} 第二次结束"
            ));
        }
        if !runs && !self.may_run(machine) {
            self.breaks(text!(
                "session {id} ends and does not run",
                "上机记录 {id} 未在进行，却结束"
            ));
        }
        machine.is_known = true;
        machine.running = None;
        self.ends_well(leaf);
        if let Some(known) = machine.get(id) {
            self.agrees(known, leaf);
        }
        let end = End {
            index: self.head.index,
            at: self.head.at,
            to: leaf.to,
            reason: leaf.reason,
        };
        let (begin, room) = (self.begin(leaf), texts(leaf));
        let Some(session) = machine.session(id, self.room) else {
            return;
        };
        if self.room.take(room) {
            session.begin = session.begin.take().or(Some(begin));
            session.end = Some(end);
            if !session.is_bound {
                session.owner = Some(owner(leaf));
            }
        }
    }

    fn ends_well(&mut self, leaf: &SessionLeaf) {
        let session = &leaf.session;
        let (Some(to_ms), Some(_), Some(_)) = (leaf.to_ms, leaf.to, leaf.reason) else {
            return self.breaks(text!(
                "the end of session {session} does not say when and why",
                "上机记录 {session} 的结束记录没有写明时间和原因"
            ));
        };
        if to_ms < leaf.from_ms {
            let from_ms = leaf.from_ms;
            self.breaks(text!(
                "session {session} ends at {to_ms} ms of the boot, and began at {from_ms} ms",
                "上机记录 {session} 结束于 {to_ms} 毫秒，却开始于 {from_ms} 毫秒"
            ));
        }
    }

    /// Whether a closing leaf says what is known.
    fn agrees(&mut self, known: &Session, leaf: &SessionLeaf) {
        let (what, id) = (END, leaf.session.as_str());
        self.same_class(what, id, leaf.class, known.class());
        if known.owner.is_some() {
            let said = (leaf.booking.as_ref(), known.booking());
            self.same((what, BOOKING, id), said, |said| shown(*said));
            let said = (token(leaf.token.as_ref()), known.token());
            self.same((what, TOKEN, id), said, |said| shown(*said));
        }
        if let Some(begin) = &known.begin {
            let said = (leaf.check_in, begin.check_in);
            self.same((what, CHECK_IN, id), said, |said| {
                format!("{said:?}").to_lowercase()
            });
            self.same((what, BEGIN, id), (leaf.from, begin.from), Time::to_string);
            if begin.boot.is_some() && begin.boot == self.boot {
                let said = (leaf.from_ms, begin.from_ms);
                self.same((what, BEGIN_MS, id), said, i64::to_string);
            }
        }
        let end_ms = u64::try_from(leaf.to_ms.unwrap_or(0)).unwrap_or(0);
        if let Some((boot, at_ms)) = known.used {
            if boot.is_some() && boot == self.boot && at_ms > end_ms {
                self.breaks(outside(id, at_ms));
            }
        }
    }

    pub(super) fn uses(&mut self, machine: &mut Machine, leaf: &UsageLeaf) {
        let Some(id) = &leaf.session else {
            if let Some(class) = leaf.class {
                self.breaks(text!(
                    "usage of class {class} outside sessions",
                    "不属于任何上机记录的使用记录写有类别 {class}"
                ));
            }
            return;
        };
        if machine.running.as_ref() != Some(id) {
            if machine.running.is_none() && self.may_run(machine) {
                machine.running = Some(id.clone());
            } else {
                self.breaks(text!(
                    "usage of session {id}, which does not run",
                    "使用记录属于上机记录 {id}，而它未在进行"
                ));
            }
        }
        machine.is_known = true;
        let Some(class) = leaf.class else {
            return self.breaks(text!(
                "usage of session {id} without a class",
                "上机记录 {id} 的使用记录没有类别"
            ));
        };
        if let Some(known) = machine.get(id) {
            self.same_class(USAGE, id, class, known.class());
            let begin = known.begin.as_ref();
            let begin = begin.filter(|begin| begin.boot.is_some() && begin.boot == self.boot);
            let begin_ms = begin.map(|begin| u64::try_from(begin.from_ms).unwrap_or(0));
            if begin_ms.is_some_and(|begin_ms| leaf.mono_from_ms < begin_ms) {
                self.breaks(outside(id, leaf.mono_from_ms));
            }
        }
        if let Some(session) = machine.session(id, self.room) {
            session.usage_class = session.usage_class.or(Some(class));
            session.used = Some((self.boot, leaf.mono_to_ms));
        }
    }

    pub(super) fn binds(&mut self, machine: &mut Machine, leaf: &Bind) {
        let id = &leaf.session;
        match machine.get(id) {
            None if self.is_whole => {
                self.breaks(text!(
                    "session {id} is bound to a booking, and never began",
                    "上机记录 {id} 被绑定到预约，却从未开始"
                ));
            }
            None => {}
            Some(known) => {
                self.same_class(BIND, id, leaf.before, known.class());
                if let Some(booking) = known.booking() {
                    let next = &leaf.booking;
                    self.breaks(text!(
                        "session {id} is bound to booking {next}, and has booking {booking}",
                        "上机记录 {id} 被绑定到预约 {next}，而它已有预约 {booking}"
                    ));
                }
            }
        }
        let room = leaf.booking.len() + leaf.token.len();
        let Some(session) = machine.session(id, self.room) else {
            return;
        };
        if self.room.take(room) {
            session.is_bound = true;
            session.owner = Some(Owner {
                booking: Some(leaf.booking.clone()),
                token: token(Some(&leaf.token)).cloned(),
                class: leaf.class,
            });
        }
    }

    pub(super) fn decides(&mut self, machine: &mut Machine, leaf: &BookingLeaf) {
        if !machine.decide(&leaf.booking, self.room) {
            let booking = &leaf.booking;
            self.breaks(text!(
                "the outcome of booking {booking} is said a second time",
                "预约 {booking} 的结果第二次写入"
            ));
        }
        let length = leaf.end.as_millis().saturating_sub(leaf.start.as_millis());
        let (said_ms, slot_ms) = (leaf.slot_ms, u64::try_from(length).unwrap_or(0));
        if said_ms != slot_ms {
            self.breaks(text!(
                "the outcome of a booking says slot_ms {said_ms}, where its start and end are {slot_ms} ms apart",
                "预约结果记录的 slot_ms 为 {said_ms}，而其开始与结束相距 {slot_ms} 毫秒"
            ));
        }
        let coverage_pm = leaf.coverage_pm;
        if coverage_pm > COVERAGE_PM_MAX {
            self.breaks(text!(
                "the outcome of a booking says coverage_pm {coverage_pm}, of {COVERAGE_PM_MAX} at most",
                "预约结果记录的 coverage_pm 为 {coverage_pm}，上限 {COVERAGE_PM_MAX}"
            ));
        }
        let Some(id) = &leaf.session else { return };
        match machine.get(id) {
            None if self.is_whole => {
                self.breaks(text!(
                    "the outcome of a booking names session {id}, which never began",
                    "预约结果记录指明上机记录 {id}，而它从未开始"
                ));
            }
            None => {}
            Some(known) if known.owner.is_some() => {
                // Its class and token may be those of a newer token for the same booking.
                let said = (Some(&leaf.booking), known.booking());
                self.same((OUTCOME, BOOKING, id), said, |said| shown(*said));
            }
            Some(_) => {}
        }
    }
}

fn outside(session: &str, at_ms: u64) -> Text {
    text!(
        "usage of session {session} at {at_ms} ms of the boot, outside it",
        "上机记录 {session} 的使用记录位于 {at_ms} 毫秒，不在该上机记录之内"
    )
}

fn owner(leaf: &SessionLeaf) -> Owner {
    Owner {
        booking: leaf.booking.clone(),
        token: token(leaf.token.as_ref()).cloned(),
        class: leaf.class,
    }
}

/// A token that is named: an empty one is none, as a bind leaf has it where nobody signed.
fn token(said: Option<&String>) -> Option<&String> {
    said.filter(|token| !token.is_empty())
}

/// Bytes of the texts that are kept of a session's leaf.
fn texts(leaf: &SessionLeaf) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    length(&leaf.booking) + length(&leaf.token)
}
