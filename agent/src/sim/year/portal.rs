//! The booking portal of the sample year: it signs tokens, sends messages, and says who checked in.

use lineside_proto::booking::{Allowed, CheckInClaims, Claims, IssuerSecret, sign};
use lineside_proto::{Identifier, Time};
use serde_json::json;
use std::collections::BTreeMap;

use super::calendar::HOUR_MS;
use super::script::Booked;

/// A booking stays in the messages for so long after its end, or after it was told.
const KEPT_MS: i64 = 12 * HOUR_MS;

/// A token may be presented for so long after the booking's end, in seconds: for as long as the line is down.
const PRESENTED_S: i64 = 7 * 86_400;

/// A booking with its token.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) booked: Booked,
    pub(super) token: String,
}

/// The portal.
#[derive(Debug)]
pub(super) struct Portal {
    site: Identifier,
    gateway: Identifier,
    secret: IssuerSecret,
    signed: BTreeMap<Identifier, Vec<Signed>>,
    revisions: BTreeMap<Identifier, u64>,
}

impl Portal {
    pub(super) fn new(site: Identifier, gateway: Identifier, secret: IssuerSecret) -> Self {
        Self {
            site,
            gateway,
            secret,
            signed: BTreeMap::new(),
            revisions: BTreeMap::new(),
        }
    }

    /// Signs the bookings of a machine.
    pub(super) fn book(&mut self, machine: &Identifier, booked: &[Booked]) {
        let signed = booked.iter().map(|booked| Signed {
            booked: booked.clone(),
            token: self.token(machine, booked),
        });
        self.signed.insert(machine.clone(), signed.collect());
    }

    /// All tokens.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.signed.values().flatten().map(|signed| &*signed.token)
    }

    fn token(&self, machine: &Identifier, booked: &Booked) -> String {
        let claims = Claims {
            site: self.site.clone(),
            gateway: self.gateway.clone(),
            id: booked.id.clone(),
            machines: vec![machine.clone()],
            start: Time::from_millis(booked.start),
            end: Time::from_millis(booked.end),
            class: booked.class,
            org: Some(booked.org.id.to_owned()),
            org_kind: Some(booked.org.kind.to_owned()),
            org_region: Some(booked.org.region.to_owned()),
            user: None,
            data: Allowed::None,
            iss: Some("portal".to_owned()),
            iat: booked.issued / 1_000,
            exp: booked.end / 1_000 + PRESENTED_S,
        };
        sign(
            &self.secret,
            &serde_json::to_vec(&claims).unwrap_or_default(),
        )
    }

    /// What the portal has to say of a machine's bookings now.
    pub(super) fn message(&mut self, machine: &Identifier, now: i64) -> Vec<u8> {
        let signed = self.signed.get(machine).map(Vec::as_slice);
        let present = signed.unwrap_or_default().iter().filter(|signed| {
            let booked = &signed.booked;
            booked.told <= now && booked.end.max(booked.told) + KEPT_MS > now
        });
        let tokens: Vec<&str> = present.map(|signed| &*signed.token).collect();
        let revision = self.revisions.entry(machine.clone()).or_default();
        *revision += 1;
        let message = json!({
            "v": 1, "site": self.site, "gateway": self.gateway, "machine": machine,
            "revision": *revision, "bookings": tokens,
        });
        sign(&self.secret, message.to_string().as_bytes()).into_bytes()
    }

    /// That somebody checks in now.
    pub(super) fn check_in(&self, machine: &Identifier, booking: &str, now: i64) -> Vec<u8> {
        let claims = CheckInClaims {
            site: self.site.clone(),
            gateway: self.gateway.clone(),
            machines: vec![machine.clone()],
            checkin: booking.to_owned(),
            iss: Some("portal".to_owned()),
            iat: now / 1_000,
            exp: now / 1_000 + PRESENTED_S,
        };
        let claims = serde_json::to_vec(&claims).unwrap_or_default();
        sign(&self.secret, &claims).into_bytes()
    }
}
