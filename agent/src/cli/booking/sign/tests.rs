use super::super::super::{Context, Failure};
use super::{Args, run};
use crate::text::Language;
use clap::{FromArgMatches, Parser};
use lineside_proto::booking::{Allowed, Book, IssuerSecret, Trust};
use lineside_proto::{Class, ClockStatus, RefusalCode, Time};
use std::fs;
use std::path::Path;

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    args: Args,
}

fn portal() -> IssuerSecret {
    IssuerSecret::from_seed(&[1; 32], Some("portal")).unwrap()
}

fn context(dir: &Path) -> Context {
    Context {
        config: dir.join("gateway.toml"),
        language: Language::En,
    }
}

/// What the command prints in a folder with a key and a gateway file.
fn signed(dir: &Path, words: &str) -> Result<String, Failure> {
    fs::write(dir.join("portal.jwk"), portal().to_jwk()).unwrap();
    fs::write(
        dir.join("gateway.toml"),
        "[gateway]\nsite = \"s\"\nid = \"g\"\n[uplink]\nurl = \"mqtt://b\"\n",
    )
    .unwrap();
    let key = dir.join("portal.jwk").display().to_string();
    let words = words.replace("KEY", &key);
    let words = ["sign"].into_iter().chain(words.split_whitespace());
    let args = Words::try_parse_from(words)
        .map_err(|error| Failure::Other(error.into()))?
        .args;
    let mut out = Vec::new();
    run(&args, &context(dir), &mut out)?;
    Ok(String::from_utf8(out).unwrap().trim_end().to_owned())
}

const TIMES: &str =
    "--start 2026-11-23T16:00:00+08:00 --end 2026-11-23T10:00:00Z --now 2026-11-23T07:00:00Z";

fn book() -> Book {
    let trust = Trust {
        keys: vec![portal().public()],
        ..Trust::default()
    };
    Book::new("s".parse().unwrap(), "g".parse().unwrap(), trust)
}

#[test]
fn what_it_signs_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut tokens = Vec::new();
    for rest in [
        "--machine m --machine n --class EXT --org o --user u --id a --data all",
        "--machine m --class TRN --id b --data x,y --start 2026-11-23T10:00:00Z --end 2026-11-23T11:00:00Z --now 2026-11-23T07:00:00Z",
    ] {
        let times = if rest.contains("--start") { "" } else { TIMES };
        tokens.push(signed(dir.path(), &format!("--key KEY {rest} {times}")).unwrap());
    }
    let words = format!(
        "--key KEY --machine m --set --revision 4 --site s --gateway g {} {}",
        tokens[0], tokens[1]
    );
    let message = signed(dir.path(), &words).unwrap();
    let mut book = book();
    let machine = "m".parse().unwrap();
    let now: Time = "2026-11-23T07:30:00Z".parse().unwrap();
    let received = book.receive(&machine, message.as_bytes(), now, ClockStatus::S);
    assert_eq!(received.ack.refused, []);
    assert_eq!(
        (received.ack.revision, received.ack.accepted),
        (Some(4), vec!["a".into(), "b".into()])
    );
    let bookings = received.changed.unwrap();
    assert_eq!(
        (bookings[0].class, &bookings[0].data),
        (Class::Ext, &Allowed::All)
    );
    let points = Allowed::Points(vec!["x".parse().unwrap(), "y".parse().unwrap()]);
    assert_eq!(bookings[1].data, points);
    let words = "--key KEY --machine m --checkin a --now 2026-11-23T07:31:00Z";
    let check_in = signed(dir.path(), words).unwrap();
    let later = "2026-11-23T08:30:59Z".parse().unwrap();
    let received = book.receive(&machine, check_in.as_bytes(), later, ClockStatus::S);
    assert_eq!(received.check_in.unwrap().booking.id, "a");
    let late = "2026-11-23T08:31:01Z".parse().unwrap();
    let received = book.receive(&machine, check_in.as_bytes(), late, ClockStatus::S);
    assert_eq!(received.ack.refused[0].code, RefusalCode::Expired);
}

#[test]
fn what_makes_no_token_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let check = |words: &str, usage: bool| {
        let failed = signed(dir.path(), words).expect_err(words);
        assert_eq!(
            matches!(failed, Failure::Usage(_)),
            usage,
            "{words}: {failed:?}"
        );
    };
    check(&format!("--key none --machine m --class OWN {TIMES}"), true);
    let config = dir.path().join("gateway.toml").display().to_string();
    check(
        &format!("--key {config} --machine m --class OWN {TIMES}"),
        true,
    );
    check(
        "--key KEY --machine m --machine n --set --revision 1 x",
        true,
    );
    // What the arguments themselves don't allow.
    for words in [
        "--key KEY --machine m",
        "--key KEY --class OWN --start 2026-11-23T16:00:00Z --end 2026-11-23T17:00:00Z",
        "--key KEY --machine M --checkin a",
        "--key KEY --machine m --checkin a --set --revision 1",
        "--key KEY --machine m --set x",
        "--key KEY --machine m --revision 1 --checkin a",
        "--key KEY --machine m --checkin a token",
        "--key KEY --machine m --class UNB --start 2026-11-23T16:00:00Z --end 2026-11-23T17:00:00Z",
        "--key KEY --machine m --class OWN --start 2026-11-23T16:00:00 --end 2026-11-23T17:00:00Z",
        "--key KEY --machine m --data x,true --checkin a",
    ] {
        check(words, false);
    }
}

#[test]
fn the_configuration_is_asked_only_for_what_is_not_said() {
    let dir = tempfile::tempdir().unwrap();
    let words = format!("--key KEY --machine m --class OWN {TIMES}");
    assert!(signed(dir.path(), &words).is_ok());
    let key = dir.path().join("portal.jwk").display().to_string();
    let parse = |words: &str| {
        let words = words.replace("KEY", &key);
        let words = ["sign"]
            .into_iter()
            .chain(words.split_whitespace().collect::<Vec<_>>())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        Words::try_parse_from(words).unwrap().args
    };
    let nowhere = context(Path::new("/nowhere"));
    let failed = run(&parse(&words), &nowhere, &mut Vec::new());
    assert!(matches!(failed, Err(Failure::Configuration(_))));
    let words = format!("{words} --site s --gateway g");
    assert!(run(&parse(&words), &nowhere, &mut Vec::new()).is_ok());
}

#[test]
fn a_token_that_would_be_refused_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    for (rest, doubted) in [
        ("--class OWN", false),
        ("--class EXT", true),
        ("--class EXT --org o", false),
    ] {
        let words = format!("--key KEY --machine m --site s --gateway g {rest} {TIMES}");
        let key = dir.path().join("portal.jwk").display().to_string();
        let token = signed(dir.path(), &words).unwrap();
        let words = words.replace("KEY", &key);
        let matches = <Words as clap::CommandFactory>::command()
            .try_get_matches_from(["sign"].into_iter().chain(words.split_whitespace()))
            .unwrap();
        let args = Words::from_arg_matches(&matches).unwrap().args;
        let signer = super::Signer {
            secret: portal(),
            place: ("s".parse().unwrap(), "g".parse().unwrap()),
            now: args.now.unwrap(),
        };
        assert_eq!(signer.doubt(&args, &token).is_some(), doubted, "{rest}");
    }
}
