//! What can be wrong with a device, and when.

use fastrand::Rng;
use std::fmt;
use std::mem::discriminant;
use std::str::FromStr;
use std::time::Duration;

/// Something wrong with a unit or with a whole device.
///
/// Written `kind[=argument][@when]`: `silent`, `late=250ms@1/10`, `exception=6@5%`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Which answers it strikes; has no meaning for the kinds of a whole link.
    pub when: When,
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// No answer: `silent`.
    Silent,
    /// The right answer after so long, other requests meanwhile answered: `late=250ms`.
    Late(Duration),
    /// An answer to a transaction that nobody asked for; on a serial line like `wrong-unit`: `wrong-transaction`.
    WrongTransaction,
    /// An answer of the next unit: `wrong-unit`.
    WrongUnit,
    /// An answer to the other function of the kind: `wrong-function`.
    WrongFunction,
    /// A well-formed answer of one register (or eight bits) too few: `short`.
    Short,
    /// A well-formed answer of one register (or eight bits) too many: `long`.
    Long,
    /// One bit of the data or, on a serial line, of the CRC is wrong: `bad-crc`. A TCP frame has no
    /// CRC, so there its length field lies.
    BadCrc,
    /// 1 to 64 random bytes: `garbage`.
    Garbage,
    /// Half of the answer, then nothing: `cut`.
    Cut,
    /// Half of the answer, then the connection is closed: `close-mid-frame`.
    CloseMidFrame,
    /// The connection is closed as soon as it is accepted, and instead of an answer: `close`.
    Close,
    /// The right answer byte by byte, so long between: `split=1ms`.
    Split(Duration),
    /// A Modbus exception with this code: `exception=6`.
    Exception(u8),
    /// No connection is accepted and every one is closed, as by a device without power: `refuse`.
    Refuse,
    /// Connections stay but nothing is read, until the fault is cleared and all is answered: `frozen`.
    Frozen,
    /// Answers that nobody asked for, so often: `unsolicited=200ms`.
    Unsolicited(Duration),
    /// Another master asks and is answered on the same serial line, so often: `chatter=200ms`.
    Chatter(Duration),
    /// The process values are nodes no more: `node-gone`.
    NodeGone,
    /// The process values are bad, as of a failed sensor: `bad-status`.
    BadStatus,
    /// The process values are uncertain: `uncertain`.
    Uncertain,
}

/// Which answers a fault strikes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum When {
    /// Every one.
    Always,
    /// Every n-th: `@1/10`.
    EveryNth(u32),
    /// Each with this probability, drawn from the device's seed: `@5%`.
    Chance(f64),
}

/// A text that is no fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such fault")]
pub struct UnknownFault;

impl FaultKind {
    /// One of each kind, with examples of arguments: what [`Fault`] reads and writes.
    pub const ALL: [Self; 21] = [
        Self::Silent,
        Self::Late(Duration::from_millis(250)),
        Self::WrongTransaction,
        Self::WrongUnit,
        Self::WrongFunction,
        Self::Short,
        Self::Long,
        Self::BadCrc,
        Self::Garbage,
        Self::Cut,
        Self::CloseMidFrame,
        Self::Close,
        Self::Split(Duration::from_millis(1)),
        Self::Exception(6),
        Self::Refuse,
        Self::Frozen,
        Self::Unsolicited(Duration::from_millis(200)),
        Self::Chatter(Duration::from_millis(200)),
        Self::NodeGone,
        Self::BadStatus,
        Self::Uncertain,
    ];

    /// Whether it is one of nodes, which a Modbus device has none of.
    pub fn is_of_nodes(self) -> bool {
        matches!(self, Self::NodeGone | Self::BadStatus | Self::Uncertain)
    }

    /// Whether it strikes the whole link rather than the answers of a unit.
    pub fn is_of_link(self) -> bool {
        matches!(
            self,
            Self::Refuse | Self::Frozen | Self::Unsolicited(_) | Self::Chatter(_)
        )
    }

    fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Late(_) => "late",
            Self::WrongTransaction => "wrong-transaction",
            Self::WrongUnit => "wrong-unit",
            Self::WrongFunction => "wrong-function",
            Self::Short => "short",
            Self::Long => "long",
            Self::BadCrc => "bad-crc",
            Self::Garbage => "garbage",
            Self::Cut => "cut",
            Self::CloseMidFrame => "close-mid-frame",
            Self::Close => "close",
            Self::Split(_) => "split",
            Self::Exception(_) => "exception",
            Self::Refuse => "refuse",
            Self::Frozen => "frozen",
            Self::Unsolicited(_) => "unsolicited",
            Self::Chatter(_) => "chatter",
            Self::NodeGone => "node-gone",
            Self::BadStatus => "bad-status",
            Self::Uncertain => "uncertain",
        }
    }

    /// The same kind with another argument; none where the kind takes none or not this one.
    fn with(self, argument: &str) -> Option<Self> {
        let duration = || {
            humantime::parse_duration(argument)
                .ok()
                .filter(|d| !d.is_zero())
        };
        match self {
            Self::Late(_) => duration().map(Self::Late),
            Self::Split(_) => duration().map(Self::Split),
            Self::Unsolicited(_) => duration().map(Self::Unsolicited),
            Self::Chatter(_) => duration().map(Self::Chatter),
            Self::Exception(_) => argument.parse().ok().map(Self::Exception),
            Self::Silent
            | Self::WrongTransaction
            | Self::WrongUnit
            | Self::WrongFunction
            | Self::Short
            | Self::Long
            | Self::BadCrc
            | Self::Garbage
            | Self::Cut
            | Self::CloseMidFrame
            | Self::Close
            | Self::Refuse
            | Self::Frozen
            | Self::NodeGone
            | Self::BadStatus
            | Self::Uncertain => None,
        }
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self {
            kind,
            when: When::Always,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Late(d) | Self::Split(d) | Self::Unsolicited(d) | Self::Chatter(d) => {
                write!(
                    f,
                    "={}",
                    humantime::format_duration(*d).to_string().replace(' ', "")
                )
            }
            Self::Exception(code) => write!(f, "={code}"),
            Self::Silent
            | Self::WrongTransaction
            | Self::WrongUnit
            | Self::WrongFunction
            | Self::Short
            | Self::Long
            | Self::BadCrc
            | Self::Garbage
            | Self::Cut
            | Self::CloseMidFrame
            | Self::Close
            | Self::Refuse
            | Self::Frozen
            | Self::NodeGone
            | Self::BadStatus
            | Self::Uncertain => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.when {
            When::Always => Ok(()),
            When::EveryNth(n) => write!(f, "@1/{n}"),
            When::Chance(chance) => write!(f, "@{}%", chance * 100.0),
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let (what, when) = match text.split_once('@') {
            Some((what, when)) => (what, when.parse()?),
            None => (text, When::Always),
        };
        let (word, argument) = match what.split_once('=') {
            Some((word, argument)) => (word, Some(argument)),
            None => (what, None),
        };
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or(UnknownFault)?;
        let kind = match argument {
            Some(argument) => kind.with(argument).ok_or(UnknownFault)?,
            None => kind,
        };
        Ok(Self { kind, when })
    }
}

impl FromStr for When {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        if let Some(n) = text.strip_prefix("1/") {
            return match n.parse() {
                Ok(0) | Err(_) => Err(UnknownFault),
                Ok(n) => Ok(Self::EveryNth(n)),
            };
        }
        let percent: f64 = text
            .strip_suffix('%')
            .and_then(|percent| percent.parse().ok())
            .ok_or(UnknownFault)?;
        if (0.0..=100.0).contains(&percent) {
            Ok(Self::Chance(percent / 100.0))
        } else {
            Err(UnknownFault)
        }
    }
}

/// The faults that stand, at most one of a kind, each with the answers it has counted.
#[derive(Debug, Default)]
pub(super) struct Faults {
    standing: Vec<(Fault, u32)>,
}

impl Faults {
    /// Adds a fault, or changes the one of its kind.
    pub(super) fn set(&mut self, fault: Fault) {
        let same = |(old, _): &(Fault, u32)| discriminant(&old.kind) == discriminant(&fault.kind);
        self.standing.retain(|entry| !same(entry));
        self.standing.push((fault, 0));
    }

    /// Nothing is wrong any more.
    pub(super) fn clear(&mut self) {
        self.standing.clear();
    }

    /// What stands.
    pub(super) fn iter(&self) -> impl Iterator<Item = Fault> + '_ {
        self.standing.iter().map(|(fault, _)| *fault)
    }

    /// What strikes the next answer: of the faults that do, the one set first.
    pub(super) fn strike(&mut self, rng: &mut Rng) -> Option<FaultKind> {
        let mut struck = None;
        for (fault, count) in &mut self.standing {
            if fault.kind.is_of_link() {
                continue;
            }
            let strikes = match fault.when {
                When::Always => true,
                When::EveryNth(n) => {
                    *count = count.saturating_add(1) % n.max(1);
                    *count == 0
                }
                When::Chance(chance) => rng.f64() < chance,
            };
            if strikes && struck.is_none() {
                struck = Some(fault.kind);
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultKind, Faults, When};
    use fastrand::Rng;

    #[test]
    fn every_fault_is_read_as_it_is_written() {
        for kind in FaultKind::ALL {
            for when in [When::Always, When::EveryNth(10), When::Chance(0.05)] {
                let fault = Fault { kind, when };
                assert_eq!(fault.to_string().parse(), Ok(fault), "{fault}");
            }
        }
        for wrong in [
            "",
            "sleepy",
            "silent=3",
            "late=",
            "late=0s",
            "late=fast",
            "exception=256",
            "cut@",
            "cut@0/2",
            "cut@1/0",
            "cut@101%",
            "cut@-1%",
            "cut@NaN%",
            "=1ms",
            "cut@1/2@3%",
        ] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn faults_strike_when_they_say() {
        let check = |text: &str, tries: usize, least: usize, most: usize| {
            let mut faults = Faults::default();
            faults.set(text.parse().unwrap());
            let mut rng = Rng::with_seed(7);
            let struck = (0..tries)
                .filter(|_| faults.strike(&mut rng).is_some())
                .count();
            assert!(
                (least..=most).contains(&struck),
                "{text}: {struck} of {tries}"
            );
        };
        check("silent", 10, 10, 10);
        check("silent@1/10", 9, 0, 0);
        check("silent@1/10", 100, 10, 10);
        check("silent@10%", 1000, 60, 140);
        check("frozen", 10, 0, 0);
    }

    #[test]
    fn the_fault_set_first_wins_and_one_of_a_kind_stands() {
        let mut faults = Faults::default();
        for text in ["late=1s@1/2", "late=2s@1/2", "silent"] {
            faults.set(text.parse().unwrap());
        }
        let mut rng = Rng::with_seed(0);
        let struck: Vec<_> = (0..2).filter_map(|_| faults.strike(&mut rng)).collect();
        let late = FaultKind::Late(std::time::Duration::from_secs(2));
        assert_eq!(struck, [FaultKind::Silent, late]);
        faults.clear();
        assert_eq!(faults.strike(&mut rng), None);
    }
}
