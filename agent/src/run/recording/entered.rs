//! What people and portals enter: check-ins, check-outs, bookings, corrections, a change of the key.

use lineside_proto::booking::PortalCheckIn;
use lineside_proto::ledger::{Audit, Correction, LeafBody};
use lineside_proto::{CheckIn, Identifier, RefusalCode, RefusedBooking};

use super::{Commit, Input, Pace, Recording};
use crate::ledger::KeyError;
use crate::live::LiveSession;
use crate::logs::chain;
use crate::machine::account;
use crate::machine::session::SessionRefusal;
use crate::run::ask::{Arrival, Departure, Refused, Reply, Rotated};
use crate::run::snapshot;
use crate::text;
use crate::uplink::commands::BookingsMessage;

impl Recording {
    /// Somebody at the machine begins to use it.
    pub(super) fn check_in(
        &mut self,
        arrival: Arrival,
        audit: Audit,
        reply: Reply<LiveSession>,
        pace: &mut Pace,
    ) {
        let input = Input::CheckIn {
            machine: arrival.machine.clone(),
            booking: arrival.booking,
            class: arrival.class,
            check_in: CheckIn::Local,
            word: None,
            by: Some(arrival.by),
            at: self.clock.now(),
        };
        let answer = self.enter(&input, audit, pace);
        let session = answer.and_then(|()| {
            let session = self.recorder.session(&arrival.machine);
            session.map(snapshot::session).ok_or_else(stopping)
        });
        // Whoever gave up waiting needs no answer.
        drop(reply.send(session));
    }

    /// Somebody at the machine is done.
    pub(super) fn check_out(
        &mut self,
        departure: Departure,
        audit: Audit,
        reply: Reply<LiveSession>,
        pace: &mut Pace,
    ) {
        let session = self.recorder.session(&departure.machine);
        let session = session.map(snapshot::session);
        let input = Input::CheckOut {
            machine: departure.machine,
            by: Some(departure.by),
            at: self.clock.now(),
        };
        let answer = self.enter(&input, audit, pace);
        drop(reply.send(answer.and_then(|()| session.ok_or_else(stopping))));
    }

    /// Takes in what a person entered. That they did is written if it had an effect.
    fn enter(&mut self, input: &Input, audit: Audit, pace: &mut Pace) -> Result<(), Refused> {
        let mut commit = self.recorder.handle(input);
        let answer = commit.answers.first().cloned();
        if let Some(Ok(_)) = answer {
            commit
                .leaves
                .extend(self.facts(vec![LeafBody::Audit(audit)]));
        }
        self.keep(commit, pace);
        match answer {
            Some(Ok(_)) if pace.failed.is_none() => Ok(()),
            Some(Err(refusal)) => Err(refused(refusal)),
            Some(Ok(_)) | None => Err(stopping()),
        }
    }

    /// Takes in what a portal sent for a machine.
    pub(super) fn take_mail(&mut self, message: &BookingsMessage, pace: &mut Pace) {
        let BookingsMessage {
            machine,
            payload,
            retained,
        } = message;
        let status = self.stores.discipline.borrow().status;
        let now = self.clock.now();
        let received = match self
            .stores
            .bookings
            .receive(machine, payload, now.wall, status)
        {
            Ok(received) => received,
            Err(error) => {
                // The broker keeps it and sends it again with the next connection.
                return tracing::error!(%error, %machine, "bookings can't be kept; not acknowledged");
            }
        };
        let mut ack = received.ack;
        if received.changed.is_some() {
            let input = Input::Bookings {
                machine: machine.clone(),
                bookings: self.stores.bookings.in_force(machine),
                at: now,
            };
            self.handle(&input, pace);
        }
        if let Some(check_in) = received.check_in {
            let booking = check_in.booking.id.clone();
            let refusal = self.check_in_portal(machine, check_in, pace).err();
            // The broker keeps a check-in and sends it again with each connection, also when its session is over.
            let is_echo =
                |refusal: &SessionRefusal| *retained && matches!(refusal, SessionRefusal::Used(_));
            if let Some(refusal) = refusal.filter(|refusal| !is_echo(refusal)) {
                ack.refused.push(RefusedBooking {
                    id: Some(booking),
                    code: code(&refusal),
                    text: refusal.to_string(),
                });
            }
        }
        self.acknowledge(&ack, pace);
    }

    fn check_in_portal(
        &mut self,
        machine: &Identifier,
        said: PortalCheckIn,
        pace: &mut Pace,
    ) -> Result<(), SessionRefusal> {
        let word = account::Word {
            booking: said.booking,
            issued: said.issued,
        };
        let input = Input::CheckIn {
            machine: machine.clone(),
            booking: Some(word.booking.id.clone()),
            class: None,
            check_in: CheckIn::Portal,
            word: Some(Box::new(word)),
            by: None,
            at: self.clock.now(),
        };
        let commit: Commit = self.recorder.handle(&input);
        let answer = commit.answers.first().cloned();
        self.keep(commit, pace);
        match answer {
            // The broker keeps a check-in and sends it again: that its session runs is no refusal.
            Some(Ok(_) | Err(SessionRefusal::Running { .. })) | None => Ok(()),
            Some(Err(refusal)) => Err(refusal),
        }
    }

    /// Appends that a leaf is wrong.
    pub(super) fn correct(
        &mut self,
        correction: Correction,
        audit: Audit,
        reply: Reply<u64>,
        pace: &mut Pace,
    ) {
        let size = self.stores.ledger.size();
        if correction.refers >= size {
            let refers = correction.refers;
            let text = text!(
                "there is no leaf {refers}: the ledger has {size}",
                "没有第 {refers} 条记录：台账共有 {size} 条"
            );
            drop(reply.send(Err(Refused::Invalid(text))));
            return;
        }
        let facts = vec![LeafBody::Correction(correction), LeafBody::Audit(audit)];
        self.write(facts, pace);
        let answer = if pace.failed.is_none() {
            Ok(size)
        } else {
            Err(stopping())
        };
        drop(reply.send(answer));
    }

