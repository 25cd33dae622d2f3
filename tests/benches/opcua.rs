//! What an OPC UA source costs: 1,000 and 10,000 doubles that change every 100 ms, by the agent's source in a
//! process of its own, and by a bare client of the same crate in the same run.
//!
//! `cargo bench -p lineside-tests --bench opcua -- [--for 20] [--items 1000]`
//!
//! The server runs in a process of its own, which doesn't count. What the source hands to the recorder is
//! counted and thrown away, so that CPU and memory are the source's own. Then the whole agent runs without a
//! broker, and what its outbox holds is counted. Every value of an item is one more
//! than the one before, so that what is missing is known exactly.

use anyhow::{Context, Result, bail, ensure};
use lineside::clock::SystemClock;
use lineside::config::load;
use lineside::field::Field;
use lineside::field::opcua::Own;
use lineside::outbox::{Outbox, RecordKind};
use lineside::run::Agent;
use lineside::sample::{Observation, Slot, Value};
use lineside_proto::{Telemetry, Time};
use lineside_tests::agent::cpu_seconds;
use lineside_tests::process::Process;
use lineside_tests::site::Site;
use lineside_tests::wait;
use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, SessionPollResult};
use opcua::crypto::SecurityPolicy;
use opcua::nodes::VariableBuilder;
use opcua::server::address_space::AddressSpace;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerHandle};
use opcua::types::{
    DataTypeId, DataValue, DateTime, EndpointDescription, MessageSecurityMode,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ObjectId,
    QualifiedName, ReadValueId, TimestampsToReturn, UserTokenPolicy, Variant,
};
use rustix::process::Signal;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

const NAMESPACE: &str = "urn:lineside:bench";
/// Items of one machine, and of one subscription.
const ITEMS_OF_MACHINE: usize = 1_000;
const TICK: Duration = Duration::from_millis(100);
/// 100 ms in the ticks of OPC UA.
const TICK_100NS: i64 = 1_000_000;
/// How long a client may take until everything flows.
const WARM_UP: Duration = Duration::from_secs(10);
const START_MAX: Duration = Duration::from_secs(60);
/// Observations on their way to the count, as the agent has them.
const OBSERVATIONS_MAX: usize = 1_024;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match words.as_slice() {
        ["server", items] => runtime.block_on(server(items.parse()?)),
        ["bare", url, items] => runtime.block_on(bare(url, items.parse()?)),
        ["source", config] => runtime.block_on(source(Path::new(config))),
        ["agent", config] => runtime.block_on(agent(Path::new(config))),
        options => measure(options),
    }
}

/// What came of the items.
struct Tally(Mutex<Vec<Came>>);

/// The first and the last value of an item, and how many came.
#[derive(Clone, Copy, Default)]
struct Came {
    first: f64,
    last: f64,
    count: f64,
}

impl Tally {
    fn new(items: usize) -> Self {
        Self(Mutex::new(vec![Came::default(); items]))
    }

    fn add(&self, item: usize, value: f64) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(came) = items.get_mut(item) {
            if came.count == 0.0 {
                came.first = value;
            }
            came.last = value;
            came.count += 1.0;
        }
    }

    /// How many values came, and their share of those that the items have had since their first.
    fn figures(&self) -> (f64, f64) {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&Came) -> f64| items.iter().map(of).sum::<f64>();
        let (count, had) = (sum(|came| came.count), sum(|came| came.last - came.first));
        let firsts = sum(|came| came.count.min(1.0));
        (
            count,
            if had > 0.0 {
                (count - firsts) / had
            } else {
                0.0
            },
        )
    }

    /// Says every second how it stands, until its parent ends.
    async fn tell(&self) -> Result<()> {
        let mut seconds = interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            let (count, share) = self.figures();
            eprintln!("tally {count} {share}");
        }
    }
}

