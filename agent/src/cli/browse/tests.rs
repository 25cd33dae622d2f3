//! Drafts of maps: `check` accepts them, and their rules say what the standards mean.

use clap::Parser as _;
use std::fs;
use std::time::Duration;

use super::machines::{Told, told};
use super::map::draft;
use super::{given, keys, password, written};
use crate::cli::Failure;
use crate::config::load;
use crate::config::model::{
    Fingerprint, Identity, NodeKind, NodeName, Secret, Security, SecurityMode, SecurityPolicy,
    Server,
};
use crate::field::opcua::browse::space::{Content, Qualified, Seen, Space};
use crate::text::Language;

const MACHINERY: &str = "http://opcfoundation.org/UA/Machinery/";
const PACKML: &str = "http://opcfoundation.org/UA/PackML/";
const STANDARD: &str = "http://opcfoundation.org/UA/";
const VENDOR: &str = "urn:press;1%";

/// A space that is written down a line a node: depth by spaces, then namespace and name, then what
/// a variable holds.
fn space(lines: &[(u32, &str, &str, Option<Content>)]) -> Space {
    let objects = Seen {
        parent: None,
        depth: 0,
        namespace: STANDARD.to_owned(),
        name: NodeName::Number(85),
        browse: Qualified::default(),
        display: "Objects".to_owned(),
        content: None,
        states: Vec::new(),
    };
    let mut space = Space {
        nodes: vec![objects],
        ..Space::default()
    };
    for (number, (depth, namespace, name, content)) in (0_u32..).zip(lines) {
        let parent = space
            .nodes
            .iter()
            .rposition(|node| node.depth + 1 == *depth);
        space.nodes.push(Seen {
            parent,
            depth: *depth,
            namespace: VENDOR.to_owned(),
            name: NodeName::Number(number),
            browse: Qualified {
                namespace: (*namespace).to_owned(),
                name: (*name).to_owned(),
            },
            display: (*name).to_owned(),
            content: content.clone(),
            states: Vec::new(),
        });
    }
    space
}

fn holds(kind: NodeKind) -> Option<Content> {
    Some(Content {
        kind: Some(kind),
        type_name: "T".to_owned(),
        ..Content::default()
    })
}

fn states(space: &mut Space, machine: &str, names: &[&str]) {
    for node in &mut space.nodes {
        if node.browse.name == machine {
            let names = names.iter().map(|name| (*name).to_owned());
            node.states = names.zip(0..).collect();
        }
    }
}

/// The item state and the operation mode, with numbers or without.
fn machinery(numbered: bool) -> Space {
    let mut lines = vec![(1, VENDOR, "Press", None)];
    for machine in ["MachineryItemState", "MachineryOperationMode"] {
        lines.push((2, MACHINERY, machine, None));
        lines.push((3, STANDARD, "CurrentState", holds(NodeKind::Text)));
        if numbered {
            lines.push((4, STANDARD, "Number", holds(NodeKind::Number)));
        }
    }
    let mut space = space(&lines);
    let items = ["NotAvailable", "OutOfService", "NotExecuting", "Executing"];
    states(&mut space, "MachineryItemState", &items);
    let modes = ["None", "Maintenance", "Processing", "Setup"];
    states(&mut space, "MachineryOperationMode", &modes);
    space
}

fn packml_status() -> Space {
    space(&[
        (1, VENDOR, "Filler", None),
        (2, PACKML, "Status", None),
        (3, PACKML, "StateCurrent", holds(NodeKind::Number)),
        (3, PACKML, "UnitModeCurrent", holds(NodeKind::Number)),
        (2, PACKML, "BaseStateMachine", None),
        (3, STANDARD, "CurrentState", holds(NodeKind::Text)),
    ])
}

fn packml_machines() -> Space {
    space(&[
        (1, VENDOR, "Filler", None),
        (2, PACKML, "BaseStateMachine", None),
        (3, STANDARD, "CurrentState", holds(NodeKind::Text)),
        (3, PACKML, "MachineState", None),
        (4, STANDARD, "CurrentState", holds(NodeKind::Text)),
        (4, PACKML, "ExecuteState", None),
        (5, STANDARD, "CurrentState", holds(NodeKind::Text)),
    ])
}

