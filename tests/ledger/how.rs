//! A bundle that was fetched from a ledger's files is checked by software that is not ours, by the very commands
//! that stand in it.

#![expect(clippy::wildcard_enum_match_arm, reason = "the leaves that matter")]

use anyhow::{Context, Result, ensure};
use lineside::clock::Stamp;
use lineside::evidence::Inquiry;
use lineside::evidence::copied::Copied;
use lineside::evidence::fetch::Progress;
use lineside::evidence::inquiry::Rhythm;
use lineside::evidence::plan::Wanted;
use lineside::evidence::pull::{Making, Pulled, pull};
use lineside::ledger::Ledger;
use lineside::record::Entry;
use lineside_proto::evidence::sample::{FIRST_DAY_MS, Sample};
use lineside_proto::ledger::{Leaf, LeafBody};
use lineside_proto::{Period, Time};
use lineside_tests::log::Gateway;
use lineside_tests::subscriber::python;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

const ORIGIN: &str = "lineside.example/site-01/gateway-01/e1";
const DAY_MS: i64 = 86_400_000;

/// A ledger that the real code wrote, of the made-up line's days; signed early, and at its end.
fn written(gateway: &Gateway) -> Result<String> {
    let (ledger, opened) = Ledger::open(&gateway.state(), &gateway.key(), ORIGIN)?;
    let sample = Sample::new();
    let entry = |leaf: &Leaf| {
        let at = Stamp {
            boot_ms: leaf.head.mono_ms,
            wall: leaf.head.at,
        };
        let body = match &leaf.body {
            LeafBody::Genesis(genesis) => opened.genesis(&genesis.site, &genesis.gateway),
            body => body.clone(),
        };
        (leaf.head.boot.clone(), Entry { at, body })
    };
    for leaf in &sample.leaves {
        let (boot, entry) = entry(leaf);
        ledger.append(&boot, &[entry])?;
        if leaf.head.index == 200 {
            ledger.sign()?.context("nothing was signed")?;
        }
    }
    ledger.sign()?.context("nothing was signed")?;
    let key = ledger.keys().first().context("a key")?.to_string();
    Ok(key)
}

async fn fetched(gateway: &Gateway, bundle: &Path) -> Result<Pulled> {
    let day = |day: i64| Time::from_millis(FIRST_DAY_MS + day * DAY_MS);
    let wanted = Wanted {
        gateway: ("site-01".parse()?, "gateway-01".parse()?),
        period: Period {
            from: day(4),
            to: day(6),
        },
    };
    let inquiry = Inquiry::new(Copied::open(&gateway.state())?, Rhythm::default());
    let making = Making {
        wanted: &wanted,
        bundle,
        fresh: false,
        made: Time::from_millis(0),
        by: "tests".to_owned(),
    };
    Ok(pull(inquiry, making, &Arc::new(Progress::default())).await?)
}

/// The commands that a text prints, each as it stands there.
fn commands(text: &str) -> Vec<&str> {
    let (prose, _) = text.split_once("-----").unwrap_or((text, ""));
    let lines = prose.lines().filter_map(|line| line.strip_prefix("    "));
    lines.collect()
}

fn shell(dir: &Path, command: &str) -> Result<Output> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(dir);
    shell.output().context("no shell")
}

/// A bundle, unpacked by the command that stands in it.
struct Unpacked {
    place: TempDir,
    key: String,
    text: String,
}

impl Unpacked {
    async fn new(name: &str) -> Result<Self> {
        let place = tempfile::tempdir()?;
        let gateway = Gateway::new(&place.path().join("gateway"));
        let key = written(&gateway)?;
        let pulled = fetched(&gateway, &place.path().join("BUNDLE.zip")).await?;
        // Maps and tokens are beside a ledger, and this one has none.
        let lacks = |found: &String| found.contains("`maps`") || found.contains("`tokens`");
        ensure!(pulled.found.iter().all(lacks), "{:?}", pulled.found);
        let plan = &pulled.plan;
        ensure!(plan.first > 0 && plan.start.is_some(), "{plan:?}");
        ensure!(plan.end < plan.size && plan.size % 256 != 0, "{plan:?}");
        let all = Command::new("unzip")
            .args(["-p", "BUNDLE.zip", name])
            .current_dir(place.path())
            .output()?;
        let text = String::from_utf8(all.stdout)?;
        // What the text installs, the tests' set-up has installed.
        let venv = PathBuf::from(python()?);
        let venv = venv.parent().and_then(Path::parent).context("a venv")?;
        std::os::unix::fs::symlink(venv, place.path().join("proofbundle"))?;
        Ok(Self { place, key, text })
    }

    fn dir(&self) -> PathBuf {
        self.place.path().join("bundle")
    }

