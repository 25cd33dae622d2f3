//! Documents, questions and answers as JSON.

use lineside_proto::evidence::{ConsistencyProof, RangeProof, SessionProofs};
use lineside_proto::{
    Answer, Availability, BookingsAck, BundleResult, CheckpointResult, EntriesResult, Gap,
    GatewayStatus, LeafMessage, LeafPlace, LeafRange, MapDocument, MapResult, MapWanted, Period,
    ProofResult, Receipt, Request, SessionDocument, Telemetry, believed, ends_ms,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What is read is written as something that reads the same.
pub(crate) fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, read);
    let twice = serde_json::to_vec(&again).expect("what was read can be written");
    assert_eq!(twice, written);
    Some(read)
}

pub(crate) fn document(bytes: &[u8]) {
    same::<Availability>(bytes);
    same::<GatewayStatus>(bytes);
    same::<Telemetry>(bytes);
    same::<Gap>(bytes);
    same::<MapDocument>(bytes);
    same::<SessionDocument>(bytes);
    same::<BookingsAck>(bytes);
    let machine = Receipt::<Availability>::read(bytes, 1_000, true, Some(90));
    let gateway = Receipt::<GatewayStatus>::read(bytes, 1_000, false, None);
    for now_ms in [0, 1_000, 91_000, u64::MAX] {
        let belief = believed(gateway.as_ref(), machine.as_ref(), now_ms);
        drop(format!("{belief:?}"));
        if let (Some(gateway), Some(machine)) = (&gateway, &machine) {
            std::hint::black_box(ends_ms(gateway, machine));
        }
    }
}

pub(crate) fn request(bytes: &[u8]) {
    same::<Request>(bytes);
    same::<Answer>(bytes);
    same::<LeafMessage>(bytes);
    same::<LeafRange>(bytes);
    same::<LeafPlace>(bytes);
    same::<MapWanted>(bytes);
    same::<Period>(bytes);
    same::<CheckpointResult>(bytes);
    same::<EntriesResult>(bytes);
    same::<ProofResult>(bytes);
    same::<MapResult>(bytes);
    same::<BundleResult>(bytes);
    same::<ConsistencyProof>(bytes);
    same::<RangeProof>(bytes);
    same::<SessionProofs>(bytes);
}
