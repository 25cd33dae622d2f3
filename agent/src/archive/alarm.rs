//! What was refused, and the proof of it: a folder an alarm below `alarms/`, with the two signed notes.
//!
//! Bounds: `ALARMS_MAX` folders; what comes beyond them is counted and logged, and not written.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use lineside_proto::Time;
use lineside_proto::ledger::note::Note;
use lineside_proto::ledger::{Checkpoint, Hash};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::ledger::disk;

/// Folders at most: years of trouble.
const ALARMS_MAX: usize = 20_000;
/// Folders of one gateway at most, over all its epochs, so that none takes the room of others; of alarms that stop
/// nothing half as many, so that there is room for those that do.
const ALARMS_OF_GATEWAY_MAX: usize = 200;
/// Bytes of an alarm's document at most.
const ALARM_BYTES_MAX: usize = 64 << 10;
/// Alarms of one log that are written at most: after the first, each only says the same again.
pub(super) const ALARMS_OF_ONE_MAX: u64 = 50;

/// What is wrong with a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two heads of one size were signed.
    TwoHeads,
    /// A signed head does not continue another.
    Fork,
    /// The newest head that is shown is older than one that was shown before.
    Shorter,
    /// The gateway gives other leaves than those that it signed.
    Leaves,
    /// A new epoch does not cite the last head of the epoch before.
    Prior,
    /// An epoch goes on that was given up: two run.
    OldEpoch,
    /// The copy's own files do not fit together.
    Damaged,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TwoHeads,
        Self::Fork,
        Self::Shorter,
        Self::Leaves,
        Self::Prior,
        Self::OldEpoch,
        Self::Damaged,
    ];

    /// The one that has this word; none of this version's.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// As people call it in Chinese.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::TwoHeads => "同一长度两个根",
            Self::Fork => "分叉",
            Self::Shorter => "回退",
            Self::Leaves => "记录不符",
            Self::Prior => "未衔接上一期",
            Self::OldEpoch => "旧期仍在续写",
            Self::Damaged => "存证库文件损坏",
        }
    }

    /// As the files say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::TwoHeads => "two-heads",
            Self::Fork => "fork",
            Self::Shorter => "shorter",
            Self::Leaves => "leaves",
            Self::Prior => "prior",
            Self::OldEpoch => "old-epoch",
            Self::Damaged => "damaged",
        }
    }

    /// Whether nothing more of the log is taken: what is signed contradicts itself, or gives up what is known, and only a
    /// new epoch goes on.
    pub fn stops(self) -> bool {
        match self {
            Self::TwoHeads | Self::Fork | Self::Prior => true,
            Self::Shorter | Self::Leaves | Self::OldEpoch | Self::Damaged => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Something that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// What.
    pub kind: Kind,
    /// In words.
    pub text: String,
    /// The note that the archive holds; none before the first.
    pub known: Option<String>,
    /// The note that was shown.
    pub shown: Option<String>,
    /// What joins the two where the notes alone do not contradict each other.
    pub proof: Option<ProofDocument>,
}

/// A consistency proof (RFC 9162, 2.1.4.2) that leads to the root of one signed note, and not to the other's,
/// `proof.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProofDocument {
    /// Version of the document: 1.
    pub v: u8,
    /// Leaves of the older tree.
    pub old: u64,
    /// The root over them that the proof leads to, base64: not the one that was signed.
    pub old_root: String,
    /// Leaves of the newer tree.
    pub new: u64,
    /// The root over them that the proof leads to, base64: the one that was signed.
    pub new_root: String,
    /// The hashes in the order of RFC 6962, base64.
    pub hashes: Vec<String>,
}

impl ProofDocument {
    /// Says that the first `old` leaves of a tree have a root.
    pub(super) fn of(
        (old, old_root): (u64, Hash),
        (new, new_root): (u64, Hash),
        hashes: &[Hash],
    ) -> Self {
        Self {
            v: 1,
            old,
            old_root: old_root.to_string(),
            new,
            new_root: new_root.to_string(),
            hashes: hashes.iter().map(Hash::to_string).collect(),
        }
    }
}

