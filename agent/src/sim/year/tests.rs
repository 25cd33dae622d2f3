use super::{Trick, Year, YearSettings, make};
use crate::evidence::Inquiry;
use crate::evidence::copied::Copied;
use crate::evidence::fetch::Progress;
use crate::evidence::inquiry::Rhythm;
use crate::evidence::plan::{self, Wanted};
use crate::evidence::pull::{self, Making};
use crate::ledger::verify_files;
use crate::report::evidence;
use crate::text::Language;
use crate::tokens::Tokens;
use jiff::civil::date;
use lineside_proto::evidence::{
    Grade, MachineTotals, Scope, Sight, Status, Tally, Totals, TreeEnd, Trust, Why, Witnessed,
};
use lineside_proto::ledger::conservation::Conservation;
use lineside_proto::ledger::files::BUNDLE_BYTES_MAX;
use lineside_proto::ledger::note::{Note, VerifierKey};
use lineside_proto::ledger::tile::entries;
use lineside_proto::ledger::{Bind, Checkpoint, Hash, Leaf, LeafBody, SessionLeaf};
use lineside_proto::report::{AnomalyKind, Assets, Bookings, Brought, Report, Rules, report};
use lineside_proto::{Class, Identifier, Period, State};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const ORIGIN: &str = "lineside/sample/gw-sample";

fn settings(days: usize, seed: u64) -> YearSettings {
    YearSettings {
        from: date(2025, 3, 1),
        days,
        machines: 3,
        seed,
    }
}

fn made(dir: &Path, days: usize, seed: u64) -> Year {
    make(&dir.join("year"), settings(days, seed), &mut |_| {}).unwrap()
}

/// All leaves, from the static files alone.
fn leaves(dir: &Path) -> Vec<Leaf> {
    let ledger = dir.join("year/state/ledger/tile/entries");
    let mut files: Vec<_> = fs::read_dir(&ledger)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut leaves = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (path, width) = match name.strip_suffix(".p") {
            Some(_) => {
                let mut widths: Vec<u64> = fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| {
                        entry
                            .unwrap()
                            .file_name()
                            .to_str()
                            .unwrap()
                            .parse()
                            .unwrap()
                    })
                    .collect();
                widths.sort_unstable();
                let width = *widths.last().unwrap();
                (path.join(width.to_string()), width)
            }
            None => (path, 256),
        };
        let bytes = fs::read(path).unwrap();
        assert!(bytes.len() <= BUNDLE_BYTES_MAX);
        for entry in entries(&bytes, width).unwrap() {
            leaves.push(Leaf::from_bytes(entry).unwrap());
        }
    }
    leaves
}

fn keys(dir: &Path) -> Vec<VerifierKey> {
    let trust = fs::read_to_string(dir.join("year/trust.toml")).unwrap();
    let trust = Trust::parse(&trust).unwrap();
    trust
        .gateways
        .into_iter()
        .map(|gateway| gateway.key)
        .collect()
}

/// What a verifier with the sample's trust file makes of the leaves; each token and map that they name is there.
fn totals(dir: &Path, year: &Year, leaves: &[Leaf]) -> Totals {
    let trust = fs::read_to_string(dir.join("year/trust.toml")).unwrap();
    let trust = Trust::parse(&trust).unwrap();
    let scope = Scope {
        site: "sample".parse().unwrap(),
        gateway: "gw-sample".parse().unwrap(),
        origin: ORIGIN.to_owned(),
        from: year.from,
        to: year.to,
        first: 0,
    };
    let mut tally = Tally::new(scope);
    for leaf in leaves {
        tally.take(leaf);
        if let LeafBody::Session(SessionLeaf {
            token: Some(token), ..
        })
        | LeafBody::Bind(Bind { token, .. }) = &leaf.body
        {
            let text = Tokens::of(&dir.join("year/state")).text(token).unwrap();
            tally.take_token(text.as_bytes());
        } else if let LeafBody::Config(said) = &leaf.body {
            let digits = said.map.strip_prefix("sha256:").unwrap();
            let map = fs::read(dir.join(format!("year/state/maps/{digits}.json"))).unwrap();
            assert_eq!(format!("{:x}", Sha256::digest(map)), digits);
        }
    }
    let end = leaves.len() as u64;
    let tree = TreeEnd {
        end,
        size: end,
        root: Hash::of_nothing(),
    };
    let witnessed = witnessed(dir, &trust);
    assert!(witnessed.len() > 200, "{}", witnessed.len());
    let told = tally.finish(&tree, &Sight { trust, witnessed });
    assert_eq!(told.sessions.status(), Status::Ok, "{:?}", told.sessions);
    told.totals
}

