//! Whatever comes: nothing panics, and nothing that was touched is taken.

use super::{book, claims, portal, receive, signed};
use crate::booking::sign;
use proptest::prelude::*;

proptest! {
    #[test]
    fn bytes_never_panic(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        text in "\\PC{0,200}",
        is_signed in any::<bool>(),
    ) {
        let mut book = book(is_signed);
        for payload in [&payload[..], text.as_bytes()] {
            let sealed = sign(&portal(), payload).into_bytes();
            for payload in [payload, &sealed] {
                let received = receive(&mut book, payload);
                prop_assert!(received.changed.is_none() && received.check_in.is_none());
            }
        }
    }

    #[test]
    fn one_other_byte_and_nothing_is_taken(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut book = book(true);
        let mut payload = signed(1, &[claims("a", 1, 2)]);
        let place = place.index(payload.len());
        prop_assume!(payload[place] != byte);
        payload[place] = byte;
        let received = receive(&mut book, &payload);
        prop_assert!(received.changed.is_none() && received.ack.revision.is_none());
        prop_assert_eq!(received.ack.refused.len(), 1);
    }
}
