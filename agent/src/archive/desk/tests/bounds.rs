//! What was acknowledged is not lost, and nobody is held up by others.

use super::{City, Plant, answer, elsewhere, id, stamp};
use crate::archive::alarm::Kind;
use crate::archive::asker::SILENCE;
use crate::archive::desk::{Asked, Input, Output, Said};
use crate::evidence::informant::Trouble;
use crate::ledger::{Testimony, new_epoch};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The gateway begins another epoch, of which nothing was sent yet.
pub(super) fn next_epoch(plant: &mut Plant) {
    plant.ledger = elsewhere(&plant.dir.path().join("none"));
    let testimony = Testimony::default();
    new_epoch(
        &plant.state(),
        &plant.key(),
        &plant.base(),
        "a new disk",
        &testimony,
    )
    .unwrap();
    plant.reopen();
    plant.sent = 0;
}

/// A gateway of ten leaves, of which a head came.
fn begun(witness: bool) -> (City, Plant) {
    let mut city = City::new(witness);
    let mut plant = Plant::new("gw-1");
    city.enrol(&plant);
    plant.write("a", 9);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    inputs.push(Input::Connected);
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 1), 10);
    (city, plant)
}

#[test]
fn a_log_that_could_not_be_written_is_tried_again_by_itself() {
    // What is in the way, as a full disk is: of the tiles, and of the record.
    for in_the_way in ["logs/zs/gw-1/e1/tile", "kept/zs/gw-1/e1/record.0"] {
        let mut city = City::new(true);
        let mut plant = Plant::new("gw-1");
        city.enrol(&plant);
        city.pass(vec![Input::Connected], None);
        plant.write("a", 99);
        let path: PathBuf = city.archive().join(in_the_way);
        let is_record = in_the_way.starts_with("kept");
        if is_record {
            fs::create_dir_all(&path).unwrap();
        }
        city.pass(plant.leaves(), None);
        if !is_record {
            fs::write(&path, b"").unwrap();
        }
        city.pass(vec![plant.head(&plant.sign())], None);
        (0..5).for_each(|_| city.later(4));
        assert_eq!(city.size(&plant, 1), 0, "{in_the_way}");
        if is_record {
            fs::remove_dir(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        // The gateway says nothing, and is not asked.
        (0..60).for_each(|_| city.later(1));
        assert_eq!(city.size(&plant, 1), 100, "{in_the_way}");
        assert_eq!((city.questions, city.alarms.len()), (0, 0), "{in_the_way}");
        assert_eq!(city.cosigned.len(), 1);
    }
}

#[test]
fn what_could_not_be_written_down_is_not_remembered() {
    let mut city = City::new(false);
    let mut plant = Plant::new("gw-1");
    let folder = city.archive().join("pending/m1");
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        fs::remove_file(entry.path()).unwrap();
    }
    let file = folder.join("00000001.leaves");
    symlink("/dev/full", &file).unwrap();
    city.start();
    city.enrol(&plant);
    plant.write("a", 9);
    let leaves = plant.leaves();
    let desk = city.desk.as_mut().unwrap();
    assert!(desk.pass(leaves, stamp(12)).is_err());
    // Not acknowledged, so that it does not count either.
    city.pass(vec![plant.head(&plant.sign())], None);
    assert_eq!(city.size(&plant, 1), 0);
    fs::remove_file(&file).unwrap();
    city.start();
    plant.sent = 0;
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.note()));
    city.pass(inputs, None);
    assert_eq!((city.size(&plant, 1), city.questions), (10, 0));
}

#[test]
fn leaves_of_a_new_epoch_that_come_before_its_head_are_kept() {
    for restarts in [0, 2] {
        let (mut city, mut plant) = begun(false);
        next_epoch(&mut plant);
        // Fewer than the epoch before has, and more.
        for count in [6, 20] {
            plant.write("new", count);
            city.pass(plant.leaves(), None);
        }
        for _ in 0..restarts {
            city.start();
            city.later(1);
        }
        city.pass(vec![plant.head(&plant.sign())], None);
        (0..3).for_each(|_| city.later(1));
        assert_eq!(city.size(&plant, 2), 27, "{restarts}");
        assert_eq!((city.questions, city.alarms.len()), (0, 0), "{restarts}");
    }
}

#[test]
fn epochs_follow_one_another_slowly_and_are_cosigned_once_a_minute() {
    let (mut city, mut plant) = begun(true);
    city.later(4);
    assert_eq!(city.cosigned.len(), 1);
    for _ in 2..8 {
        next_epoch(&mut plant);
        plant.write("new", 2);
        let mut inputs = plant.leaves();
        inputs.push(plant.head(&plant.sign()));
        city.pass(inputs, None);
        city.later(1);
    }
    // The first that follow count at once; what the last of these is cosigned to hangs on the next.
    let sizes = |city: &City| (2..8).map(|epoch| city.size(&plant, epoch)).collect();
    let expected: Vec<u64> = vec![3, 3, 3, 0, 0, 0];
    assert_eq!((sizes(&city), city.cosigned.len()), (expected, 1));
    let told = |city: &City| city.cosigned.iter().map(|(place, _)| place.epoch).collect();
    (0..4).for_each(|_| city.later(61));
    let expected: Vec<u32> = vec![1, 3, 2];
    assert_eq!(told(&city), expected);
    let why = city.record(&plant, 4).uncosigned.unwrap().why;
    assert!(why.contains("the next epoch has begun"), "{why}");
    city.later(3_200);
    assert_eq!(city.size(&plant, 5), 0);
    // None is passed over: what each cites is compared with the one before it.
    for epoch in 5..=7 {
        city.later(3_601);
        for _ in 0..5 {
            city.fetch(&plant);
        }
        assert_eq!(city.size(&plant, epoch), 3, "{epoch}");
    }
    (0..20).for_each(|_| city.later(61));
    let mut all: Vec<u32> = told(&city);
    assert_eq!(all.last(), Some(&7));
    all.sort_unstable();
    all.dedup();
    assert_eq!((all, city.kinds()), ((1..=7).collect(), vec![]));
}

