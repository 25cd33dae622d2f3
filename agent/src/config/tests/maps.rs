//! The faults that machine maps can have, with their exact places.

use super::{GATEWAY, HEAD, POINT, check, check_map, check_points};

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
fn numbers_of_points() {
    for (point, code) in [
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
            "x = { holding = 1, type = \"u16\", expect = «[-9, -1]» }",
            "out-of-range",
        ),
        (
            "x = { holding = 1, type = \"i16\", scale = -0.1, offset = 40, expect = «[4000, 5000]» }",
            "out-of-range",
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

/// A serial connection with every default.
const RTU: &str = "protocol = \"modbus-rtu\"\nport = \"/dev/ttyS9\"\n";

/// A whole map around a connection.
fn around(machine: &str, connection: &str) -> String {
    let rest = HEAD.split_once("[groups]").unwrap().1;
    format!("machine = \"{machine}\"\n[connection]\n{connection}\n[groups]{rest}{POINT}")
}

#[test]
fn connections() {
    let rtu = RTU;
    for (connection, code) in [
        ("protocol = «\"modbus\"»".to_owned(), "bad-value"),
        (
            "protocol = \"modbus-tcp\"\naddress = «\"10.0.0.1:x\"»".to_owned(),
            "bad-address",
        ),
        (
            "protocol = \"modbus-rtu\"\nport = «\"/dev\"»".to_owned(),
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
        check_map(&around("m", &connection), &[code]);
    }
}

#[test]
fn links() {
    let rtu = RTU;
    let two = |first: &str, second: &str, codes: &[&str]| {
        let (a, b) = (around("a", first), around("b", second));
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
    let unused = around("m", rtu).replacen(
        "[groups]",
        "[connections.«meter»]\nprotocol = \"modbus-tcp\"\naddress = \"a\"\n[groups]",
        1,
    );
    check_map(&unused, &["warning unused-connection"]);
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
    let sheet = template
        .replacen("[connection]", "points-file = \"t.csv\"\n[connection]", 1)
        .replace("«900»", "9");
    check(
        &[
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", map),
            ("machines/n.toml", &other),
            ("templates/t.toml", &sheet),
            ("templates/t.csv", "point,table,address\ny,coil,«-1»\n"),
        ],
        &["address-range"],
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
        ("point,table,address\nx,coil,1,,,«y»\n", &["bad-value"]),
        ("point,table,,address\nx,coil,«y»,1\n", &["bad-value"]),
        (
            "point,table,address,description\nx,coil,1,«\"»a\ny,coil,2,b\n",
            &["syntax"],
        ),
        ("point,table,address\nx,coil,«00101»\n", &["manual-address"]),
        ("point,table,address,type\nx,holding,0X1f,u16\n", &[]),
        (
            "point,table,address,type\nx,holding,«0x-1»,u16\n",
            &["bad-address"],
        ),
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
