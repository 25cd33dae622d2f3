use super::{Body, Press};
use crate::sim::device::FaultKind;
use fastrand::Rng;
use lineside_proto::State;
use opcua::client::{ClientBuilder, IdentityToken, Session};
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    BrowseDescription, DateTime, EndpointDescription, ExtensionObject, HistoryData,
    HistoryReadValueId, MessageSecurityMode, NodeId, ReadRawModifiedDetails, ReadValueId,
    StatusCode, TimestampsToReturn, UserTokenPolicy, Variant,
};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

/// A press, and a client that is connected to it.
struct Pair {
    press: Press,
    session: Arc<Session>,
    space: u16,
    _dir: TempDir,
}

async fn pair(policy: SecurityPolicy, mode: MessageSecurityMode) -> Pair {
    let dir = tempfile::tempdir().unwrap();
    let press = Press::start(&dir.path().join("press")).await.unwrap();
    let mut client = ClientBuilder::new()
        .application_name("test")
        .application_uri("urn:test")
        .pki_dir(dir.path().join("client"))
        .create_sample_keypair(true)
        .trust_server_certs(true)
        .session_retry_limit(0)
        .request_timeout(Duration::from_secs(2))
        .client()
        .unwrap();
    let endpoint: EndpointDescription = (
        &*press.url(),
        policy.to_str(),
        mode,
        UserTokenPolicy::anonymous(),
    )
        .into();
    let connecting = client.connect_to_matching_endpoint(endpoint, IdentityToken::Anonymous);
    let (session, events) = timeout(LIMIT, connecting).await.unwrap().unwrap();
    drop(events.spawn());
    assert!(timeout(LIMIT, session.wait_for_connection()).await.unwrap());
    let space = session.get_namespace_index(super::PRESS).await.unwrap();
    Pair {
        press,
        session,
        space,
        _dir: dir,
    }
}

impl Pair {
    fn id(&self, name: &str) -> NodeId {
        NodeId::new(self.space, name)
    }

    async fn read(&self, name: &str) -> Result<Variant, StatusCode> {
        let wanted = [ReadValueId::from(self.id(name))];
        let read = self.session.read(&wanted, TimestampsToReturn::Both, 0.0);
        let mut values = timeout(LIMIT, read).await.unwrap()?;
        let value = values.pop().unwrap();
        match value.status() {
            StatusCode::Good => Ok(value.value.unwrap()),
            status => Err(status),
        }
    }

    async fn history(&self, name: &str) -> Vec<f64> {
        let asked = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: DateTime::epoch(),
            end_time: DateTime::now(),
            num_values_per_node: 0,
            return_bounds: false,
        };
        let nodes = [HistoryReadValueId {
            node_id: self.id(name),
            ..HistoryReadValueId::default()
        }];
        let action = opcua::client::HistoryReadAction::ReadRawModifiedDetails(asked);
        let answer = self
            .session
            .history_read(action, TimestampsToReturn::Both, false, &nodes);
        let mut answer = timeout(LIMIT, answer).await.unwrap().unwrap();
        let data: ExtensionObject = answer.pop().unwrap().history_data;
        let data = data.inner_as::<HistoryData>().unwrap();
        let values = data.data_values.as_ref().unwrap().iter();
        values
            .map(|value| match value.value {
                Some(Variant::Double(value)) => value,
                ref other => panic!("{other:?}"),
            })
            .collect()
    }
}

/// Lets the press live in a state for so many tenths of a second.
fn live(press: &Press, body: &mut Body, state: State, tenths: usize) {
    let mut rng = Rng::with_seed(2);
    for _ in 0..tenths {
        body.step(state, 0.1, &mut rng);
        press.show(body, state);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_and_reads_what_the_press_shows() {
    let pair = pair(SecurityPolicy::None, MessageSecurityMode::None).await;
    let mut body = Body::default();
    live(&pair.press, &mut body, State::Run, 20);
    for (name, wanted) in [
        (
            "Press.MachineryItemState.CurrentState.Number",
            Variant::from(3_u32),
        ),
        (
            "Press.MachineryOperationMode.CurrentState.Number",
            3_u32.into(),
        ),
        ("Press.Switch", 3_i32.into()),
        ("Press.FaultCode", 0_u16.into()),
        ("Press.Paused", false.into()),
    ] {
        assert_eq!(pair.read(name).await, Ok(wanted), "{name}");
    }
    let machinery = pair
        .session
        .get_namespace_index(super::MACHINERY)
        .await
        .unwrap();
    let executing = Variant::from(NodeId::new(machinery, 5006_u32));
    assert_eq!(
        pair.read("Press.MachineryItemState.CurrentState.Id").await,
        Ok(executing)
    );
    assert!(
        matches!(pair.read("Press.Zones").await, Ok(Variant::Array(zones)) if zones.values.len() == 4)
    );
    assert!(matches!(
        pair.read("Press.Limits").await,
        Ok(Variant::ExtensionObject(_))
    ));
    assert!(matches!(
        pair.read("Press.Force.EngineeringUnits").await,
        Ok(Variant::ExtensionObject(_))
    ));
    let browse = BrowseDescription {
        node_id: pair.id("Press"),
        include_subtypes: true,
        result_mask: 63,
        ..BrowseDescription::default()
    };
    let found = pair.session.browse(&[browse], 0, None).await.unwrap();
    let found = found[0].references.as_ref().unwrap().iter();
    let names: Vec<_> = found
        .map(|found| found.browse_name.name.to_string())
        .collect();
    for name in [
        "Force",
        "Strokes",
        "Switch",
        "MachineryItemState",
        "MachineryOperationMode",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is not in {names:?}"
        );
    }
    let positions = pair.history("Press.Position").await;
    // It moves all the time, but a tenth of a millimetre is what it shows.
    assert!((15..=20).contains(&positions.len()), "{positions:?}");
    assert!(
        pair.history("Press.Force").await.len() < 20,
        "and what did not change is not"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_strike_the_nodes_and_pass() {
    let pair = pair(
        SecurityPolicy::Basic256Sha256,
        MessageSecurityMode::SignAndEncrypt,
    )
    .await;
    let mut body = Body::default();
    for (kind, wanted) in [
        (FaultKind::BadStatus, StatusCode::BadSensorFailure),
        (FaultKind::Uncertain, StatusCode::UncertainSensorNotAccurate),
        (FaultKind::NodeGone, StatusCode::BadNodeIdUnknown),
    ] {
        pair.press.fault(kind.into());
        live(&pair.press, &mut body, State::Run, 1);
        assert_eq!(pair.read("Press.Force").await, Err(wanted), "{kind}");
        assert!(pair.read("Press.Strokes").await.is_ok(), "{kind}");
        pair.press.clear();
        live(&pair.press, &mut body, State::Run, 1);
        assert!(pair.read("Press.Force").await.is_ok(), "{kind} has passed");
    }
    assert!(pair.press.certificate().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_strike_the_connection_and_pass() {
    let pair = pair(SecurityPolicy::None, MessageSecurityMode::None).await;
    pair.press.fault(FaultKind::Frozen.into());
    let mut held = std::pin::pin!(pair.read("Press.Strokes"));
    let soon = Duration::from_millis(100);
    assert!(timeout(soon, &mut held).await.is_err(), "frozen");
    pair.press.clear();
    assert!(held.await.is_ok());
    for kind in [FaultKind::Garbage, FaultKind::Refuse] {
        pair.press.fault(kind.into());
        assert!(pair.read("Press.Strokes").await.is_err(), "{kind}");
    }
}