/// The document of an alarm, `alarm.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AlarmDocument {
    /// Version of the document: 1.
    pub v: u8,
    /// When it was refused, by the archive's clock.
    pub at: Time,
    /// The platform.
    pub site: String,
    /// Its gateway.
    pub gateway: String,
    /// The epoch of the ledger.
    pub epoch: u32,
    /// What, as a word.
    pub kind: String,
    /// In words.
    pub text: String,
    /// Whether nothing more of this log is taken or cosigned.
    pub stopped: bool,
    /// The head that the archive held (`known.note`).
    pub known: Option<HeadDocument>,
    /// The head that was shown (`shown.note`).
    pub shown: Option<HeadDocument>,
    /// What the files prove, and what is to be computed to see it. Absent in alarms of earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub check: String,
}

/// A head, as an alarm names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HeadDocument {
    /// Leaves.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
}

fn head(note: Option<&String>) -> Option<HeadDocument> {
    let head = Checkpoint::parse(&Note::parse(note?).ok()?.text).ok()?;
    Some(HeadDocument {
        size: head.size,
        root: head.root.to_string(),
    })
}

impl Alarm {
    /// The document that says it.
    pub fn document(&self, place: &Place, at: Time) -> AlarmDocument {
        AlarmDocument {
            v: 1,
            at,
            site: place.site.to_string(),
            gateway: place.gateway.to_string(),
            epoch: place.epoch,
            kind: self.kind.to_string(),
            text: self.text.clone(),
            stopped: self.kind.stops(),
            known: head(self.known.as_ref()),
            shown: head(self.shown.as_ref()),
            check: self.check(),
        }
    }

    /// What the files prove.
    fn check(&self) -> String {
        let signed = "verify the signatures of known.note and shown.note by the gateway's key";
        if let Some(ProofDocument { old, new, .. }) = &self.proof {
            return format!(
                "{signed}; then compute by RFC 9162, 2.1.4.2 that the hashes in proof.json join its old_root over {old} leaves to its new_root over {new}: new_root is what one of the notes signs for {new} leaves, and old_root is not what the other signs for {old}. Whoever holds the key signed two histories."
            );
        }
        match self.kind {
            Kind::TwoHeads => format!(
                "{signed}: they name one size and two roots. Whoever holds the key signed two histories."
            ),
            Kind::Fork => format!(
                "{signed}; a witness that refuses cosigned known.note, and no proof was shown that shown.note continues it"
            ),
            Kind::Shorter if self.is_over_epochs() => format!(
                "{signed}: known.note is of the epoch before, and of more leaves than the first leaf of the new epoch, below logs/, cites. That none of them was cosigned here is this archive's word."
            ),
            Kind::Shorter => format!(
                "{signed}: both are real, and the older was shown after the newer. That it was shown late is this archive's word."
            ),
            Kind::Prior if self.shown.is_none() => "nothing by itself: no signed note of the new epoch is here. That it does not continue what was held or cosigned is this archive's word.".to_owned(),
            Kind::Prior if self.known.is_none() => "verify the signature of shown.note by the gateway's key. The first leaf of its epoch, below logs/, says which head it cites. That nobody showed how this continues what was held or cosigned is this archive's word.".to_owned(),
            Kind::Prior => format!(
                "{signed}: known.note is of the epoch before. The first leaf of the new epoch, below logs/, says which head it cites."
            ),
            Kind::OldEpoch => format!(
                "{signed}: shown.note is of the epoch before, and goes beyond what was held of it when the new epoch began. Which of the two was signed later is this archive's word."
            ),
            Kind::Leaves => "nothing: answers are not signed, so that somebody else at the broker may have given them. Ask the gateway itself.".to_owned(),
            Kind::Damaged => "nothing against the gateway: this archive's own files did not fit together.".to_owned(),
        }
    }

    /// Whether its notes are of two logs.
    fn is_over_epochs(&self) -> bool {
        let origin = |note: &Option<String>| Some(super::shelf::head(note.as_deref()?)?.origin);
        let both = origin(&self.known).zip(origin(&self.shown));
        both.is_some_and(|(known, shown)| known != shown)
    }

