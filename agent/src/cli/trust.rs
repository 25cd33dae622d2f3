//! `lineside trust`: shows the certificate of a machine's OPC UA server, and writes into the machine
//! map that it is trusted; or renews the agent's own certificate.

use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::confirm::confirmed;
use super::probe::machine;
use super::{Context, Failure, Outcome, runtime};
use crate::clock::{Clock, SystemClock};
use crate::config::model::{Connection, Fingerprint, MachineMap, Security, Server};
use crate::config::{self, Loaded};
use crate::field::opcua::certificate::Certificate;
use crate::field::opcua::{Own, shown};
use crate::text;
use crate::text::Text;
use pin::PinFault;

mod pin;

/// Arguments of `lineside trust`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside trust press-01")]
pub struct Args {
    /// The machine
    machine: String,
    /// The connection, where the machine has several
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Write without asking
    #[arg(long)]
    yes: bool,
    /// Renew the agent's own certificate instead, keeping its key; servers must trust it anew
    #[arg(long)]
    renew: bool,
    /// Print JSON; nothing is asked
    #[arg(long)]
    json: bool,
}

/// What was found and done.
#[derive(Serialize)]
struct Shown<'a> {
    machine: &'a str,
    connection: &'a str,
    certificate: Facts,
    pinned: Option<String>,
    file: Option<&'a Path>,
    line: String,
    written: bool,
}

/// A certificate as JSON.
#[derive(Serialize)]
struct Facts {
    fingerprint: String,
    subject: String,
    issuer: String,
    application: Option<String>,
    from: lineside_proto::Time,
    until: lineside_proto::Time,
}

/// Runs the command.
///
/// # Errors
///
/// An unknown machine or connection; a server that can't be reached; a map that can't be written.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let loaded = context.load()?;
    let map = machine(&loaded.config, &args.machine)?;
    let (connection, server) = connection(&map, args.connection.as_deref())?;
    let own = Own::of(&loaded.config.gateway);
    if args.renew {
        return renew(&own, args, context);
    }
    let Security::Secured { server: pinned, .. } = &server.security else {
        return Err(Failure::Usage(text!(
            "`{}` asks for no security: there is no certificate to trust; set security and mode",
            "`{}` 未使用安全连接，没有可信任的证书；请设置 security 和 mode",
            connection.name
        )));
    };
    let certificate = runtime()?
        .block_on(shown(server, &own))
        .map_err(|fault| Failure::Unreachable(fault.text()))?;
    let file = file_of(&loaded, &args.machine)?;
    let mut found = Shown {
        machine: map.machine.as_str(),
        connection: connection.name.as_str(),
        line: certificate.line(),
        pinned: pinned.map(|pinned| pinned.to_string()),
        file: Some(&file),
        written: false,
        certificate: facts(&certificate),
    };
    let known = *pinned == Some(certificate.fingerprint);
    if known {
        found.file = None;
    }
    if !args.json {
        tell(&found, &own, context)?;
    }
    if !known && agreed(args, context)? {
        write(&file, &found, context)?;
        prove(context, &args.machine, connection, certificate.fingerprint)?;
        found.written = true;
    }
    end(&found, known, args, context)
}

fn end(shown: &Shown<'_>, known: bool, args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::to_string(shown).map_err(anyhow::Error::from)?;
        writeln!(out, "{json}")?;
    } else if shown.written {
        let done = text!(
            "written; a running agent takes it up with `lineside apply`",
            "已写入；运行中的程序可用 `lineside apply` 使其生效"
        );
        writeln!(out, "{}", done.say(context.language))?;
    } else if !known {
        let not = text!("nothing was written", "未写入任何内容");
        writeln!(out, "{}", not.say(context.language))?;
    }
    Ok(if known || shown.written {
        Outcome::Done
    } else {
        Outcome::Negative
    })
}

