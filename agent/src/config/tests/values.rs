//! What a configuration without faults comes to.

use super::{GATEWAY, HEAD, POINT, load_files, loaded};
use crate::config::model::{
    ByteOrder, Endpoint, Kind, MachineMap, Order, Parity, Publish, Scaling, Serial, Table,
};
use lineside_proto::State;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A map with a bit of everything, as the reference describes it.
const WORKED: &str = r#"
machine = "extruder-01"
name = { zh-CN = "双螺杆挤出机", en = "Twin-screw extruder" }

[connection]
protocol = "modbus-tcp"
address = "192.168.10.21:502"
unit-id = 1
timeout = "1s"
max-gap = 8
max-registers = 125
order = "ABCD"

[connections.meter]
protocol = "modbus-rtu"
port = "/dev/serial/by-id/x"
base = 1
order = "CDAB"
unit-id = 9

[groups]
fast = "1s"
slow = "30s"

[points]
screw_speed = { holding = 100, type = "f32", order = "CDAB", group = "fast", unit = "rpm", deadband = 0.5 }
melt_temp   = { input = 20, type = "i16", scale = 0.1, group = "fast", unit = "°C", expect = [0, 400] }
fault_word  = { holding = "40111", type = "u16", group = "fast" }
door_open   = { holding = 0x6F, bit = 3, group = "fast" }
estop       = { discrete = 3, group = "fast" }
running     = { coil = 0, group = "fast" }
serial      = { holding = 300, type = "string", length = 16, group = "slow" }
hours       = { holding = 320, type = "u32", group = "slow", unit = "h" }
power_w     = { from = "meter", unit-id = 3, input = 52, type = "f32", group = "fast", unit = "W" }
energy_wh   = { from = "meter", input = "30060", type = "u64", group = "slow", unit = "Wh", offset = 1 }

[state]
stale-after = "10s"
hold-counts = "15m"

[[state.rules]]
state = "DOWN"
when = "fault_word != 0 || estop"
leave = "5s"

[[state.rules]]
state = "RUN"
when = "running && screw_speed > 5.0"
enter = "2s"
leave = "20s"

[[state.rules]]
state = "IDLE"
when = "true"
"#;

fn machine(map: &str) -> Arc<MachineMap> {
    Arc::clone(&loaded(map).config.machines[0])
}

#[test]
fn a_map_comes_out_as_it_was_meant() {
    let map = machine(WORKED);
    assert_eq!(map.machine.as_str(), "extruder-01");
    assert_eq!(map.name.zh_cn.as_deref(), Some("双螺杆挤出机"));
    let meter = Endpoint::Rtu(Serial {
        port: "/dev/serial/by-id/x".to_owned(),
        baud: 9600,
        parity: Parity::Even,
        data_bits: 8,
        stop_bits: 1,
        turnaround: Duration::from_millis(5),
        listen: 3 * SECOND,
    });
    let address = "192.168.10.21:502".to_owned();
    let endpoints: Vec<_> = map
        .connections
        .iter()
        .map(|c| (c.name.as_str(), c.modbus().unwrap().0))
        .collect();
    assert_eq!(
        endpoints,
        [("meter", &meter), ("main", &Endpoint::Tcp { address })]
    );
    let (_, modbus) = map.connections[1].modbus().unwrap();
    assert_eq!(
        (modbus.timeout, modbus.quiet, modbus.max_bits),
        (SECOND, 2 * SECOND, 2000)
    );
    let groups: Vec<_> = map
        .groups
        .iter()
        .map(|g| (g.name.as_str(), g.stale_after))
        .collect();
    assert_eq!(groups, [("fast", 10 * SECOND), ("slow", 90 * SECOND)]);
    let rules: Vec<_> = map
        .rules
        .iter()
        .map(|r| (r.state, r.enter, r.leave))
        .collect();
    assert_eq!(
        rules,
        [
            (State::Down, Duration::ZERO, 5 * SECOND),
            (State::Run, 2 * SECOND, 20 * SECOND),
            (State::Idle, Duration::ZERO, Duration::ZERO),
        ]
    );
    assert_eq!(
        (map.warm_up, map.hold_counts),
        (Duration::ZERO, 900 * SECOND)
    );
    assert!(map.hash.starts_with("sha256:") && map.hash.len() == 71);
}

