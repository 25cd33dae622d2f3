//! The hash and the fingerprint: blind to writing, sharp for meaning.

use super::{HEAD, loaded};
use crate::config::canonical_text;
use std::collections::BTreeSet;

const POINTS: &str = "x = { holding = 1, type = \"f32\", unit = \"rpm\" }\ny = { coil = 2 }\n";

fn hashes(map: &str) -> (String, String) {
    let map = &loaded(map).config.machines[0];
    (map.hash.clone(), map.fingerprint.clone())
}

#[test]
fn comments_spaces_and_spelling_change_nothing() {
    let base = format!("{HEAD}{POINTS}");
    let expected = hashes(&base);
    for other in [
        format!("# a comment\n\n{base}"),
        base.replace(" = ", "  =  "),
        base.replace('\n', "\r\n"),
        base.replace("[connection]", "[connections.main]"),
        base.replace("\"1s\"", "\"1000ms\""),
        base.replace("\"1s\"", "{ interval = \"1s\" }"),
        base.replace(
            "\"10.0.0.1\"",
            "\"10.0.0.1:502\"\nunit-id = 1\nmax-gap = 8\nquiet = \"2s\"",
        ),
        base.replace("holding = 1,", "holding = \"40002\","),
        base.replace(
            "holding = 1,",
            "group = \"fast\", order = \"ABCD\", holding = 0x1,",
        ),
    ] {
        assert_eq!(hashes(&other), expected, "{other}");
    }
}

#[test]
fn the_canonical_text_stays_as_it_is() {
    let map = &loaded(&format!("{HEAD}{POINTS}")).config.machines[0];
    assert_eq!(
        canonical_text(map),
        concat!(
            r#"{"v":1,"machine":"m","name":{"en":"m"},"groups":{"fast":{"interval_us":1000000,"stale_after_us":10000000}},"#,
            r#""points":{"x":{"from":"main","unit_id":1,"table":"holding","address":1,"type":"f32","order":"ABCD","#,
            r#""group":"fast","publish":false,"unit":"rpm"},"y":{"from":"main","unit_id":1,"table":"coil","address":2,"#,
            r#""type":"bool","group":"fast","publish":false}},"rules":[{"state":"IDLE","when":"true","enter_us":0,"leave_us":0}],"#,
            r#""warm_up_us":0,"hold_counts_us":900000000}"#
        )
    );
}

/// A map of nodes of an OPC UA server.
fn served() -> String {
    let rest = HEAD.split_once("[groups]").unwrap().1;
    format!(
        "machine = \"m\"\n[connection]\nprotocol = \"opc-ua\"\nurl = \"opc.tcp://a\"\nsecurity = \"None\"\n[groups]{rest}\
         x = {{ node = \"nsu=urn:v%3bw;s=x[1]\", unit = \"rpm\" }}\n\
         y = {{ node = \"i=2258\", index = 1, type = \"string\" }}\n"
    )
}

#[test]
fn the_canonical_text_of_nodes_stays_as_it_is() {
    let map = &loaded(&served()).config.machines[0];
    assert_eq!(
        canonical_text(map),
        concat!(
            r#"{"v":1,"machine":"m","name":{"en":"m"},"groups":{"fast":{"interval_us":1000000,"stale_after_us":10000000}},"#,
            r#""points":{"x":{"from":"main","node":"nsu=urn:v%3Bw;s=x[1]","type":"number","group":"fast","publish":false,"unit":"rpm"},"#,
            r#""y":{"from":"main","node":"i=2258","index":1,"type":"string","group":"fast","publish":false}},"#,
            r#""rules":[{"state":"IDLE","when":"true","enter_us":0,"leave_us":0}],"warm_up_us":0,"hold_counts_us":900000000}"#
        )
    );
}

#[test]
fn nodes_and_servers_change_what_they_should() {
    let base = served();
    let (hash, fingerprint) = hashes(&base);
    for same in [
        base.replace("opc.tcp://a", "OPC.TCP://A:4840/"),
        base.replace("\"None\"", "\"None\"\ntimeout = \"4s\"\nhistory = true"),
        base.replace("%3b", "%3B"),
        base.replace("i=2258", "nsu=http://opcfoundation.org/UA/;i=02258"),
        base.replace("s=x[1]\"", "s=x[1]\", type = \"number\""),
    ] {
        assert_ne!(same, base);
        assert_eq!(hashes(&same), (hash.clone(), fingerprint.clone()), "{same}");
    }
    let mut seen = BTreeSet::from([fingerprint]);
    let secured = "\"Basic256Sha256\"\nserver-fingerprint = \"sha256:".to_owned() + &"0".repeat(64);
    let aes = secured.replace("Basic256Sha256", "Aes256-Sha256-RsaPss");
    let other = secured.replacen('0', "1", 1);
    for (from, to, hash_too) in [
        ("s=x[1]", "s=x[2]", true),
        ("s=x[1]\"", "s=x\", index = 1", true),
        ("index = 1", "index = 2", true),
        ("index = 1, ", "", true),
        ("\"string\"", "\"bool\"", true),
        ("opc.tcp://a", "opc.tcp://b", false),
        ("opc.tcp://a", "opc.tcp://a/x", false),
        ("\"None\"", "\"None\"\ntimeout = \"5s\"", false),
        ("\"None\"", "\"None\"\nhistory = false", false),
        ("\"None", &secured, false),
        ("\"None", &aes, false),
        ("\"None", &other, false),
        ("\"None\"", &format!("{secured}\"\nmode = \"Sign\""), false),
    ] {
        let map = base.replacen(from, to, 1);
        let (new_hash, new_fingerprint) = hashes(&map);
        assert_eq!(new_hash != hash, hash_too, "{from} to {to}");
        assert!(seen.insert(new_fingerprint), "{from} to {to}");
    }
}