/// The connection to a server that is meant.
pub(super) fn connection<'a>(
    map: &'a MachineMap,
    name: Option<&str>,
) -> Result<(&'a Connection, &'a Arc<Server>), Failure> {
    let mut servers = map
        .connections
        .iter()
        .filter(|connection| name.is_none_or(|name| connection.name.as_str() == name))
        .filter_map(|connection| Some((connection, connection.server()?)));
    let machine = &map.machine;
    match (servers.next(), servers.next()) {
        (Some(one), None) => Ok(one),
        (Some((one, _)), Some((other, _))) => Err(Failure::Usage(text!(
            "`{machine}` has several OPC UA connections; name one, such as --connection {} or --connection {}",
            "`{machine}` 有多个 OPC UA 连接；请指定一个，例如 --connection {} 或 --connection {}",
            one.name,
            other.name
        ))),
        (None, _) => Err(Failure::Usage(match name {
            Some(name) => text!(
                "`{machine}` has no OPC UA connection `{name}`",
                "`{machine}` 没有 OPC UA 连接 `{name}`"
            ),
            None => text!(
                "`{machine}` has no OPC UA connection",
                "`{machine}` 没有 OPC UA 连接"
            ),
        })),
    }
}

/// The file that the machine's map was read from.
pub(super) fn file_of(loaded: &Loaded, machine: &str) -> Result<PathBuf, Failure> {
    let holds = |path: &&PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        pin::machine(&text).as_deref() == Some(machine)
    };
    let found = loaded.files.iter().skip(1).find(holds);
    found.cloned().ok_or_else(|| {
        Failure::Usage(text!(
            "the map of `{machine}` can't be found any more",
            "找不到 `{machine}` 的设备点表"
        ))
    })
}

fn facts(certificate: &Certificate) -> Facts {
    Facts {
        fingerprint: certificate.fingerprint.to_string(),
        subject: certificate.subject.clone(),
        issuer: certificate.issuer.clone(),
        application: certificate.application.clone(),
        from: certificate.from,
        until: certificate.until,
    }
}

/// Shows the certificate, and what will be written where.
fn tell(shown: &Shown<'_>, own: &Own, context: &Context) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let certificate = &shown.certificate;
    let rows = [
        (text!("fingerprint", "指纹"), &certificate.fingerprint),
        (text!("subject", "主体"), &certificate.subject),
        (text!("issuer", "签发者"), &certificate.issuer),
        (
            text!("application", "应用标识"),
            certificate.application.as_ref().unwrap_or(&shown.line),
        ),
        (
            text!("valid", "有效期"),
            &format!("{} – {}", certificate.from, certificate.until),
        ),
    ];
    for (word, value) in rows {
        if value != &shown.line {
            writeln!(out, "{}: {value}", word.say(context.language))?;
        }
    }
    let now = SystemClock.now().wall;
    if now > certificate.until || now < certificate.from {
        let word = text!(
            "! it is not valid now: it will be refused even if it is trusted",
            "! 该证书当前不在有效期内：即使信任也会被拒绝"
        );
        writeln!(out, "{}", word.say(context.language))?;
    }
    let said = match (&shown.pinned, shown.file) {
        (_, None) => text!(
            "it is trusted already; the server must trust the agent's certificate, too: {}",
            "该证书已受信任；服务器也须信任本程序的证书：{}",
            own.certificate_path().display()
        ),
        (Some(pinned), Some(file)) => text!(
            "! WARNING: the map trusts ANOTHER certificate, {pinned}. Somebody may stand between, or the server got a new one: ask its operator.\n\
             {} would then have {}",
            "! 警告：点表信任的是另一张证书 {pinned}。可能有人冒充，也可能服务器更换了证书：请向其管理员确认。\n\
             随后 {} 将改为 {}",
            file.display(),
            shown.line
        ),
        (None, Some(file)) => text!(
            "compare the fingerprint with what the machine shows; {} would then have {}",
            "请与设备上显示的指纹核对；随后 {} 将写入 {}",
            file.display(),
            shown.line
        ),
    };
    writeln!(out, "{}", said.say(context.language))
}

fn agreed(args: &Args, context: &Context) -> io::Result<bool> {
    if args.yes || args.json {
        return Ok(args.yes);
    }
    confirmed(&text!("Trust it?", "信任该证书？"), context)
}