#[test]
fn points_come_out_as_they_were_meant() {
    let map = machine(WORKED);
    let points: Vec<_> = map
        .points
        .iter()
        .map(|p| {
            let a = p.modbus().unwrap();
            (
                p.name.as_str(),
                p.connection,
                a.unit_id,
                a.table,
                a.start,
                a.kind,
            )
        })
        .collect();
    let text = Kind::String {
        length: 16,
        order: ByteOrder::High,
    };
    assert_eq!(
        points,
        [
            (
                "screw_speed",
                1,
                1,
                Table::Holding,
                100,
                Kind::F32(Order::Cdab)
            ),
            (
                "melt_temp",
                1,
                1,
                Table::Input,
                20,
                Kind::I16(ByteOrder::High)
            ),
            (
                "fault_word",
                1,
                1,
                Table::Holding,
                110,
                Kind::U16(ByteOrder::High)
            ),
            ("door_open", 1, 1, Table::Holding, 111, Kind::Bool(Some(3))),
            ("estop", 1, 1, Table::Discrete, 3, Kind::Bool(None)),
            ("running", 1, 1, Table::Coil, 0, Kind::Bool(None)),
            ("serial", 1, 1, Table::Holding, 300, text),
            ("hours", 1, 1, Table::Holding, 320, Kind::U32(Order::Abcd)),
            ("power_w", 0, 3, Table::Input, 51, Kind::F32(Order::Cdab)),
            ("energy_wh", 0, 9, Table::Input, 59, Kind::U64(Order::Cdab)),
        ]
    );
}

#[test]
fn what_is_said_of_a_point_comes_out_with_it() {
    let map = machine(WORKED);
    assert_eq!(map.points[0].deadband, Some(0.5));
    assert_eq!(map.points[0].unit.as_deref(), Some("rpm"));
    assert_eq!(map.points[1].expect, Some((0.0, 400.0)));
    assert_eq!(
        map.points[1].scaling,
        Some(Scaling {
            scale: 0.1,
            offset: 0.0
        })
    );
    assert_eq!(map.points[7].scaling, None);
    assert_eq!(
        map.points[9].scaling,
        Some(Scaling {
            scale: 1.0,
            offset: 1.0
        })
    );
}

#[test]
fn a_gateway_file_with_the_least_has_every_default() {
    let loaded = loaded(&format!("{HEAD}{POINT}"));
    let gateway = loaded.config.gateway;
    assert_eq!(gateway.state_dir.to_str(), Some("/var/lib/lineside"));
    assert_eq!(
        (gateway.language, gateway.timezone.as_str()),
        (None, "Asia/Shanghai")
    );
    assert_eq!(
        (gateway.uplink.host.as_str(), gateway.uplink.port),
        ("b", 1883)
    );
    assert_eq!(
        (gateway.uplink.window, gateway.uplink.ack_timeout),
        (100, 20 * SECOND)
    );
    assert_eq!(gateway.outbox.size_bytes_max, None);
    assert_eq!(gateway.outbox.age_max, 30 * 86_400 * SECOND);
    assert_eq!(gateway.telemetry.publish, Publish::All);
    assert_eq!(gateway.heartbeat, 30 * SECOND);
    assert_eq!(gateway.console.listen.to_string(), "127.0.0.1:8600");
    let names: Vec<_> = loaded
        .files
        .iter()
        .map(|path| path.file_name().unwrap())
        .collect();
    assert_eq!(names, ["gateway.toml", "m.toml"]);
}

#[test]
fn machines_come_in_the_order_of_their_names_and_each_file_once() {
    let map = format!("{HEAD}{POINT}");
    let gateway = format!("machines = [\"machines/*.toml\", \"machines/z.toml\"]\n{GATEWAY}");
    let loaded = load_files(&[
        ("gateway.toml", &gateway),
        ("machines/z.toml", &map.replace("\"m\"", "\"a\"")),
        ("machines/a.toml", &map),
    ])
    .unwrap();
    let names: Vec<_> = loaded
        .config
        .machines
        .iter()
        .map(|map| map.machine.as_str())
        .collect();
    assert_eq!(names, ["a", "m"]);
}

