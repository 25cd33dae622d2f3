//! Everything that can be wrong with an OPC UA connection is a message in `status` that says what to do.

use anyhow::{Context, Result, ensure};
use lineside_tests::broker::{Persistence, free_port};
use lineside_tests::opcua::{Identity, Maker, Policy, Press, Settings, points};
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use lineside_tests::{proxy::Proxy, wait};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

/// A machine whose connection is wrong, and what its link fault must say.
struct Case {
    name: &'static str,
    connection: String,
    says: &'static [&'static str],
}

/// Something that listens, takes what comes and answers with this.
fn answering(answer: &'static [u8]) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 256];
            if stream.read(&mut bytes).is_ok() {
                drop(stream.write_all(answer));
            }
        }
    });
    Ok(port)
}

/// No answer that an OPC UA server gives.
const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
/// What a server says whose endpoints have other paths: BadTcpEndpointUrlInvalid.
const NO_SUCH_ENDPOINT: &[u8] = b"ERRF\x10\0\0\0\0\0\x83\x80\xff\xff\xff\xff";
/// A greeting as it should be, and then nothing that makes sense.
const GARBLED: &[u8] =
    b"ACKF\x1c\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5";

/// What is wrong with a secured connection, or with who signs in.
fn secured(press: &Press, expired: &Press) -> Vec<Case> {
    let right = |policy, identity| press.connection(press.port(), policy, identity);
    let secured = right(Policy::SignAndEncrypt, Identity::Anonymous);
    let pinned = press.fingerprint();
    let zero = format!("sha256:{}", "0".repeat(64));
    vec![
        Case {
            name: "wrong-password",
            connection: right(Policy::SignAndEncrypt, Identity::Password)
                .replace(&quoted(press, "password"), &quoted(press, "wrong-password")),
            says: &["refuses the user", "password-file"],
        },
        Case {
            name: "not-pinned",
            connection: secured.replace(&format!("server-fingerprint = \"{pinned}\"\n"), ""),
            says: &[
                "not trusted yet",
                "sha256:",
                "lineside trust",
                "server-fingerprint =",
            ],
        },
        Case {
            name: "another-pinned",
            connection: secured.replace(&pinned, &zero),
            says: &["another certificate", "lineside trust"],
        },
        Case {
            name: "expired",
            connection: expired.connection(
                expired.port(),
                Policy::SignAndEncrypt,
                Identity::Anonymous,
            ),
            says: &["expired"],
        },
        Case {
            name: "wrong-policy",
            connection: secured.replace("Basic256Sha256", "Aes256-Sha256-RsaPss"),
            says: &["does not offer", "Basic256Sha256"],
        },
    ]
}

/// What is wrong with where a connection leads.
fn misled(press: &Press, slow: u16, broker: u16) -> Result<Vec<Case>> {
    let plain = |port| press.connection(port, Policy::None, Identity::Anonymous);
    Ok(vec![
        Case {
            name: "unreachable",
            connection: plain(free_port()?),
            says: &["no connection"],
        },
        Case {
            name: "slow",
            connection: plain(slow),
            says: &["no answer in time", "timeout"],
        },
        Case {
            name: "no-such-host",
            connection: plain(1).replace("127.0.0.1:1", "no-such-host.invalid:4840"),
            says: &["has no address", "host in url"],
        },
        Case {
            name: "wrong-path",
            connection: plain(answering(NO_SUCH_ENDPOINT)?),
            says: &["no endpoint of this URL", "path included"],
        },
        Case {
            name: "web-server",
            connection: plain(answering(HTTP)?),
            says: &["no OPC UA server", "HTTP", "host and port in url"],
        },
        Case {
            name: "message-broker",
            connection: plain(broker),
            says: &["closed the connection", "host and port in url"],
        },
        Case {
            name: "nonsense",
            connection: plain(answering(GARBLED)?),
            says: &["can't be understood", "check the port"],
        },
    ])
}

/// A file of the press as a map names it.
fn quoted(press: &Press, name: &str) -> String {
    format!("{:?}", press.file(name).display().to_string())
}

/// The link fault of a machine in `lineside status --json`.
fn link_fault(stand: &Stand, machine: &str) -> Result<Option<String>> {
    let link = stand.link(machine)?;
    let fault = link.as_ref().and_then(|link| link.get("fault"));
    Ok(fault.filter(|fault| !fault.is_null()).map(Value::to_string))
}

#[test]
fn each_wrong_connection_says_what_to_do_and_disturbs_no_other() -> Result<()> {
    let press = Press::start(Maker::Asyncua, Settings::default())?;
    let old = Settings {
        valid_days: [-30, -1],
        policies: vec![Policy::SignAndEncrypt],
        ..Settings::default()
    };
    let expired = Press::start(Maker::Asyncua, old)?;
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], press.port())))?;
    proxy.delay(Duration::from_secs(10));
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let mut cases = secured(&press, &expired);
    cases.extend(misled(&press, proxy.port(), stand.broker.port())?);
    for case in &cases {
        stand.site.machine(
            case.name,
            &(case.connection.clone() + &points(0..1, "100ms", "5s")),
        )?;
    }
    let good = press.connection(press.port(), Policy::Sign, Identity::Certificate);
    stand
        .site
        .machine("good", &(good + &points(0..1, "100ms", "5s")))?;
    stand.start()?;
    for case in &cases {
        let said = |fault: &String| case.says.iter().all(|part| fault.contains(part));
        let mut last = None;
        let found = wait::until(case.name, LIMIT, || {
            last = link_fault(&stand, case.name)?;
            Ok(last.as_ref().filter(|fault| said(fault)).map(|_| ()))
        });
        found.with_context(|| format!("{last:?}\n{}", stand.log()))?;
        eprintln!("{}: {}", case.name, last.unwrap_or_default());
    }
    stand.flow(3)?;
    ensure!(
        link_fault(&stand, "good")?.is_none(),
        "the good one is disturbed"
    );
    stand.stop()
}