/// Writes the line in one step, and takes it back if the configuration is worse for it.
fn write(file: &Path, shown: &Shown<'_>, context: &Context) -> Result<(), Failure> {
    let before = fs::read_to_string(file).map_err(|error| unwritten(file, &shown.line, &error))?;
    let fingerprint = &shown.certificate.fingerprint;
    let after = pin::with_pin(&before, shown.connection, fingerprint);
    let line = &shown.line;
    let place = file.display();
    let after = after.map_err(|fault| {
        Failure::Usage(match fault {
            PinFault::ByFile => text!(
                "{place} pins the certificate by server-certificate; replace that file, or replace the line by {line}",
                "{place} 通过 server-certificate 固定证书；请替换该文件，或将该行改为 {line}"
            ),
            PinFault::Layout => text!(
                "{place} is laid out in a way that this command does not edit; write {line} into its connection",
                "{place} 的写法不便自动修改；请在其连接中写入 {line}"
            ),
        })
    })?;
    replace(file, &after).map_err(|error| unwritten(file, line, &error))?;
    if let Err(faults) = config::load(&context.config) {
        replace(file, &before)?;
        let report = faults.render(context.language, false, super::terminal_width());
        return Err(Failure::Configuration(report));
    }
    Ok(())
}

/// Who may run this command may not be who may change the map.
fn unwritten(file: &Path, line: &str, error: &io::Error) -> Failure {
    let (file, why) = (file.display(), error.kind());
    Failure::Usage(text!(
        "{file} can't be changed ({why}); nothing was written. Run this as whoever may write it and its folder, or write {line} into its connection",
        "无法修改 {file}（{why}），未写入任何内容。请以有权写入该文件及其目录的用户运行，或在其连接中写入 {line}"
    ))
}

/// Replaces a file by one of the same owner and permissions.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = fs::canonicalize(file)?;
    let before = fs::metadata(&file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    let made = beside.as_file().metadata()?;
    if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
        std::os::unix::fs::chown(beside.path(), Some(before.uid()), Some(before.gid()))?;
    }
    let mode = fs::Permissions::from_mode(before.mode() & 0o7777);
    fs::set_permissions(beside.path(), mode)?;
    beside.as_file().sync_all()?;
    beside.persist(&file).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// Reads the configuration again, and sees that the certificate is trusted.
fn prove(
    context: &Context,
    name: &str,
    connection: &Connection,
    fingerprint: Fingerprint,
) -> Result<(), Failure> {
    let config = context.load()?.config;
    let map = machine(&config, name)?;
    let (_, server) = self::connection(&map, Some(connection.name.as_str()))?;
    match &server.security {
        Security::Secured { server, .. } if *server == Some(fingerprint) => Ok(()),
        Security::Secured { .. } | Security::None => Err(Failure::Usage(text!(
            "the line was written, yet the connection does not trust the certificate; does its template pin another?",
            "已写入，但该连接仍不信任此证书；其模板是否固定了另一张证书？"
        ))),
    }
}

fn renew(own: &Own, args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let path = own.certificate_path();
    let mut out = io::stdout().lock();
    if !args.json {
        let word = text!(
            "a new certificate for the agent's key replaces {}; every server must trust it anew",
            "将为本程序的密钥生成新证书并替换 {}；各服务器须重新信任",
            path.display()
        );
        writeln!(out, "{}", word.say(context.language))?;
    }
    drop(out);
    if !agreed(args, context)? {
        return Ok(Outcome::Negative);
    }
    let certificate = own
        .renew(SystemClock.now().wall)
        .map_err(|fault| Failure::Store(fault.text()))?;
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::json!({"path": path, "certificate": facts(&certificate)});
        writeln!(out, "{json}")?;
    } else {
        let Text { en, zh } = text!(
            "{}: {}, valid until {}",
            "{}：{}，有效期至 {}",
            path.display(),
            certificate.fingerprint,
            certificate.until
        );
        writeln!(out, "{}", Text { en, zh }.say(context.language))?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_cannot_be_changed_is_named_with_the_line_to_write() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let Failure::Usage(said) = unwritten(Path::new("/m/press.toml"), "the line", &error) else {
            panic!("another failure");
        };
        for part in ["/m/press.toml", "permission denied", "the line"] {
            assert!(said.en.contains(part) && said.zh.contains(part), "{said:?}");
        }
    }

    #[test]
    fn a_map_behind_a_link_keeps_its_place_and_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(replace(&folder.path().join("absent"), "new").is_err());
    }
}
