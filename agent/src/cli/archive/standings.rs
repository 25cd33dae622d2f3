//! What `lineside archive status` tells: every log, who is enrolled and has none, who is kept apart.

use lineside_proto::Identifier;
use lineside_proto::text::plain;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use crate::archive::{Cards, Place, Shelf, Standing, Stranger};
use crate::cli::{Failure, Outcome, write_json};
use crate::text;
use crate::text::Text;

/// What there is.
pub(super) struct Found {
    pub(super) logs: Vec<Standing>,
    waiting: Vec<Waiting>,
    unreadable: Vec<Unreadable>,
    cards: Vec<Card>,
    uncarded: Vec<Uncarded>,
    pub(super) strangers: Vec<Stranger>,
}

/// A gateway that has a card, and of which nothing is kept yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Waiting {
    site: Identifier,
    gateway: Identifier,
    /// Leaves of the newest head that it showed; null where it showed none.
    size: Option<u64>,
    /// Why nothing is kept.
    reason: String,
    #[serde(skip)]
    words: Text,
}

/// A log whose head can't be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Unreadable {
    log: String,
    error: String,
}

/// A file among the cards that does not count.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Card {
    path: String,
    error: String,
}

/// A gateway that has logs and no card: nothing more of it is taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Uncarded {
    site: Identifier,
    gateway: Identifier,
}

