//! `lineside browse`: the address space of an OPC UA server as a tree, or a machine map from it.

use clap::ArgGroup;
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lineside_proto::Identifier;

use super::probe::machine;
use super::trust::{connection, file_of};
use super::{Context, Failure, Outcome, runtime};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::config::model::{Identity, Secret, Security, SecurityMode, SecurityPolicy, Server};
use crate::field::opcua::Own;
use crate::field::opcua::browse::space::{Seen, Space};
use crate::field::opcua::browse::{Reach, browse};
use crate::field::opcua::fault::OpcFault;
use crate::text;
use crate::text::Text;

mod machines;
mod map;
mod naming;
mod tree;

#[cfg(test)]
mod tests;

/// How long an answer may take where no map says so.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Arguments of `lineside browse`.
#[derive(clap::Args, Clone, Debug)]
#[command(group = ArgGroup::new("server").required(true).args(["url", "machine"]))]
#[command(
    after_help = "Example: lineside browse opc.tcp://192.168.10.30:4840 --depth 4 --values\n\
         Example: lineside browse --machine press-01 --map press-02 > /tmp/press-02.toml"
)]
pub struct Args {
    /// The server, opc.tcp://host[:port][/path]
    url: Option<String>,
    /// The server of this configured machine instead, with its security and user
    #[arg(long)]
    machine: Option<String>,
    /// The machine's connection, where it has several
    #[arg(long, value_name = "NAME", requires = "machine")]
    connection: Option<String>,
    /// Steps below Objects
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: u32,
    /// Nodes at all
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Read the present values, too
    #[arg(long)]
    values: bool,
    /// Print a machine map instead, of a machine of this name
    #[arg(long, value_name = "MACHINE", num_args = 0..=1, default_missing_value = "machine-01")]
    map: Option<Identifier>,
    /// None, Basic256Sha256, Aes128-Sha256-RsaOaep or Aes256-Sha256-RsaPss
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "None",
        conflicts_with = "machine"
    )]
    security: String,
    /// Sign or SignAndEncrypt, which it is where only a policy is named
    #[arg(long, conflicts_with = "machine")]
    mode: Option<String>,
    /// The user; nobody in particular without one
    #[arg(long, requires = "password_file", conflicts_with = "machine")]
    user: Option<String>,
    /// A file that holds the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The fingerprint of the server's certificate, sha256:…
    #[arg(long, value_name = "SHA256", conflicts_with = "machine")]
    trust: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "map")]
    json: bool,
}

/// A node as JSON.
#[derive(Serialize)]
struct Line<'a> {
    path: Vec<&'a str>,
    node: String,
    display: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<(f64, f64)>,
}

/// Runs the command.
///
/// # Errors
///
/// A server that can't be reached or does not let us in; an unknown machine.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let (server, own, written) = match &args.machine {
        Some(name) => configured(name, args, context)?,
        None => (given(args)?, identity(context), toml::Table::new()),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let reach = Reach {
        depth: args.depth,
        nodes: usize::try_from(args.limit).unwrap_or(usize::MAX),
        values: args.values && args.map.is_none(),
    };
    let space = runtime()?
        .block_on(browse(&server, &own, &clock, reach))
        .map_err(|fault| refused(&fault, args))?;
    let keys = keys(&server, args, &written);
    match print(&space, &keys, args, context) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done),
        printed => printed.map(|()| Outcome::Done).map_err(Failure::from),
    }
}

fn print(space: &Space, keys: &Keys, args: &Args, context: &Context) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    if let Some(name) = &args.map {
        let map = map::draft(space, name.as_str(), keys, context.language);
        out.write_all(map.as_bytes())?;
    } else if args.json {
        writeln!(out, "{}", json(space))?;
    } else {
        tree::show(&mut out, space, context.language)?;
    }
    out.flush()
}

/// Why there is nothing to see, in the words of this command.
fn refused(fault: &OpcFault, args: &Args) -> Failure {
    let Text { mut en, mut zh } = fault.text();
    if let (OpcFault::Untrusted { certificate, .. }, None) = (fault, &args.machine) {
        let fingerprint = certificate.fingerprint;
        en.push_str(&format!("; for this command: --trust {fingerprint}"));
        zh.push_str(&format!("；本命令可用：--trust {fingerprint}"));
    }
    let text = Text { en, zh };
    if matches!(fault, OpcFault::Own(_)) {
        Failure::Store(text)
    } else {
        Failure::Unreachable(text)
    }
}

/// The server of a machine, what the agent is known by there, and the connection as the machine's
/// file writes it.
fn configured(
    name: &str,
    args: &Args,
    context: &Context,
) -> Result<(Server, Own, toml::Table), Failure> {
    let loaded = context.load()?;
    let map = machine(&loaded.config, name)?;
    let (connection, server) = connection(&map, args.connection.as_deref())?;
    let text = fs::read_to_string(file_of(&loaded, name)?)?;
    let written = written(&text, connection.name.as_str());
    let own = Own::of(&loaded.config.gateway);
    Ok((Server::clone(server), own, written))
}

/// The connection as a machine's file writes it; empty where it comes from a template.
fn written(text: &str, connection: &str) -> toml::Table {
    let map: toml::Table = text.parse().unwrap_or_default();
    let named = map.get("connections").and_then(|all| all.get(connection));
    let short = map.get("connection").filter(|_| connection == "main");
    let table = named.or(short).and_then(toml::Value::as_table);
    table.cloned().unwrap_or_default()
}

