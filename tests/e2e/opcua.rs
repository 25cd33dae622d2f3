//! OPC UA between the real agent and servers that are not ours: every policy with every identity.

use anyhow::{Result, ensure};
use lineside_proto::State;
use lineside_tests::broker::Persistence;
use lineside_tests::counting::judge;
use lineside_tests::opcua::{Identity, Maker, Policy, Press, Settings, points};
use lineside_tests::proxy::{Direction, Proxy, Tap};
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use lineside_tests::subscriber::Message;
use lineside_tests::wait;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Numbers that are to come of each machine.
const NUMBERS: usize = 20;

/// Sessions that a server may hold for one of ours.
const SESSIONS_MAX: usize = 3;

/// What a server has sent, as seen on the way.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<u8>>>);

impl Sent {
    fn tap(&self) -> Tap {
        let sent = self.clone();
        Box::new(move |_, way, bytes| {
            if way == Direction::ToClient {
                sent.lock().extend_from_slice(bytes);
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a number, as a double, was among it.
    fn has(&self, number: u64) -> Result<bool> {
        let wanted = f64::from(u32::try_from(number)?).to_le_bytes();
        Ok(self
            .lock()
            .windows(wanted.len())
            .any(|bytes| bytes == wanted))
    }
}

/// A machine for a policy and an identity. Where nothing is encrypted, what its server sends is seen.
struct Machine {
    name: String,
    sent: Option<(Sent, Proxy)>,
}

impl Machine {
    fn new(press: &Press, stand: &Stand, policy: Policy, identity: Identity) -> Result<Self> {
        let name = format!("{policy:?}-{identity:?}").to_ascii_lowercase();
        let sent = match policy {
            Policy::None => {
                let sent = Sent::default();
                let server = SocketAddr::from(([127, 0, 0, 1], press.port()));
                let proxy = Proxy::tapped(server, sent.tap())?;
                Some((sent, proxy))
            }
            Policy::Sign | Policy::SignAndEncrypt | Policy::Aes128 | Policy::Aes256 => None,
        };
        let port = sent
            .as_ref()
            .map_or(press.port(), |(_, proxy)| proxy.port());
        let connection = press.connection(port, policy, identity);
        let map = connection + &points(1..2, "100ms", "10s");
        stand.site.machine(&name, &map)?;
        Ok(Self { name, sent })
    }

    /// Whether enough has come, and nothing is missing that was sent. A server that is short of time
    /// leaves numbers out by itself.
    fn is_complete(&self, messages: &[&Message]) -> Result<bool> {
        let count = judge(messages, &self.name, "n1").unwrap_or_default();
        ensure!(count.reordered.is_empty(), "{}: {count:?}", self.name);
        let mut is_complete = count.live >= NUMBERS;
        if let Some((sent, _)) = &self.sent {
            for hole in &count.holes {
                for missing in hole.before.0 + 1..hole.after.0 {
                    is_complete &= !sent.has(missing)?;
                }
            }
        }
        Ok(is_complete)
    }
}

/// One machine for each policy and identity, all on one server at once, each over a session of its own.
fn every_policy_and_identity(maker: Maker, policies: &[Policy]) -> Result<()> {
    let settings = Settings {
        policies: policies.to_vec(),
        ..Settings::default()
    };
    let mut press = Press::start(maker, settings)?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let mut machines = Vec::new();
    for policy in policies {
        for identity in Identity::ALL {
            machines.push(Machine::new(&press, &stand, *policy, identity)?);
        }
    }
    stand.start()?;
    for machine in &machines {
        stand.availability(&machine.name, 0, |document, _| {
            (document.state == State::Idle).then_some(())
        })?;
    }
    for machine in &machines {
        let what = format!("all numbers of {} to come, or to be named", machine.name);
        wait::until(&what, LIMIT, || {
            let is_complete = machine.is_complete(&stand.archive.messages()?)?;
            Ok(is_complete.then_some(()))
        })?;
    }
    let sessions = usize::try_from(press.sessions()?)?;
    ensure!(
        (machines.len()..=SESSIONS_MAX * machines.len()).contains(&sessions),
        "{sessions} sessions"
    );
    stand.stop()
}

#[test]
fn every_policy_and_identity_with_asyncua() -> Result<()> {
    every_policy_and_identity(Maker::Asyncua, &Policy::USUAL)
}

#[test]
fn every_policy_and_identity_with_node_opcua() -> Result<()> {
    every_policy_and_identity(Maker::Node, &Policy::ALL)
}
