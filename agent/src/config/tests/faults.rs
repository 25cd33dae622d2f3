//! Every fault that a configuration can have, with its exact place.

use super::{GATEWAY, HEAD, POINT, check, check_map, check_points, load_files, write};
use crate::config::{FAULTS_MAX, language, load};
use crate::text::Language;
use std::fmt::Write;

fn check_gateway(text: &str, codes: &[&str]) {
    let map = format!("{HEAD}{POINT}");
    check(&[("gateway.toml", text), ("machines/m.toml", &map)], codes);
}

#[test]
fn keys_and_types() {
    for (points, codes) in [
        (
            "x = { coil = 0, «gruop» = \"fast\" }",
            ["unknown-key"].as_slice(),
        ),
        ("x = { coil = 0, group = «1» }", &["wrong-type"]),
        ("x = «1»", &["wrong-type"]),
        ("x = { coil = «true» }", &["wrong-type"]),
        ("x = { coil = «9999999999999999999999» }", &["out-of-range"]),
        ("«x» = { }", &["missing-key"]),
        ("«x» = { holding = 1 }", &["missing-key"]),
        ("«x» = { holding = 1, type = \"string\" }", &["missing-key"]),
        ("x = { holding = 1, type = «\"f23\"» }", &["bad-value"]),
        (
            "x = { holding = 1, «input» = 1, type = \"u16\" }",
            &["bad-address"],
        ),
        (
            "«X» = { coil = 0 }\n«true» = { coil = 1 }\n«a-b» = { coil = 2 }",
            &["bad-name"; 3],
        ),
        ("x = { coil = 0, group = «\"fats\"» }", &["unknown-group"]),
        (
            "x = { coil = 0, from = «\"mian\"» }",
            &["unknown-connection"],
        ),
        ("x = { coil = 0, unit-id = «256» }", &["out-of-range"]),
        ("x = { coil = 0, publish = «\"yes\"» }", &["wrong-type"]),
        ("x = { coil = 0, unit = «\"\"» }", &["out-of-range"]),
        ("x = { node = «\"ns=1;s=x\"» }", &["bad-address"]),
    ] {
        check_points(points, codes);
    }
}

#[test]
fn one_thing_twice() {
    check_points("x = { coil = 0 }\n«x» = { coil = 1 }", &["duplicate-key"]);
    check_points("x = { coil = 0, «coil» = 1 }", &["duplicate-key"]);
    check_gateway(
        &format!("{GATEWAY}«url» = \"mqtt://c\"\n"),
        &["duplicate-key"],
    );
    check_map(
        &format!("{HEAD}x = {{ coil = 0, group = \"fast\" }}\n")
            .replace("[groups]\nfast = \"1s\"", ""),
        &["machines/m.toml: missing-key"],
    );
    check_map(
        &format!("{HEAD}{POINT}").replace(
            "[connection]",
            "[connections.main]\nprotocol = \"modbus-tcp\"\naddress = \"10.0.0.2\"\n[«connection»]",
        ),
        &["duplicate-key"],
    );
    let map = format!("{HEAD}{POINT}");
    let again = map.replacen("\"m\"", "«\"m\"»", 1);
    check(
        &[
            ("gateway.toml", GATEWAY),
            ("machines/a.toml", &map),
            ("machines/b.toml", &again),
        ],
        &["duplicate-machine"],
    );
}

#[test]
fn several_faults_of_syntax_are_told_at_once_and_without_what_follows_from_them() {
    check_gateway(
        "[gateway]\nsite = \"s\"\nid = «12x»\n[uplink]\nurl = \"mqtt://b«»\n\nwindow = «1 2»\n",
        &["syntax"; 3],
    );
    check_points("x = { coil = 0, group = \"fast«»«»\n", &["syntax"; 2]);
}

#[test]
fn a_file_with_faults_says_in_which_language_they_are_told() {
    let chinese = Some(Language::ZhCn);
    for (text, expected) in [
        ("[gateway]\nlanguage = \"zh-CN\"\n", chinese),
        ("x = \n[gateway]\nlanguage = \"zh-CN\"\nid = 1x\n", chinese),
        ("[gateway]\nlanguage = \"fr\"\n", None),
        ("gateway = 1\n", None),
        ("", None),
    ] {
        let folder = super::folder(&[("gateway.toml", text)]);
        let path = folder.path().join("gateway.toml");
        assert_eq!(language(&path), expected, "{text}");
    }
    // A device never ends: it must not be read.
    assert_eq!(language(std::path::Path::new("/dev/zero")), None);
}

