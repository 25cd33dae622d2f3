//! Every fault that a configuration can have, with its exact place.

use super::{GATEWAY, HEAD, POINT, check, check_map, check_points, load_files, write};
use crate::config::{FAULTS_MAX, load};
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
fn what_has_no_effect_yet_is_checked_and_said() {
    check_gateway(
        &format!(
            "{GATEWAY}[telemetry]\nexternal = «\"withhold\"»\n[«bookings»]\nissuer-keys = [\"portal.jwk\"]\n\
             check-in = \"implied\"\n[«sessions»]\nidle-close = \"15m\"\nown = [\"a\"]\naffiliates = \"a.jws\"\n\
             [«ledger»]\nkey = \"keys/ledger.key\"\norigin = \"x\"\n"
        ),
        &["warning no-effect-yet"; 4],
    );
    check_gateway(
        &format!("{GATEWAY}[«bookings»]\ncheck-in = «\"maybe\"»\n"),
        &["warning no-effect-yet", "bad-value"],
    );
    check_points(
        "hours = { holding = 1, type = \"u32\" }\n[«evidence»]\nhours = \"hours\"\nenergy = «\"energy_wh\"»\n",
        &["warning no-effect-yet", "warning unknown-point"],
    );
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
fn addresses() {
    for (point, code) in [
        ("x = { holding = «65536», type = \"u16\" }", "address-range"),
        ("x = { holding = «65535», type = \"u32\" }", "address-range"),
        (
            "x = { holding = «65532», type = \"string\", length = 9 }",
            "address-range",
        ),
        ("x = { coil = «-1» }", "address-range"),
        (
            "x = { holding = «40101», type = \"u16\" }",
            "manual-address",
        ),
        ("x = { input = «30021», type = \"u16\" }", "manual-address"),
        ("x = { discrete = «10004» }", "manual-address"),
        (
            "x = { holding = «\"30101\"», type = \"u16\" }",
            "bad-address",
        ),
        (
            "x = { holding = «0», base = 1, type = \"u16\" }",
            "address-range",
        ),
    ] {
        check_points(point, &[code]);
    }
}

#[test]
fn types_bits_and_orders() {
    for (point, code) in [
        ("x = { holding = 1, type = \"f32\", «bit» = 3 }", "bad-bit"),
        ("x = { holding = 1, bit = «16» }", "out-of-range"),
        ("x = { coil = 1, «bit» = 3 }", "bad-bit"),
        ("x = { holding = 1, type = «\"bool\"» }", "bad-bit"),
        ("x = { coil = 1, type = «\"u16\"» }", "bad-type"),
        (
            "x = { holding = 1, type = \"u16\", order = «\"CDAB\"» }",
            "bad-order",
        ),
        (
            "x = { holding = 1, type = \"f64\", order = «\"CDAB\"» }",
            "bad-order",
        ),
        (
            "x = { holding = 1, type = \"f32\", order = «\"BA\"» }",
            "bad-order",
        ),
        (
            "x = { holding = 1, type = \"f32\", order = «\"ACBD\"» }",
            "bad-order",
        ),
        (
            "x = { holding = 1, bit = 1, «order» = \"AB\" }",
            "no-meaning",
        ),
        (
            "x = { holding = 1, type = \"u16\", «length» = 1 }",
            "no-meaning",
        ),
        (
            "x = { holding = 1, type = \"string\", length = «251» }",
            "out-of-range",
        ),
        ("x = { coil = 1, «scale» = 2 }", "no-meaning"),
        (
            "x = { holding = 1, type = \"string\", length = 4, «deadband» = 2 }",
            "no-meaning",
        ),
        ("x = { coil = 1, «expect» = [0, 1] }", "no-meaning"),
        (
            "x = { holding = 1, type = \"u16\", expect = «[4, 1]» }",
            "expect-order",
        ),
        (
            "x = { holding = 1, type = \"u16\", expect = «[4]» }",
            "wrong-type",
        ),
        (
            "x = { holding = 1, type = \"u16\", expect = [4, «nan»] }",
            "out-of-range",
        ),
        (
            "x = { holding = 1, type = \"u16\", scale = «0» }",
            "out-of-range",
        ),
        (
            "x = { holding = 1, type = \"u16\", deadband = «-0.1» }",
            "out-of-range",
        ),
    ] {
        check_points(point, &[code]);
    }
    let narrow = HEAD.replacen("[groups]", "max-registers = 2\n[groups]", 1);
    check_map(
        &format!("{narrow}x = {{ holding = «1», type = \"f64\" }}"),
        &["too-wide"],
    );
}

#[test]
fn overlaps() {
    let bad = ["overlap"].as_slice();
    let fine = [].as_slice();
    for (first, second, codes) in [
        (
            "holding = 1, type = \"f32\"",
            "holding = 2, type = \"f32\"",
            bad,
        ),
        (
            "holding = 1, type = \"f32\"",
            "holding = 1, type = \"f32\", order = \"CDAB\"",
            bad,
        ),
        (
            "holding = 1, type = \"u16\"",
            "holding = 1, type = \"i16\"",
            bad,
        ),
        (
            "holding = 1, type = \"u32\"",
            "holding = 1, type = \"u16\"",
            bad,
        ),
        (
            "holding = 1, type = \"string\", length = 9",
            "holding = 5, type = \"u16\"",
            bad,
        ),
        ("holding = 1, type = \"f32\"", "holding = 2, bit = 0", bad),
        ("holding = 1, type = \"bcd16\"", "holding = 1, bit = 0", bad),
        (
            "holding = 1, type = \"string\", length = 8",
            "holding = 5, type = \"u16\"",
            fine,
        ),
        (
            "holding = 1, type = \"f32\"",
            "holding = 1, type = \"f32\", scale = 2",
            fine,
        ),
        ("holding = 1, type = \"u16\"", "holding = 1, bit = 0", fine),
        ("holding = 1, bit = 1", "holding = 1, bit = 0", fine),
        ("holding = 2, bit = 1", "holding = 1, type = \"u32\"", fine),
        (
            "holding = 1, type = \"f32\"",
            "holding = 3, type = \"f32\"",
            fine,
        ),
        (
            "holding = 1, type = \"f32\"",
            "input = 2, type = \"f32\"",
            fine,
        ),
        (
            "holding = 1, type = \"f32\"",
            "holding = 2, type = \"f32\", unit-id = 2",
            fine,
        ),
        ("coil = 1", "coil = 1", fine),
    ] {
        let mark = if codes.is_empty() { "b" } else { "«b»" };
        check_points(
            &format!("a = {{ {first} }}\n{mark} = {{ {second} }}\n"),
            codes,
        );
    }
    // The later point in the file is the fault, wherever it lies.
    check_points(
        "a = { holding = 2, type = \"f32\" }\n«b» = { holding = 1, type = \"f32\" }\n",
        bad,
    );
}

#[test]
fn groups_and_staleness() {
    let with = |from: &str, to: &str| format!("{}{POINT}", HEAD.replacen(from, to, 1));
    check_map(
        &with("fast = \"1s\"", "fast = \"1s\"\n«slow» = \"10s\"")
            .replace("{ coil = 0 }", "{ coil = 0, group = \"fast\" }"),
        &["warning empty-group"],
    );
    check_map(&with("\"1s\"", "«\"1\"»"), &["bad-duration"]);
    check_map(&with("\"1s\"", "«\"1ms\"»"), &["out-of-range"]);
    check_map(
        &with(
            "\"1s\"",
            "{ interval = \"1s\", stale-after = «\"1999ms\"» }",
        ),
        &["stale-after"],
    );
    check_map(
        &with("\"1s\"", "{ interval = \"1s\", stale-after = \"2s\" }"),
        &[],
    );
    check_map(&with("fast = \"1s\"", "«fast» = { }"), &["missing-key"]);
    check_map(
        &with("[[state", "[state]\nstale-after = «\"1s\"»\n[[state"),
        &["stale-after"],
    );
    check_map(
        &with("[groups]\nfast = \"1s\"\n", "").replace("ok", "«ok»"),
        &["machines/m.toml: missing-key", "missing-key"],
    );
}

#[test]
fn connections_and_links() {
    let map = |name: &str, connection: &str| {
        format!(
            "machine = \"{name}\"\n[connection]\n{connection}\n[groups]\nfast = \"1s\"\n[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n[points]\nx = {{ coil = 0 }}\n"
        )
    };
    let rtu = "protocol = \"modbus-rtu\"\nport = \"/dev/ttyS9\"\n";
    for (connection, code) in [
        ("protocol = «\"modbus\"»".to_owned(), "bad-value"),
        (
            "protocol = «\"opc-ua\"»\nurl = \"opc.tcp://a:4840\"\nsecurity = \"None\"".to_owned(),
            "not-yet",
        ),
        (
            "protocol = \"modbus-tcp\"\naddress = «\"10.0.0.1:x\"»".to_owned(),
            "bad-address",
        ),
        (
            "protocol = \"modbus-tcp\"\naddress = \"a\"\n«port» = \"/dev/x\"".to_owned(),
            "unknown-key",
        ),
        (format!("{rtu}baud = «0»"), "bad-value"),
        (format!("{rtu}baud = «9601»"), "bad-value"),
        (format!("{rtu}parity = «\"mark\"»"), "bad-value"),
        (format!("{rtu}unit-id = «0»"), "out-of-range"),
        (format!("{rtu}listen = «\"100ms\"»"), "out-of-range"),
        (format!("{rtu}stop-bits = «3»"), "out-of-range"),
        (format!("{rtu}data-bits = «7»"), "warning bad-value"),
        (
            "protocol = \"modbus-rtu\"\nport = «\"ttyS9\"»".to_owned(),
            "bad-address",
        ),
        (format!("{rtu}max-registers = «126»"), "out-of-range"),
    ] {
        check_map(&map("m", &connection), &[code]);
    }
    let two = |first: &str, second: &str, codes: &[&str]| {
        let (a, b) = (map("a", first), map("b", second));
        check(
            &[
                ("gateway.toml", GATEWAY),
                ("machines/a.toml", &a),
                ("machines/b.toml", &b),
            ],
            codes,
        );
    };
    let marked = "protocol = \"modbus-rtu\"\nport = «\"/dev/ttyS9\"»\n";
    two(
        rtu,
        &format!("{marked}parity = \"none\""),
        &["port-conflict"],
    );
    two(rtu, &format!("{marked}baud = 19200"), &["port-conflict"]);
    two(rtu, &format!("{rtu}timeout = \"2s\"\nmax-gap = 0"), &[]);
    two(
        "protocol = \"modbus-tcp\"\naddress = \"A\"",
        "protocol = \"modbus-rtu-over-tcp\"\naddress = «\"a:502\"»",
        &["port-conflict"],
    );
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("by-id");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    two(
        &format!("protocol = \"modbus-rtu\"\nport = \"{}\"", link.display()),
        "protocol = \"modbus-rtu\"\nport = «\"/dev/null\"»",
        &["port-conflict"],
    );
    let unused = map("m", rtu).replacen(
        "[groups]",
        "[connections.«meter»]\nprotocol = \"modbus-tcp\"\naddress = \"a\"\n[groups]",
        1,
    );
    check_map(&unused, &["warning unused-connection"]);
}

#[test]
fn rules() {
    let map = |rules: &str| {
        let head = HEAD.replacen(
            "[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n",
            rules,
            1,
        );
        format!("{head}speed = {{ holding = 1, type = \"f32\" }}\nestop = {{ coil = 1 }}\n")
    };
    let rule = |when: &str| format!("[[state.rules]]\nstate = \"RUN\"\nwhen = {when}\n");
    for (when, code) in [
        ("\"«spede» > 5.0\"", "rule"),
        ("'«speed»'", "rule"),
        ("'''\n«speed»'''", "rule"),
        ("«\"\\u0073peed\"»", "rule"),
        ("\"estop && «speed»\"", "rule"),
        ("«\"previous == 'RUN'\"»", "warning rule-without-point"),
        ("«\"false\"»", "warning rule-without-point"),
    ] {
        let idle = "[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n";
        check_map(&map(&format!("{}{idle}", rule(when))), &[code]);
    }
    let twice = format!("{}{}", rule("\"estop\""), rule("«\" estop \"»"));
    check_map(&map(&twice), &["unreachable-rule"]);
    let after = format!("{}{}", rule("«\"true\"»"), rule("«\"estop\"»"));
    check_map(
        &map(&after),
        &["warning rule-without-point", "unreachable-rule"],
    );
    check_map(&map(""), &["machines/m.toml: warning no-rules"]);
    check_map(
        &map(&rule("\"estop\"").replace("\"RUN\"", "«\"UNKNOWN\"»")),
        &["bad-value"],
    );
    check_map(
        &map(&rule("\"estop\"").replace("\"RUN\"", "«\"RNU\"»")),
        &["bad-value"],
    );
    check_map(
        &map(&format!("{}enter = «\"-\"»\n", rule("\"estop\""))),
        &["bad-duration"],
    );
    check_map(&map("[state]\nrules = «3»\n"), &["wrong-type"]);
    check_map(
        &map(&rule("\"estop\"").replacen(
            "[[state.rules]]\nstate = \"RUN\"",
            "«[[state.rules]]»",
            1,
        )),
        &["missing-key"],
    );
    // A rule about a point with a fault waits for that to be mended.
    check_points(
        "estop = { coil = 1, «grp» = \"fast\" }\nx = { holding = 1, type = «\"u17\"» }\n",
        &["unknown-key", "bad-value"],
    );
    let rules = rule("\"broken > 1\"");
    check_map(
        &format!("{}broken = {{ coil = «-1» }}\n", map(&rules)),
        &["address-range"],
    );
}

#[test]
fn rules_that_do_not_parse() {
    for when in [
        "speed >",
        "(estop",
        "speed > 5 &&& estop",
        "",
        "estop ? 1 : 2",
        "[1].all(x, x > 0)",
    ] {
        let head = HEAD.replacen("\"true\"", &format!("'{when}'"), 1);
        let map =
            format!("{head}speed = {{ holding = 1, type = \"f32\" }}\nestop = {{ coil = 1 }}\n");
        let faults =
            load_files(&[("gateway.toml", GATEWAY), ("machines/m.toml", &map)]).unwrap_err();
        let codes: Vec<_> = faults.iter().map(|fault| fault.code).collect();
        assert!(
            !codes.is_empty() && codes.iter().all(|code| *code == "rule"),
            "{when}: {codes:?}"
        );
        assert!(
            faults
                .iter()
                .all(|fault| fault.position().unwrap().line == 9),
            "{when}"
        );
    }
}

#[test]
fn templates() {
    let map = "machine = \"m\"\ntemplate = \"templates/t.toml\"\n[connection]\naddress = \"a\"\n";
    let template = format!("{HEAD}{POINT}")
        .replacen("machine = \"m\"\n", "", 1)
        .replacen("address = \"10.0.0.1\"\n", "max-gap = «900»\n", 1);
    check(
        &[
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", map),
            ("templates/t.toml", &template),
        ],
        &["out-of-range"],
    );
    // Two machines of one template: its fault is told once.
    let other = map.replace("\"m\"", "\"n\"");
    check(
        &[
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", map),
            ("machines/n.toml", &other),
            ("templates/t.toml", &template),
        ],
        &["out-of-range"],
    );
    check(
        &[
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", map),
            (
                "templates/t.toml",
                &format!(
                    "«machine» = \"t\"\n«template» = \"u\"\n{}",
                    template.replace("«900»", "9")
                ),
            ),
        ],
        &["unknown-key"; 2],
    );
}

#[test]
fn sheets() {
    let map = HEAD.replacen("[connection]", "points-file = \"p.csv\"\n[connection]", 1);
    let check_sheet = |sheet: &str, codes: &[&str]| {
        check(
            &[
                ("gateway.toml", GATEWAY),
                ("machines/m.toml", &map),
                ("machines/p.csv", sheet),
            ],
            codes,
        );
    };
    for (sheet, codes) in [
        (
            "point,table,address,type\nx,holding,«40101»,u16\n",
            ["manual-address"].as_slice(),
        ),
        (
            "point,table,address,type\nx,holding,1,«u17»\n«Y»,coil,1,\n",
            &["bad-value", "bad-name"],
        ),
        (
            "point;table;address;scale;type\r\nx;holding;1;«1.2.3»;u16\r\n",
            &["wrong-type"],
        ),
        ("point,table,address,«typ»\nx,coil,1,\n", &["unknown-key"]),
        ("«point,table»\nx,coil\n", &["missing-key"]),
        ("point,table,address\n«x»,coil,\n", &["missing-key"]),
        (
            "point,table,address\n,«coil»,1\ny,coil,1\n",
            &["missing-key"],
        ),
        (
            "point,table,address\nx,coil,1\n«x»,coil,2\n",
            &["duplicate-point"],
        ),
        ("point,table,address\nx,coil,1,«y»\n", &["bad-value"]),
        ("point,table,address\nx,«coli»,1\n", &["bad-value"]),
        ("point,table,address\nx,coil,«0x10»\n", &["manual-address"]),
        (
            "point,table,address,bit\nx,holding,1,«x»\n",
            &["wrong-type"],
        ),
    ] {
        check_sheet(sheet, codes);
    }
    check_sheet("", &["machines/p.csv: missing-key"]);
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
