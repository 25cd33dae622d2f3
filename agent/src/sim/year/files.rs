//! The files of the sample year: what the agent was configured with, and what an evaluator is given.

use lineside_proto::Time;
use lineside_proto::booking::IssuerSecret;
use lineside_proto::ledger::note::{KeyKind, SignerKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::Year;
use super::machines::{Kind, Machine};
use super::planted::Trick;
use super::script::{AFFILIATE, AFFILIATE_HIDDEN, OWN, OWN_HIDDEN, Script};
use super::witness::Witness;
use super::world::World;
use crate::config::model::MachineMap;
use crate::config::{self, Config};
use crate::text::Language;
use crate::tokens::Tokens;

const GATEWAY: &str = include_str!("config/gateway.toml");

/// The keys of the sample: everybody can work them out, so that they are worth nothing.
pub(super) struct Keys {
    pub(super) ledger: [u8; 32],
    pub(super) witness: [u8; 32],
    pub(super) portal: IssuerSecret,
}

impl Keys {
    /// The keys of a seed.
    pub(super) fn of(seed: u64) -> anyhow::Result<Self> {
        let secret = |word: &str| -> [u8; 32] {
            Sha256::digest(format!("lineside sample {word} {seed}")).into()
        };
        Ok(Self {
            ledger: secret("ledger"),
            witness: secret("witness"),
            portal: IssuerSecret::from_seed(&secret("portal"), Some("sample-portal"))?,
        })
    }
}

/// Writes what an agent is configured with, and reads it as an agent does. Also gives the map that somebody
/// will make of the first extruder's; its file says what it says in the end.
pub(super) fn configure(
    dir: &Path,
    machines: &[Machine],
    keys: &Keys,
) -> anyhow::Result<(Config, Option<Arc<MachineMap>>)> {
    fs::create_dir_all(dir)?;
    if fs::read_dir(dir)?.next().is_some() {
        anyhow::bail!("{} is not empty", dir.display());
    }
    let maps = dir.join("machines");
    fs::create_dir_all(&maps)?;
    let state = std::path::absolute(dir.join("state"))?;
    fs::create_dir_all(&state)?;
    let state = toml::Value::from(state.to_string_lossy().as_ref()).to_string();
    let path = dir.join("gateway.toml");
    fs::write(&path, GATEWAY.replace("\"@state@\"", &state))?;
    fs::write(dir.join("portal.jwk"), keys.portal.public().to_jwk() + "\n")?;
    // The shape of a ledger's key: a private JWK that nobody else may read.
    let ledger = IssuerSecret::from_seed(&keys.ledger, None)?;
    DirBuilder::new().mode(0o700).create(dir.join("keys"))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.join("keys/ledger.key"))?;
    file.write_all(ledger.to_jwk().as_bytes())?;
    let write = |machine: &Machine, is_lowered: bool| {
        let file = maps.join(format!("{}.toml", machine.name));
        fs::write(file, machine.map(is_lowered))
    };
    for machine in machines {
        write(machine, false)?;
    }
    let begin = load(&path)?;
    let first = machines
        .iter()
        .find(|machine| machine.kind == Kind::Extruder);
    let Some(first) = first else {
        return Ok((begin, None));
    };
    write(first, true)?;
    let end = load(&path)?;
    let lowered = end
        .machines
        .into_iter()
        .find(|map| map.machine == first.name);
    Ok((begin, lowered))
}

fn load(path: &Path) -> anyhow::Result<Config> {
    let loaded = config::load(path);
    let loaded =
        loaded.map_err(|faults| anyhow::anyhow!(faults.render(Language::En, false, 100)))?;
    Ok(loaded.config)
}

/// Writes what an evaluator is given.
pub(super) fn describe(
    dir: &Path,
    config: &Config,
    keys: &Keys,
    world: &World,
    year: &Year,
) -> anyhow::Result<()> {
    let tokens = world.portal.tokens().map(|token| {
        let hash = Sha256::digest(token.as_bytes());
        (format!("sha256:{hash:x}"), token.to_owned())
    });
    let tokens: Vec<(String, String)> = tokens.collect();
    Tokens::open(&config.gateway.state_dir)?.keep(&tokens)?;
    fs::write(dir.join("trust.toml"), trust(config, keys)?)?;
    fs::write(dir.join("assets.csv"), assets(world, year))?;
    fs::write(dir.join("bookings.csv"), bookings(world))?;
    fs::write(dir.join("README.txt"), readme(year))?;
    fs::write(
        dir.join("planted.json"),
        serde_json::to_string_pretty(&year.planted)? + "\n",
    )?;
    Ok(())
}