#[test]
fn what_a_machine_means_changes_both_and_where_it_is_only_the_fingerprint() {
    let base = format!("{HEAD}{POINTS}");
    let (hash, fingerprint) = hashes(&base);
    let mut seen = BTreeSet::from([fingerprint.clone()]);
    let mut changed = |from: &str, to: &str, hash_too: bool| {
        let other = base.replacen(from, to, 1);
        assert_ne!(other, base, "{from}");
        let (new_hash, new_fingerprint) = hashes(&other);
        assert_eq!(new_hash != hash, hash_too, "{from} to {to}");
        assert!(seen.insert(new_fingerprint), "{from} to {to}");
    };
    for (from, to) in [
        ("\"m\"", "\"n\""),
        ("\"m\"", "\"m\"\nname = { en = \"M\" }"),
        ("\"1s\"", "\"2s\""),
        ("\"1s\"", "{ interval = \"1s\", stale-after = \"9s\" }"),
        ("holding = 1", "holding = 2"),
        ("holding = 1", "input = 1"),
        ("holding = 1", "unit-id = 2, holding = 1"),
        ("\"f32\"", "\"u32\""),
        ("\"f32\"", "\"f32\", order = \"CDAB\""),
        ("\"f32\"", "\"f32\", scale = 1"),
        ("\"f32\"", "\"f32\", scale = 2"),
        ("\"f32\"", "\"f32\", offset = 1"),
        ("\"f32\"", "\"f32\", deadband = 1"),
        ("\"f32\"", "\"f32\", expect = [0, 1]"),
        ("\"f32\"", "\"f32\", publish = true"),
        ("\"rpm\"", "\"Hz\""),
        ("\"rpm\"", "\"rpm\", description = \"speed\""),
        ("IDLE", "RUN"),
        ("\"true\"", "\"true\"\nenter = \"1s\""),
        ("\"true\"", "\"true\"\nleave = \"1s\""),
        ("\"true\"", "\"y\""),
        ("[[state", "[state]\nwarm-up = \"1m\"\n[[state"),
        ("[[state", "[state]\nhold-counts = \"1m\"\n[[state"),
    ] {
        changed(from, to, true);
    }
    for (from, to) in [
        ("10.0.0.1", "10.0.0.2"),
        ("\"10.0.0.1\"", "\"10.0.0.1\"\ntimeout = \"2s\""),
        ("\"10.0.0.1\"", "\"10.0.0.1\"\nquiet = \"3s\""),
        ("\"10.0.0.1\"", "\"10.0.0.1\"\nmax-gap = 9"),
        ("\"10.0.0.1\"", "\"10.0.0.1\"\nmax-registers = 9"),
        ("\"10.0.0.1\"", "\"10.0.0.1\"\nmax-bits = 9"),
        ("\"10.0.0.1\"", "\"10.0.0.1\"\nconnect-pause = \"1s\""),
        ("\"10.0.0.1\"", "\"10.0.0.1\"\nrequest-per-point = true"),
        ("modbus-tcp", "modbus-rtu-over-tcp"),
        (
            "x = { holding = 1, type = \"f32\", unit = \"rpm\" }\ny = { coil = 2 }",
            "y = { coil = 2 }\nx = { holding = 1, type = \"f32\", unit = \"rpm\" }",
        ),
    ] {
        changed(from, to, false);
    }
    let rtu = base.replace(
        "modbus-tcp\"\naddress = \"10.0.0.1\"",
        "modbus-rtu\"\nport = \"/dev/x\"",
    );
    for setting in [
        "",
        "baud = 19200",
        "parity = \"odd\"",
        "stop-bits = 2",
        "turnaround = \"1ms\"",
        "listen = \"1s\"",
    ] {
        let (new_hash, new) = hashes(&rtu.replace("\"/dev/x\"", &format!("\"/dev/x\"\n{setting}")));
        assert_eq!(new_hash, hash);
        assert!(seen.insert(new), "{setting}");
    }
}
