//! `lineside archive verify`: every log verified anew from its files.

use lineside_proto::ledger::note::{KeyKind, VerifierKey};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

use super::{no_cards, none_there};
use crate::archive::inspection::{Inspected, LogFault, Trust, inspect};
use crate::archive::{Cards, Place, Shelf};
use crate::cli::against::Against;
use crate::cli::{Context, Failure, Outcome, write_json};
use crate::logs::chain;
use crate::text;
use crate::text::Text;
use lineside_proto::Identifier;

/// Arguments of `lineside archive verify`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Example: lineside archive verify --dir /var/lib/lineside-archive --gateways /etc/lineside/gateways"
)]
pub(super) struct Args {
    /// The archive's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The folder of enrolment cards, else `gateways` in the directory; without one, each log is checked by the key that its
    /// own first leaf names
    #[arg(long, value_name = "DIR")]
    gateways: Option<PathBuf>,
    /// A witness, by its verifier key: its cosignatures are checked, too; may be given more than once
    #[arg(long = "witness", value_name = "VKEY", value_parser = witness)]
    witnesses: Vec<VerifierKey>,
    /// Only this site's
    #[arg(long)]
    site: Option<Identifier>,
    /// Only this gateway's
    #[arg(long)]
    gateway: Option<Identifier>,
    /// Print one JSON object a line for each log
    #[arg(long)]
    json: bool,
}

fn witness(text: &str) -> Result<VerifierKey, Text> {
    let key = text.parse::<VerifierKey>().ok();
    let key = key.filter(|key| key.kind() == KeyKind::Cosignature);
    key.ok_or_else(|| {
        text!(
            "`{text}` is no verifier key of a witness: `lineside archive witness-key` shows it",
            "`{text}` 不是见证方的验证公钥：可用 `lineside archive witness-key` 查看"
        )
    })
}

/// What a check of one log says, for programs.
#[derive(Serialize)]
struct Said<'a> {
    site: &'a Identifier,
    gateway: &'a Identifier,
    epoch: u32,
    sound: bool,
    /// Whether its card was what it was checked by.
    card: bool,
    origin: Option<&'a str>,
    size: Option<u64>,
    root: Option<String>,
    notes: Option<u64>,
    cosigned: Option<u64>,
    maps_missing: Option<u64>,
    tokens_missing: Option<u64>,
    /// What the archive holds against it: beside its soundness, which is about this copy.
    #[serde(flatten)]
    against: Against<'a>,
    error: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// There is no archive, or the cards can't be read. A log that is not sound: exit code 1.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    checked(args, context, (&mut out, &mut err))
}

fn checked(
    args: &Args,
    context: &Context,
    (out, err): (&mut impl Write, &mut impl Write),
) -> Result<Outcome, Failure> {
    let shelf = Shelf::of(&args.dir);
    if !shelf.logs_dir().is_dir() {
        return Err(none_there(&args.dir));
    }
    let cards = cards(args, context)?;
    let mut faulty = 0_u64;
    let mut checked = 0_u64;
    let is = |wanted: &Option<Identifier>, named: &Identifier| {
        wanted.as_ref().is_none_or(|wanted| wanted == named)
    };
    for place in shelf.recorded()? {
        if !is(&args.site, &place.site) || !is(&args.gateway, &place.gateway) {
            continue;
        }
        let found = inspect(&shelf, &place, cards.as_ref(), &args.witnesses);
        checked += 1;
        faulty += u64::from(found.is_err());
        // One that can't be read is a fault of its own.
        let record = shelf.record(&place).ok().flatten().unwrap_or_default();
        let against = Against::recorded(&record);
        against.say(err, &place, context.language)?;
        if args.json {
            write_json(out, &said((&place, against), &found, cards.is_some()))?;
        } else {
            let is_asked = !args.witnesses.is_empty();
            writeln!(
                out,
                "{}",
                in_words(&place, &found, is_asked).say(context.language)
            )?;
        }
    }
    if checked == 0 {
        return Err(nothing(args));
    }
    if !args.json {
        let sum = text!(
            "{checked} logs verified, {faulty} with a fault",
            "已核验 {checked} 份日志，其中 {faulty} 份有误"
        );
        writeln!(out, "{}", sum.say(context.language))?;
    }
    Ok(if faulty == 0 {
        Outcome::Done
    } else {
        Outcome::Negative
    })
}

fn cards(args: &Args, context: &Context) -> Result<Option<Cards>, Failure> {
    let beside = args.dir.join("gateways");
    let dir = match &args.gateways {
        Some(dir) if !dir.is_dir() => return Err(no_cards(dir)),
        Some(dir) => dir,
        None if beside.is_dir() => &beside,
        None => return Ok(None),
    };
    let (cards, faults) = Cards::load(dir).map_err(|error| {
        let dir = dir.display();
        Failure::Usage(text!(
            "the cards in {dir} can't be read: {error}",
            "无法读取 {dir} 中的登记卡：{error}"
        ))
    })?;
    for fault in faults {
        let said = text!("no card: {fault}", "不是登记卡：{fault}");
        writeln!(io::stderr(), "{}", said.say(context.language))?;
    }
    Ok(Some(cards))
}

