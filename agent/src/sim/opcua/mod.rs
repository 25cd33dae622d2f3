//! A hydraulic press behind an OPC UA server: process values with units and history, counters, an
//! enumeration, an array, a structure, and the two state machines of OPC UA for Machinery.
//!
//! Security None and Basic256Sha256, anonymous; any client's certificate is taken. It trusts nobody's
//! network: it listens on the loopback interface only. The server half of the OPC UA crates is named
//! here and nowhere else. Bounded: so many sessions, and a ring of values per node.

mod body;
mod history;
mod nodes;
mod relay;
#[cfg(test)]
mod tests;

pub(super) use body::Body;

use anyhow::Context as _;
use lineside_proto::State;
use opcua::crypto::SecurityPolicy;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{InMemoryNodeManager, InMemoryNodeManagerBuilder};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerHandle};
use opcua::types::{AttributeId, DataValue, DateTime, MessageSecurityMode, StatusCode};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::device::{Fault, FaultKind};
use history::Memory;
use nodes::{MACHINERY, Namespaces, PRESS};
use relay::{LinkFaults, Ports};

/// Sessions at once: enough for the agent and a few who look.
const SESSIONS_MAX: usize = 20;
/// How often the server looks for what is to be sent, ms: no sampling is quicker than that.
const TICK_MS: u64 = 50;

type Space = InMemoryNodeManager<history::Nodes>;

/// A running press. Dropping it ends its server.
#[derive(Debug)]
pub struct Press {
    port: u16,
    pki: PathBuf,
    link: watch::Sender<LinkFaults>,
    shared: Mutex<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    handle: ServerHandle,
    space: Arc<Space>,
    namespaces: Namespaces,
    memory: Memory,
    nodes: nodes::Nodes,
    faults: Vec<Fault>,
    gone: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.nodes, self.faults)
    }
}

impl Press {
    /// The kinds of faults that a press can have.
    pub const FAULTS: [FaultKind; 7] = [
        FaultKind::Late(std::time::Duration::from_millis(250)),
        FaultKind::Garbage,
        FaultKind::Refuse,
        FaultKind::Frozen,
        FaultKind::NodeGone,
        FaultKind::BadStatus,
        FaultKind::Uncertain,
    ];

    /// Starts a press on a free port of the loopback interface; its certificate and key are made in
    /// `pki` if they are not there.
    ///
    /// # Errors
    ///
    /// No port could be had, or no certificate made.
    pub async fn start(pki: &Path) -> anyhow::Result<Self> {
        let ports = Ports::bind().await?;
        let memory = Memory::default();
        let (its_pki, its_memory) = (pki.to_owned(), memory.clone());
        // A key pair takes a moment of a core.
        let build = move || builder(&its_pki, ports.port, its_memory).build();
        let built = tokio::task::spawn_blocking(build).await?;
        let (server, handle) = built.map_err(anyhow::Error::msg)?;
        let space = handle
            .node_managers()
            .get_of_type::<Space>()
            .context("no nodes")?;
        let index = |name| handle.get_namespace_index(name).context("no namespace");
        let namespaces = Namespaces {
            press: index(PRESS)?,
            machinery: index(MACHINERY)?,
        };
        let link = watch::Sender::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(relay::relay(ports.front, ports.port, link.subscribe()));
        tasks.spawn(async move {
            if let Err(error) = server.run_with(ports.behind).await {
                tracing::warn!(error, "the press's server has ended");
            }
        });
        let nodes = nodes::Nodes::new(namespaces);
        let shared = Shared {
            handle,
            space,
            namespaces,
            memory,
            nodes,
            faults: Vec::new(),
            gone: false,
        };
        Ok(Self {
            port: ports.port,
            pki: pki.to_owned(),
            link,
            shared: Mutex::new(shared),
            tasks: Mutex::new(tasks),
        })
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }

    /// Its certificate in DER, on disk.
    pub fn certificate(&self) -> PathBuf {
        self.pki.join("own/cert.der")
    }

    /// Writes what it shows.
    pub(super) fn show(&self, body: &Body, state: State) {
        self.lock().show(body, state);
    }

    /// Makes something wrong; of a kind, the newest stands. `when` has no meaning here.
    pub fn fault(&self, fault: Fault) {
        let mut shared = self.lock();
        let kind = std::mem::discriminant(&fault.kind);
        shared
            .faults
            .retain(|old| std::mem::discriminant(&old.kind) != kind);
        shared.faults.push(fault);
        shared.apply();
        self.link.send_replace(shared.link());
    }

    /// Nothing is wrong any more.
    pub fn clear(&self) {
        let mut shared = self.lock();
        shared.faults.clear();
        shared.apply();
        self.link.send_replace(shared.link());
    }

