//! What befalls a gateway and its archive over years, at random: disks that die, epochs, keys, messages that are lost,
//! archives that end anywhere, directories that are put back; and a platform that wants what was cosigned forgotten.
//!
//! An honest gateway's log is whole and cosigned in the end, whatever happened, and nobody is accused. Of a dishonest
//! one's nothing that was cosigned is given up without an alarm. `LINESIDE_DESK_SEED` chooses other runs of each, one or `first..end`;
//! the seed and what happened are in every message.

mod judged;

use super::epochs::Backup;
use super::{City, Input, Plant, Said, Testimony, id, new_epoch};
use crate::archive::cards::{epoch_of, named};
use crate::archive::shelf;
use crate::archive::succession::cited_in;
use crate::archive::witness::Witness;
use fastrand::Rng;
use lineside_proto::ledger::{Checkpoint, PriorHead};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;

/// What a run is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plan {
    /// The archive's directory is damaged, lost, or put back from a copy; the gateway's disk stays.
    ArchiveLost,
    /// The gateway's disk dies; the archive's stays.
    GatewayLost,
    /// Copies of the gateway's disk go on beside one another, and forget.
    Hostile,
}

/// Things that happen in one run.
const STEPS: u32 = 60;
/// Copies of a hostile gateway's disk.
const PLANTS_MAX: usize = 4;

/// A head that a gateway has signed.
struct Signed {
    head: Checkpoint,
    note: String,
    cited: Option<PriorHead>,
}

struct World {
    plan: Plan,
    rng: Rng,
    city: City,
    /// One, but for a hostile platform. The first is the gateway.
    plants: Vec<Plant>,
    /// Every head that was signed, and what its log's first leaf cites.
    notes: Vec<Signed>,
    /// Epochs whose leaves the gateway lost.
    lost: BTreeSet<u32>,
    /// Heads beyond what was cosigned when the gateway's disk died.
    given_up: Vec<Checkpoint>,
    /// The epoch and the leaf that changed the key, while both sign.
    changing: Option<(u32, u64)>,
    backup: Option<Backup>,
}

impl World {
    fn new(plan: Plan, seed: u64) -> Self {
        let mut city = City::new(true);
        let plant = Plant::new("gw-1");
        city.enrol(&plant);
        let mut world = Self {
            plan,
            rng: Rng::with_seed(seed),
            city,
            plants: vec![plant],
            notes: Vec::new(),
            lost: BTreeSet::new(),
            given_up: Vec::new(),
            changing: None,
            backup: None,
        };
        world.tells(format!("{plan:?}, seed {seed}"));
        world.signs(0);
        let plant = &mut world.plants[0];
        let mut inputs = plant.leaves();
        inputs.push(plant.head(&plant.note()));
        inputs.push(Input::Connected);
        world.city.pass(inputs, None);
        world.city.later(4);
        world
    }

    fn tells(&mut self, what: impl Into<String>) {
        self.city.tells(what.into());
    }

    /// Signs what one of the gateways has.
    fn signs(&mut self, which: usize) {
        let note = self.plants[which].sign();
        let head = shelf::head(&note).unwrap();
        if self.signed(&head).is_none() {
            let (_, first) = self.plants[which].ledger.read(0, 1).unwrap().remove(0);
            let cited = cited_in(&first).unwrap();
            self.notes.push(Signed { head, note, cited });
        }
    }

    fn signed(&self, head: &Checkpoint) -> Option<&Signed> {
        self.notes.iter().find(|known| known.head == *head)
    }

    fn which(&mut self) -> usize {
        self.rng.usize(..self.plants.len())
    }

    fn epoch(&self, which: usize) -> u32 {
        let head = shelf::head(&self.plants[which].note()).unwrap();
        epoch_of(&self.plants[which].base(), &head.origin).unwrap()
    }