async fn server(items: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let anyone: &[&str] = &[ANONYMOUS_USER_TOKEN_ID];
    let endpoint = ("/", SecurityPolicy::None, MessageSecurityMode::None, anyone);
    let metadata = NamespaceMetadata {
        namespace_uri: NAMESPACE.to_owned(),
        ..Default::default()
    };
    let mut builder = ServerBuilder::new()
        .application_name("bench")
        .application_uri("urn:lineside:bench:server")
        .pki_dir(dir.path())
        .host("127.0.0.1")
        .port(port)
        .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}")])
        .add_endpoint("none", endpoint)
        .subscription_poll_interval_ms(50)
        .with_node_manager(simple_node_manager(metadata, "bench"));
    let limits = builder.limits_mut();
    limits.subscriptions.min_sampling_interval_ms = 50.0;
    limits.subscriptions.min_publishing_interval_ms = 50.0;
    limits.subscriptions.max_subscriptions_per_session = 50;
    limits.subscriptions.max_pending_publish_requests = 100;
    limits.subscriptions.max_queued_notifications = 200;
    let (server, handle) = builder.build().map_err(anyhow::Error::msg)?;
    let nodes = handle
        .node_managers()
        .get_of_type::<SimpleNodeManager>()
        .context("no nodes")?;
    let space = handle
        .get_namespace_index(NAMESPACE)
        .context("no namespace")?;
    let ids: Vec<NodeId> = (0..items)
        .map(|item| NodeId::new(space, format!("n{item}")))
        .collect();
    add(&ids, &mut nodes.address_space().write());
    tokio::spawn(server.run_with(listener));
    eprintln!("port {port}");
    move_all(&handle, &nodes, &ids).await
}

fn add(ids: &[NodeId], space: &mut AddressSpace) {
    for id in ids {
        let name = id.to_string();
        VariableBuilder::new(id, QualifiedName::new(0, &*name), &*name)
            .data_type(DataTypeId::Double)
            .value(0.0)
            .organized_by(ObjectId::ObjectsFolder)
            .insert(space);
    }
}

/// Gives every node another value in each tick. Their times are exactly a tick apart, whatever the machine's
/// load, so that no sample is too early to be sent.
async fn move_all(handle: &ServerHandle, nodes: &SimpleNodeManager, ids: &[NodeId]) -> Result<()> {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut at = DateTime::now().ticks();
    let mut value = 0.0;
    loop {
        ticks.tick().await;
        at += TICK_100NS;
        value += 1.0;
        let fresh = DataValue::new_at(value, DateTime::from(at));
        let values = ids.iter().map(|id| (id, None, fresh.clone()));
        let written = nodes.set_values(handle.subscriptions(), values);
        written.map_err(|status| anyhow::anyhow!("{status}"))?;
    }
}

/// A client that only counts.
async fn bare(url: &str, items: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut client = ClientBuilder::new()
        .application_name("bare")
        .application_uri("urn:lineside:bench:bare")
        .pki_dir(dir.path())
        .max_array_length(200_000)
        .max_message_size(64 << 20)
        .max_chunk_count(1_000)
        .client()
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let policy = SecurityPolicy::None.to_str();
    let endpoint: EndpointDescription = (
        url,
        policy,
        MessageSecurityMode::None,
        UserTokenPolicy::anonymous(),
    )
        .into();
    let connecting = client.connect_to_matching_endpoint(endpoint, IdentityToken::Anonymous);
    let (session, events) = connecting.await?;
    tokio::spawn(async move {
        use futures_util::StreamExt as _;
        let mut events = std::pin::pin!(events.enter());
        while let Some(Ok(event)) = events.next().await {
            debug_assert!(!matches!(event, SessionPollResult::ConnectionLost(_)));
        }
    });
    ensure!(session.wait_for_connection().await, "no connection");
    let space = session.get_namespace_index(NAMESPACE).await?;
    let tally = Arc::new(Tally::new(items));
    let ids: Vec<usize> = (0..items).collect();
    for part in ids.chunks(ITEMS_OF_MACHINE) {
        let counted = Arc::clone(&tally);
        let counting = DataChangeCallback::new(move |value, item| {
            let place = usize::try_from(item.client_handle()).unwrap_or(usize::MAX);
            if let Some(Variant::Double(value)) = value.value {
                counted.add(place, value);
            }
        });
        let id = session
            .create_subscription(TICK, 300, 20, 5_000, 0, true, counting)
            .await?;
        let wanted = part.iter().map(|item| MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId::from(NodeId::new(space, format!("n{item}"))),
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                client_handle: u32::try_from(*item).unwrap_or(u32::MAX),
                sampling_interval: 100.0,
                queue_size: 10,
                discard_oldest: true,
                ..Default::default()
            },
        });
        session
            .create_monitored_items(id, TimestampsToReturn::Both, wanted.collect())
            .await?;
    }
    tally.tell().await
}

