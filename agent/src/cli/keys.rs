//! `lineside keys`: the ledger's signing key, and the card by which the city gets to know it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lineside_proto::booking::thumbprint;
use lineside_proto::ledger::note::VerifierKey;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde::Serialize;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::status::{ask, other_answer};
use super::{Context, Failure, Outcome, write_json};
use crate::config::model::Gateway;
use crate::control::{self, Answer, Request};
use crate::ledger::{self, KeyError, Keys, LedgerError};
use crate::logs::chain;
use crate::text;
use crate::text::Text;

/// Arguments of `lineside keys`.
#[derive(clap::Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Example: lineside keys show --json | jq -r .card.vkey")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// Makes the signing key of the ledger (0600), where there is none
    Init(Init),
    /// Shows the public key: C2SP verifier key, JWK, and the card for the city with its QR code
    Show(Show),
    /// Makes a new key that takes over; both sign until the change is finished
    Rotate(Rotate),
}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: sudo -u lineside lineside keys init")]
struct Init {}

#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside keys show --trust >> trust.toml")]
struct Show {
    /// Print JSON
    #[arg(long, conflicts_with = "trust")]
    json: bool,
    /// Print this gateway's part of an evaluator's trust.toml
    #[arg(long)]
    trust: bool,
}

#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example: lineside keys rotate, and when the city knows the new key: lineside keys rotate --finish"
)]
struct Rotate {
    /// End the change: only the new key signs from now on
    #[arg(long)]
    finish: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// A key that is there already or can't be used; `rotate`: no agent that answers.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let gateway = context.load()?.config.gateway;
    match &args.command {
        Command::Init(Init {}) => init(&gateway, context),
        Command::Show(args) => show(args, &gateway, context),
        Command::Rotate(args) => rotate(args, &gateway, context),
    }
}

fn init(gateway: &Gateway, context: &Context) -> Result<Outcome, Failure> {
    let path = &gateway.ledger.key;
    Keys::init(path).map_err(|error| key_failure(&error))?;
    let origin = ledger::origin(path, &gateway.ledger.origin).map_err(ledger_failure)?;
    let keys = load(path, &origin)?;
    let done = text!(
        "made {}\nverifier key: {}\n\
         keep one copy of it apart from the gateway, locked away, and none in backups of the state directory; the files \
         beside it stay here. Without it a new key begins a new ledger. The agent must run as the user who made it",
        "已生成 {}\n验证公钥：{}\n\
         请在网关之外妥善保管一份副本，勿放入状态目录的备份；同目录的其他文件留在本机。密钥一旦丢失，只能用新密钥建立新台账。\
         程序须以生成密钥的用户运行",
        path.display(),
        keys.public()
    );
    writeln!(io::stdout().lock(), "{}", done.say(context.language))?;
    Ok(Outcome::Done)
}

/// The keys; where not even their directory is there, there is no key.
pub(super) fn load(path: &Path, origin: &str) -> Result<Keys, Failure> {
    Keys::load(path, origin).map_err(|error| {
        let is_absent = |source: &io::Error| source.kind() == io::ErrorKind::NotFound;
        if matches!(&error, KeyError::Disk { source, .. } if is_absent(source)) {
            key_failure(&KeyError::Missing(path.to_owned()))
        } else {
            key_failure(&error)
        }
    })
}

/// What the city needs to know of this gateway.
#[derive(Serialize)]
struct Card<'a> {
    v: u8,
    site: &'a str,
    gateway: &'a str,
    origin: &'a str,
    vkey: String,
}

/// A public key as RFC 8037 writes it.
#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

#[derive(Serialize)]
struct Shown<'a> {
    card: Card<'a>,
    jwk: Jwk,
    /// The key before, while both sign.
    before: Option<String>,
}

/// The public keys of a ledger.
struct Known {
    origin: String,
    public: VerifierKey,
    /// The one before, while both sign.
    before: Option<VerifierKey>,
}

/// The keys that the running agent signs with: it may have them from systemd, where nobody else can read them.
fn running(gateway: &Gateway) -> Option<Known> {
    let Ok(Answer::Live(live)) = control::ask(&gateway.state_dir, &Request::Live) else {
        return None;
    };
    let ledger = live.ledger?;
    let mut keys = ledger.keys.iter().map(|key| key.parse().ok());
    Some(Known {
        public: keys.next()??,
        before: keys.next().flatten(),
        origin: ledger.origin,
    })
}

