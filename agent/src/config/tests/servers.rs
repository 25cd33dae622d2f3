//! OPC UA connections and nodes: every fault with its place, and what comes out of those without.

use super::{GATEWAY, HEAD, check, check_map, folder, load_files, loaded, write};
use crate::config::model::{
    Address, Fingerprint, Identity, NodeAddress, NodeKind, NodeName, OPC_UA_NAMESPACE, Security,
    SecurityMode, SecurityPolicy, Server,
};
use crate::config::{Loaded, load};
use sha2::{Digest, Sha256};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const URL: &str = "url = \"opc.tcp://press:4840\"\n";

/// A fingerprint as a map writes it.
const PRINT: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What no one has to be warned of.
fn trusted() -> String {
    format!("{URL}security = \"Basic256Sha256\"\nserver-fingerprint = \"{PRINT}\"\n")
}

/// A map of one node behind this connection.
fn around(connection: &str) -> String {
    let rest = HEAD.split_once("[groups]").unwrap().1;
    format!(
        "machine = \"m\"\n[connection]\nprotocol = \"opc-ua\"\n{connection}\n[groups]{rest}\
         ok = {{ node = \"nsu=urn:v;s=ok\" }}\n"
    )
}

/// A map of these points behind a connection without fault.
fn with_points(points: &str) -> String {
    let map = around(&trusted());
    map.replacen("ok = { node = \"nsu=urn:v;s=ok\" }\n", points, 1)
}

#[test]
fn connections() {
    let trusted = trusted();
    let trusted = trusted.as_str();
    let plain = format!("{URL}security = \"None\"");
    let untrusted = format!("{URL}security = «\"Basic256Sha256\"»");
    for (connection, codes) in [
        (trusted.to_owned(), [].as_slice()),
        (plain.clone(), &[]),
        (
            trusted.replace(
                "\nserver-fingerprint",
                "\nmode = \"Sign\"\nserver-fingerprint",
            ),
            &[],
        ),
        (untrusted.clone(), &["warning untrusted-server"]),
        (format!("{plain}\n«mode» = \"Sign\""), &["no-meaning"]),
        (
            format!("{plain}\n«server-fingerprint» = \"{PRINT}\""),
            &["warning no-effect"],
        ),
        (format!("{URL}security = «\"Basic256\"»"), &["bad-value"]),
        (
            format!("{URL}security = «\"Basic256SHA256\"»"),
            &["bad-value"],
        ),
        (format!("{URL}security = «true»"), &["wrong-type"]),
        (format!("{trusted}mode = «\"Encrypt\"»"), &["bad-value"]),
        (format!("{trusted}«adress» = \"x\""), &["unknown-key"]),
        (format!("{trusted}timeout = «\"1ms\"»"), &["out-of-range"]),
        (format!("{trusted}history = «\"no\"»"), &["wrong-type"]),
        (
            trusted.replace("\"opc.tcp://press:4840\"", "«\"http://press\"»"),
            &["bad-address"],
        ),
        (
            format!("{URL}security = \"Basic256Sha256\"\nserver-fingerprint = «\"sha256:00\"»"),
            &["bad-value"],
        ),
        (
            trusted
                .replace(
                    "server-fingerprint = \"",
                    "server-certificate = \"x.der\"\nserver-fingerprint = «\"",
                )
                .replace("eeff\"\n", "eeff\"»\n"),
            &["bad-value"],
        ),
        (
            format!("{URL}security = \"Basic256Sha256\"\nserver-certificate = «\"none.der\"»"),
            &["missing-file"],
        ),
        (
            format!("{trusted}user = \"u\"\npassword-file = «\"none\"»"),
            &["missing-file"],
        ),
        (
            format!("{trusted}user = «\"\"»\npassword-file = «\"none\"»"),
            &["out-of-range", "missing-file"],
        ),
        (
            format!("{trusted}user-certificate = «\"none\"»\nuser-key = «\"none.pem\"»"),
            &["missing-file"; 2],
        ),
        (
            format!("{trusted}user = \"u\"\nuser-certificate = «\"c\"»\nuser-key = \"k\""),
            &["two-identities"],
        ),
    ] {
        check_map(&around(&connection), codes);
    }
}