/// What the agent is known by: as configured, else as this person's command.
fn identity(context: &Context) -> Own {
    if let Ok(loaded) = config::load(&context.config) {
        return Own::of(&loaded.config.gateway);
    }
    let home = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    Own {
        directory: home
            .unwrap_or_else(std::env::temp_dir)
            .join("lineside/opc-ua"),
        uri: "urn:lineside:browse".to_owned(),
    }
}

fn given(args: &Args) -> Result<Server, Failure> {
    let security = security(args)?;
    let identity = match (&args.user, &args.password_file) {
        (Some(user), Some(file)) => Identity::Password {
            user: user.clone(),
            password: password(file)?,
        },
        _ => Identity::Anonymous,
    };
    let url = args.url.as_deref().unwrap_or_default();
    let url = config::canonical_url(url).ok_or_else(|| wrong("URL", url))?;
    Ok(Server {
        url,
        security,
        identity,
        timeout: TIMEOUT,
        history: false,
    })
}

fn wrong(what: &str, value: &str) -> Failure {
    Failure::Usage(text!(
        "{what} can't be `{value}`; see `lineside browse --help`",
        "{what} 不能为 `{value}`；参见 `lineside browse --help`"
    ))
}

/// What the options ask for. Whoever names a mode or a certificate means a connection that has them,
/// and must not get one without.
fn security(args: &Args) -> Result<Security, Failure> {
    let policy = [
        SecurityPolicy::Basic256Sha256,
        SecurityPolicy::Aes128Sha256RsaOaep,
        SecurityPolicy::Aes256Sha256RsaPss,
    ]
    .into_iter()
    .find(|policy| policy.as_str() == args.security);
    let Some(policy) = policy else {
        if args.security != "None" {
            return Err(wrong("--security", &args.security));
        }
        let asked = [
            ("--mode", args.mode.is_some()),
            ("--trust", args.trust.is_some()),
        ];
        return match asked.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(Security::None),
            Some((option, _)) => Err(Failure::Usage(text!(
                "{option} means nothing without a policy; add --security Basic256Sha256 or another that the server offers",
                "没有安全策略时 {option} 不起作用；请加上 --security Basic256Sha256 或服务器提供的其他策略"
            ))),
        };
    };
    let mode = match &args.mode {
        None => SecurityMode::SignAndEncrypt,
        Some(word) => [SecurityMode::Sign, SecurityMode::SignAndEncrypt]
            .into_iter()
            .find(|mode| mode.as_str() == word)
            .ok_or_else(|| wrong("--mode", word))?,
    };
    let server = match &args.trust {
        Some(text) => Some(config::read_fingerprint(text).ok_or_else(|| wrong("--trust", text))?),
        None => None,
    };
    Ok(Security::Secured {
        policy,
        mode,
        server,
    })
}

/// The password in a file, without one line break at its end, as `password-file` has it.
fn password(file: &Path) -> Result<Secret, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        let file = file.display();
        Failure::Usage(text!(
            "the password file {file} can't be read: {error}",
            "无法读取密码文件 {file}：{error}"
        ))
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// The keys of a connection and their values.
type Keys = [(&'static str, String)];

/// The keys of the connection in a map. `written` is what the machine's own map says, whose files a
/// map beside it names alike.
fn keys(server: &Server, args: &Args, written: &toml::Table) -> Vec<(&'static str, String)> {
    let mut keys = vec![
        ("protocol", "opc-ua".to_owned()),
        ("url", server.url.clone()),
    ];
    match &server.security {
        Security::None => keys.push(("security", "None".to_owned())),
        Security::Secured {
            policy,
            mode,
            server,
        } => {
            keys.push(("security", policy.as_str().to_owned()));
            keys.push(("mode", mode.as_str().to_owned()));
            keys.extend(server.map(|pin| ("server-fingerprint", pin.to_string())));
        }
    }
    let file = |key: &'static str| {
        let name = written.get(key).and_then(toml::Value::as_str);
        (key, name.unwrap_or("FILE").to_owned())
    };
    match &server.identity {
        Identity::Anonymous => (),
        Identity::Password { user, .. } => {
            keys.push(("user", user.clone()));
            keys.push(match &args.password_file {
                Some(path) => ("password-file", path.display().to_string()),
                None => file("password-file"),
            });
        }
        Identity::Certificate { .. } => {
            keys.extend(["user-certificate", "user-key"].map(file));
        }
    }
    keys
}

fn json(space: &Space) -> serde_json::Value {
    let lines: Vec<Line<'_>> = (0..space.nodes.len())
        .zip(&space.nodes)
        .skip(1)
        .map(|(place, node)| line(space, place, node))
        .collect();
    let cut = space.cut;
    serde_json::json!({
        "nodes": lines,
        "cut": {"too_deep": cut.too_deep, "too_many": cut.too_many, "again": cut.again, "refused": cut.refused},
    })
}

fn line<'a>(space: &'a Space, place: usize, node: &'a Seen) -> Line<'a> {
    let content = node.content.as_ref();
    Line {
        path: space.path(place),
        node: tree::address(node),
        display: &node.display,
        kind: content.map(tree::kind),
        value: content.and_then(|content| content.value.as_deref()),
        status: content.and_then(|content| content.status.as_deref()),
        unit: content.and_then(|content| content.unit.as_deref()),
        range: content.and_then(|content| content.range),
    }
}