/// The notes that the gateway kept.
fn witnessed(dir: &Path, trust: &Trust) -> Vec<Witnessed> {
    let keys = [
        trust.gateways[0].key.clone(),
        trust.witnesses[0].key.clone(),
    ];
    let mut found = Vec::new();
    for month in fs::read_dir(dir.join("year/state/ledger/notes")).unwrap() {
        let text = fs::read_to_string(month.unwrap().path()).unwrap();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(&line[9..]).unwrap();
            let note = Note::parse(line["note"].as_str().unwrap()).unwrap();
            let size = Checkpoint::parse(&note.text).unwrap().size;
            let times: Vec<_> = note
                .verify(&keys)
                .unwrap()
                .iter()
                .filter_map(|one| one.cosigned)
                .collect();
            // The ledger itself keeps its last head, which nobody has cosigned yet.
            found.extend(times.first().map(|at| Witnessed { size, at: *at }));
        }
    }
    found
}

/// The report that an evaluator makes in three steps, and what verified the bundle.
fn reported(dir: &Path, year: &Year) -> Report {
    let dir = dir.join("year");
    let bundle = dir.join("sample.zip");
    let pulled = async {
        let copied = Copied::open(&dir.join("state")).unwrap();
        let inquiry = Inquiry::new(copied, Rhythm::default());
        let wanted = Wanted {
            gateway: plan::whose(&inquiry).await.unwrap(),
            period: Period {
                from: year.from,
                to: year.to,
            },
        };
        let making = Making {
            wanted: &wanted,
            bundle: &bundle,
            fresh: true,
            made: year.to,
            by: "lineside".to_owned(),
        };
        let progress = Arc::new(Progress::default());
        pull::pull(inquiry, making, &progress).await.unwrap();
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(pulled);
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    let trust = Trust::parse(&String::from_utf8(read("trust.toml")).unwrap()).unwrap();
    let rules = Rules::national().unwrap();
    let evidence = evidence::read(&bundle, Some(&trust), &rules.thresholds, Language::En).unwrap();
    let brought = Brought {
        assets: Some(Assets::read(&read("assets.csv"), "assets.csv", &rules).unwrap()),
        bookings: Some(Bookings::read(&read("bookings.csv"), "bookings.csv").unwrap()),
        rules,
        own: trust.own,
        affiliates: trust.affiliates,
        lists: Vec::new(),
        takes_unverified: false,
        by: "lineside".to_owned(),
        made: year.to,
    };
    report(vec![evidence], &brought).unwrap()
}

/// What a report says where it is told of a kind of trick.
fn shown_as(kind: Trick) -> AnomalyKind {
    match kind {
        Trick::Affiliate | Trick::OwnAsExternal => AnomalyKind::AffiliateExternal,
        Trick::IdleRunning => AnomalyKind::Energy,
        Trick::LoweredThreshold => AnomalyKind::MapChange,
        Trick::Unplugged => AnomalyKind::HoleInBooking,
        Trick::ShortSessions => AnomalyKind::ShortSessions,
        Trick::HourCounter => AnomalyKind::HourCounter,
    }
}

/// Activity by class, as leaves say it.
fn told(leaves: &[Leaf]) -> BTreeMap<Identifier, BTreeMap<Class, u64>> {
    let mut classes: BTreeMap<&str, Class> = BTreeMap::new();
    for leaf in leaves {
        if let LeafBody::Session(said) = &leaf.body {
            classes.entry(&said.session).or_insert(said.class);
        } else if let LeafBody::Bind(said) = &leaf.body {
            classes.insert(&said.session, said.class);
        }
    }
    let mut told: BTreeMap<Identifier, BTreeMap<Class, u64>> = BTreeMap::new();
    for leaf in leaves {
        let LeafBody::Usage(said) = &leaf.body else {
            continue;
        };
        let of = |state| said.ms.get(&state).copied().unwrap_or(0);
        let active = of(State::Run) + of(State::Setup) + of(State::Hold) - said.hold_over_ms;
        if active > 0 {
            let class = classes[said
                .session
                .as_deref()
                .expect("activity outside of sessions")];
            let machine = told.entry(said.machine.clone()).or_default();
            *machine.entry(class).or_default() += active;
        }
    }
    told
}

#[test]
fn a_month_adds_up_and_is_what_the_world_did() {
    for seed in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let year = made(dir.path(), 30, seed);
        let leaves = leaves(dir.path());
        assert_eq!(leaves.len() as u64, year.leaves);
        let mut conservation = Conservation::default();
        leaves.iter().for_each(|leaf| conservation.take(leaf));
        let report = conservation.report();
        let faults: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
        assert!(report.is_sound(), "{seed}: {faults:#?}");
        assert_eq!(told(&leaves), year.active_ms, "{seed}");
        let gaps = leaves.iter().filter_map(|leaf| match &leaf.body {
            LeafBody::Gap(said) => Some((said.from, said.to, said.ms.unwrap())),
            _ => None,
        });
        for (from, to, ms) in gaps {
            let wall = to.as_millis() - from.as_millis();
            assert_eq!(u64::try_from(wall).unwrap(), ms, "{seed}: {from} {to}");
        }
        assert_eq!(year.active_ms.len(), 3, "{seed}: {year:?}");
        let checked = verify_files(
            &dir.path().join("year/state/ledger"),
            &keys(dir.path()),
            ORIGIN,
            &[],
        )
        .unwrap();
        assert_eq!(checked.size, year.leaves);
    }
}