/// A line of JSON that is of no log.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    Waiting(&'a Waiting),
    Unreadable(&'a Unreadable),
    Card(&'a Card),
    Uncarded(&'a Uncarded),
    Stranger(Apart<'a>),
}

/// A stranger, with the size of what it showed.
#[derive(Serialize)]
struct Apart<'a> {
    #[serde(flatten)]
    stranger: &'a Stranger,
    size: Option<u64>,
}

impl Found {
    /// Reads an archive's directory; `cards` is the folder of cards, else that in the directory.
    pub(super) fn of(shelf: &Shelf, cards: Option<&Path>) -> Result<Self, Failure> {
        let (mut logs, mut unreadable) = (Vec::new(), Vec::new());
        let places = shelf.recorded()?;
        for place in &places {
            let error = match Standing::of(shelf, place) {
                Ok(Some(found)) => {
                    logs.push(found);
                    continue;
                }
                Ok(None) => "its `checkpoint` is missing".to_owned(),
                Err(error) => error.to_string(),
            };
            let log = place.to_string();
            unreadable.push(Unreadable { log, error });
        }
        let strangers = Stranger::list(shelf.dir())?;
        let beside = shelf.dir().join("gateways");
        if let Some(folder) = cards.filter(|folder| !folder.is_dir()) {
            return Err(super::no_cards(folder));
        }
        let folder = cards.unwrap_or(&beside);
        let (cards, faults) = cards_in(folder)?;
        let has_log = |place: Place| (place.site, place.gateway);
        let known: BTreeSet<_> = places.into_iter().map(has_log).collect();
        let is_gone =
            |(site, gateway): &&(Identifier, Identifier)| cards.of(site, gateway).is_empty();
        let uncarded = known.iter().filter(is_gone).filter(|_| folder.is_dir());
        let uncarded = uncarded.map(|(site, gateway)| Uncarded {
            site: site.clone(),
            gateway: gateway.clone(),
        });
        let waiting = cards
            .gateways()
            .filter(|(site, gateway)| !known.contains(&((*site).clone(), (*gateway).clone())))
            .map(|(site, gateway)| Waiting::of(site, gateway, &strangers));
        Ok(Self {
            waiting: waiting.collect(),
            uncarded: uncarded.collect(),
            cards: faults,
            logs,
            unreadable,
            strangers,
        })
    }

    /// Negative where something stands still, can't be read, or is not taken since its card does not count. Who only waits is
    /// no fault of the archive; a log that another epoch has followed is settled.
    pub(super) fn outcome(&self) -> Outcome {
        let is_followed = |log: &Standing| {
            let mut others = self.logs.iter();
            others.any(|other| {
                let same = (&other.site, &other.gateway) == (&log.site, &log.gateway);
                same && other.epoch > log.epoch
            })
        };
        let mut stopped = self.logs.iter().filter(|log| log.stopped.is_some());
        let stands = stopped.any(|log| !is_followed(log));
        let faults = self.unreadable.len() + self.cards.len() + self.uncarded.len();
        if stands || faults > 0 {
            Outcome::Negative
        } else {
            Outcome::Done
        }
    }

    /// For programs.
    pub(super) fn write(&self, out: &mut impl Write) -> Result<(), Failure> {
        for log in &self.logs {
            write_json(out, log)?;
        }
        for waiting in &self.waiting {
            write_json(out, &Line::Waiting(waiting))?;
        }
        for unreadable in &self.unreadable {
            write_json(out, &Line::Unreadable(unreadable))?;
        }
        for card in &self.cards {
            write_json(out, &Line::Card(card))?;
        }
        for uncarded in &self.uncarded {
            write_json(out, &Line::Uncarded(uncarded))?;
        }
        for stranger in &self.strangers {
            let size = stranger.size();
            write_json(out, &Line::Stranger(Apart { stranger, size }))?;
        }
        Ok(())
    }

    /// What is in no row of the table, for people.
    pub(super) fn told(&self) -> Option<Text> {
        let same = |line: String| Text::new(line.clone(), line);
        let named = |site: &Identifier, gateway: &Identifier| format!("{site}/{gateway}");
        let waiting = self.waiting.iter().map(|one| {
            let (name, words) = (named(&one.site, &one.gateway), &one.words);
            Text::new(
                format!("{name}  {}", words.en),
                format!("{name}  {}", words.zh),
            )
        });
        let unreadable = self
            .unreadable
            .iter()
            .map(|one| same(format!("{}  {}", one.log, one.error)));
        let uncarded = self
            .uncarded
            .iter()
            .map(|one| same(named(&one.site, &one.gateway)));
        let cards = self
            .cards
            .iter()
            .map(|one| same(format!("{}  {}", one.path, one.error)));
        let lists = [
            list(
                text!("enrolled, and without a log:", "已登记、尚无日志："),
                waiting,
            ),
            list(text!("can't be read:", "无法读取："), unreadable),
            list(
                text!(
                    "without a card, so that nothing more is taken:",
                    "没有登记卡，不再收录："
                ),
                uncarded,
            ),
            list(text!("cards that do not count:", "无效的登记卡："), cards),
        ];
        let told = lists.into_iter().flatten();
        told.reduce(|all, more| Text::new(all.en + &more.en, all.zh + &more.zh))
    }
}

/// Lines below a heading; none where there are none. What others said stays on its line.
fn list(heading: Text, lines: impl Iterator<Item = Text>) -> Option<Text> {
    let mut lines = lines.peekable();
    lines.peek()?;
    let begun = Text::new(format!("\n{}", heading.en), format!("\n{}", heading.zh));
    Some(lines.fold(begun, |mut all, line| {
        all.en += &format!("\n{}", plain(&line.en));
        all.zh += &format!("\n{}", plain(&line.zh));
        all
    }))
}

/// The cards of a folder, and those that do not count.
fn cards_in(folder: &Path) -> Result<(Cards, Vec<Card>), Failure> {
    let (cards, faults) = Cards::load(folder).map_err(|error| {
        let folder = folder.display();
        Failure::Store(text!(
            "the cards in {folder} can't be read: {error}",
            "无法读取 {folder} 中的登记卡：{error}"
        ))
    })?;
    let faults = faults.into_iter().map(|fault| Card {
        path: fault.path.display().to_string(),
        error: fault.fault.to_string(),
    });
    Ok((cards, faults.collect()))
}

impl Waiting {
    fn of(site: &Identifier, gateway: &Identifier, strangers: &[Stranger]) -> Self {
        let mut strangers = strangers.iter();
        let shown = strangers.find(|known| known.site == *site && known.gateway == *gateway);
        let size = shown.and_then(Stranger::size);
        let words = match (shown, size) {
            (None, _) => text!(
                "nothing that its key has signed was heard of yet",
                "尚未收到由其密钥签名的内容"
            ),
            (Some(shown), Some(size)) => {
                let reason = &shown.reason;
                text!(
                    "it shows a head of {size} leaves that is not taken: {reason}",
                    "其出示的 {size} 条记录的存证点未被接受：{reason}"
                )
            }
            (Some(shown), None) => {
                let reason = &shown.reason;
                text!("{reason}", "未被接受：{reason}")
            }
        };
        Self {
            site: site.clone(),
            gateway: gateway.clone(),
            size,
            reason: words.en.clone(),
            words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Found;
    use crate::archive::testing::{City, at};
    use crate::archive::{Record, Stopped};
    use crate::cli::Outcome;
    use serde_json::{Value, json};
    use std::fs;

    fn lines(found: &Found) -> Vec<Value> {
        let mut out = Vec::new();
        found.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines = text.lines().map(serde_json::from_str::<Value>);
        lines.collect::<Result<_, _>>().unwrap()
    }

    fn stranger(city: &City, gateway: &str, note: &str) {
        let dir = city.dir().join("strangers");
        fs::create_dir_all(&dir).unwrap();
        let document = json!({
            "v": 1, "at": "2026-11-23T00:00:00.000Z", "site": "zs", "gateway": gateway,
            "reason": "no card names its key", "note": note,
        });
        fs::write(dir.join(format!("zs.{gateway}.json")), document.to_string()).unwrap();
    }

    #[test]
    fn whoever_is_enrolled_is_told_of_and_whoever_is_not_too() {
        let city = City::new();
        let held = city.gateway("zs", "gw-1");
        held.grow(3, 0);
        city.keep(&held, None);
        for gateway in [
            &held,
            &city.gateway("zs", "gw-2"),
            &city.gateway("zs", "gw-3"),
        ] {
            city.card(gateway);
        }
        let root = "A".repeat(43);
        let note = format!("lineside/zs/gw-3\n77\n{root}=\n\n\u{2014} lineside/zs/gw-3 AAAAAAAA\n");
        stranger(&city, "gw-3", &note);
        stranger(&city, "gw-4", "junk");
        let found = Found::of(&city.shelf(), None).unwrap();
        assert_eq!(found.outcome(), Outcome::Done);
        let said = lines(&found);
        let of = |key: &str, name: &str| {
            let fits = |line: &&Value| line[key]["gateway"] == name;
            said.iter().find(fits).map(|line| line[key].clone())
        };
        assert_eq!(said[0]["gateway"], "gw-1");
        assert_eq!(of("waiting", "gw-2").unwrap()["size"], Value::Null);
        assert_eq!(of("waiting", "gw-3").unwrap()["size"], 77);
        assert_eq!(of("stranger", "gw-3").unwrap()["size"], 77);
        assert_eq!(of("stranger", "gw-4").unwrap()["size"], Value::Null);
        assert_eq!(said.len(), 5);
        let told = found.told().unwrap();
        assert!(
            told.en.contains("zs/gw-2  nothing that its key has signed"),
            "{told}"
        );
        assert!(
            told.en.contains("zs/gw-3  it shows a head of 77 leaves"),
            "{told}"
        );
        assert!(
            told.zh.contains("zs/gw-3  其出示的 77 条记录"),
            "{}",
            told.zh
        );

        let checkpoint = city.shelf().log_dir(&held.place).join("checkpoint");
        fs::write(checkpoint, "junk").unwrap();
        let found = Found::of(&city.shelf(), None).unwrap();
        assert_eq!(found.outcome(), Outcome::Negative);
        assert_eq!(lines(&found)[2]["unreadable"]["log"], "zs/gw-1/e1");
    }

    #[test]
    fn a_log_that_stands_still_is_settled_by_the_epoch_that_follows() {
        let city = City::new();
        let first = city.gateway("zs", "gw");
        first.grow(3, 0);
        city.card(&first);
        let stopped = Stopped {
            kind: "fork".to_owned(),
            text: "two trees".to_owned(),
            proof: "2026-fork".to_owned(),
            at: at(3),
        };
        let record = Record {
            stopped: Some(stopped),
            ..Record::default()
        };
        city.keep(&first, None);
        city.record(&first.place, &record);
        let outcome = || Found::of(&city.shelf(), None).unwrap().outcome();
        assert_eq!(outcome(), Outcome::Negative);
        let second = first.next_epoch(4);
        second.grow(3, 5);
        city.keep(&second, None);
        assert_eq!(outcome(), Outcome::Done);
        city.record(&second.place, &record);
        assert_eq!(outcome(), Outcome::Negative);
    }
}
