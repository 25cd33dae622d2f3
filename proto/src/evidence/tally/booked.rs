//! The outcomes of bookings, against the tokens that they name.

use super::room::Room;
use super::token::Tokens;
use crate::evidence::Findings;
use crate::ledger::{BookingLeaf, LeafHead};
use crate::text;
use crate::{Identifier, Time};

/// What an outcome's leaf says of its booking, kept until all tokens are there.
#[derive(Clone, Debug)]
pub(super) struct Booked {
    index: u64,
    machine: Identifier,
    booking: String,
    token: String,
    start: Time,
    end: Time,
}

impl Booked {
    /// None where it names no token, or there is no room.
    pub(super) fn of(head: &LeafHead, leaf: &BookingLeaf, room: &mut Room) -> Option<Self> {
        let token = leaf.token.as_ref().filter(|token| !token.is_empty())?;
        let texts = leaf.machine.as_str().len() + leaf.booking.len() + token.len();
        room.take(size_of::<Self>() + texts).then(|| Self {
            index: head.index,
            machine: leaf.machine.clone(),
            booking: leaf.booking.clone(),
            token: token.clone(),
            start: leaf.start,
            end: leaf.end,
        })
    }

    /// Holds it against its token, where that can be read.
    pub(super) fn hold(&self, tokens: &Tokens, found: &mut Findings) {
        let Some(claims) = tokens.claims(&self.token) else {
            return;
        };
        let (index, machine) = (self.index, &self.machine);
        if !claims.machines.contains(machine) {
            found.fail(|| {
                text!(
                    "leaf {index}, machine {machine}: the outcome of a booking names a token that is not for this machine",
                    "第 {index} 条记录，设备 {machine}：预约结果记录所引用的令牌不适用于该设备"
                )
            });
        }
        let pairs = [
            (("booking", "预约"), self.booking.clone(), claims.id.clone()),
            (
                ("start", "开始时间"),
                self.start.to_string(),
                claims.start.to_string(),
            ),
            (
                ("end", "结束时间"),
                self.end.to_string(),
                claims.end.to_string(),
            ),
        ];
        for ((field, zh), said, known) in pairs {
            if said != known {
                found.fail(|| {
                    text!(
                        "leaf {index}, machine {machine}: the outcome of a booking says {field} {said}, and its token {known}",
                        "第 {index} 条记录，设备 {machine}：预约结果记录写明{zh}为 {said}，而其令牌为 {known}"
                    )
                });
            }
        }
    }
}
