//! A server in this process with nodes of numbers, and a wire to it that can be cut and frozen.
//! A node has history if its name begins with `h`; `state` is an enumeration, a valve names its own
//! states.

use std::sync::Arc;
use std::time::Duration;

use opcua::crypto::SecurityPolicy;
use opcua::nodes::{AccessLevel, NodeType, VariableBuilder};
use opcua::server::address_space::{AddressSpace, add_namespaces};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::ServerContext;
use opcua::server::node_manager::memory::{InMemoryNodeManager, InMemoryNodeManagerBuilder};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, Limits, ServerBuilder, ServerHandle};
use opcua::types::{
    DataTypeId, DataValue, DateTime, LocalizedText, MessageSecurityMode, NodeId, ObjectId,
    QualifiedName, StatusCode, VariableId, VariableTypeId, Variant,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::memory::{Memory, Nodes};
use crate::field::opcua::sample_map::NAMESPACE;

/// A running server; it ends with this.
pub(super) struct Plant {
    pub port: u16,
    handle: ServerHandle,
    nodes: Arc<InMemoryNodeManager<Nodes>>,
    pub memory: Memory,
    namespace: u16,
    task: JoinHandle<()>,
    _pki: TempDir,
}

impl Plant {
    /// A server with these nodes, all zero.
    pub(super) async fn start(nodes: &[&str]) -> Self {
        Self::start_at(0, nodes, Memory::default()).await
    }

    /// The same at a port, 0 for any, with what one before remembered.
    pub(super) async fn start_at(port: u16, nodes: &[&str], memory: Memory) -> Self {
        Self::start_as(port, nodes, memory, |_| ()).await
    }

    /// A server that publishes no faster than this, in milliseconds.
    pub(super) async fn start_slow(nodes: &[&str], publish_ms: f64) -> Self {
        let limit =
            |limits: &mut Limits| limits.subscriptions.min_publishing_interval_ms = publish_ms;
        Self::start_as(0, nodes, Memory::default(), limit).await
    }

    /// A server that forgets a subscription soon.
    pub(super) async fn start_forgetful(nodes: &[&str]) -> Self {
        let limit = |limits: &mut Limits| {
            limits.subscriptions.max_keep_alive_count = 3;
            limits.subscriptions.max_lifetime_count = 10;
        };
        Self::start_as(0, nodes, Memory::default(), limit).await
    }

    /// A server that answers no request for more than so many nodes or items.
    pub(super) async fn start_narrow(
        port: u16,
        nodes: &[&str],
        memory: Memory,
        count: usize,
    ) -> Self {
        let limit = |limits: &mut Limits| {
            limits.operational.max_nodes_per_read = count;
            limits.operational.max_monitored_items_per_call = count;
            limits.operational.max_nodes_per_history_read_data = count;
        };
        Self::start_as(port, nodes, memory, limit).await
    }

    async fn start_as(
        port: u16,
        nodes: &[&str],
        memory: Memory,
        limit: impl FnOnce(&mut Limits),
    ) -> Self {
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => break listener,
                // The one before is still letting go of it.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let port = listener.local_addr().unwrap().port();
        let pki = tempfile::tempdir().unwrap();
        let remembered = memory.clone();
        let manager = move |context: ServerContext, space: &mut AddressSpace| {
            let index = add_namespaces(&context, space, &[NAMESPACE])[0];
            Nodes {
                memory: remembered,
                namespaces: vec![NamespaceMetadata {
                    namespace_uri: NAMESPACE.to_owned(),
                    namespace_index: index,
                    ..NamespaceMetadata::default()
                }],
            }
        };
        let tokens = [ANONYMOUS_USER_TOKEN_ID];
        let none = (SecurityPolicy::None, MessageSecurityMode::None);
        let mut builder = ServerBuilder::new_anonymous("plant")
            .application_uri("urn:plant")
            .product_uri("urn:plant")
            .diagnostics_enabled(true)
            .host("127.0.0.1")
            .pki_dir(pki.path())
            .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}/")])
            .with_node_manager(InMemoryNodeManagerBuilder::new(manager))
            .add_endpoint("none", ("/", none.0, none.1, &tokens[..]));
        let limits = builder.limits_mut();
        limits.subscriptions.min_publishing_interval_ms = 10.0;
        limits.subscriptions.min_sampling_interval_ms = 10.0;
        limit(limits);
        let (server, handle) = builder.build().unwrap();
        let manager = handle
            .node_managers()
            .get_of_type::<InMemoryNodeManager<Nodes>>();
        let mut plant = Self {
            port,
            namespace: handle.get_namespace_index(NAMESPACE).unwrap(),
            nodes: manager.unwrap(),
            memory,
            handle,
            task: tokio::spawn(async {}),
            _pki: pki,
        };
        nodes.iter().for_each(|node| plant.add(node));
        plant.task = tokio::spawn(async move {
            drop(server.run_with(listener).await);
        });
        plant
    }

    /// Stops at once, as a process that is killed.
    pub(super) async fn kill(self) -> u16 {
        self.handle.cancel();
        self.task.abort();
        drop(self.task.await);
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}/", self.port)
    }

    pub(super) fn id(&self, node: &str) -> NodeId {
        NodeId::new(self.namespace, node)
    }

    pub(super) fn add(&self, node: &str) {
        let id = self.id(node);
        let mut level = AccessLevel::CURRENT_READ;
        level.set(AccessLevel::HISTORY_READ, node.starts_with('h'));
        let data_type = match node {
            "state" => DataTypeId::ServerState,
            _ => DataTypeId::Int32,
        };
        let mut space = self.nodes.address_space().write();
        VariableBuilder::new(&id, QualifiedName::new(self.namespace, node), node)
            .data_type(data_type)
            .value(0_i32)
            .access_level(level)
            .user_access_level(level)
            .organized_by(ObjectId::ObjectsFolder)
            .insert(&mut *space);
        if node.starts_with("valve") {
            let texts = ["shut", "open"].map(|text| LocalizedText::new("", text));
            let property = self.id(&format!("{node}.EnumStrings"));
            VariableBuilder::new(&property, "EnumStrings", "EnumStrings")
                .data_type(DataTypeId::LocalizedText)
                .value(texts.to_vec())
                .has_type_definition(VariableTypeId::PropertyType)
                .property_of(id)
                .insert(&mut *space);
        }
    }

    /// Takes a node away, and tells nobody.
    pub(super) fn remove(&self, node: &str) {
        let mut space = self.nodes.address_space().write();
        space.delete(&self.id(node), true).unwrap();
    }

    /// Remembers a value of a node that nobody subscribed.
    pub(super) fn remember(&self, node: &str, value: i32) {
        let data = DataValue::new_at(value, DateTime::now());
        self.memory.add(self.id(node), data);
    }

    /// Changes a node's value; a source time of its own, in milliseconds after the epoch.
    pub(super) fn set_at(&self, node: &str, value: i32, ms: i64) {
        let time = DateTime::from(chrono(ms));
        self.put(node, Variant::Int32(value), time);
    }

    /// Changes a node's value; values that grow are seconds apart for the server, which leaves out
    /// what changes within one sampling interval.
    pub(super) fn set(&self, node: &str, value: i32) {
        self.set_at(node, value, 2_000_000_000_000 + i64::from(value) * 1_000);
    }

    pub(super) fn put(&self, node: &str, value: Variant, time: DateTime) {
        let data = DataValue {
            value: Some(value),
            status: Some(StatusCode::Good),
            source_timestamp: Some(time),
            server_timestamp: Some(time),
            ..DataValue::null()
        };
        let id = self.id(node);
        if node.starts_with('h') {
            self.memory.add(id.clone(), data.clone());
        }
        self.nodes
            .set_value(self.handle.subscriptions(), &id, None, data)
            .unwrap();
    }

    /// Changes a node's value, and tells no item of it.
    pub(super) fn set_silently(&self, node: &str, value: i32) {
        let mut space = self.nodes.address_space().write();
        let id = self.id(node);
        let Some(NodeType::Variable(variable)) = space.find_mut(&id) else {
            panic!("{node} is no variable");
        };
        variable.set_data_value(DataValue::new_now(value));
    }

    /// Sessions that the server keeps.
    pub(super) fn sessions(&self) -> usize {
        self.count(
            VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount,
        )
    }

    /// Subscriptions that the server keeps.
    pub(super) fn subscriptions(&self) -> usize {
        self.count(
            VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount,
        )
    }

    fn count(&self, count: VariableId) -> usize {
        let count = self.handle.info().diagnostics.get(count).unwrap();
        match count.value {
            Some(Variant::UInt32(count)) => count.try_into().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// Ticks of a server's clock for a time.
fn chrono(ms: i64) -> i64 {
    const EPOCH_TICKS: i64 = 116_444_736_000_000_000;
    EPOCH_TICKS + ms * 10_000
}

/// A wire to a server.
pub(super) struct Wire {
    pub port: u16,
    state: watch::Sender<Bend>,
}

/// What is wrong with a wire.
#[derive(Default)]
struct Bend {
    /// How often it was cut.
    cuts: u32,
    /// What the server says is swallowed.
    frozen: bool,
    /// Nobody is taken in.
    shut: bool,
}

impl Wire {
    /// Forwards to this port.
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (state, seen) = watch::channel(Bend::default());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if !seen.borrow().shut {
                    tokio::spawn(forward(near, port, seen.clone()));
                }
            }
        });
        Self { port: own, state }
    }

    /// Cuts what runs.
    pub(super) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Takes nobody in, or does again.
    pub(super) fn shut(&self, shut: bool) {
        self.state.send_modify(|state| state.shut = shut);
    }

    /// Swallows what the server says, or no longer.
    pub(super) fn freeze(&self, frozen: bool) {
        self.state.send_modify(|state| state.frozen = frozen);
    }

    pub(super) fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}/", self.port)
    }
}

async fn forward(near: TcpStream, port: u16, mut seen: watch::Receiver<Bend>) {
    let cuts = seen.borrow_and_update().cuts;
    let frozen = seen.clone();
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let up = tokio::io::copy(&mut near_read, &mut far_write);
    let down = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let Ok(read @ 1..) = far_read.read(&mut buffer).await else {
                return;
            };
            if !frozen.borrow().frozen && near_write.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = up => (),
        () = down => (),
        _ = seen.wait_for(|state| state.cuts != cuts) => (),
    }
}