    /// Makes a new signing key that signs beside the old one.
    pub(super) fn rotate_key(&mut self, audit: Audit, reply: Reply<Rotated>, pace: &mut Pace) {
        let leaf = match self.stores.ledger.rotate_key() {
            Ok(leaf) => leaf,
            Err(KeyError::Exists(path)) => {
                let path = path.display();
                let text = text!(
                    "a change of keys is not finished: {path} still signs; `lineside keys rotate --finish` ends it",
                    "上一次密钥更换尚未结束：{path} 仍在签名；用 `lineside keys rotate --finish` 结束"
                );
                drop(reply.send(Err(Refused::Conflict(text))));
                return;
            }
            Err(error) => {
                let why = chain(&error);
                let text = text!("no new key can be made: {why}", "无法生成新密钥：{why}");
                drop(reply.send(Err(Refused::Unavailable(text))));
                return;
            }
        };
        let rotated = Rotated {
            index: self.stores.ledger.size(),
            old: leaf.old.clone(),
            new: leaf.new.clone(),
        };
        self.write(vec![LeafBody::Key(leaf), LeafBody::Audit(audit)], pace);
        let answer = if pace.failed.is_none() {
            Ok(rotated)
        } else {
            Err(stopping())
        };
        drop(reply.send(answer));
    }
}

impl Recording {
    /// Ends a change of the signing key.
    pub(super) fn finish_key(&mut self, audit: Audit, reply: Reply<Rotated>, pace: &mut Pace) {
        if self.is_provisional(pace) {
            let refused = Refused::Conflict(text!(
                "this epoch was begun by `--unheard`, and nothing of it is signed before the broker is reached: end the change of keys then",
                "本期以 `--unheard` 建立，连接消息服务器之前不会签名：请在连接之后再结束密钥更换"
            ));
            drop(reply.send(Err(refused)));
            return;
        }
        let keys = self.stores.ledger.keys();
        // The last checkpoint that the old key signs bears the new one's signature, too.
        (pace.compared, pace.sign_now) = (true, true);
        self.sign(pace);
        if let Err(error) = self.stores.ledger.finish_rotation() {
            let refused = if matches!(error, KeyError::Missing(_)) {
                Refused::Conflict(text!(
                    "no change of keys is under way; `lineside keys rotate` begins one",
                    "没有进行中的密钥更换；可用 `lineside keys rotate` 开始"
                ))
            } else {
                let why = chain(&error);
                Refused::Unavailable(text!(
                    "the old key can't be removed: {why}",
                    "无法移除旧密钥：{why}"
                ))
            };
            drop(reply.send(Err(refused)));
            return;
        }
        // The newer first.
        let mut keys = keys.iter().map(ToString::to_string);
        let rotated = Rotated {
            index: self.stores.ledger.size(),
            new: keys.next().unwrap_or_default(),
            old: keys.next().unwrap_or_default(),
        };
        self.write(vec![LeafBody::Audit(audit)], pace);
        let answer = if pace.failed.is_none() {
            Ok(rotated)
        } else {
            Err(stopping())
        };
        drop(reply.send(answer));
    }
}

fn stopping() -> Refused {
    Refused::Unavailable(text!("the agent is stopping", "程序正在停止"))
}

/// Why a portal's check-in has no effect, as a word.
fn code(refusal: &SessionRefusal) -> RefusalCode {
    match refusal {
        SessionRefusal::NoMachine(_) => RefusalCode::WrongMachine,
        SessionRefusal::Used(_) => RefusalCode::Used,
        SessionRefusal::NoBooking(_)
        | SessionRefusal::NotNow { .. }
        | SessionRefusal::Running { .. }
        | SessionRefusal::NoClass
        | SessionRefusal::NoSession
        | SessionRefusal::Busy => RefusalCode::NoBooking,
    }
}

/// Why a check-in or check-out has no effect, for a person.
fn refused(refusal: SessionRefusal) -> Refused {
    match refusal {
        SessionRefusal::NoMachine(machine) => Refused::UnknownMachine(machine),
        SessionRefusal::NoBooking(booking) => Refused::Conflict(text!(
            "there is no booking `{booking}` for this machine",
            "此设备没有预约 `{booking}`"
        )),
        SessionRefusal::NotNow {
            booking,
            start,
            end,
        } => Refused::Conflict(text!(
            "booking `{booking}` is from {start} to {end}; check-in is from half an hour before to five minutes after",
            "预约 `{booking}` 为 {start} 至 {end}；可在开始前半小时至结束后五分钟内签到"
        )),
        SessionRefusal::Used(booking) => Refused::Conflict(text!(
            "booking `{booking}` has had its session, or was called off",
            "预约 `{booking}` 已使用过或已取消"
        )),
        SessionRefusal::Running { session, booking } => Refused::Conflict(text!(
            "session {session} of booking `{booking}` runs already",
            "预约 `{booking}` 的上机记录 {session} 已在进行"
        )),
        SessionRefusal::NoClass => Refused::Invalid(text!(
            "without a booking a class is needed: OWN, TRN or MNT",
            "没有预约时需要给出类别：OWN、TRN 或 MNT"
        )),
        SessionRefusal::NoSession => Refused::Conflict(text!(
            "no session runs on this machine",
            "此设备没有进行中的上机记录"
        )),
        SessionRefusal::Busy => Refused::Unavailable(text!(
            "too many check-ins and check-outs at once: try again in a few seconds",
            "签到签退过于频繁，请几秒后再试"
        )),
    }
}