/// The keys that an agent would sign with if it were started now.
fn on_disk(gateway: &Gateway) -> Result<Known, Failure> {
    let path = &gateway.ledger.key;
    let origin = ledger::origin(path, &gateway.ledger.origin).map_err(ledger_failure)?;
    let keys = load(path, &origin)?;
    Ok(Known {
        public: keys.public().clone(),
        before: keys.old().cloned(),
        origin,
    })
}

fn show(args: &Show, gateway: &Gateway, context: &Context) -> Result<Outcome, Failure> {
    let path = &gateway.ledger.key;
    let keys = running(gateway).map_or_else(|| on_disk(gateway), Ok)?;
    let origin = keys.origin;
    let mut out = io::stdout().lock();
    if args.trust {
        let mut old = path.clone().into_os_string();
        old.push(".old");
        let before = keys.before.map(|key| (key, PathBuf::from(old)));
        let both = before.into_iter().chain([(keys.public, path.clone())]);
        for (key, file) in both {
            write!(out, "{}", trusted(gateway, &origin, &key, &file))?;
        }
        return Ok(Outcome::Done);
    }
    let shown = Shown {
        card: Card {
            v: 1,
            site: gateway.site.as_str(),
            gateway: gateway.id.as_str(),
            origin: &origin,
            vkey: keys.public.to_string(),
        },
        jwk: jwk(&keys.public),
        before: keys.before.as_ref().map(ToString::to_string),
    };
    if args.json {
        write_json(&mut out, &shown)?;
    } else {
        tell(&mut out, &shown, context)?;
    }
    Ok(Outcome::Done)
}

fn tell(out: &mut impl Write, shown: &Shown<'_>, context: &Context) -> Result<(), Failure> {
    let line = |word: Text, value: &str| format!("{}: {value}", word.say(context.language));
    writeln!(
        out,
        "{}",
        line(text!("verifier key", "验证公钥"), &shown.card.vkey)
    )?;
    if let Some(before) = &shown.before {
        let word = text!("key before, which signs too", "前一把公钥（仍同时签名）");
        writeln!(out, "{}", line(word, before))?;
    }
    writeln!(out, "{}", line(text!("JWK", "JWK"), &one_line(&shown.jwk)?))?;
    let card = one_line(&shown.card)?;
    writeln!(
        out,
        "{}",
        line(text!("card for the city", "城市平台登记卡"), &card)
    )?;
    let color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for row in picture(&card) {
        if color {
            // White on black, whatever the terminal's own colours are.
            writeln!(out, "\x1b[97;40m{row}\x1b[0m")?;
        } else {
            writeln!(out, "{row}")?;
        }
    }
    Ok(())
}

fn one_line(document: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(document).map_err(anyhow::Error::from)?)
}

/// A text as a QR code of half blocks, light on dark; nothing where it is too long for one.
fn picture(text: &str) -> Vec<String> {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
        return Vec::new();
    };
    let picture = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    picture.lines().map(str::to_owned).collect()
}

fn jwk(key: &VerifierKey) -> Jwk {
    Jwk {
        kty: "OKP",
        crv: "Ed25519",
        x: URL_SAFE_NO_PAD.encode(key.key()),
        kid: thumbprint(key.key()),
        usage: "sig",
        alg: "EdDSA",
    }
}

/// A key as an evaluator's trust.toml names it. Identifiers, origins and vkeys need no escaping in TOML but
/// what a TOML writer does.
fn trusted(gateway: &Gateway, origin: &str, key: &VerifierKey, file: &Path) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    // The day of the file, as a remark: a key that was restored from a copy is older than its file.
    let made = fs::metadata(file).and_then(|data| data.modified()).ok();
    let day = made.and_then(|made| jiff::Timestamp::try_from(made).ok());
    let day = day.map_or_else(String::new, |day| {
        format!("# from = {}\n", day.strftime("%Y-%m-%d"))
    });
    format!(
        "[[gateway]]\nsite = {}\ngateway = {}\norigin = {}\nkey = {}\n{day}\n",
        quoted(gateway.site.as_str()),
        quoted(gateway.id.as_str()),
        quoted(origin),
        quoted(&key.to_string()),
    )
}

