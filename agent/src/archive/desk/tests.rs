use super::{Asked, Desk, Input, Output, Said, Terms};
use crate::answers::Answers;
use crate::archive::alarm::{AlarmDocument, Kind, ProofDocument};
use crate::archive::asker::SILENCE;
use crate::archive::cards::named;
use crate::archive::members::{Common, Members};
use crate::archive::record::Record;
use crate::archive::witness::Witness;
use crate::archive::{Place, Shelf};
use crate::clock::Stamp;
use crate::evidence::informant::Trouble;
use crate::ledger::{Ledger, Testimony, new_epoch};
use crate::record::Entry;
use lineside_proto::ledger::note::{Note, VerifierKey};
use lineside_proto::ledger::tree::check_consistency;
use lineside_proto::ledger::{Audit, Checkpoint, Hash, LeafBody, files};
use lineside_proto::{Identifier, LeafMessage, Time};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

mod bounds;
mod changes;
mod decay;
mod epochs;
mod faults;
mod followed;
mod kept;
mod left;
mod proof;
mod several;
mod signing;
mod simulation;
mod whole;

const START: i64 = 1_795_420_800_000;

fn id(text: &str) -> Identifier {
    text.parse().unwrap()
}

/// A gateway's ledger, and what of it was sent.
struct Plant {
    dir: TempDir,
    name: Identifier,
    ledger: Ledger,
    sent: u64,
}

impl Plant {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let mut plant = Self {
            ledger: elsewhere(dir.path()),
            dir,
            name: id(name),
            sent: 0,
        };
        plant.reopen();
        plant
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn base(&self) -> String {
        format!("lineside/zs/{}", self.name)
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("keys/ledger.key")
    }

    /// Opens the ledger anew; a new one gets its first leaf.
    fn reopen(&mut self) {
        let other = tempfile::tempdir().unwrap();
        // The lock is given back before it is taken again.
        self.ledger = elsewhere(other.path());
        let (ledger, opened) = Ledger::open(&self.state(), &self.key(), &self.base()).unwrap();
        if opened.size == 0 {
            let entry = Entry {
                at: stamp(0),
                body: opened.genesis(&id("zs"), &self.name),
            };
            ledger.append("boot", &[entry]).unwrap();
        }
        // As an agent does.
        if let Some(change) = ledger.untold_key_change().unwrap() {
            let entry = Entry {
                at: stamp(0),
                body: LeafBody::Key(change),
            };
            ledger.append("boot", &[entry]).unwrap();
        }
        self.ledger = ledger;
    }

    fn write(&self, words: &str, count: usize) {
        let entry = |number: usize| Entry {
            at: stamp(0),
            body: LeafBody::Audit(Audit {
                who: "li".to_owned(),
                action: "apply".to_owned(),
                what: format!("{words} {number}"),
            }),
        };
        let entries: Vec<Entry> = (0..count).map(entry).collect();
        self.ledger.append("boot", &entries).unwrap();
    }

    fn sign(&self) -> String {
        self.ledger.sign().unwrap().unwrap();
        self.note()
    }

    fn note(&self) -> String {
        self.ledger
            .checkpoint()
            .borrow()
            .clone()
            .unwrap()
            .to_string()
    }

    /// Gives the ledger up for a new epoch.
    fn next_epoch(&mut self) {
        self.ledger = elsewhere(&self.dir.path().join("none"));
        let testimony = Testimony::default();
        let (state, key, base) = (self.state(), self.key(), self.base());
        new_epoch(&state, &key, &base, "a new disk", &testimony).unwrap();
        self.reopen();
        self.sent = 0;
    }

    /// What was not sent yet, and a head over it.
    fn grown(&mut self) -> Vec<Input> {
        let note = self.sign();
        let mut inputs = self.leaves();
        inputs.push(self.head(&note));
        inputs
    }

    /// Another key signs from now on.
    fn rotate(&self) {
        let leaf = self.ledger.rotate_key().unwrap();
        let entry = Entry {
            at: stamp(0),
            body: LeafBody::Key(leaf),
        };
        self.ledger.append("boot", &[entry]).unwrap();
    }

    fn leaf(&self, index: u64) -> Input {
        let (_, bytes) = self.ledger.read(index, 1).unwrap().remove(0);
        let leaf = String::from_utf8(bytes).unwrap();
        self.say(Said::Leaf(
            serde_json::to_vec(&LeafMessage { index, leaf }).unwrap(),
        ))
    }

    /// The leaves that were not sent yet.
    fn leaves(&mut self) -> Vec<Input> {
        let from = self.sent;
        self.sent = self.ledger.size();
        (from..self.sent).map(|index| self.leaf(index)).collect()
    }