/// The agent's source alone: what it would hand to the recorder is counted.
async fn source(config: &Path) -> Result<()> {
    let loaded = load(config).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let machines: Vec<_> = (0..).map(Slot).zip(loaded.config.machines).collect();
    let (sender, mut observations) = mpsc::channel(OBSERVATIONS_MAX);
    let own = Own::of(&loaded.config.gateway);
    let mut field = Field::new(Arc::new(SystemClock), own, sender);
    field.apply(&machines).await;
    let tally = Arc::new(Tally::new(machines.len() * ITEMS_OF_MACHINE));
    let counted = Arc::clone(&tally);
    tokio::spawn(async move {
        while let Some(observation) = observations.recv().await {
            if let Observation::Batch(batch) = observation {
                let machine = usize::try_from(batch.slot.0).unwrap_or(usize::MAX);
                for sample in batch.samples {
                    if let Ok(Value::Float(value)) = sample.reading {
                        let place = machine * ITEMS_OF_MACHINE + usize::from(sample.point);
                        counted.add(place, value);
                    }
                }
            }
        }
    });
    tally.tell().await
}

/// The whole agent, until it is told to stop.
async fn agent(config: &Path) -> Result<()> {
    let loaded = load(config).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let mut stop = signal(SignalKind::terminate())?;
    let agent = Agent::start(loaded.config, config.to_owned()).await?;
    stop.recv().await;
    Ok(agent.stop().await?)
}

/// Lets the whole agent run for a while and counts what is in its outbox.
fn kept(site: &Site, items: usize, span: Duration) -> Result<(f64, f64)> {
    let config = site.config();
    let config = config.to_str().context("path of the configuration")?;
    let mut agent = child(&["agent", config])?;
    wait::throughout(WARM_UP + span, || Ok(()))?;
    agent.signal(Signal::TERM)?;
    let status = agent.wait(START_MAX)?;
    ensure!(status.success(), "{status}: {:?}", agent.errors.lock());
    let settings = load(&site.config()).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let gateway = settings.config.gateway;
    let dir = gateway.state_dir.join("outbox");
    let (outbox, _) = Outbox::open(&dir, &gateway.outbox, Time::default())?;
    let tally = Tally::new(items);
    let mut from = 0;
    loop {
        let records = outbox.read(from, 1 << 20)?;
        let Some((last, _)) = records.last() else {
            break;
        };
        from = last + 1;
        for (_, record) in records {
            if matches!(record.kind, RecordKind::Telemetry { .. }) {
                count(&serde_json::from_slice(&record.payload)?, &tally);
            }
        }
    }
    Ok(tally.figures())
}

fn count(message: &Telemetry, tally: &Tally) {
    for frame in &message.frames {
        for (name, value) in &frame.values {
            let item = name
                .as_str()
                .strip_prefix('n')
                .and_then(|item| item.parse().ok());
            if let (Some(item), Some(value)) = (item, value.as_f64()) {
                tally.add(item, value);
            }
        }
    }
}

fn child(arguments: &[&str]) -> Result<Process> {
    let program = env::current_exe()?;
    Process::start("a child", program.to_str().context("own path")?, arguments)
}

fn option(options: &[&str], name: &str) -> Result<Option<u64>> {
    let at = options.iter().position(|word| *word == name);
    let value = at.and_then(|at| options.get(at + 1));
    Ok(value.map(|value| value.parse()).transpose()?)
}

