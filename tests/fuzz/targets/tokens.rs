//! Tokens, keys, bookings and organisations.

use lineside_proto::booking::{
    BOOKINGS_MAX, Book, BookRecord, CheckInClaims, Claims, IssuerKey, IssuerSecret,
    MESSAGE_BYTES_MAX, Organisations, TOKEN_BYTES_MAX, Trust, sign, thumbprint, verify,
};
use lineside_proto::{ClockStatus, Identifier, Time};

use super::documents::same;
use super::text;

fn portal() -> IssuerSecret {
    IssuerSecret::from_seed(&[3; 32], Some("portal-1")).expect("an id")
}

fn name(text: &str) -> Identifier {
    text.parse().expect("a name")
}

/// 2026-03-02 12:00 in Asia/Shanghai.
fn now() -> Time {
    Time::from_millis(1_772_424_000_000)
}

pub(crate) fn jws(bytes: &[u8]) {
    let keys = [portal().public()];
    if let Some(text) = text(bytes) {
        if let Ok(verified) = verify(text, &keys, TOKEN_BYTES_MAX) {
            assert_eq!(text.matches('.').count(), 2);
            assert_eq!(verified.kid, "portal-1");
        }
    }
    let token = sign(&portal(), bytes);
    if token.len() <= TOKEN_BYTES_MAX {
        let verified = verify(&token, &keys, TOKEN_BYTES_MAX).expect("our own token");
        assert_eq!(verified.payload, bytes);
    }
}

pub(crate) fn jwk(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(key) = IssuerKey::from_jwk(text) {
        let again = IssuerKey::from_jwk(&key.to_jwk()).expect("our own text");
        assert_eq!(again, key);
        drop(thumbprint(&key.key));
        assert!(IssuerSecret::from_jwk(text).is_err());
    }
    if let Ok(secret) = IssuerSecret::from_jwk(text) {
        assert!(
            IssuerKey::from_jwk(text).is_err(),
            "a private key was taken for a public one"
        );
        let again = IssuerSecret::from_jwk(&secret.to_jwk()).expect("our own text");
        assert_eq!(again.public(), secret.public());
    }
}

pub(crate) fn claims(bytes: &[u8]) {
    same::<Claims>(bytes);
    same::<CheckInClaims>(bytes);
    // As a token in a message, as an unsigned booking, and as a check-in.
    let token = sign(&portal(), bytes);
    let message = serde_json::json!({
        "v": 1, "site": "site-01", "gateway": "gateway-01", "machine": "extruder-01", "revision": 1,
        "bookings": [token],
    });
    receive(
        true,
        &[
            sign(&portal(), message.to_string().as_bytes()).as_bytes(),
            sign(&portal(), bytes).as_bytes(),
        ],
    );
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        let message = serde_json::json!({
            "v": 1, "site": "site-01", "gateway": "gateway-01", "machine": "extruder-01", "revision": 1,
            "bookings": [value.clone(), value],
        });
        receive(false, &[message.to_string().as_bytes(), bytes]);
    }
}

pub(crate) fn bookings(bytes: &[u8]) {
    receive(false, &[bytes, bytes]);
    receive(true, &[bytes, sign(&portal(), bytes).as_bytes()]);
}

/// Whatever messages come: what is kept can be written and read, and is within its bounds.
fn receive(is_signed: bool, messages: &[&[u8]]) {
    let trust = Trust {
        keys: if is_signed {
            vec![portal().public()]
        } else {
            Vec::new()
        },
        own: ["org-own".to_owned()].into(),
        affiliates: ["org-aff".to_owned()].into(),
    };
    let (site, gateway) = (name("site-01"), name("gateway-01"));
    let machine = name("extruder-01");
    let mut book = Book::new(site.clone(), gateway.clone(), trust.clone());
    for message in messages {
        for clock in [ClockStatus::S, ClockStatus::U] {
            let received = book.receive(&machine, message, now(), clock);
            let in_force = book.in_force(&machine);
            assert!(in_force.len() <= BOOKINGS_MAX);
            assert!(message.len() <= MESSAGE_BYTES_MAX || received.changed.is_none());
            for booking in &in_force {
                assert!(booking.start < booking.end);
                let is_ext = booking.class == lineside_proto::Class::Ext;
                assert!(
                    !is_ext || (is_signed && booking.token.is_some()),
                    "{booking:?}"
                );
            }
            if let Some(check_in) = received.check_in {
                assert!(in_force.contains(&check_in.booking));
            }
        }
    }
    let record = serde_json::to_vec(&book.record()).expect("a record");
    let read: BookRecord = serde_json::from_slice(&record).expect("our own record");
    let again = Book::new(site, gateway, trust).restore(read);
    assert_eq!(again.in_force(&machine), book.in_force(&machine));
}

pub(crate) fn organisations(bytes: &[u8]) {
    let keys = [portal().public()];
    let site = name("site-01");
    if let Some(text) = text(bytes) {
        drop(Organisations::from_jws(text, &keys, &site));
    }
    if let Ok(list) = Organisations::from_jws(&sign(&portal(), bytes), &keys, &site) {
        assert_eq!(list.site, site);
        let text = serde_json::to_vec(&list).expect("a list");
        let again = Organisations::from_jws(&sign(&portal(), &text), &keys, &site);
        assert_eq!(again, Ok(list));
    }
    same::<Organisations>(bytes);
}