#[test]
fn durations_and_sizes() {
    for (text, codes) in [
        ("[outbox]\nmax-age = «\"30\"»", ["bad-duration"].as_slice()),
        ("[outbox]\nmax-age = «30»", &["wrong-type"]),
        ("[outbox]\nmax-age = «\"1s\"»", &["out-of-range"]),
        ("[outbox]\nmax-size = «\"2 GiBi\"»", &["bad-size"]),
        ("[outbox]\nmax-size = «2»", &["wrong-type"]),
        ("[outbox]\nmax-size = «\"1KiB\"»", &["bad-size"]),
        ("[availability]\nheartbeat = «\"0s\"»", &["out-of-range"]),
        ("[availability]\nheartbeat = «\"-1s\"»", &["bad-duration"]),
        ("[telemetry]\npublish = «\"lisetd\"»", &["bad-value"]),
        ("[log]\nformat = «\"xml\"»", &["bad-value"]),
        ("[«alog»]\nformat = \"json\"", &["unknown-key"]),
    ] {
        check_gateway(&format!("{GATEWAY}{text}\n"), codes);
    }
}

#[test]
fn the_gateway_file() {
    check_gateway(
        "machines = «\"machines/*.toml\"»\n",
        &[
            "gateway.toml: missing-key",
            "gateway.toml: missing-key",
            "wrong-type",
        ],
    );
    check_gateway(
        "[«gateway»]\nid = «\"GW\"»\ntimezone = «\"Asia/Zhoushan\"»\n[«uplink»]\n",
        &["missing-key", "bad-name", "bad-value", "missing-key"],
    );
    for (line, code) in [
        ("url = «\"mqtts://b\"»", "not-yet"),
        ("url = «\"http://b\"»", "bad-address"),
        ("url = «\"mqtt://user:pw@b\"»", "bad-address"),
        ("url = \"mqtt://b\"\nca = «\"ca.pem\"»", "not-yet"),
        ("url = \"mqtt://b\"\nkey = «\"k.pem\"»", "not-yet"),
        ("url = \"mqtt://b\"\nprefix = «\"a/#\"»", "bad-value"),
        ("url = \"mqtt://b\"\nwindow = «0»", "out-of-range"),
        (
            "url = \"mqtt://b\"\npassword-file = «\"none\"»",
            "missing-file",
        ),
    ] {
        check_gateway(
            &format!("[gateway]\nsite = \"s\"\nid = \"g\"\n[uplink]\n{line}\n"),
            &[code],
        );
    }
    check_gateway(
        &GATEWAY.replace("id =", "state-dir = «\"a\\u0000\"»\nid ="),
        &["bad-value"],
    );
    check_gateway(
        &format!("machines = «[]»\n{GATEWAY}"),
        &["warning no-match"],
    );
    for (listen, codes) in [
        ("«\"0.0.0.0:8600\"»", ["exposed-console"].as_slice()),
        ("«\"[::]:8600\"»", &["exposed-console"]),
        ("\"[::1]:8600\"", &[]),
        ("«\"localhost\"»", &["bad-address"]),
        (
            "\"0.0.0.0:8600\"\npassword-file = «\"none\"»",
            &["missing-file"],
        ),
    ] {
        check_gateway(&format!("{GATEWAY}[console]\nlisten = {listen}\n"), codes);
    }
}

