//! Bookings, sessions, the ledger and evidence: what is read, and every fault.

use super::{GATEWAY, HEAD, POINT, check, check_points, folder, load_files, loaded, write};
use crate::config::load;
use crate::config::model::{CheckInMode, External};
use lineside_proto::booking::{IssuerSecret, sign};
use sha2::{Digest, Sha256};
use std::time::Duration;

fn portal() -> IssuerSecret {
    IssuerSecret::from_seed(&[1; 32], Some("portal")).unwrap()
}

fn list(site: &str) -> String {
    let list = format!(r#"{{"v":1,"site":"{site}","own":["a"],"affiliates":["b"],"iat":1}}"#);
    sign(&portal(), list.as_bytes())
}

/// A gateway file that goes on like this, beside a portal's key and list.
fn check_with(rest: &str, codes: &[&str]) {
    let gateway = format!("{GATEWAY}{rest}");
    let machine = format!("{HEAD}{POINT}");
    let (key, secret) = (portal().public().to_jwk(), portal().to_jwk());
    check(
        &[
            ("gateway.toml", &gateway),
            ("machines/m.toml", &machine),
            ("portal.jwk", &key),
            ("secret.jwk", &secret),
            ("broken.jwk", "{}"),
            ("list.jws", &format!("{}\n", list("s"))),
            ("other.jws", &list("t")),
            ("plain.jws", r#"{"v":1,"site":"s","iat":1}"#),
        ],
        codes,
    );
}

#[test]
fn what_is_said_is_read() {
    let gateway = format!(
        "{GATEWAY}[telemetry]\nexternal = \"publish\"\n[bookings]\nissuer-keys = [\"keys/portal.jwk\"]\ncheck-in = \"required\"\n\
         [sessions]\nidle-close = \"5m\"\nown = [\"c\"]\naffiliates = \"list.jws\"\n\
         [ledger]\nkey = \"/elsewhere/key\"\norigin = \"example.org/line\"\n"
    );
    let loaded = load_files(&[
        ("gateway.toml", &gateway),
        ("machines/m.toml", &format!("{HEAD}{POINT}")),
        ("keys/portal.jwk", &portal().public().to_jwk()),
        ("list.jws", &list("s")),
    ]);
    let loaded = loaded.unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
    assert_eq!(loaded.warnings, []);
    let gateway = &loaded.config.gateway;
    assert_eq!(gateway.telemetry.external, External::Publish);
    assert_eq!(gateway.bookings.issuer_keys, [portal().public()]);
    assert_eq!(gateway.bookings.check_in, CheckInMode::Required);
    assert_eq!(gateway.sessions.idle_close, Duration::from_secs(300));
    assert!(gateway.sessions.own.iter().eq(["a", "c"]));
    assert!(gateway.sessions.affiliates.iter().eq(["b"]));
    assert_eq!(gateway.ledger.key.to_str(), Some("/elsewhere/key"));
    assert_eq!(gateway.ledger.origin, "example.org/line");
    let shown = format!("{:?}", loaded.files);
    assert!(shown.contains("portal.jwk") && shown.contains("list.jws"));
}

#[test]
fn the_defaults_need_no_table() {
    let folder = folder(&[("gateway.toml", GATEWAY), ("machines/m.toml", HEAD)]);
    write(
        folder.path(),
        "machines/m.toml",
        format!("{HEAD}{POINT}").as_bytes(),
    );
    let loaded = load(&folder.path().join("gateway.toml")).unwrap();
    let gateway = &loaded.config.gateway;
    assert!(gateway.bookings.issuer_keys.is_empty());
    assert_eq!(gateway.sessions.idle_close, Duration::from_secs(900));
    assert_eq!(gateway.ledger.key, folder.path().join("keys/ledger.key"));
    assert_eq!(gateway.ledger.origin, "lineside/s/g");
}

#[test]
fn keys_and_lists_that_do_not_count_are_named() {
    for (rest, codes) in [
        (
            "[bookings]\nissuer-keys = [«\"secret.jwk\"», «\"broken.jwk\"», «\"none.jwk\"»]\n",
            ["bad-key", "bad-key", "missing-file"].as_slice(),
        ),
        (
            "[bookings]\nissuer-keys = [\"portal.jwk\", «\"portal.jwk\"»]\n[sessions]\naffiliates = \"list.jws\"\n",
            &["bad-key"],
        ),
        (
            "[«bookings»]\nissuer-keys = [\"portal.jwk\"]\n",
            &["warning unsigned-organisations"],
        ),
        (
            "[«bookings»]\nissuer-keys = [\"portal.jwk\"]\n[sessions]\nown = [\"a\"]\n",
            &["warning unsigned-organisations"],
        ),
        ("[«sessions»]\nown = [\"a\"]\n", &["warning no-effect"]),
        (
            "[bookings]\n[«sessions»]\naffiliates = \"list.jws\"\n",
            &["warning no-effect"],
        ),
        (
            "[bookings]\nissuer-keys = [\"portal.jwk\"]\n[sessions]\naffiliates = «\"other.jws\"»\n",
            &["bad-list"],
        ),
        (
            "[bookings]\nissuer-keys = [\"portal.jwk\"]\n[sessions]\naffiliates = «\"plain.jws\"»\n",
            &["bad-list"],
        ),
        (
            "[bookings]\nissuer-keys = [\"portal.jwk\"]\n[sessions]\naffiliates = «\"none.jws\"»\n",
            &["missing-file"],
        ),
        ("[bookings]\ncheck-in = «\"maybe\"»\n", &["bad-value"]),
        ("[sessions]\nidle-close = «\"0s\"»\n", &["out-of-range"]),
        (
            "[«sessions»]\nown = [«\"\"»]\n",
            &["warning no-effect", "out-of-range"],
        ),
        ("[telemetry]\nexternal = «\"hide\"»\n", &["bad-value"]),
    ] {
        check_with(rest, codes);
    }
    let many = vec!["\"portal.jwk\""; 17].join(", ");
    let text = format!("{GATEWAY}[bookings]\nissuer-keys = [{many}]\n");
    let faults = load_files(&[("gateway.toml", &text)]).unwrap_err();
    assert!(faults.iter().any(|fault| fault.code == "too-many"));
}

#[test]
fn a_private_key_is_never_shown() {
    let text = format!("{GATEWAY}[bookings]\nissuer-keys = [\"secret.jwk\"]\n");
    let faults = load_files(&[("gateway.toml", &text), ("secret.jwk", &portal().to_jwk())]);
    let report = faults.unwrap_err().render_plain();
    let secret = portal().to_jwk();
    let d = secret
        .split(r#""d":""#)
        .nth(1)
        .unwrap()
        .trim_end_matches(['"', '}']);
    assert!(
        report.contains("private key") && !report.contains(d),
        "{report}"
    );
}

#[test]
fn the_ledgers_key_stays_out_of_the_state_directory() {
    let state = GATEWAY.replace("id =", "state-dir = \"state\"\nid =");
    let check_ledger = |gateway: &str, rest: &str, codes: &[&str]| {
        let machine = format!("{HEAD}{POINT}");
        let gateway = format!("{gateway}{rest}");
        check(
            &[
                ("gateway.toml", &gateway),
                ("machines/m.toml", &machine),
                ("state/x", ""),
            ],
            codes,
        );
    };
    check_ledger(&state, "", &[]);
    check_ledger(&state, "[ledger]\nkey = \"state.key\"\n", &[]);
    check_ledger(&state, "[ledger]\nkey = \"state/../key\"\n", &[]);
    for key in [
        "state/key",
        "./state/a/key",
        "keys/../state/key",
        "state/x/../key",
    ] {
        let rest = format!("[ledger]\nkey = «\"{key}\"»\n");
        check_ledger(&state, &rest, &["key-in-state-dir"]);
    }
    let here = GATEWAY.replace("id =", "state-dir = «\".\"»\nid =");
    check_ledger(&here, "", &["key-in-state-dir"]);
    for origin in ["", "a b", "a+b", "钥", "a\\n", &"x".repeat(201)] {
        let rest = format!("[ledger]\norigin = «\"{origin}\"»\n");
        let length = origin.chars().count();
        let code = if (1..=200).contains(&length) {
            "bad-value"
        } else {
            "out-of-range"
        };
        check_ledger(&state, &rest, &[code]);
    }
    check_ledger(
        &state,
        &format!("[ledger]\norigin = \"{}\"\n", "x".repeat(200)),
        &[],
    );
}

#[test]
fn evidence_names_numbers() {
    let points = "ok = { coil = 0 }\nhours = { holding = 1, type = \"u32\" }\nwh = { holding = 3, type = \"f64\" }\n";
    let map = format!("{HEAD}{points}[evidence]\nhours = \"hours\"\nenergy = \"wh\"\n");
    let map = loaded(&map).config.machines[0].clone();
    assert_eq!(
        (map.evidence.hours, map.evidence.energy),
        (Some(1), Some(2))
    );
    for (evidence, codes) in [
        ("hours = «\"hour\"»", ["unknown-point"].as_slice()),
        ("energy = «\"energy_wh\"»", &["unknown-point"]),
        ("hours = «\"ok\"»\nenergy = \"wh\"", &["not-a-number"]),
        ("hours = «1»", &["wrong-type"]),
        ("«days» = \"hours\"", &["unknown-key"]),
    ] {
        check_points(&format!("{points}[evidence]\n{evidence}\n"), codes);
    }
}

#[test]
fn evidence_is_part_of_what_a_map_means() {
    let base = format!("{HEAD}hours = {{ holding = 1, type = \"u32\" }}\n");
    let plain = loaded(&base).config.machines[0].clone();
    assert!(!crate::config::canonical_text(&plain).contains("evidence"));
    let said = format!("{base}[evidence]\nhours = \"hours\"\n");
    let said = loaded(&said).config.machines[0].clone();
    let text = crate::config::canonical_text(&said);
    assert!(
        text.ends_with(r#""hold_counts_us":900000000,"evidence":{"hours":"hours"}}"#),
        "{text}"
    );
    assert!(plain.hash != said.hash && plain.fingerprint != said.fingerprint);
}

#[test]
fn the_hash_of_the_files_is_that_of_their_list() {
    let sha256 = |text: &str| {
        let hash = Sha256::digest(text.as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    };
    let map = format!(
        "\u{feff}template = \"../t/a.toml\"\npoints-file = \"p.csv\"\n{HEAD}{POINT}# 注释\n"
    );
    let template = "points-file = \"../t/q.csv\"\n";
    let (own, below) = (
        "point,table,address,type\na,holding,1,u16\n",
        "point,table,address,type\nb,holding,2,u16\n",
    );
    let files_of = |map: &str| {
        let loaded = load_files(&[
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", map),
            ("machines/p.csv", own),
            ("t/a.toml", template),
            ("t/q.csv", below),
        ]);
        let loaded = loaded.unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
        loaded.config.machines[0].files.clone()
    };
    let mut list = String::new();
    for (text, role, name) in [
        (map.as_str(), "map", "m.toml"),
        (own, "points", "p.csv"),
        (template, "template", "../t/a.toml"),
        (below, "template-points", "../t/q.csv"),
    ] {
        let hash = sha256(text);
        list += &format!("{hash} {} {role} {} {name}\n", text.len(), name.len());
    }
    assert_eq!(files_of(&map), sha256(&list));
    assert_ne!(files_of(&format!("{map}#\n")), sha256(&list));
    assert_eq!(
        loaded(&format!("{HEAD}{POINT}")).config.machines[0].files,
        sha256(&format!(
            "{} {} map 6 m.toml\n",
            sha256(&format!("{HEAD}{POINT}")),
            HEAD.len() + POINT.len()
        ))
    );
}