    fn head(&self, note: &str) -> Input {
        self.say(Said::Head(note.as_bytes().to_vec()))
    }

    fn say(&self, said: Said) -> Input {
        Input::Message {
            site: id("zs"),
            gateway: self.name.clone(),
            said,
        }
    }

    fn card(&self) -> String {
        let vkey: Vec<VerifierKey> = self.ledger.keys();
        format!(
            r#"{{"v":1,"site":"zs","gateway":"{}","origin":"{}","vkey":"{}"}}"#,
            self.name,
            self.base(),
            vkey[0]
        )
    }

    fn place(&self, epoch: u32) -> Place {
        Place {
            site: id("zs"),
            gateway: self.name.clone(),
            epoch,
        }
    }

    /// A gateway with the same key and a copy of the same disk.
    fn clone_disk(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        let mut twin = Self {
            ledger: elsewhere(&dir.path().join("none")),
            dir,
            name: self.name.clone(),
            sent: self.sent,
        };
        twin.reopen();
        twin
    }
}

/// Another ledger, for the moment in which one is closed.
fn elsewhere(dir: &Path) -> Ledger {
    let aside = dir.join("aside");
    fs::create_dir_all(&aside).unwrap();
    Ledger::open(&aside, &aside.join("keys/key"), "x/y/z")
        .unwrap()
        .0
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn stamp(seconds: u64) -> Stamp {
    Stamp {
        boot_ms: 1_000_000 + seconds * 1_000,
        wall: Time::from_millis(START + i64::try_from(seconds).unwrap() * 1_000),
    }
}

/// An archive with its gateways, and a clock that only the test moves.
struct City {
    dir: TempDir,
    desk: Option<Desk>,
    witness: bool,
    seconds: u64,
    alarms: Vec<(Place, Kind)>,
    cosigned: Vec<(Place, Checkpoint)>,
    /// The note that was published last, with its cosignature.
    last: Option<Arc<str>>,
    questions: usize,
    /// What happened, for whoever looks for a fault.
    story: Vec<String>,
}

impl City {
    fn new(witness: bool) -> Self {
        let mut city = Self {
            dir: tempfile::tempdir().unwrap(),
            desk: None,
            witness,
            seconds: 0,
            alarms: Vec::new(),
            cosigned: Vec::new(),
            last: None,
            questions: 0,
            story: Vec::new(),
        };
        fs::create_dir(city.dir.path().join("cards")).unwrap();
        fs::create_dir(city.dir.path().join("d")).unwrap();
        if witness {
            Witness::create(&city.witness_key(), "city/w1").unwrap();
        }
        city.start();
        city
    }

    fn witness_key(&self) -> PathBuf {
        self.dir.path().join("keys/witness.key")
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("d")
    }

    fn shelf(&self) -> Shelf {
        Shelf::of(&self.archive())
    }

    fn start(&mut self) {
        self.desk = None;
        let dir = self.archive();
        let members = Members::join(&dir, &Common::default()).unwrap();
        let witness = self
            .witness
            .then(|| Arc::new(Witness::open(&self.witness_key()).unwrap()));
        let terms = Terms {
            cards: self.dir.path().join("cards"),
            witness,
            cosign_every: Duration::from_secs(60),
        };
        self.desk = Some(Desk::open(Shelf::of(&dir), terms, members).unwrap());
    }

    fn enrol(&mut self, plant: &Plant) {
        let path = self
            .dir
            .path()
            .join("cards")
            .join(format!("{}.json", plant.name));
        fs::write(path, plant.card()).unwrap();
        // Cards are read again after a while.
        self.later(11);
    }

    fn later(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.pass(Vec::new(), None);
    }

    fn tells(&mut self, what: String) {
        self.story.push(format!("{:>7} s: {what}", self.seconds));
    }

    /// One pass, and what comes of it.
    fn outputs(&mut self, inputs: Vec<Input>) -> Vec<Output> {
        let now = stamp(self.seconds);
        self.desk.as_mut().unwrap().pass(inputs, now).unwrap()
    }

    /// One pass; the questions that come of it are answered by the plant, until there are no more.
    fn pass(&mut self, inputs: Vec<Input>, plant: Option<&Plant>) {
        let mut inputs = inputs;
        for _ in 0..200 {
            for output in self.outputs(std::mem::take(&mut inputs)) {
                match output {
                    Output::Ask(asked) => {
                        self.questions += 1;
                        let told = format!("{} asks {:?}", asked.place, asked.question);
                        let answer = answer(asked, plant);
                        let is_given = matches!(answer, Input::Answer { result: Ok(_), .. });
                        self.tells(format!("{told}: {is_given}"));
                        inputs.push(answer);
                    }
                    Output::Alarm { place, alarm } => {
                        self.tells(format!("{place} ALARM {}: {}", alarm.kind, alarm.text));
                        self.alarms.push((place, alarm.kind));
                    }
                    Output::Cosigned { place, note, .. } => {
                        let parsed = Note::parse(&note).unwrap();
                        let head = Checkpoint::parse(&parsed.text).unwrap();
                        self.tells(format!("{place} cosigned to {}", head.size));
                        self.cosigned.push((place, head));
                        self.last = Some(note);
                    }
                    Output::Grown { .. } => {}
                }
            }
            if inputs.is_empty() {
                return;
            }
        }
        panic!("questions without an end");
    }

    /// What is missing is asked for, as time goes by.
    fn fetch(&mut self, plant: &Plant) {
        for _ in 0..4 {
            self.seconds += 3;
            self.pass(Vec::new(), Some(plant));
        }
    }

    /// What came is sent, a head over it, and the copy must be complete and sound.
    fn size(&self, plant: &Plant, epoch: u32) -> u64 {
        let place = plant.place(epoch);
        let Some((_, head)) = self.shelf().head(&place).unwrap() else {
            return 0;
        };
        let dir = self.shelf().log_dir(&place);
        let read = |path: &str, most: usize| match fs::read(dir.join(path)) {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| bytes.len() <= most)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        // An epoch's key has the name of its log.
        let keys = plant.ledger.keys();
        let keys: Vec<_> = keys
            .iter()
            .filter_map(|key| named(key, &head.origin))
            .collect();
        let checked = files::check(read, &keys, &head.origin, &[]).unwrap();
        assert_eq!(checked, head);
        head.size
    }

    fn kinds(&self) -> Vec<Kind> {
        self.alarms.iter().map(|(_, kind)| *kind).collect()
    }

    fn record(&self, plant: &Plant, epoch: u32) -> Record {
        let record = self.shelf().record(&plant.place(epoch)).unwrap();
        record.unwrap_or_default()
    }

    fn proofs(&self) -> Vec<AlarmDocument> {
        let dirs = fs::read_dir(self.shelf().alarms_dir())
            .into_iter()
            .flatten()
            .flatten();
        let read = |dir: PathBuf| {
            let document: AlarmDocument =
                serde_json::from_slice(&fs::read(dir.join("alarm.json")).unwrap()).unwrap();
            for (file, head) in [
                ("known.note", &document.known),
                ("shown.note", &document.shown),
            ] {
                if let Some(head) = head {
                    let note = Note::parse(&fs::read_to_string(dir.join(file)).unwrap()).unwrap();
                    assert_eq!(Checkpoint::parse(&note.text).unwrap().size, head.size);
                }
            }
            let path = dir.join("proof.json");
            if path.exists() {
                joins(&document, &fs::read(path).unwrap());
            } else {
                assert_ne!(document.kind, "fork", "the notes alone prove nothing");
            }
            document
        };
        dirs.map(|entry| read(entry.path())).collect()
    }
}

/// What whoever is given an alarm's folder computes.
fn joins(alarm: &AlarmDocument, proof: &[u8]) {
    let proof: ProofDocument = serde_json::from_slice(proof).unwrap();
    let hashes: Vec<Hash> = proof
        .hashes
        .iter()
        .map(|hash| Hash::from_base64(hash).unwrap())
        .collect();
    let old = Hash::from_base64(&proof.old_root).unwrap();
    let new = Hash::from_base64(&proof.new_root).unwrap();
    check_consistency(proof.old, proof.new, &hashes, old, new).unwrap();
    let signed = |size: u64| {
        let heads = [alarm.known.as_ref().unwrap(), alarm.shown.as_ref().unwrap()];
        let head = heads.into_iter().find(|head| head.size == size);
        head.unwrap().root.clone()
    };
    assert_eq!(signed(proof.new), proof.new_root);
    assert_ne!(signed(proof.old), proof.old_root);
}

fn answer(asked: Asked, plant: Option<&Plant>) -> Input {
    let result = match plant {
        None => Err(Trouble::Lost(SILENCE.to_owned())),
        Some(plant) => {
            let (method, params) = asked.call();
            let answers = Answers::of_copy(&plant.state()).unwrap();
            answers.ask(method, params).map_err(|failure| {
                let error: lineside_proto::AnswerError = failure.into();
                Trouble::from(error)
            })
        }
    };
    Input::Answer { asked, result }
}