fn rotate(args: &Rotate, gateway: &Gateway, context: &Context) -> Result<Outcome, Failure> {
    let request = Request::RotateKey {
        finish: args.finish,
    };
    let Answer::Rotated(rotated) = ask(context, &gateway.state_dir, &request)? else {
        return Err(other_answer());
    };
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &rotated)?;
        return Ok(Outcome::Done);
    }
    let (index, old, new) = (rotated.index, &rotated.old, &rotated.new);
    let done = if args.finish {
        text!(
            "from leaf {index} on only this key signs: {new}\nno longer: {old}",
            "自第 {index} 条记录起仅由此密钥签名：{new}\n不再使用：{old}"
        )
    } else {
        text!(
            "leaf {index} says so, signed by both keys\nnew key: {new}\nold key: {old}\n\
             both sign until `lineside keys rotate --finish`; give the city the new card first (`lineside keys show`)",
            "第 {index} 条记录已写明，由新旧密钥共同签名\n新密钥：{new}\n旧密钥：{old}\n\
             在执行 `lineside keys rotate --finish` 之前两者同时签名；请先向城市平台登记新卡（`lineside keys show`）"
        )
    };
    writeln!(out, "{}", done.say(context.language))?;
    Ok(Outcome::Done)
}

/// A key that can't be used, for a person.
pub(super) fn key_failure(error: &KeyError) -> Failure {
    let said = chain(error);
    let text = match error {
        KeyError::Exists(path) => {
            let path = path.display();
            return Failure::Negative(text!(
                "there is a key already: {path}; nothing was changed",
                "密钥已存在：{path}；未作任何改动"
            ));
        }
        KeyError::Missing(path) => {
            let path = path.display();
            text!(
                "there is no key {path}; `lineside keys init` makes one, and so does the first `lineside run`. Where systemd hands it over, ask while the service runs",
                "没有密钥 {path}；可用 `lineside keys init` 生成，首次 `lineside run` 也会生成。若由 systemd 提供，请在服务运行时查询"
            )
        }
        KeyError::Open { path } => {
            let path = path.display();
            text!(
                "others may read the key {path}: chmod 600 {path}",
                "其他用户可以读取密钥 {path}：请执行 chmod 600 {path}"
            )
        }
        KeyError::OpenDirectory { dir } => {
            let dir = dir.display();
            text!(
                "others may enter the directory {dir} of the key: chmod 700 {dir}, or give the key a folder of its own",
                "其他用户可以进入密钥目录 {dir}：请执行 chmod 700 {dir}，或为密钥另建文件夹"
            )
        }
        KeyError::Form(path) => {
            let path = path.display();
            text!(
                "{path} is no Ed25519 key as a private JWK",
                "{path} 不是 Ed25519 私钥（JWK）"
            )
        }
        KeyError::Credential => text!(
            "the key is handed over by systemd: change it where that gets it from",
            "密钥由 systemd 提供：请在其来源处更换"
        ),
        KeyError::Name(_) => text!(
            "the ledger's origin can't name a key: {said}",
            "台账的 origin 不能用作密钥名称：须为可打印的 ASCII 字符，不含空格和 “+”"
        ),
        KeyError::Disk { path, source } => {
            let path = path.display();
            text!("{said}", "无法使用密钥 {path}（系统报告：{source}）")
        }
    };
    Failure::Store(text)
}

