//! The portal of the simulated year: what it books, calls off, and tells late.

use fastrand::Rng;
use lineside_proto::booking::{Allowed, Booking};
use lineside_proto::{Class, Time};

const MINUTE_MS: i64 = 60_000;

/// What the portal has sent, and has yet to send, for one machine. Wall times are true ones.
#[derive(Debug, Default)]
pub(super) struct Portal {
    pub(super) sent: Vec<Booking>,
    /// Sent only from this time on.
    late: Vec<(Time, Booking)>,
    /// Ids of those that are long over.
    pub(super) over: Vec<String>,
    count: u32,
    booked_until: i64,
    /// Whether the gateway must be told anew.
    pub(super) is_news: bool,
}

impl Portal {
    /// The portal lives on until `now`.
    pub(super) fn live(&mut self, now: Time, rng: &mut Rng) {
        while self.booked_until < now.as_millis() + 24 * 60 * MINUTE_MS {
            self.book(now, rng);
        }
        let before = self.sent.len();
        let (due, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late = late;
        let due: Vec<(Time, Booking)> = due;
        self.sent
            .extend(due.into_iter().map(|(_, booking)| booking));
        self.is_news |= self.sent.len() != before;
        // Some of what has not begun is called off.
        if rng.u32(..4_000) == 0 {
            let coming = self
                .sent
                .iter()
                .position(|booking| booking.start > now.plus_millis(MINUTE_MS));
            if let Some(place) = coming {
                self.sent.remove(place);
                self.is_news = true;
            }
        }
        let kept = now.plus_millis(-2 * 24 * 60 * MINUTE_MS);
        let (sent, over) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|booking| booking.end > kept);
        self.sent = sent;
        let over: Vec<Booking> = over;
        self.over.extend(over.into_iter().map(|booking| booking.id));
    }

    fn book(&mut self, now: Time, rng: &mut Rng) {
        let pause = rng.i64(0..10 * 60) * MINUTE_MS;
        let pause = if rng.u8(..3) == 0 { 0 } else { pause };
        let start = self.booked_until.max(now.as_millis()) + pause;
        let length = rng.i64(1..16) * 15 * MINUTE_MS;
        self.booked_until = start + length;
        self.count += 1;
        let is_signed = rng.u8(..4) > 0;
        let classes = [
            Class::Ext,
            Class::Ext,
            Class::Own,
            Class::Aff,
            Class::Trn,
            Class::Mnt,
        ];
        let class = classes[rng.usize(..classes.len())];
        let is_late = is_signed && rng.u8(..5) == 0;
        let booking = Booking {
            id: format!("bk-{}", self.count),
            token: is_signed.then(|| format!("sha256:{:064x}", self.count)),
            class: if is_signed { class } else { Class::Own },
            start: Time::from_millis(start),
            end: Time::from_millis(start + length),
            issued: now
                .min(Time::from_millis(start))
                .plus_millis(-60 * MINUTE_MS),
            data: Allowed::None,
        };
        if is_late {
            let at = booking.start.plus_millis(rng.i64(0..300) * MINUTE_MS);
            self.late.push((at, booking));
        } else {
            self.sent.push(booking);
            self.is_news = true;
        }
    }

    /// A booking by which somebody may check in now.
    pub(super) fn present(&self, now: Time) -> Option<&Booking> {
        let mut sent = self.sent.iter();
        sent.find(|booking| booking.start.plus_millis(-20 * MINUTE_MS) <= now && now < booking.end)
    }
}