fn measure(options: &[&str]) -> Result<()> {
    let span = Duration::from_secs(option(options, "--for")?.unwrap_or(20));
    let counts = match option(options, "--items")? {
        Some(items) => vec![usize::try_from(items)?],
        None => vec![1_000, 10_000],
    };
    for items in counts {
        let mut server = child(&["server", &items.to_string()])?;
        server.wait_for_error_line(0, "port ", START_MAX)?;
        let said = server.errors.lock().first().cloned().context("no line")?;
        let port = said.strip_prefix("port ").context("no port")?.to_owned();
        let url = format!("opc.tcp://127.0.0.1:{port}");
        eprintln!("{items} items at {TICK:?}");
        let before = cost(&["bare", &url, &items.to_string()], span / 2)?;
        let site = site(&url, items)?;
        let config = site.config();
        let config = config.to_str().context("path of the configuration")?;
        let ours = cost(&["source", config], span)?;
        let after = cost(&["bare", &url, &items.to_string()], span / 2)?;
        for (who, figures) in [
            ("bare client", &before),
            ("source", &ours),
            ("bare client", &after),
        ] {
            eprintln!("  {who}: {figures}");
        }
        let (count, share) = kept(&site, items, span)?;
        eprintln!("  outbox of the whole agent: {share:.4} of the values sent, {count:.0} values");
    }
    Ok(())
}

fn site(url: &str, items: usize) -> Result<Site> {
    let site = Site::new(1883)?;
    let all: Vec<usize> = (0..items).collect();
    for (machine, part) in all.chunks(ITEMS_OF_MACHINE).enumerate() {
        let mut map = format!(
            "[connection]\nprotocol = \"opc-ua\"\nurl = \"{url}\"\nsecurity = \"None\"\n\
             [groups]\nfast = \"100ms\"\n[points]\n"
        );
        for item in part {
            let node = format!("nsu={NAMESPACE};s=n{item}");
            map.push_str(&format!(
                "n{item} = {{ node = \"{node}\", group = \"fast\" }}\n"
            ));
        }
        let first = part.first().context("no items")?;
        map.push_str(&format!(
            "[[state.rules]]\nstate = \"RUN\"\nwhen = \"n{first} >= 0\"\n"
        ));
        site.machine(&format!("press-{machine:02}"), &map)?;
    }
    Ok(site)
}

/// What a client got and what that took.
struct Figures {
    share: f64,
    rate: f64,
    cpu: f64,
    resident_kb: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            share,
            rate,
            cpu,
            resident_kb,
        } = self;
        let percent = cpu * 100.0;
        write!(
            f,
            "{share:.4} of the values sent, {rate:.0}/s, {percent:.2} % of a core, {resident_kb} KB resident"
        )
    }
}

fn cost(arguments: &[&str], span: Duration) -> Result<Figures> {
    let mut client = child(arguments)?;
    wait::throughout(WARM_UP, || Ok(()))?;
    let (before, used) = (told(&client)?, cpu_seconds(client.id())?);
    let begun = Instant::now();
    wait::throughout(span, || Ok(()))?;
    let seconds = begun.elapsed().as_secs_f64();
    let (after, used) = (told(&client)?, cpu_seconds(client.id())? - used);
    if let Some(status) = client.ended()? {
        bail!("the client ended with {status}: {:?}", client.errors.lock());
    }
    Ok(Figures {
        share: after.1,
        rate: (after.0 - before.0) / seconds,
        cpu: used / seconds,
        resident_kb: resident_kb(client.id())?,
    })
}

/// What a child told last: values, and their share.
fn told(child: &Process) -> Result<(f64, f64)> {
    let lines = child.errors.lock();
    let told = lines
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("tally "));
    let told = told.with_context(|| lines.join("\n"))?;
    let (count, share) = told.split_once(' ').context("no share")?;
    Ok((count.parse()?, share.parse()?))
}

fn resident_kb(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no figure")?;
    Ok(line
        .split_whitespace()
        .next()
        .context("no number")?
        .parse()?)
}