/// Variables that are hard to name, to type and to quote.
fn awkward() -> Space {
    let unit = |unit: &str| {
        holds(NodeKind::Number).map(|content| Content {
            unit: Some(unit.to_owned()),
            range: Some((-0.5, 1e21)),
            ..content
        })
    };
    let array = holds(NodeKind::Number).map(|content| Content {
        is_array: true,
        ..content
    });
    let mut space = space(&[
        (1, VENDOR, "true", holds(NodeKind::Bool)),
        (1, VENDOR, "温度", unit("°C")),
        (1, VENDOR, "quoted \"name\" \\ '", unit("\"")),
        (1, VENDOR, "Recipe", Some(Content::default())),
        (1, VENDOR, "Zones", array),
        (1, VENDOR, "Same", holds(NodeKind::Number)),
        (1, VENDOR, "same", holds(NodeKind::Text)),
        (1, VENDOR, "two lines", holds(NodeKind::Number)),
        (1, VENDOR, "endless", holds(NodeKind::Number)),
        (1, VENDOR, "elsewhere", holds(NodeKind::Number)),
    ]);
    space.nodes[6].name = NodeName::Text("a;b\"c\\".to_owned());
    space.nodes[8].name = NodeName::Text("two\nlines\u{1b}[2J".to_owned());
    space.nodes[9].name = NodeName::Text("x".repeat(5_000));
    space.nodes[10].namespace = "urn:\u{1b}[31m".to_owned();
    space.cut.too_many = true;
    space
}

#[test]
fn a_value_may_leave_its_normal_range_and_not_what_can_be_measured() {
    for (range, limits, expected, says) in [
        (None, None, None, false),
        (Some((0.0, 100.0)), None, Some("[-50.0, 150.0]"), true),
        (
            Some((0.0, 100.0)),
            Some((-1.0, 120.0)),
            Some("[-1.0, 120.0]"),
            false,
        ),
        (None, Some((-1.0, 120.0)), Some("[-1.0, 120.0]"), false),
        (Some((-1.7e308, 1.7e308)), None, None, false),
    ] {
        let content = holds(NodeKind::Number).map(|content| Content {
            range,
            limits,
            ..content
        });
        let space = space(&[(1, VENDOR, "Force", content)]);
        let map = draft(&space, "press-01", &[], Language::En);
        let expect = map.split("expect = ").nth(1);
        let expect = expect.and_then(|rest| rest.split(" }").next());
        assert_eq!(expect, expected, "{map}");
        assert_eq!(map.contains("EURange"), says, "{map}");
    }
}

#[test]
fn a_tree_holds_nothing_that_a_terminal_obeys() {
    let mut out = Vec::new();
    super::tree::show(&mut out, &awkward(), Language::En).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(";s=two·lines·[2J"), "{text}");
    assert!(!text.replace('\n', "").contains(char::is_control));
    assert_eq!(text.lines().count(), awkward().nodes.len() + 1);
}

#[test]
fn check_accepts_every_draft() {
    let connection = [
        ("protocol", "opc-ua".to_owned()),
        ("url", "opc.tcp://press:4840".to_owned()),
        ("security", "None".to_owned()),
    ];
    for (space, expected) in [
        (machinery(true), "item_state == 3"),
        (machinery(false), "item_state == \\\"Executing\\\""),
        (packml_status(), "packml_state == 6"),
        (packml_machines(), "packml_execute == \\\"Execute\\\""),
        (awkward(), "expect = [-5e20, 1.5e21]"),
    ] {
        for language in [Language::En, Language::ZhCn] {
            let map = draft(&space, "press-01", &connection, language);
            let folder = tempfile::tempdir().unwrap();
            let gateway = "[gateway]\nsite = \"s\"\nid = \"g\"\n[uplink]\nurl = \"mqtt://b\"\n";
            fs::create_dir(folder.path().join("machines")).unwrap();
            fs::write(folder.path().join("gateway.toml"), gateway).unwrap();
            fs::write(folder.path().join("machines/press.toml"), &map).unwrap();
            let loaded = load(&folder.path().join("gateway.toml"));
            let faults = loaded
                .err()
                .map(|faults| faults.render(Language::En, false, 100));
            assert_eq!(faults, None, "{map}");
            let plain = map.replace('\'', "\"");
            let plain = plain.replace("\\\"", "\"");
            assert!(plain.contains(&expected.replace("\\\"", "\"")), "{map}");
        }
    }
}

fn rules(space: &Space) -> Vec<String> {
    let told: Vec<Told> = told(space);
    assert_eq!(told.len(), 1);
    let rules = told[0].rules.iter();
    rules
        .map(|(state, when)| format!("{}: {when}", state.as_str()))
        .collect()
}