#[test]
fn what_a_connection_lacks() {
    let trusted = trusted();
    let check = |connection: &str, codes: &[&str]| {
        let map = around(connection).replacen("[connection]", "[«connection»]", 1);
        check_map(&map, codes);
    };
    check(URL, &["missing-key"]);
    check(&trusted.replacen(URL, "", 1), &["missing-key"]);
    check(&format!("{trusted}user = \"u\""), &["missing-key"]);
    for half in ["password-file", "user-certificate", "user-key"] {
        let connection = format!("{trusted}{half} = «\"none\"»");
        check(&connection, &["missing-key", "missing-file"]);
    }
    let faults = load_files(&[("gateway.toml", GATEWAY), ("machines/m.toml", &around(URL))]);
    let faults = faults.unwrap_err();
    let hint = faults.iter().next().unwrap().hint.clone().unwrap();
    assert!(
        hint.en.contains("nobody gets \"None\" by forgetting"),
        "{hint}"
    );
}

#[test]
fn nodes() {
    for (point, codes) in [
        ("x = { node = \"i=2258\" }", [].as_slice()),
        (
            "x = { node = \"nsu=urn:v;s=x\", index = 3, type = \"bool\" }",
            &[],
        ),
        ("x = { node = «\"ns=2;s=x\"» }", &["bad-node"]),
        ("x = { node = «\"s=x\"» }", &["bad-node"]),
        ("x = { node = «3» }", &["wrong-type"]),
        ("«x» = { }", &["missing-key"]),
        ("x = { node = \"i=1\", index = «-1» }", &["out-of-range"]),
        (
            "x = { node = \"i=1\", index = «4294967296» }",
            &["out-of-range"],
        ),
        ("x = { node = \"i=1\", type = «\"f32\"» }", &["bad-type"]),
        ("x = { node = \"i=1\", type = «\"bcd16\"» }", &["bad-type"]),
        (
            "x = { node = \"i=1\", type = «\"nubmer\"» }",
            &["bad-value"],
        ),
        ("x = { node = \"i=1\", «bit» = 3 }", &["no-meaning"]),
        (
            "x = { node = \"i=1\", «order» = \"ABCD\" }",
            &["no-meaning"],
        ),
        ("x = { node = \"i=1\", «length» = 3 }", &["no-meaning"]),
        ("x = { node = \"i=1\", «unit-id» = 3 }", &["no-meaning"]),
        ("x = { node = \"i=1\", «base» = 1 }", &["no-meaning"]),
        ("x = { node = \"i=1\", «coil» = 3 }", &["bad-address"]),
        (
            "x = { «holding» = 3, type = «\"u16\"» }",
            &["bad-address", "bad-type"],
        ),
        ("x = { node = \"i=1\", «nod» = 3 }", &["unknown-key"]),
        (
            "x = { node = \"i=1\", type = \"bool\", «scale» = 2 }",
            &["no-meaning"],
        ),
        (
            "x = { node = \"i=1\", type = \"string\", «deadband» = 2 }",
            &["no-meaning"],
        ),
        (
            "x = { node = \"i=1\", type = \"string\", «expect» = [0, 1] }",
            &["no-meaning"],
        ),
        (
            "x = { node = \"i=1\", expect = «[4, 1]» }",
            &["expect-order"],
        ),
        ("x = { node = \"i=1\", scale = «0» }", &["out-of-range"]),
    ] {
        check_map(&with_points(&format!("{point}\n")), codes);
    }
}

#[test]
fn a_value_is_of_one_type() {
    for (points, codes) in [
        (
            "x = { node = \"i=1\" }\n«y» = { node = \"i=01\", type = \"bool\" }",
            ["overlap"].as_slice(),
        ),
        (
            "x = { node = \"i=1\", index = 1 }\n«y» = { node = \"i=1\", index = 1, type = \"string\" }",
            &["overlap"],
        ),
        // Scaled twice, or two elements, it is fine.
        (
            "x = { node = \"i=1\" }\ny = { node = \"i=1\", scale = 2 }",
            &[],
        ),
        (
            "x = { node = \"i=1\" }\ny = { node = \"i=1\", index = 0, type = \"bool\" }",
            &[],
        ),
        (
            "x = { node = \"nsu=urn:v;s=x[1]\" }\ny = { node = \"nsu=urn:v;s=x\", index = 1, type = \"bool\" }",
            &[],
        ),
    ] {
        check_map(&with_points(&format!("{points}\n")), codes);
    }
}

#[test]
fn points_of_either_protocol_take_no_keys_of_the_other() {
    let both = |points: &str| {
        with_points(points).replacen(
            "[groups]",
            "[connections.plc]\nprotocol = \"modbus-tcp\"\naddress = \"a\"\n[groups]",
            1,
        )
    };
    for (point, codes) in [
        (
            "from = \"plc\", node = «\"i=1\"»",
            ["bad-address"].as_slice(),
        ),
        (
            "from = \"plc\", coil = 1, node = «\"i=1\"»",
            &["bad-address"],
        ),
        ("from = \"plc\", coil = 1, «index» = 1", &["no-meaning"]),
        ("«coil» = 1", &["bad-address"]),
    ] {
        let points = format!(
            "a = {{ node = \"i=1\" }}\nb = {{ from = \"plc\", coil = 0 }}\nx = {{ {point} }}\n"
        );
        check_map(&both(&points), codes);
    }
    // The faults of a connection don't make its points look wrong.
    let map = with_points("x = { node = \"i=1\" }\n");
    check_map(&map.replace("\"opc-ua\"", "«\"opcua\"»"), &["bad-value"]);
}

