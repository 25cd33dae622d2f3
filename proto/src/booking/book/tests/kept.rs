//! What lasts: the record, and its bounds.

use super::{Book, at, book, claims, message, name, now, receive, refused, signed, trust, with};
use crate::booking::{BOOKINGS_MAX, BookRecord, IssuerSecret, MESSAGE_BYTES_MAX};
use crate::{Class, ClockStatus, RefusalCode::OldRevision};
use serde_json::{Value, json};

#[test]
fn a_book_is_kept_and_judged_again_where_other_tokens_count() {
    let mut first = book(true);
    let payload = signed(
        1,
        &[
            claims("a", 1, 2),
            with(claims("b", 3, 4), json!({"org": "x"})),
        ],
    );
    let ack = receive(&mut first, &payload).ack;
    let bytes = serde_json::to_vec(&first.record()).unwrap();
    let record: BookRecord = serde_json::from_slice(&bytes).unwrap();
    let mut same = book(true).restore(record.clone());
    assert_eq!(same.record(), first.record());
    assert_eq!(receive(&mut same, &payload).ack, ack);
    // Another affiliate: the classes are granted anew when the message comes again, though it is late.
    let mut changed = trust(true);
    changed.affiliates.insert("x".into());
    let mut book = Book::new(name("s"), name("g"), changed).restore(record.clone());
    assert_eq!(book.in_force(&name("m")), first.in_force(&name("m")));
    let again = book.receive(&name("m"), &payload, at(1), ClockStatus::S);
    assert_eq!(again.changed.unwrap()[1].class, Class::Aff);
    assert_eq!(
        refused(&receive(&mut book, &signed(0, &[]))),
        [(None, OldRevision)]
    );
    // A key that no longer counts takes its bookings with it, and so does the first key the unsigned ones.
    let mut other = trust(true);
    other.keys = vec![
        IssuerSecret::from_seed(&[3; 32], Some("new"))
            .unwrap()
            .public(),
    ];
    let book = Book::new(name("s"), name("g"), other).restore(record);
    assert_eq!(book.in_force(&name("m")), []);
}

#[test]
fn what_is_remembered_stays_bounded() {
    let mut book = book(false);
    let minute = |n: i64| now().plus_millis((n - 4000) * 60_000);
    for revision in 0_i64..4 {
        let bookings = (0..512_i64).map(|n| {
            let place = revision * 512 + n;
            let id = format!("b{place}");
            let times = json!({"start": minute(place), "end": minute(place + 1)});
            with(with(claims(&id, 0, 0), times), json!({"exp": null}))
        });
        // In two parts, as more bytes than a message may have would be refused.
        let all: Vec<Value> = bookings
            .map(|one| with(one, json!({"data": null, "iss": null, "user": null})))
            .collect();
        let payload = message(revision.unsigned_abs() + 1, all).to_string();
        assert!(payload.len() < MESSAGE_BYTES_MAX, "{}", payload.len());
        let received = receive(&mut book, payload.as_bytes());
        assert_eq!(refused(&received), []);
        assert_eq!(received.ack.accepted.len(), BOOKINGS_MAX);
    }
    let record = serde_json::to_value(book.record()).unwrap();
    assert_eq!(
        record["machines"]["m"]["known"].as_array().unwrap().len(),
        1024
    );
}