    /// Unpacks it anew.
    fn unpack(&self) -> Result<()> {
        if self.dir().exists() {
            fs::remove_dir_all(self.dir())?;
        }
        let unzip = commands(&self.text)
            .into_iter()
            .find(|command| command.starts_with("unzip "));
        let done = shell(self.place.path(), unzip.context("no unzip")?)?;
        ensure!(done.status.success(), "{done:?}");
        fs::write(self.dir().join("key.txt"), format!("{}\n", self.key))?;
        Ok(())
    }

    /// Runs the commands of one way: those that cut the program out and run it. Gives whether it found all well.
    fn check(&self, program: &str) -> Result<(bool, String)> {
        let mut last = None;
        for command in commands(&self.text) {
            if command.contains(program) && !command.contains("install") {
                let done = shell(&self.dir(), command)?;
                last = Some((command, done));
            }
        }
        let (command, done) = last.with_context(|| format!("nothing about {program}"))?;
        ensure!(
            command.ends_with(&format!("{program} key.txt")),
            "{command}"
        );
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        Ok((done.status.success(), said))
    }
}

const PROGRAMS: [&str; 2] = ["check.go", "check.py"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_in_a_bundle_check_it_by_software_of_others() -> Result<()> {
    for name in ["HOW-TO-VERIFY.txt", "HOW-TO-VERIFY.zh-CN.txt"] {
        let unpacked = Unpacked::new(name).await?;
        unpacked.unpack()?;
        for program in PROGRAMS {
            let (sound, said) = unpacked.check(program)?;
            ensure!(
                sound && said.starts_with("OK: "),
                "{name} {program}: {said}"
            );
        }
    }
    Ok(())
}

/// Changes an unpacked bundle.
type Tampering = fn(&Path) -> Result<()>;

fn change(path: &Path, change: impl FnOnce(&str) -> String) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let changed = change(&text);
    ensure!(changed != text, "nothing was changed in {}", path.display());
    fs::write(path, changed)?;
    Ok(())
}

fn part(dir: &Path) -> Result<PathBuf> {
    let mut parts = fs::read_dir(dir.join("leaves"))?;
    Ok(parts.next().context("no leaves")??.path())
}

fn lines(dir: &Path, change_lines: impl FnOnce(&mut Vec<&str>)) -> Result<()> {
    change(&part(dir)?, |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        change_lines(&mut lines);
        lines.join("\n") + "\n"
    })
}

/// Each with the programs that look at it.
const TAMPERINGS: [(&str, &[&str], Tampering); 9] = [
    ("a leaf's number", &PROGRAMS, |dir| {
        change(&part(dir)?, |text| {
            text.replacen("\"good\":", "\"good\":1", 1)
        })
    }),
    ("a leaf left out", &PROGRAMS, |dir| {
        lines(dir, |lines| {
            lines.remove(7);
        })
    }),
    ("the last leaf left out", &PROGRAMS, |dir| {
        lines(dir, |lines| {
            lines.pop();
        })
    }),
    ("two leaves exchanged", &PROGRAMS, |dir| {
        lines(dir, |lines| lines.swap(3, 4))
    }),
    ("a session's proof", &PROGRAMS, |dir| {
        change(&dir.join("proof/sessions.json"), |text| {
            text.replacen(
                "\"hashes\":[\"",
                "\"hashes\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"",
                1,
            )
        })
    }),
    ("the checkpoint's size", &PROGRAMS, |dir| {
        change(&dir.join("checkpoint/end"), |text| {
            text.replacen("/e1\n1", "/e1\n2", 1)
        })
    }),
    ("the older checkpoint", &PROGRAMS, |dir| {
        fs::copy(dir.join("checkpoint/end"), dir.join("checkpoint/start"))?;
        Ok(())
    }),
    ("the leaves' place", &PROGRAMS, |dir| {
        change(&dir.join("proof/range.json"), |text| {
            text.replacen(
                "\"right\":[\"",
                "\"right\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"",
                1,
            )
        })
    }),
    ("another key", &PROGRAMS, |dir| {
        let other = Sample::new().keys.gateway.public().to_string();
        fs::write(dir.join("key.txt"), other)?;
        Ok(())
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_find_what_was_changed() -> Result<()> {
    let unpacked = Unpacked::new("HOW-TO-VERIFY.txt").await?;
    for (what, programs, tamper) in TAMPERINGS {
        unpacked.unpack()?;
        tamper(&unpacked.dir()).context(what)?;
        for program in programs {
            let (sound, said) = unpacked.check(program)?;
            ensure!(!sound, "{what}: {program} says {said}");
            ensure!(!said.contains("OK: "), "{what}: {program} says {said}");
        }
    }
    Ok(())
}