#[test]
fn states_of_the_standards_become_ours() {
    let in_use = "(item_state == 1 || item_state == 2 || item_state == 3)";
    assert_eq!(
        rules(&machinery(true)),
        [
            &format!("MAINT: {in_use} && operation_mode == 1"),
            "DOWN: item_state == 1",
            "OFF: item_state == 0",
            &format!("SETUP: {in_use} && operation_mode == 3"),
            "RUN: item_state == 3",
            "IDLE: item_state == 2",
        ]
    );
    assert_eq!(
        rules(&packml_status()),
        [
            "MAINT: unit_mode == 2",
            "DOWN: packml_state == 8 || packml_state == 9 || packml_state == 1",
            "SETUP: unit_mode == 3 || packml_state == 15",
            "RUN: packml_state == 6 || packml_state == 3 || packml_state == 16",
            "HOLD: packml_state == 11 || packml_state == 10 || packml_state == 12 \
             || packml_state == 5 || packml_state == 13 || packml_state == 14",
            "IDLE: packml_state == 4 || packml_state == 17",
            "IDLE: packml_state == 2 || packml_state == 7",
        ]
    );
    let inside = |names: &[&str]| {
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("packml_execute == \"{name}\""))
            .collect();
        let names = names.join(" || ");
        format!("packml_base == \"Cleared\" && packml_machine == \"Running\" && ({names})")
    };
    let rules = rules(&packml_machines());
    assert_eq!(
        rules[0],
        "DOWN: packml_base == \"Aborting\" || packml_base == \"Aborted\" \
         || packml_base == \"Cleared\" && (packml_machine == \"Clearing\")"
    );
    assert_eq!(rules[1], format!("SETUP: {}", inside(&["Resetting"])));
    assert_eq!(
        rules[2],
        format!("RUN: {}", inside(&["Execute", "Starting", "Completing"]))
    );
}

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: super::Args,
}

#[test]
fn options_give_the_connection_that_they_name_or_none() {
    let pin = format!("sha256:{}", "aB".repeat(32));
    let fingerprint = Some(Fingerprint([0xab; 32]));
    let secured = |mode, server| {
        Some(Security::Secured {
            policy: SecurityPolicy::Basic256Sha256,
            mode,
            server,
        })
    };
    let basic = "--security=Basic256Sha256";
    for (options, expected) in [
        (vec![], Some(Security::None)),
        (vec!["--security=None"], Some(Security::None)),
        (vec![basic], secured(SecurityMode::SignAndEncrypt, None)),
        (
            vec![basic, "--mode=Sign"],
            secured(SecurityMode::Sign, None),
        ),
        (
            vec![basic, "--trust", &pin],
            secured(SecurityMode::SignAndEncrypt, fingerprint),
        ),
        (vec!["--mode=SignAndEncrypt"], None),
        (vec!["--trust", &pin], None),
        (vec!["--security=None", "--mode=Sign"], None),
        (vec![basic, "--mode=None"], None),
        (vec![basic, "--trust=sha256:00"], None),
        (vec!["--security=Basic256"], None),
    ] {
        let words = ["browse", "OPC.TCP://Press"].iter().chain(&options);
        let Line { args } = Line::try_parse_from(words).unwrap();
        match (given(&args), expected) {
            (Ok(server), Some(security)) => {
                assert_eq!(server.security, security, "{options:?}");
                assert_eq!(server.url, "opc.tcp://press:4840");
            }
            (Err(Failure::Usage(_)), None) => (),
            (found, _) => panic!("{options:?}: {found:?}"),
        }
    }
}

#[test]
fn a_password_is_the_text_of_its_file_and_a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    for (text, expected) in [
        ("pw", "pw"),
        ("pw\n", "pw"),
        ("p w \r\n", "p w "),
        ("pw\n\n", "pw\n"),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(password(&file).unwrap(), Secret(expected.to_owned()));
    }
    let absent = folder.path().join("absent");
    let Failure::Usage(said) = password(&absent).unwrap_err() else {
        panic!("another failure");
    };
    assert!(said.en.contains(absent.to_str().unwrap()), "{said:?}");
}

#[test]
fn a_map_of_a_configured_machine_names_the_files_that_its_own_map_names() {
    let words = ["browse", "--machine=press"];
    let Line { args } = Line::try_parse_from(words).unwrap();
    let server = Server {
        url: "opc.tcp://press:4840".to_owned(),
        security: Security::None,
        identity: Identity::Password {
            user: "op".to_owned(),
            password: Secret("pw".to_owned()),
        },
        timeout: Duration::from_secs(1),
        history: false,
    };
    for (map, connection, expected) in [
        ("[connection]\npassword-file = \"a\"", "main", "a"),
        (
            "[connections]\npress = { password-file = \"b\" }",
            "press",
            "b",
        ),
        ("[connection]\npassword-file = \"a\"", "press", "FILE"),
        ("template = \"t\"", "main", "FILE"),
    ] {
        let keys = keys(&server, &args, &written(map, connection));
        assert_eq!(keys.last(), Some(&("password-file", expected.to_owned())));
        assert!(!format!("{keys:?}").contains("pw"));
    }
}
