use super::{FaultRefused, Line, LineSettings, Place, SPEED_MAX};
use crate::config::model::Table;
use crate::sim::device::FaultKind;
use lineside_proto::State;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test]
async fn every_promised_state_comes() {
    let settings = LineSettings {
        seed: 4,
        speed: SPEED_MAX,
    };
    let line = Line::start(settings).await.unwrap();
    let promised = [
        State::Off,
        State::Idle,
        State::Setup,
        State::Run,
        State::Hold,
        State::Down,
    ];
    let seen = |machine: &str| -> BTreeSet<State> {
        line.truth(machine)
            .unwrap()
            .iter()
            .map(|turn| turn.state)
            .collect()
    };
    let start = Instant::now();
    while !line
        .machines()
        .all(|machine| seen(machine).is_superset(&promised.into()))
    {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{:?}",
            line.truth("mixer-01")
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for machine in line.machines() {
        let turns = line.truth(machine).unwrap();
        assert!(turns.windows(2).all(|pair| {
            pair[0].state != pair[1].state && pair[0].since.boot_ms <= pair[1].since.boot_ms
        }));
    }
    line.stop().await;
}

#[tokio::test]
async fn the_configuration_is_complete_and_is_toml() {
    let line = Line::start(LineSettings::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = line
        .write_config(&dir.path().join("a \"quoted\" place"), 1884)
        .unwrap();
    let gateway: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        gateway["uplink"]["url"].as_str(),
        Some("mqtt://127.0.0.1:1884")
    );
    let state = gateway["gateway"]["state-dir"].as_str().unwrap();
    assert_eq!(std::path::Path::new(state), path.with_file_name("state"));
    for machine in line.machines() {
        let map = path
            .with_file_name("machines")
            .join(format!("{machine}.toml"));
        let map = std::fs::read_to_string(map).unwrap();
        assert!(!map.contains('@'), "{map}");
        let map: toml::Table = toml::from_str(&map).unwrap();
        assert_eq!(map["machine"].as_str(), Some(machine));
        let connection = &map["connection"];
        let place = ["address", "port", "url"].iter();
        let place = place.filter_map(|key| connection.get(key)).next().unwrap();
        assert!(
            line.endpoint(machine)
                .unwrap()
                .contains(place.as_str().unwrap())
        );
    }
}

#[tokio::test]
async fn faults_strike_the_machine_or_its_whole_link() {
    let line = Line::start(LineSettings::default()).await.unwrap();
    line.fault("furnace-01", FaultKind::Silent.into()).unwrap();
    assert_eq!(
        line.faults("furnace-01").unwrap(),
        [FaultKind::Silent.into()]
    );
    assert!(line.faults("mixer-01").unwrap().is_empty());
    line.fault("furnace-01", FaultKind::Frozen.into()).unwrap();
    assert_eq!(line.faults("mixer-01").unwrap(), [FaultKind::Frozen.into()]);
    line.clear("furnace-01").unwrap();
    assert!(line.faults("furnace-01").unwrap().is_empty());
    assert!(matches!(
        line.fault("lathe-01", FaultKind::Silent.into()),
        Err(FaultRefused::Nowhere(_))
    ));
    for (machine, kind) in [
        ("press-01", FaultKind::Exception(2)),
        ("mixer-01", FaultKind::NodeGone),
    ] {
        let refused = line.fault(machine, kind.into());
        let Err(FaultRefused::NotHere { kinds, .. }) = refused else {
            panic!("{machine}: {refused:?}");
        };
        assert!(!kinds.contains(&kind), "{kinds:?}");
    }
    line.fault("press-01", FaultKind::NodeGone.into()).unwrap();
    assert_eq!(
        line.faults("press-01").unwrap(),
        [FaultKind::NodeGone.into()]
    );
    line.clear("press-01").unwrap();
    assert!(line.faults("press-01").unwrap().is_empty());
}

/// The furnace is OFF in the beginning, and the mixer runs.
#[tokio::test]
async fn registers_are_written_before_anybody_looks() {
    let line = Line::start(LineSettings::default()).await.unwrap();
    let register = |machine: &str, table, address| {
        let machine = line.machine(machine).unwrap();
        match &machine.place {
            Place::Modbus { unit, .. } => unit.get(table, address),
            Place::OpcUa(_) => panic!("no registers"),
        }
    };
    assert_eq!(register("furnace-01", Table::Holding, 10), 0);
    assert_eq!(register("mixer-01", Table::Coil, 1), 1);
}

#[tokio::test]
async fn the_agent_finds_no_fault_in_the_configuration() {
    let line = Line::start(LineSettings::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = line.write_config(dir.path(), 1884).unwrap();
    let loaded = crate::config::load(&path).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let machines = loaded
        .config
        .machines
        .iter()
        .map(|map| map.machine.as_str());
    assert!(machines.eq(line.machines()));
}