#[test]
fn rules_see_what_a_node_is() {
    let map =
        with_points("speed = { node = \"i=1\" }\nrunning = { node = \"i=2\", type = \"bool\" }\n");
    check_map(&map.replace("\"true\"", "\"running && speed > 5.0\""), &[]);
    check_map(
        &map.replace("\"true\"", "\"running && «speed»\""),
        &["rule"],
    );
}

#[test]
fn two_ways_to_one_server_are_two_sessions() {
    let two = |second: &str, codes: &[&str]| {
        let (a, b) = (
            around(&trusted()),
            around(second).replacen("\"m\"", "\"n\"", 1),
        );
        let files = [
            ("gateway.toml", GATEWAY),
            ("machines/a.toml", a.as_str()),
            ("machines/b.toml", b.as_str()),
        ];
        check(&files, codes);
    };
    let trusted = trusted();
    let marked = trusted.replace("\"opc.tcp://press:4840\"", "«\"OPC.TCP://Press/\"»");
    two(&marked.replace(['«', '»'], ""), &[]);
    two(&trusted.replace("press:4840", "press:4841"), &[]);
    for other in [
        format!("{marked}mode = \"Sign\""),
        format!("{marked}timeout = \"5s\""),
        format!("{marked}history = false"),
        marked.replace("Basic256Sha256", "Aes256-Sha256-RsaPss"),
        marked.replace("eeff\"", "eef0\""),
    ] {
        two(&other, &["warning two-sessions"]);
    }
}

#[test]
fn sheets_of_nodes() {
    let with = |sheet: &str, codes: &[&str]| {
        let map =
            around(&trusted()).replacen("[connection]", "points-file = \"p.csv\"\n[connection]", 1);
        let files = [
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", map.as_str()),
            ("machines/p.csv", sheet),
        ];
        check(&files, codes);
    };
    with(
        "point,node,type,unit\na,nsu=urn:v;s=a,,rpm\nb,i=2258,string,\n",
        &[],
    );
    with("point;node\na;\"nsu=urn:v;s=a\"\n", &[]);
    with("point,table,address,node\na,,,nsu=urn:v;s=a\n", &[]);
    with("point,node\na,«ns=1;s=a»\n", &["bad-node"]);
    with("point,node\n«a»,\n", &["missing-key"]);
    with("«point,table,node»\na,,i=1\n", &["missing-key"]);
    with(
        "point,table,address,node\na,coil,«1»,i=1\n",
        &["bad-address"],
    );
}

fn server(loaded: &Loaded) -> &Server {
    loaded.config.machines[0].connections[0].server().unwrap()
}

#[test]
fn a_connection_comes_out_as_it_was_meant() {
    let least = loaded(&around("url = \"opc.tcp://Press\"\nsecurity = \"None\""));
    let expected = Server {
        url: "opc.tcp://press:4840".to_owned(),
        security: Security::None,
        identity: Identity::Anonymous,
        timeout: Duration::from_secs(4),
        history: true,
    };
    assert_eq!(*server(&least), expected);
    let full = loaded(&around(&format!(
        "url = \"opc.tcp://10.0.0.9:4841/ua\"\nsecurity = \"Aes128-Sha256-RsaOaep\"\nmode = \"Sign\"\n\
         server-fingerprint = \"{}\"\ntimeout = \"9s\"\nhistory = false",
        PRINT.to_uppercase().replace("SHA256", "sha256")
    )));
    let print: [u8; 16] = [
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
        0xff,
    ];
    let print: [u8; 32] = [print, print].concat().try_into().unwrap();
    let expected = Server {
        url: "opc.tcp://10.0.0.9:4841/ua".to_owned(),
        security: Security::Secured {
            policy: SecurityPolicy::Aes128Sha256RsaOaep,
            mode: SecurityMode::Sign,
            server: Some(Fingerprint(print)),
        },
        identity: Identity::Anonymous,
        timeout: Duration::from_secs(9),
        history: false,
    };
    assert_eq!(*server(&full), expected);
}