#[test]
fn a_map_wins_over_its_template_point_by_point() {
    let template = "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"a\"\nunit-id = 5\n\
        [groups]\nfast = \"1s\"\n[points]\nx = { holding = 1, type = \"u16\", unit = \"rpm\" }\n\
        y = { coil = 1 }\n[[state.rules]]\nstate = \"DOWN\"\nwhen = \"y\"\n[state]\nwarm-up = \"1m\"\n"
        .replace("[[state.rules]]\nstate = \"DOWN\"\nwhen = \"y\"\n[state]\nwarm-up = \"1m\"\n",
            "[state]\nwarm-up = \"1m\"\n[[state.rules]]\nstate = \"DOWN\"\nwhen = \"y\"\n");
    let map = "machine = \"m\"\ntemplate = \"t.toml\"\nconnections.main.address = \"b\"\n\
        [points]\nz = { coil = 2 }\nx = { input = 9, scale = 2 }\n\
        [[state.rules]]\nstate = \"RUN\"\nwhen = \"y\"\n[[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n";
    // Beside the gateway file, or beside the map.
    for path in ["t.toml", "machines/t.toml"] {
        let gateway = format!("machines = [\"machines/m.toml\"]\n{GATEWAY}");
        let files = [
            ("gateway.toml", gateway.as_str()),
            ("machines/m.toml", map),
            (path, &template),
        ];
        let loaded =
            load_files(&files).unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
        let map = &loaded.config.machines[0];
        let points: Vec<_> = map
            .points
            .iter()
            .map(|p| (p.name.as_str(), p.modbus().unwrap().start))
            .collect();
        assert_eq!(points, [("x", 9), ("y", 1), ("z", 2)]);
        let x = &map.points[0];
        assert_eq!(
            (x.modbus().unwrap().table, x.modbus().unwrap().unit_id),
            (Table::Input, 5)
        );
        assert_eq!(
            (x.unit.as_deref(), x.scaling.map(|s| s.scale)),
            (Some("rpm"), Some(2.0))
        );
        assert_eq!(
            *map.connections[0].modbus().unwrap().0,
            Endpoint::Tcp {
                address: "b:502".to_owned()
            }
        );
        let rules: Vec<_> = map.rules.iter().map(|rule| rule.state).collect();
        assert_eq!(rules, [State::Run, State::Idle]);
        assert_eq!(map.warm_up, 60 * SECOND);
    }
}

#[test]
fn sheets_of_any_spreadsheet_give_the_same_points() {
    let head = HEAD.replacen("[connection]", "points-file = \"p.csv\"\n[connection]", 1);
    let columns =
        "point,table,address,type,order,bit,length,scale,offset,unit,group,deadband,description";
    let comma = format!(
        "{columns}\n\
         speed,holding,100,f32,CDAB,,,,,rpm,fast,0.5,\"screw, main\"\n\
         temp,input,0x14,i16,,,,0.1,-5,°C,fast,,\n\
         door,holding,4x00112,,,3,,,,,fast,,门\n\
         lamp,holding,400120,u16,,,,,,,,,\n\n\
         serial,Holding,300,string,BA,,16,,,,fast,,\n"
    );
    let semicolon = comma
        .replace("\"screw, main\"", "screw@ main")
        .replace(',', ";")
        .replace('@', ",")
        .replace("0.1", "0,1")
        .replace("0.5", "0,5")
        .replace('\n', "\r\n");
    let bom = format!("\u{feff}{comma}");
    let mut hashes = Vec::new();
    for sheet in [comma.as_str(), &semicolon, &bom] {
        let files = [
            ("gateway.toml", GATEWAY),
            ("machines/m.toml", &head),
            ("machines/p.csv", sheet),
        ];
        let loaded =
            load_files(&files).unwrap_or_else(|faults| panic!("{}", faults.render_plain()));
        let map = Arc::clone(&loaded.config.machines[0]);
        let starts: Vec<_> = map
            .points
            .iter()
            .map(|p| p.modbus().unwrap().start)
            .collect();
        assert_eq!(starts, [100, 20, 111, 119, 300]);
        assert_eq!(map.points[0].description.as_deref(), Some("screw, main"));
        assert_eq!(
            map.points[1].scaling,
            Some(Scaling {
                scale: 0.1,
                offset: -5.0
            })
        );
        assert_eq!(map.points[2].modbus().unwrap().kind, Kind::Bool(Some(3)));
        hashes.push(map.hash.clone());
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1);
}