    /// What is wrong.
    pub fn faults(&self) -> Vec<Fault> {
        self.lock().faults.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        self.lock().handle.cancel();
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
    }
}

impl Shared {
    fn has(&self, kind: FaultKind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }

    fn link(&self) -> LinkFaults {
        let late = self.faults.iter().find_map(|fault| {
            if let FaultKind::Late(late) = fault.kind {
                Some(late)
            } else {
                None
            }
        });
        LinkFaults {
            closed: self.has(FaultKind::Refuse),
            frozen: self.has(FaultKind::Frozen),
            late,
            garbage: self.has(FaultKind::Garbage),
        }
    }

    fn status(&self) -> StatusCode {
        if self.has(FaultKind::BadStatus) {
            StatusCode::BadSensorFailure
        } else if self.has(FaultKind::Uncertain) {
            StatusCode::UncertainSensorNotAccurate
        } else {
            StatusCode::Good
        }
    }

    /// Brings the nodes in line with the faults; their values follow when the press shows itself next.
    fn apply(&mut self) {
        let gone = self.has(FaultKind::NodeGone);
        if gone != self.gone {
            self.gone = gone;
            let mut space = self.space.address_space().write();
            if gone {
                let ids = self.namespaces.remove_process_values(&mut space);
                drop(space);
                let unknown = DataValue {
                    status: Some(StatusCode::BadNodeIdUnknown),
                    ..DataValue::default()
                };
                let notices = ids
                    .iter()
                    .map(|id| (unknown.clone(), id, AttributeId::Value));
                self.handle.subscriptions().notify_data_change(notices);
            } else {
                self.namespaces.build_process_values(&mut space);
            }
        }
        self.nodes.forget();
    }

    fn show(&mut self, body: &Body, state: State) {
        let (now, status) = (DateTime::now(), self.status());
        let mut values = Vec::new();
        for change in self.nodes.changes(&body.shown(state)) {
            let is_process_value = change.history.is_some();
            if is_process_value && self.gone {
                continue;
            }
            if let Some(value) = change.history.filter(|_| status.is_good()) {
                self.memory.add(&change.node, now, value);
            }
            let status = if is_process_value {
                status
            } else {
                StatusCode::Good
            };
            values.push((
                change.node,
                DataValue::new_at_status(change.value, now, status),
            ));
        }
        let values = values
            .iter()
            .map(|(node, value)| (node, None, value.clone()));
        // Every node named here exists: those that may be gone are left out above.
        if let Err(status) = self.space.set_values(self.handle.subscriptions(), values) {
            tracing::debug!(%status, "the press can't show itself");
        }
    }
}

fn builder(pki: &Path, port: u16, memory: Memory) -> ServerBuilder {
    let anyone = [ANONYMOUS_USER_TOKEN_ID];
    let mut builder = ServerBuilder::new()
        .application_name("Lineside virtual press")
        .application_uri("urn:lineside:demo:press:server")
        .product_uri("urn:lineside:demo")
        .create_sample_keypair(true)
        .trust_client_certs(true)
        .pki_dir(pki)
        .host("127.0.0.1")
        .port(port)
        .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}")])
        .max_sessions(SESSIONS_MAX)
        .subscription_poll_interval_ms(TICK_MS);
    for (name, policy, mode) in [
        ("none", SecurityPolicy::None, MessageSecurityMode::None),
        (
            "sign",
            SecurityPolicy::Basic256Sha256,
            MessageSecurityMode::Sign,
        ),
        (
            "encrypt",
            SecurityPolicy::Basic256Sha256,
            MessageSecurityMode::SignAndEncrypt,
        ),
    ] {
        builder = builder.add_endpoint(name, ("/", policy, mode, &anyone as &[&str]));
    }
    builder.limits_mut().subscriptions.min_sampling_interval_ms = 50.0;
    builder
        .limits_mut()
        .subscriptions
        .min_publishing_interval_ms = 50.0;
    let nodes = move |context: opcua::server::node_manager::ServerContext,
                      space: &mut opcua::server::address_space::AddressSpace| {
        let indexes =
            opcua::server::address_space::add_namespaces(&context, space, &[PRESS, MACHINERY]);
        let metadata = [PRESS, MACHINERY]
            .into_iter()
            .zip(&indexes)
            .map(|(uri, index)| NamespaceMetadata {
                namespace_uri: uri.to_owned(),
                namespace_index: *index,
                ..NamespaceMetadata::default()
            });
        if let [press, machinery] = *indexes {
            Namespaces { press, machinery }.build(space);
        }
        history::Nodes::new(memory, metadata.collect())
    };
    builder.with_node_manager(InMemoryNodeManagerBuilder::new(nodes))
}