    /// A pass; whoever is asked answers, or nobody does.
    fn pass(&mut self, inputs: Vec<Input>) {
        let answers = self.rng.u32(..4) > 0;
        let which = self.which();
        let plant = answers.then(|| &self.plants[which]);
        self.city.pass(inputs, plant);
    }

    /// What a broker that keeps the last message of each kind tells whoever comes back.
    fn greeting(&self, which: usize) -> Vec<Input> {
        let plant = &self.plants[which];
        let mut inputs: Vec<Input> = Vec::new();
        if let Some(last) = &self.city.last {
            inputs.push(plant.say(Said::Cosigned(last.as_bytes().to_vec())));
        }
        inputs.push(plant.head(&plant.note()));
        inputs.push(Input::Connected);
        inputs
    }

    fn restarts(&mut self) {
        self.city.start();
        let which = self.which();
        let inputs = self.greeting(which);
        self.pass(inputs);
    }

    /// Sends what is new of a gateway, of which some is lost, comes twice or in another order.
    fn sends(&mut self, which: usize) {
        let plant = &mut self.plants[which];
        let mut leaves = plant.leaves();
        let note = plant.note();
        let lost = self.rng.u32(..4);
        match lost {
            0 => leaves.retain(|_| self.rng.bool()),
            1 => self.rng.shuffle(&mut leaves),
            2 => leaves.clear(),
            _ => {}
        }
        if self.rng.u32(..5) > 0 {
            leaves.push(self.plants[which].head(&note));
        }
        self.pass(leaves);
    }

    fn grows(&mut self) {
        let which = self.which();
        let count = match self.rng.u32(..12) {
            0 => self.rng.usize(200..1_500),
            _ => self.rng.usize(1..40),
        };
        self.plants[which].write(&format!("{}", self.rng.u32(..)), count);
        self.signs(which);
        let size = self.plants[which].ledger.size();
        self.tells(format!("gateway {which} has {size}"));
        self.sends(which);
    }