#[test]
fn nodes_come_out_as_they_were_meant() {
    let loaded = loaded(&with_points(
        "a = { node = \"nsu=urn:v%3Bw;s=a;b\", index = 3, type = \"string\" }\nb = { node = \"i=2258\" }\n",
    ));
    let points = &loaded.config.machines[0].points;
    let expected = [
        (
            "urn:v;w",
            NodeName::Text("a;b".to_owned()),
            Some(3),
            NodeKind::Text,
        ),
        (
            OPC_UA_NAMESPACE,
            NodeName::Number(2258),
            None,
            NodeKind::Number,
        ),
    ];
    for (point, (namespace, name, index, kind)) in points.iter().zip(expected) {
        let namespace = namespace.to_owned();
        let address = NodeAddress {
            namespace,
            name,
            index,
            kind,
        };
        assert_eq!(point.address, Address::Node(address));
    }
}

/// A certificate's outer shape, in DER and in PEM, and a key's.
const DER: [u8; 6] = [0x30, 0x04, 0x30, 0x02, 0xff, 0xfe];
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAQwAv/+\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

#[test]
fn files_of_servers_and_users_are_read_at_once() {
    let connection = format!(
        "{URL}security = \"Basic256Sha256\"\nserver-certificate = \"trusted/press.der\"\n\
         user-certificate = \"user.pem\"\nuser-key = \"user.key\"\n"
    );
    let folder = folder(&[
        ("gateway.toml", GATEWAY),
        ("machines/m.toml", &around(&connection)),
    ]);
    // Beside the map, else beside the gateway file.
    write(folder.path(), "machines/trusted/press.der", &DER);
    write(folder.path(), "user.pem", PEM.as_bytes());
    write(folder.path(), "user.key", KEY.as_bytes());
    let gateway = folder.path().join("gateway.toml");
    let key = folder.path().join("user.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let loaded = load(&gateway).unwrap();
    assert_eq!(loaded.warnings, []);
    let read = loaded
        .files
        .iter()
        .filter(|path| !path.ends_with("m.toml"))
        .count();
    assert_eq!(read, 4, "{:?}", loaded.files);
    let Security::Secured { server: print, .. } = &server(&loaded).security else {
        panic!("not secured");
    };
    assert_eq!(*print, Some(Fingerprint(Sha256::digest(DER).into())));
    let Identity::Certificate {
        certificate,
        key: secret,
    } = &server(&loaded).identity
    else {
        panic!("not by certificate");
    };
    assert_eq!((&certificate[..], secret.0.as_str()), (DER.as_slice(), KEY));
    assert!(!format!("{:?}", server(&loaded)).contains("AAAA"));
    // Everybody may read the key.
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let codes = |warnings: &[crate::config::Fault]| -> Vec<&str> {
        warnings.iter().map(|fault| fault.code).collect()
    };
    assert_eq!(codes(&load(&gateway).unwrap().warnings), ["loose-secret"]);
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    for (file, text, code) in [
        ("user.key", PEM, "bad-key"),
        (
            "user.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            "bad-key",
        ),
        ("user.key", "\u{fffd}", "bad-key"),
        ("user.pem", KEY, "bad-certificate"),
        ("machines/trusted/press.der", "", "bad-certificate"),
    ] {
        let path = folder.path().join(file);
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, text).unwrap();
        let faults = load(&gateway).unwrap_err();
        let found: Vec<_> = faults.iter().map(|fault| fault.code).collect();
        assert_eq!(found, [code], "{file}: {text}");
        std::fs::write(&path, before).unwrap();
    }
}

#[test]
fn a_password_in_clear_is_said() {
    let folder = folder(&[("gateway.toml", GATEWAY), ("pw", "secret\n")]);
    let password = folder.path().join("pw");
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let trusted = trusted();
    let plain = format!("{URL}security = \"None\"\n");
    for (connection, codes) in [
        (trusted.as_str(), [].as_slice()),
        (
            &format!("{trusted}mode = \"Sign\"\n"),
            &["password-in-clear"],
        ),
        (&plain, &["password-in-clear"]),
    ] {
        let map = around(&format!(
            "{connection}user = \"u\"\npassword-file = \"pw\"\n"
        ));
        write(folder.path(), "machines/m.toml", map.as_bytes());
        let loaded = load(&folder.path().join("gateway.toml")).unwrap();
        let found: Vec<_> = loaded.warnings.iter().map(|fault| fault.code).collect();
        assert_eq!(found, codes, "{connection}");
        let Identity::Password { user, password } = &server(&loaded).identity else {
            panic!("not by password");
        };
        assert_eq!((user.as_str(), password.0.as_str()), ("u", "secret"));
    }
}