    /// Whether there is room for one more.
    fn has_room(&self, alarms: &Path, place: &Place) -> io::Result<bool> {
        let names: Vec<String> = fs::read_dir(alarms)?
            .take(ALARMS_MAX)
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        if names.len() >= ALARMS_MAX {
            return Ok(false);
        }
        let most = if self.kind.stops() {
            ALARMS_OF_GATEWAY_MAX
        } else {
            ALARMS_OF_GATEWAY_MAX / 2
        };
        let (site, gateway) = (place.site.as_str(), place.gateway.as_str());
        // What stands between the time and the epoch may be that of another gateway, too: strokes are in identifiers.
        let mark = format!("Z-{site}-{gateway}-e");
        let alike = names.iter().filter(|name| name.contains(&mark));
        if alike.clone().count() < most {
            return Ok(true);
        }
        let of_it = alike.filter(|name| {
            let document = disk::read(&alarms.join(name).join("alarm.json"), ALARM_BYTES_MAX);
            let document = document.ok().flatten();
            let document =
                document.and_then(|bytes| serde_json::from_slice::<AlarmDocument>(&bytes).ok());
            document.is_none_or(|known| known.site == site && known.gateway == gateway)
        });
        Ok(of_it.count() < most)
    }

    /// Writes the proof into a folder of its own; durable on return. Gives the folder's name; none where there are too
    /// many already.
    ///
    /// # Errors
    ///
    /// The disk refuses.
    pub(super) fn write(
        &self,
        alarms: &Path,
        place: &Place,
        at: Time,
    ) -> io::Result<Option<String>> {
        disk::make_dirs(alarms)?;
        if !self.has_room(alarms, place)? {
            return Ok(None);
        }
        let Place {
            site,
            gateway,
            epoch,
        } = place;
        // Of one moment there may be several.
        let stem = at.to_string().replace(':', "-");
        let names = (1..100).map(|turn| {
            let turn = if turn == 1 {
                String::new()
            } else {
                format!("-{turn}")
            };
            format!("{stem}-{site}-{gateway}-e{epoch}-{}{turn}", self.kind)
        });
        let name = names.into_iter().find(|name| !alarms.join(name).exists());
        let Some(name) = name else { return Ok(None) };
        let dir = alarms.join(&name);
        for (file, note) in [("known.note", &self.known), ("shown.note", &self.shown)] {
            if let Some(note) = note {
                disk::put(&dir.join(file), note.as_bytes())?;
            }
        }
        if let Some(proof) = &self.proof {
            disk::put(&dir.join("proof.json"), &serde_json::to_vec_pretty(proof)?)?;
        }
        let document = self.document(place, at);
        // The document last: a folder with one is whole.
        disk::put(
            &dir.join("alarm.json"),
            &serde_json::to_vec_pretty(&document)?,
        )?;
        Ok(Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::{ALARMS_OF_GATEWAY_MAX, Alarm, Kind};
    use crate::archive::place::Place;
    use lineside_proto::Time;
    use std::fs;

    #[test]
    fn one_gateway_takes_its_own_room_alone() {
        let dir = tempfile::tempdir().unwrap();
        let place = |site: &str, gateway: &str, epoch| Place {
            site: site.parse().unwrap(),
            gateway: gateway.parse().unwrap(),
            epoch,
        };
        let write = |kind, place: &Place| {
            let alarm = Alarm {
                kind,
                text: "it".to_owned(),
                known: None,
                shown: None,
                proof: None,
            };
            let at = Time::from_millis(1_795_420_800_000 + i64::from(place.epoch) * 1_000);
            alarm.write(dir.path(), place, at).unwrap().is_some()
        };
        let most = u32::try_from(ALARMS_OF_GATEWAY_MAX).unwrap();
        // Over all its epochs, and half of them for what stops nothing.
        for (kind, from, to) in [(Kind::OldEpoch, 0, most / 2), (Kind::Fork, most / 2, most)] {
            for epoch in from..to {
                assert!(write(kind, &place("a", "b-c", epoch)), "{epoch}");
            }
            assert!(!write(kind, &place("a", "b-c", to)));
        }
        // Another whose folders look alike is not held back by them.
        assert!(write(Kind::Fork, &place("a-b", "c", 1)));
        assert!(write(Kind::Prior, &place("a", "b", 1)));
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            ALARMS_OF_GATEWAY_MAX + 2
        );
    }
}