#[test]
fn a_flood_of_heads_is_looked_at_in_part_and_the_newest_of_it_counts() {
    let (mut city, mut plant) = begun(true);
    let strangers: Vec<String> = (0..2)
        .map(|_| {
            let other = Plant::new("gw-1");
            other.write("x", 20);
            other.sign()
        })
        .collect();
    let mut inputs: Vec<Input> = strangers
        .iter()
        .cycle()
        .take(2_000)
        .map(|note| plant.head(note))
        .collect();
    plant.write("b", 10);
    inputs.extend(plant.leaves());
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    let apart = city.archive().join("strangers/zs.gw-1.json");
    let first = fs::read_to_string(&apart).unwrap();
    assert_eq!(city.size(&plant, 1), 10, "put off");
    city.later(1);
    assert_eq!(city.size(&plant, 1), 20);
    // Another takes the place of the first only after a while.
    for (seconds, is_same) in [(30, true), (40, false)] {
        city.seconds += seconds;
        city.pass(vec![plant.head(&strangers[1])], None);
        let now = fs::read_to_string(&apart).unwrap();
        assert_eq!(now == first, is_same, "{seconds}");
    }
}

#[test]
fn alarms_of_one_kind_are_raised_once_a_minute() {
    let (mut city, mut plant) = begun(false);
    let twin = plant.clone_disk();
    next_epoch(&mut plant);
    let mut inputs = plant.leaves();
    inputs.push(plant.head(&plant.sign()));
    city.pass(inputs, None);
    assert_eq!(city.size(&plant, 2), 1);
    city.alarms.clear();
    let notes: Vec<String> = (0..2)
        .map(|_| {
            twin.write("on", 3);
            twin.sign()
        })
        .collect();
    for turn in 1..=2 {
        let heads = notes.iter().cycle().take(300).map(|note| plant.head(note));
        city.pass(heads.collect(), None);
        city.later(1);
        let kinds: Vec<Kind> = city.alarms.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, vec![Kind::OldEpoch; turn]);
        city.later(61);
    }
}

/// Questions on their way to gateways that say nothing, each with the second at which that is told.
struct Silence(Vec<(u64, Asked)>);

impl Silence {
    fn over(&mut self, second: u64) -> Vec<Input> {
        let (over, rest) = self.0.drain(..).partition(|(until, _)| *until <= second);
        self.0 = rest;
        let told = |(_, asked): (u64, Asked)| {
            let result = Err(Trouble::Lost(SILENCE.to_owned()));
            Input::Answer { asked, result }
        };
        let over: Vec<(u64, Asked)> = over;
        over.into_iter().map(told).collect()
    }
}

#[test]
fn silent_gateways_don_t_keep_others_from_being_asked() {
    let mut city = City::new(false);
    let mut plants: Vec<Plant> = (0..30)
        .map(|number| Plant::new(&format!("a-{number:02}")))
        .collect();
    plants.push(Plant::new("z"));
    for plant in &plants {
        let path = city.dir.path().join(format!("cards/{}.json", plant.name));
        fs::write(path, plant.card()).unwrap();
        plant.write("a", 9);
    }
    city.later(11);
    let last = plants.pop().unwrap();
    let mut heads: Vec<Input> = plants
        .iter()
        .map(|plant| plant.head(&plant.sign()))
        .collect();
    // Some are said to be off, too.
    heads.extend(plants.iter().take(5).map(|plant| plant.say(Said::Offline)));
    heads.push(last.head(&last.sign()));
    let mut silence = Silence(Vec::new());
    let mut inputs = heads;
    let begin = city.seconds;
    let mut sizes = Vec::new();
    for second in begin..begin + 900 {
        inputs.extend(silence.over(second));
        let desk = city.desk.as_mut().unwrap();
        for output in desk
            .pass(std::mem::take(&mut inputs), stamp(second))
            .unwrap()
        {
            if let Output::Ask(asked) = output {
                if asked.place.gateway == last.name {
                    inputs.push(answer(asked, Some(&last)));
                } else {
                    silence.0.push((second + asked.patience.as_secs(), asked));
                }
            }
        }
        assert!(
            silence.0.len() <= 8,
            "places are left for those that answer"
        );
        if second == begin + 60 || second > begin + 300 && second % 50 == 0 {
            // Whoever answers is served at once from then on.
            sizes.push((city.size(&last, 1), last.ledger.size()));
            last.write("b", 3);
            inputs.push(last.head(&last.sign()));
        }
    }
    assert!(sizes.len() > 10);
    assert!(
        sizes.iter().all(|(held, signed)| held == signed),
        "{sizes:?}"
    );
    assert_eq!(id("z"), last.name);
}

#[test]
fn a_card_that_comes_later_takes_what_was_shown_before() {
    for restart in [false, true] {
        let mut city = City::new(false);
        let plant = Plant::new("gw-1");
        plant.write("a", 5);
        city.pass(vec![plant.head(&plant.sign())], None);
        let apart = city.archive().join("strangers/zs.gw-1.json");
        assert!(apart.exists());
        city.enrol(&plant);
        assert!(apart.exists(), "nothing of it is taken yet");
        if restart {
            city.start();
            city.later(11);
        }
        city.fetch(&plant);
        assert_eq!(city.size(&plant, 1), 6);
        assert!(!apart.exists());
        assert!(Path::new(&city.archive()).exists());
    }
}