/// A ledger that can't be used, for a person.
pub(super) fn ledger_failure(error: LedgerError) -> Failure {
    match error {
        LedgerError::Key(error) => key_failure(&error),
        LedgerError::Held { dir } => {
            let dir = dir.display();
            Failure::Store(text!(
                "an agent uses the ledger in {dir}: stop it first",
                "有程序正在使用 {dir} 中的台账：请先停止它"
            ))
        }
        LedgerError::KeyHeld { key } => {
            let key = key.display();
            Failure::Store(text!(
                "another process signs with the key {key}: no two ledgers may share one",
                "另一个程序正在使用密钥 {key}：两份台账不能共用一个密钥"
            ))
        }
        LedgerError::Prior(why) => Failure::Negative(text!(
            "the note can't be cited as the last head: {why}. Bring the newest cosigned one; where the leaves of an epoch that is known are not here and the city has none of them, or the head that was cited before is wrong, say so by `--unheard` beside it; what is here and was never cosigned is cited by `--unheard` alone",
            "该签名存证点不能作为最后一期的结尾引用：{why}。请提供最新的已会签存证点；若已知的一期记录不在此处，且城市平台没有其任何记录，或先前引用的存证点有误，请同时以 `--unheard` 说明；此处从未会签的台账则单独用 `--unheard` 引用"
        )),
        LedgerError::Alone {
            witness,
            size,
            origin,
        } => Failure::Negative(text!(
            "the city's witness {witness} alone has cosigned {size} leaves of {origin}, which is not what would be cited; nothing was changed. \
             Ask its archive for the checkpoint of that log. If it is right, give that by `--prior FILE`; if that witness is wrong, name the head that is to be \
             cited instead: another archive's checkpoint, or this ledger's own (`ledger/checkpoint` in the state directory)",
            "仅有城市平台的见证方 {witness} 会签了 {origin} 的 {size} 条记录，与将要引用的内容不符；未作任何改动。\
             请向其存证库索取该台账的签名存证点。若无误，用 `--prior 文件` 指定；若该见证方有误，请改为指定应引用的存证点：其他存证库的，或本台账自己的（状态目录中的 `ledger/checkpoint`）"
        )),
        LedgerError::Unheard => Failure::Negative(text!(
            "nothing was heard of what the city has of this ledger, and what is here is not all of it, or no witness ever cosigned it; nothing was changed. \
             Let the agent run for some minutes with the broker reachable, stop it, and do this again; or bring the last cosigned checkpoint from the city's archive by `--prior FILE`. \
             Where the city has nothing of it, or its archive has stopped what is here with an alarm, `--unheard` cites what this gateway remembers: archives cosign that only if \
             somebody still has those leaves, and stop the new epoch with an alarm if they have cosigned more",
            "尚未得知城市平台持有本台账的哪些内容，而此处的台账不完整，或从未经见证方会签；未作任何改动。\
             请在可连接消息服务器的情况下让程序运行数分钟，停止后再执行；或用 `--prior 文件` 提供城市存证库中最后一个已会签的签名存证点。\
             如城市平台没有其任何内容，或其存证库已告警并停止此处的台账，可用 `--unheard` 引用本网关所记的存证点：只有仍有人持有那些记录时，存证库才会会签；若存证库已会签更多记录，则会告警并停止新的一期"
        )),
        LedgerError::Full { .. }
        | LedgerError::Disk { .. }
        | LedgerError::Damaged { .. }
        | LedgerError::Leaf(_)
        | LedgerError::Beyond { .. }
        | LedgerError::Broken => {
            let said = chain(&error);
            Failure::Store(text!("{said}", "台账无法使用：{said}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{URL_SAFE_NO_PAD, jwk, picture};
    use base64::Engine as _;
    use lineside_proto::ledger::note::{KeyKind, VerifierKey};
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn a_public_key_is_shown_as_rfc_8037_writes_it() {
        // The key of RFC 8037, appendix A.2, and its thumbprint, A.3.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let bytes = URL_SAFE_NO_PAD.decode(x).unwrap().try_into().unwrap();
        let key = VerifierKey::new("a/b", KeyKind::Ed25519, &bytes).unwrap();
        let shown = serde_json::to_value(jwk(&key)).unwrap();
        assert_eq!(shown["x"], x);
        assert_eq!(shown["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(shown.get("d"), None);
    }

    #[test]
    fn a_card_fits_a_terminal() {
        let card = format!("{{\"v\":1,{}}}", "x".repeat(190));
        let rows = picture(&card);
        assert!((20..40).contains(&rows.len()), "{}", rows.len());
        assert!(rows.iter().all(|row| row.width() <= 80), "{rows:#?}");
        assert!(
            rows.iter()
                .all(|row| row.chars().all(|c| " ▀▄█".contains(c)))
        );
        assert!(picture(&"x".repeat(10_000)).is_empty());
    }
}