    /// Heads of before come again, and the newest after them.
    fn repeats(&mut self) {
        let which = self.which();
        let mut inputs = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            let Signed { head, note, .. } = self.rng.choice(&self.notes).unwrap();
            if self.given_up.contains(head) {
                // Nobody keeps it.
                continue;
            }
            let line = format!("again {} of {}", head.size, head.origin);
            self.city.tells(line);
            inputs.push(self.plants[which].head(note));
        }
        inputs.extend(self.greeting(which).into_iter().skip(1));
        self.pass(inputs);
    }

    fn waits(&mut self) {
        let seconds = match self.rng.u32(..12) {
            0 => 4_000,
            1..=5 => self.rng.u64(1..5),
            _ => self.rng.u64(5..90),
        };
        self.city.seconds += seconds;
        self.pass(Vec::new());
        self.tells("time goes by");
    }

    fn next_epoch(&mut self) {
        let which = self.which();
        self.plants[which].next_epoch();
        self.signs(which);
        let epoch = self.epoch(which);
        self.tells(format!("gateway {which} begins epoch {epoch}"));
        if self.rng.bool() {
            self.sends(which);
        }
    }

    /// A change of the key begins, or ends once it is cosigned.
    fn rotates(&mut self) {
        let epoch = self.epoch(0);
        let Some(change) = self.changing else {
            self.changing = Some((epoch, self.plants[0].ledger.size()));
            self.plants[0].rotate();
            self.signs(0);
            self.tells("two keys sign");
            if self.plan == Plan::ArchiveLost {
                // What an archive lost it can't follow: the city has the new key's card.
                self.enrols_again();
            }
            self.sends(0);
            return;
        };
        let mut cosigned = self.city.cosigned.iter();
        if cosigned.any(|(place, head)| (place.epoch, head.size) > change) {
            self.plants[0].ledger.finish_rotation().unwrap();
            self.changing = None;
            self.tells("the new key signs alone");
        }
    }

    fn enrols_again(&self) {
        let plant = &self.plants[0];
        let keys = plant.ledger.keys();
        let cards = self.city.dir.path().join("cards");
        for key in keys.iter().filter_map(|key| named(key, &plant.base())) {
            let hash = key.hash().map(|byte| format!("{byte:02x}")).concat();
            let card = format!(
                r#"{{"v":1,"site":"zs","gateway":"gw-1","origin":"{}","vkey":"{key}"}}"#,
                plant.base()
            );
            fs::write(cards.join(format!("{hash}.json")), card).unwrap();
        }
    }

    /// The gateway's disk dies; its next epoch cites what the city cosigned last.
    fn loses_disk(&mut self) {
        let epoch = self.epoch(0);
        // Another is put in its place after a while, in which what is here is cosigned.
        (0..3).for_each(|_| self.city.later(61));
        let Some(last) = self.city.last.clone() else {
            return;
        };
        let plant = &self.plants[0];
        let head = shelf::head(&last).unwrap();
        if epoch_of(&plant.base(), &head.origin) != Some(epoch) || self.changing.is_some() {
            return;
        }
        self.tells(format!(
            "the disk is lost; {} of epoch {epoch} are cosigned",
            head.size
        ));
        self.lost.extend(1..=epoch);
        let beyond = self.notes.iter().map(|signed| &signed.head);
        let beyond = beyond.filter(|one| one.origin == head.origin && one.size > head.size);
        self.given_up = beyond.cloned().chain(self.given_up.drain(..)).collect();
        let witness = Witness::open(&self.city.witness_key()).unwrap();
        let plant = &mut self.plants[0];
        let (state, key, base) = (plant.state(), plant.key(), plant.base());
        plant.ledger = super::elsewhere(&plant.dir.path().join("none"));
        fs::remove_dir_all(&state).unwrap();
        fs::create_dir(&state).unwrap();
        let testimony = Testimony {
            witnesses: &[witness.key().clone()],
            quorum: 1,
            prior: Some(&last),
            ..Testimony::default()
        };
        new_epoch(&state, &key, &base, "its disk was lost", &testimony).unwrap();
        plant.reopen();
        plant.sent = 0;
        self.signs(0);
    }

    fn archive_suffers(&mut self) {
        match self.rng.u32(..4) {
            0 => {
                self.backup = Some(Backup::of(&self.city));
                self.tells("a copy of the archive is taken");
                return;
            }
            1 => {
                let Some(backup) = self.backup.take() else {
                    return;
                };
                self.tells("the archive's copy is put back");
                backup.put_back(&mut self.city);
            }
            2 => {
                self.tells("the archive's directory is lost");
                self.city.desk = None;
                fs::remove_dir_all(self.city.archive()).unwrap();
                fs::create_dir(self.city.archive()).unwrap();
            }
            _ => self.spoils(),
        }
        self.restarts();
    }

    /// A file of a copy is spoilt, or gone.
    fn spoils(&mut self) {
        let epochs = self.city.shelf().epochs(&id("zs"), &id("gw-1")).unwrap();
        let Some(epoch) = self.rng.choice(&epochs).copied() else {
            return;
        };
        let place = self.plants[0].place(epoch);
        let shelf = self.city.shelf();
        self.city.desk = None;
        let path = match self.rng.u32(..3) {
            0 => shelf.log_dir(&place).join("checkpoint"),
            1 => shelf.kept_dir(&place).join("record"),
            _ => shelf.log_dir(&place).join("tile/entries/000"),
        };
        let is_gone = self.rng.bool();
        self.tells(format!("{} is spoilt ({is_gone})", path.display()));
        if is_gone {
            drop(fs::remove_file(path));
        } else if path.exists() {
            fs::write(path, "spoilt").unwrap();
        }
    }

    /// The archive's disk refuses what is of one log, for a while.
    fn refuses(&mut self) {
        let epochs = self.city.shelf().epochs(&id("zs"), &id("gw-1")).unwrap();
        let Some(epoch) = self.rng.choice(&epochs).copied() else {
            return;
        };
        let tile = self.city.shelf().log_dir(&self.plants[0].place(epoch));
        let (tile, away) = (tile.join("tile"), self.city.dir.path().join("away"));
        if !tile.is_dir() {
            return;
        }
        self.tells(format!("the disk refuses epoch {epoch}"));
        fs::rename(&tile, &away).unwrap();
        fs::write(&tile, "").unwrap();
        self.grows();
        self.waits();
        self.grows();
        self.tells("the disk is well again");
        // The copy may have been set aside.
        if tile.is_file() {
            fs::remove_file(&tile).unwrap();
            fs::rename(&away, &tile).unwrap();
        } else {
            fs::remove_dir_all(&away).unwrap();
        }
    }

    /// Another copy of the gateway's disk goes on.
    fn twins(&mut self) {
        let which = self.which();
        if self.plants.len() >= PLANTS_MAX {
            self.plants.swap_remove(which);
            return;
        }
        let twin = self.plants[which].clone_disk();
        self.plants.push(twin);
        self.tells(format!("gateway {which} is copied"));
    }

    /// A gateway forgets all that it has, and even what its key remembers.
    fn forgets(&mut self) {
        let which = self.which();
        let plant = &mut self.plants[which];
        plant.ledger = super::elsewhere(&plant.dir.path().join("none"));
        fs::remove_dir_all(plant.state()).unwrap();
        fs::create_dir(plant.state()).unwrap();
        for end in [".head.0", ".head.1"] {
            let mut path = plant.key().into_os_string();
            path.push(end);
            drop(fs::remove_file(path));
        }
        plant.reopen();
        plant.sent = 0;
        self.signs(which);
        self.tells(format!("gateway {which} forgets all"));
        if self.rng.bool() {
            self.next_epoch();
        }
    }

    fn step(&mut self) {
        match (self.plan, self.rng.u32(..20)) {
            (_, 0..=5) => self.grows(),
            (_, 6 | 7) => self.repeats(),
            (_, 8..=12) => self.waits(),
            (_, 13) => {
                self.tells("the archive starts again");
                self.restarts();
            }
            (_, 14 | 15) => self.next_epoch(),
            (Plan::ArchiveLost, 16) | (Plan::GatewayLost, 16 | 17) => self.rotates(),
            (Plan::ArchiveLost, 17) => self.refuses(),
            (Plan::ArchiveLost, _) => self.archive_suffers(),
            (Plan::GatewayLost, _) => self.loses_disk(),
            (Plan::Hostile, 16..=18) => self.twins(),
            (Plan::Hostile, _) => self.forgets(),
        }
    }
}

fn run(plan: Plan, seed: u64) {
    let mut world = World::new(plan, seed);
    for _ in 0..STEPS {
        world.step();
    }
    if plan == Plan::Hostile {
        for _ in 0..30 {
            world.waits();
        }
    } else {
        world.settles();
        world.is_at_rest();
    }
    world.is_one_history();
    world.gives_nothing_up();
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("LINESIDE_DESK_SEED") else {
        return 0..6;
    };
    let (first, end) = text.split_once("..").unwrap_or((&text, ""));
    let first = first.parse().unwrap();
    first..end.parse().unwrap_or(first + 1)
}

#[test]
fn an_honest_log_is_whole_whatever_befalls_the_archive() {
    for seed in seeds() {
        run(Plan::ArchiveLost, seed);
    }
}

#[test]
fn an_honest_log_is_whole_whatever_befalls_the_gateway() {
    for seed in seeds() {
        run(Plan::GatewayLost, seed);
    }
}

#[test]
fn what_was_cosigned_is_not_given_up_in_silence() {
    for seed in seeds() {
        run(Plan::Hostile, seed);
    }
}