fn said<'a>(
    (place, against): (&'a Place, Against<'a>),
    found: &'a Result<Inspected, LogFault>,
    by_card: bool,
) -> Said<'a> {
    let sound = found.as_ref().ok();
    let head = sound.map(|sound| &sound.head);
    Said {
        site: &place.site,
        gateway: &place.gateway,
        epoch: place.epoch,
        sound: sound.is_some(),
        card: by_card,
        origin: head.map(|head| head.origin.as_str()),
        size: head.map(|head| head.size),
        root: head.map(|head| head.root.to_string()),
        notes: sound.map(|sound| sound.notes),
        cosigned: sound.and_then(|sound| sound.cosigned),
        maps_missing: sound.map(|sound| sound.maps_missing),
        tokens_missing: sound.map(|sound| sound.tokens_missing),
        against,
        error: found.as_ref().err().map(|fault| chain(fault)),
    }
}

/// Nothing was verified: whoever asked must not take that for a good answer.
fn nothing(args: &Args) -> Failure {
    let of = |name: &Option<Identifier>| {
        let name = name.as_ref().map(ToString::to_string);
        name.unwrap_or_else(|| "*".to_owned())
    };
    let (dir, site, gateway) = (args.dir.display(), of(&args.site), of(&args.gateway));
    Failure::Negative(text!(
        "{dir} holds no log of {site}/{gateway}: nothing was verified",
        "{dir} 中没有 {site}/{gateway} 的日志：未核验任何内容"
    ))
}

fn in_words(place: &Place, found: &Result<Inspected, LogFault>, is_asked: bool) -> Text {
    let sound = match found {
        Ok(sound) => sound,
        Err(fault) => {
            let fault = chain(fault);
            return text!("{place}: FAULT: {fault}", "{place}：有误：{fault}");
        }
    };
    let (size, notes) = (sound.head.size, sound.notes);
    let mut said = text!(
        "{place}: sound; {size} leaves, {notes} kept heads",
        "{place}：完好；{size} 条记录，{notes} 个留存的存证点"
    );
    if let Some(cosigned) = sound.cosigned {
        said.en += &format!(", cosigned to {cosigned}");
        said.zh += &format!("，已会签至 {cosigned}");
    } else if is_asked {
        said.en += ", cosigned by none of the named witnesses";
        said.zh += "，所指定的见证方均未会签";
    }
    if sound.trust == Trust::Itself {
        said.en += "; by its own word only: name --gateways";
        said.zh += "；仅凭其自身所述：请指定 --gateways";
    }
    let (maps, tokens) = (sound.maps_missing, sound.tokens_missing);
    if maps + tokens > 0 {
        said.en += &format!("; {maps} maps and {tokens} tokens that it names are not here");
        said.zh += &format!("；其所引用的 {maps} 个设备点表和 {tokens} 个预约令牌缺失");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::{Args, checked, run};
    use crate::archive::testing::{City, at};
    use crate::archive::{Record, Stopped};
    use crate::cli::{Context, Failure, Outcome};
    use crate::text::Language;
    use std::path::PathBuf;

    #[test]
    fn a_copy_that_is_sound_of_a_log_that_is_stopped_is_told_of_as_both() {
        let city = City::new();
        let held = city.gateway("zs", "gw");
        held.grow(3, 0);
        city.keep(&held, None);
        let args = |json| Args {
            dir: city.dir(),
            gateways: None,
            witnesses: Vec::new(),
            site: None,
            gateway: None,
            json,
        };
        let check = |json| {
            let context = Context {
                config: PathBuf::new(),
                language: Language::En,
            };
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let done = checked(&args(json), &context, (&mut out, &mut err)).unwrap();
            assert_eq!(done, Outcome::Done);
            let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap());
            (out, err)
        };
        assert_eq!(check(false).1, "");
        let record = city.shelf().record(&held.place).unwrap().unwrap();
        let stopped = Stopped {
            kind: "fork".to_owned(),
            text: "two histories".to_owned(),
            proof: "x-fork".to_owned(),
            at: at(5),
        };
        let record = Record {
            stopped: Some(stopped.clone()),
            alarms: 1,
            ..record
        };
        city.record(&held.place, &record);
        for json in [false, true] {
            let (_, err) = check(json);
            let begun = format!("zs/gw e1: the archive stopped this log at {}", at(5));
            assert!(err.starts_with(&begun), "{err}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
        let said: serde_json::Value = serde_json::from_str(&check(true).0).unwrap();
        assert_eq!(said["sound"], true);
        assert_eq!(said["stopped"], serde_json::to_value(stopped).unwrap());
        assert_eq!(said["alarms"], 1);
    }

    #[test]
    fn whoever_asks_for_nothing_that_is_there_gets_no_good_answer() {
        let city = City::new();
        let held = city.gateway("zs", "gw");
        held.grow(3, 0);
        city.keep(&held, None);
        city.card(&held);
        let context = Context {
            config: PathBuf::new(),
            language: Language::En,
        };
        let check = |site: Option<&str>, gateway: Option<&str>, is_there: bool| {
            let args = Args {
                dir: city.dir(),
                gateways: None,
                witnesses: Vec::new(),
                site: site.map(|name| name.parse().unwrap()),
                gateway: gateway.map(|name| name.parse().unwrap()),
                json: true,
            };
            match run(&args, &context) {
                Ok(outcome) => assert!(is_there && outcome == Outcome::Done, "{args:?}"),
                Err(Failure::Negative(text)) if !is_there => {
                    assert!(text.en.contains("nothing was verified"), "{text}");
                }
                Err(other) => panic!("{args:?}: {other:?}"),
            }
        };
        check(None, None, true);
        check(Some("zs"), Some("gw"), true);
        check(Some("zs"), Some("gw-2"), false);
        check(Some("sz"), None, false);
        check(None, Some("wg"), false);
    }
}