/// An evaluator's report is verified, and tells of each trick.
fn check_report(dir: &Path, year: &Year) {
    let report = reported(dir, year);
    assert!(report.is_verified);
    for one in &year.planted {
        let kind = shown_as(one.kind);
        let mut anomalies = report.anomalies.iter();
        let is_told =
            anomalies.any(|told| (told.kind, told.machine.as_ref()) == (kind, Some(&one.machine)));
        assert!(is_told, "{one:?}: {:?}", report.anomalies);
    }
}

/// What was planted stands in the files.
fn check_files(dir: &Path, year: &Year) {
    let told = fs::read(dir.join("year/planted.json")).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told, serde_json::to_value(&year.planted).unwrap());
    let readme = fs::read_to_string(dir.join("year/README.txt")).unwrap();
    for kind in Trick::ALL {
        assert!(
            readme.contains(&kind.text().en) && readme.contains(&kind.text().zh),
            "{kind:?}"
        );
    }
}

#[test]
fn every_grade_and_every_trick_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let year = made(dir.path(), 60, 3);
    let leaves = leaves(dir.path());
    let totals = totals(dir.path(), &year, &leaves);
    let machines: BTreeMap<&str, &MachineTotals> = totals
        .machines
        .iter()
        .map(|machine| (machine.machine.as_str(), machine))
        .collect();
    let sessions = || totals.machines.iter().flat_map(|machine| &machine.sessions);
    let grades: BTreeSet<Grade> = sessions().map(|session| session.grade).collect();
    assert_eq!(grades.len(), 4, "{grades:?}");
    let whys: BTreeSet<Why> = sessions().flat_map(|session| session.why.clone()).collect();
    // All but a token that is not good: that fails a bundle.
    assert_eq!(whys.len(), 7, "{whys:?}");
    let of = |machine: &str, booking: &Option<String>| {
        let mut sessions = machines[machine].sessions.iter();
        sessions.find(|session| session.booking == *booking)
    };
    for one in &year.planted {
        let (machine, session) = (
            &machines[one.machine.as_str()],
            of(one.machine.as_str(), &one.booking),
        );
        let is_found = match one.kind {
            Trick::Affiliate => {
                session.is_some_and(|session| session.org.as_deref() == Some("org-aff-2"))
            }
            Trick::OwnAsExternal => {
                session.is_some_and(|session| session.org.as_deref() == Some("org-own-lab"))
            }
            Trick::IdleRunning => session.is_some_and(|session| {
                let watts = session.energy_mwh.unwrap() * 3_600 / session.active_ms;
                session.active_ms > 8 * 3_600_000
                    && watts < 1_000
                    && session.why.contains(&Why::Meter)
            }),
            Trick::LoweredThreshold => {
                session.is_some_and(|session| session.why.contains(&Why::Map))
            }
            Trick::ShortSessions => session.is_some_and(|session| session.active_ms < 310_000),
            Trick::Unplugged => one.booking.as_ref().is_none_or(|booking| {
                one.machine.as_str() == "press-01"
                    || leaves.iter().any(|leaf| match &leaf.body {
                        LeafBody::Booking(said) => {
                            said.booking == *booking && said.unknown_ms * 2 > said.slot_ms
                        }
                        _ => false,
                    })
            }),
            Trick::HourCounter => {
                machine.counter_milli.unwrap() * 3_600 * 10 < machine.counter_run_ms * 9
            }
        };
        assert!(is_found, "{one:?} {session:?}");
    }
    check_report(dir.path(), &year);
    let kinds: BTreeSet<Trick> = year.planted.iter().map(|one| one.kind).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), Trick::ALL);
    let outcomes: BTreeSet<_> = totals
        .machines
        .iter()
        .flat_map(|machine| machine.bookings.keys())
        .collect();
    assert!(outcomes.len() >= 5, "{outcomes:?}");
    check_files(dir.path(), &year);
}

#[test]
fn the_same_seed_gives_the_same_ledger() {
    let (one, other, third) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let (first, second) = (made(one.path(), 4, 5), made(other.path(), 4, 5));
    assert_eq!(first, second);
    let third_year = made(third.path(), 4, 6);
    assert_ne!(first.active_ms, third_year.active_ms);
    for name in [
        "state/ledger/checkpoint",
        "trust.toml",
        "bookings.csv",
        "planted.json",
        "README.txt",
    ] {
        let read = |dir: &Path| fs::read(dir.join("year").join(name)).unwrap();
        assert_eq!(read(one.path()), read(other.path()), "{name}");
    }
    let again = make(&one.path().join("year"), settings(4, 5), &mut |_| {});
    assert!(again.unwrap_err().to_string().contains("is not empty"));
}
