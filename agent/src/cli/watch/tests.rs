use super::site::Site;
use super::site::tests::{availability, status, take};
use super::{Args, Watch, address, filters, run};
use crate::cli::{Context, Failure};
use crate::text::Language;
use crate::uplink::board::Place;
use crate::uplink::tests::mosquitto::Mosquitto;
use crate::uplink::tests::{Rig, id};
use jiff::tz::TimeZone;
use lineside_proto::{State, Topics};
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn args(broker: &str) -> Args {
    Args {
        broker: broker.to_owned(),
        site: None,
        user: None,
        password_file: None,
        prefix: Topics::PREFIX.to_owned(),
        json: false,
        once: true,
    }
}

fn context() -> Context {
    Context {
        config: "gateway.toml".into(),
        language: Language::En,
    }
}

fn watch(prefix: &str, json: bool) -> Watch<Vec<u8>> {
    Watch {
        site: Site::new(prefix),
        shown: Vec::new(),
        start: Instant::now(),
        json,
        screen: false,
        language: Language::En,
        zone: TimeZone::UTC,
        lost: None,
        out: Vec::new(),
    }
}

#[test]
fn broker_addresses_are_read() {
    let ok = |host: &str, port| Some((host.to_owned(), port));
    for (url, expected) in [
        ("mqtt://broker", ok("broker", 1883)),
        ("mqtt://broker:1884/", ok("broker", 1884)),
        ("mqtt://[::1]:1884", ok("[::1]", 1884)),
        ("mqtt://[::1]", ok("[::1]", 1883)),
        ("mqtt://10.0.0.1:1", ok("10.0.0.1", 1)),
        ("mqtt://::1", None),
        ("mqtt://", None),
        ("mqtt://:1883", None),
        ("mqtt://broker:0", None),
        ("mqtt://broker:70000", None),
        ("mqtt://user@broker", None),
        ("mqtts://broker", None),
        ("broker", None),
    ] {
        assert_eq!(address(url), expected, "{url}");
    }
}

#[test]
fn one_site_or_all_are_subscribed() {
    let mut args = args("mqtt://b");
    let all = ["lineside/v1/+/+/status", "lineside/v1/+/+/availability/+"];
    assert_eq!(filters(&args).unwrap(), all);
    args.site = Some(id("s"));
    let one = ["lineside/v1/s/+/status", "lineside/v1/s/+/availability/+"];
    assert_eq!(filters(&args).unwrap(), one);
    for wrong in ["", "a/#", "+/a"] {
        args.prefix = wrong.to_owned();
        assert!(matches!(filters(&args), Err(Failure::Usage(_))), "{wrong}");
    }
}

#[test]
fn who_can_not_be_reached_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", free.local_addr().unwrap());
    drop(free);
    let Err(Failure::Unreachable(text)) = run(&args(&url), &context()) else {
        panic!("reached");
    };
    assert!(
        text.en.contains(&url) && text.en.contains("nothing listens there"),
        "{text}"
    );
    assert!(text.zh.contains(&url), "{}", text.zh);
}

#[test]
fn lines_come_on_change_and_when_time_runs_out() {
    let mut watch = watch("p", false);
    take(&mut watch.site, "p/s/g/status", &status("g"), 0);
    let topic = "p/s/g/availability/press";
    take(
        &mut watch.site,
        topic,
        &availability("g", "press", State::Idle),
        0,
    );
    let shown = |watch: &mut Watch<Vec<u8>>| {
        watch.show().unwrap();
        String::from_utf8(std::mem::take(&mut watch.out)).unwrap()
    };
    assert!(shown(&mut watch).contains("press Extruder  IDLE  yes"));
    take(
        &mut watch.site,
        topic,
        &availability("g", "press", State::Idle),
        1,
    );
    assert_eq!(shown(&mut watch), "", "a heartbeat is no change");
    watch.start = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
    let late = shown(&mut watch);
    assert!(
        late.contains("press Extruder  UNKNOWN  unknown  the document is too old"),
        "{late}"
    );
    take(&mut watch.site, topic, "", 61_000);
    watch.json = true;
    let gone: serde_json::Value = serde_json::from_str(&shown(&mut watch)).unwrap();
    assert_eq!(
        (&gone["machine"], &gone["doubt"]),
        (&"press".into(), &"no-availability".into())
    );
    assert_eq!(
        (&gone["state"], &gone["available_now"]),
        (&"UNKNOWN".into(), &"unknown".into())
    );
    assert_eq!(shown(&mut watch), "");
}

#[tokio::test]
async fn what_a_broker_keeps_is_shown_once() {
    let broker = Mosquitto::start().await;
    let rig = Rig::start(broker.address, 10);
    rig.show(&[
        (Place::Status, &status("g"), 1),
        (
            Place::Availability(id("press")),
            &availability("g", "press", State::Run),
            1,
        ),
        (
            Place::Availability(id("oven")),
            &availability("g", "oven", State::Idle),
            1,
        ),
    ]);
    rig.figures(|figures| figures.acknowledged == 3).await;
    let url = format!("mqtt://{}", broker.address);
    let peer = super::peer(&args(&url)).unwrap();
    let filters = filters(&args(&url)).unwrap();
    let mut watch = watch(Topics::PREFIX, false);
    let subscription = super::Subscription::start(peer, filters);
    assert!(watch.once(subscription).await.is_ok());
    let text = String::from_utf8(watch.out).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let starts: Vec<Vec<_>> = lines
        .iter()
        .map(|line: &Vec<&str>| line[..5].to_vec())
        .collect();
    let expected = [
        ["GATEWAY", "MACHINE", "STATE", "FREE", "NOW"],
        ["s/g", "oven", "Extruder", "IDLE", "yes"],
        ["s/g", "press", "Extruder", "RUN", "no"],
    ];
    assert_eq!(starts, expected);
    rig.stop().await;
}