/// Whom the evaluator trusts: the gateway, the witness, the portal, the maps of the begin.
fn trust(config: &Config, keys: &Keys) -> anyhow::Result<String> {
    let gateway = &config.gateway;
    let origin = &gateway.ledger.origin;
    let key = SignerKey::new(origin, KeyKind::Ed25519, &keys.ledger)?;
    let key = key.public();
    let witness = Witness::public(keys)?;
    let (site, id) = (&gateway.site, &gateway.id);
    let jwk = keys.portal.public().to_jwk();
    let mut text = format!(
        "# Whom an evaluator of the sample year trusts. The keys are those of the sample: they prove nothing else.\n\n\
         [[gateway]]\nsite = \"{site}\"\ngateway = \"{id}\"\norigin = \"{origin}\"\nkey = \"{key}\"\n\n\
         [[witness]]\nkey = \"{witness}\"\n\n\
         [[issuer]]\njwk = '{jwk}'\n\n\
         [organisations]\nown = [\"{}\", \"{}\"]\naffiliates = [\"{}\", \"{}\"]\n",
        OWN.id, OWN_HIDDEN.id, AFFILIATE.id, AFFILIATE_HIDDEN.id,
    );
    text += "\n# The maps as they were approved.\n";
    for map in &config.machines {
        let (machine, hash) = (&map.machine, &map.hash);
        writeln!(
            text,
            "[[map]]\nmachine = \"{machine}\"\nhash = \"{hash}\"\n"
        )?;
    }
    Ok(text)
}

/// The byte order mark by which spreadsheets know UTF-8.
const BOM: &str = "\u{feff}";

/// A unified social credit code that is nobody's; its check digit is right.
const CREDIT_CODE: &str = "91442000MA0000000T";

fn assets(world: &World, year: &Year) -> String {
    let mut text = format!(
        "{BOM}machine,number,name,unit,credit-code,original-value,category,start-date,tags,line\r\n"
    );
    let start = date(year.from);
    for (place, (machine, _)) in (1..).zip(world.scripts()) {
        let (name, value, category, tag) = match machine.kind {
            Kind::Extruder => ("双螺杆挤出机", 1_680_000, "general", "polymer"),
            Kind::Furnace => ("烧结炉", 2_350_000, "general", "ceramics"),
            Kind::Press => ("液压成型机", 960_000, "special", "moulding"),
        };
        let machine = &machine.name;
        text += &format!(
            "{machine},ZS-{place:03},{name},样例中试平台,{CREDIT_CODE},{value}.00,{category},{start},{tag},line-1\r\n"
        );
    }
    text
}

/// The bookings of machines whose portal signs nothing.
fn bookings(world: &World) -> String {
    let mut text = format!("{BOM}machine,booking,organisation,start,end\r\n");
    for (machine, script) in world.scripts() {
        if machine.kind == Kind::Press {
            text += &booked(machine, script);
        }
    }
    text
}

fn booked(machine: &Machine, script: &Script) -> String {
    let mut text = String::new();
    for booked in &script.booked {
        let (start, end) = (
            Time::from_millis(booked.start),
            Time::from_millis(booked.end),
        );
        let (name, id, org) = (&machine.name, &booked.id, booked.org.id);
        text += &format!("{name},{id},{org},{start},{end}\r\n");
    }
    text
}

/// A moment's day in Asia/Shanghai.
fn date(at: Time) -> String {
    let local = at.plus_millis(8 * 3_600_000).to_string();
    local.get(..10).unwrap_or_default().to_owned()
}

fn readme(year: &Year) -> String {
    let (from, to) = (date(year.from), date(year.to));
    let steps = format!(
        "lineside usage pull --state state --from {from} --to {to} -o sample.zip\n\
         lineside-verify --trust trust.toml sample.zip\n\
         lineside usage report --trust trust.toml --assets assets.csv --bookings bookings.csv --format html -o report.html sample.zip\n"
    );
    let mut wrong = (String::new(), String::new());
    for kind in Trick::ALL {
        let of: Vec<_> = year.planted.iter().filter(|one| one.kind == kind).collect();
        let (Some(first), Some(last)) = (of.first(), of.last()) else {
            continue;
        };
        let text = kind.text();
        let count = of.len();
        let machines: BTreeSet<&str> = of.iter().map(|one| one.machine.as_str()).collect();
        let machines: Vec<&str> = machines.into_iter().collect();
        let (en, zh) = (machines.join(", "), machines.join("、"));
        let (begin, end) = (date(first.from), date(last.to));
        wrong.0 += &format!("- {en}, {count} x, {begin} to {end}: {}\n", text.en);
        wrong.1 += &format!("- {zh}，{count} 次，{begin} 至 {end}：{}\n", text.zh);
    }
    format!(
        "A sample year: what an agent leaves behind, made up by `lineside sim year`.\n\
         样例年度数据：程序运行一年后的状态目录，由 `lineside sim year` 生成。\n\n\
         Three steps, in this folder / 在本目录中执行三步：\n\n{steps}\n\
         state/ is the agent's state directory; trust.toml whom an evaluator trusts; bookings.csv the bookings of\n\
         presses, whose portal signs nothing.\n\
         state/ 为程序的状态目录；trust.toml 为评估方信任的密钥；bookings.csv 为成型机的预约（其平台不签名）。\n\n\
         What is wrong on purpose, and must be found (planted.json has each):\n{}\n\
         特意植入、应当被发现的问题（逐条见 planted.json）：\n{}",
        wrong.0, wrong.1
    )
}