#[test]
fn secrets_are_read_without_their_line_break_and_guarded() {
    use std::os::unix::fs::PermissionsExt;
    let folder = super::folder(&[("gateway.toml", GATEWAY), ("machines/m.toml", HEAD)]);
    let text = format!("{GATEWAY}username = \"u\"\npassword-file = \"pw\"\n");
    write(folder.path(), "gateway.toml", text.as_bytes());
    write(
        folder.path(),
        "machines/m.toml",
        format!("{HEAD}{POINT}").as_bytes(),
    );
    let password = folder.path().join("pw");
    for (mode, bytes, expected) in [
        (0o600, b"secret \n".as_slice(), Ok("")),
        (0o604, b"secret \r\n", Ok("loose-secret")),
        (0o600, b"\n", Err("bad-value")),
        (0o600, b"\xb2\xe2", Err("unreadable-file")),
    ] {
        std::fs::write(&password, bytes).unwrap();
        std::fs::set_permissions(&password, PermissionsExt::from_mode(mode)).unwrap();
        match load(&folder.path().join("gateway.toml")) {
            Ok(loaded) => {
                let secret = loaded.config.gateway.uplink.password.unwrap();
                assert_eq!(secret.0, "secret ");
                assert_eq!(format!("{secret:?}"), "Secret(…)");
                let code = loaded.warnings.first().map_or("", |fault| fault.code);
                assert_eq!(Ok(code), expected);
            }
            Err(faults) => assert_eq!(Err(faults.iter().next().unwrap().code), expected),
        }
    }
}

#[test]
fn files_that_are_missing_or_no_text() {
    let missing = format!("machines = [«\"machines/none.toml\"», «\"other/*.toml\"»]\n{GATEWAY}");
    check(
        &[("gateway.toml", &missing)],
        &["missing-file", "warning no-match"],
    );
    check(&[], &["gateway.toml: missing-file"]);
    check(
        &[("gateway.toml", GATEWAY)],
        &["gateway.toml: warning no-match"],
    );
    let head = HEAD.replacen(
        '\n',
        "\ntemplate = «\"t.toml\"»\npoints-file = «\"p.csv\"»\n",
        1,
    );
    check_map(&format!("{head}{POINT}"), &["missing-file"; 2]);
    let folder = super::folder(&[("gateway.toml", GATEWAY), ("machines/m.toml/x", "")]);
    let faults = load(&folder.path().join("gateway.toml")).unwrap_err();
    assert_eq!(faults.iter().next().unwrap().code, "unreadable-file");
    // "温度" in GBK, as spreadsheets save it on Chinese systems.
    let head = HEAD.replacen('\n', "\npoints-file = \"p.csv\"\n", 1);
    write(
        folder.path(),
        "machines/n.toml",
        head.replace("\"m\"", "\"n\"").as_bytes(),
    );
    write(
        folder.path(),
        "machines/p.csv",
        b"point,table,address\n\xce\xc2\xb6\xc8,coil,1\n",
    );
    let faults = load(&folder.path().join("gateway.toml")).unwrap_err();
    let fault = faults
        .iter()
        .find(|fault| fault.code == "not-utf8")
        .unwrap();
    assert_eq!(
        fault.position().map(|at| (at.line, at.column)),
        Some((2, 1))
    );
    assert!(
        fault
            .hint
            .as_ref()
            .unwrap()
            .en
            .contains("save as UTF-8 CSV")
    );
}

#[test]
fn a_file_beyond_its_bound_is_refused() {
    let folder = super::folder(&[("gateway.toml", "")]);
    let path = folder.path().join("gateway.toml");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(crate::config::FILE_BYTES_MAX + 1).unwrap();
    let faults = load(&path).unwrap_err();
    assert_eq!(
        faults.iter().map(|fault| fault.code).collect::<Vec<_>>(),
        ["file-too-large"]
    );
}

#[test]
fn many_points_and_many_faults_are_bounded() {
    let mut points = String::new();
    for n in 0..=crate::config::model::POINTS_MAX {
        writeln!(points, "p{n} = {{ coil = {} }}", n % 65_536).unwrap();
    }
    check_map(
        &format!("{}{points}", HEAD.replace("[points]", "[«points»]")),
        &["too-many"],
    );
    let bad = points
        .lines()
        .take(FAULTS_MAX + 5)
        .map(|line| line.replace("coil", "cool") + "\n");
    let map = format!("{HEAD}{}", bad.collect::<String>());
    let faults = load_files(&[("gateway.toml", GATEWAY), ("machines/m.toml", &map)]).unwrap_err();
    assert_eq!(faults.iter().count(), FAULTS_MAX);
    assert!(faults.more() > 0);
}
