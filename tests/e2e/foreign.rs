//! A log that the whole agent wrote, killed and stopped in between, is verified by those who did not write it:
//! Go's `sumdb`, and two crates of other authors. Every state of twenty machines that change twice a second is
//! in it.

use anyhow::{Context, Result, ensure};
use lineside::config::model::Table;
use lineside::ledger::Ledger;
use lineside::sim::device::Device;
use lineside_proto::ledger::conservation::Conservation;
use lineside_tests::broker::Persistence;
use lineside_tests::evidence::Evidence;
use lineside_tests::foreign::{self, Proof, Question, Tree};
use lineside_tests::log::ORIGIN;
use lineside_tests::stand::{LIMIT, QUICK, Stand};
use lineside_tests::wait;
use std::net::SocketAddr;
use std::time::Duration;

const MACHINES: u8 = 20;

/// Leaves that make several tiles, and a bundle beyond the fourth.
const LEAVES: usize = 1_100;

/// Half a second in each state, so that every change is read.
const STAY: Duration = Duration::from_millis(500);

fn map(address: SocketAddr, unit: u8) -> String {
    format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\nunit-id = {unit}\n\
         [groups]\nfast = \"200ms\"\n[points]\n\
         mode = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
         [[state.rules]]\nstate = \"RUN\"\nwhen = \"mode == 1\"\n\
         [[state.rules]]\nstate = \"IDLE\"\nwhen = \"true\"\n"
    )
}

/// Drives all machines from one state to the other until so many leaves have come in.
fn drive(stand: &mut Stand, device: &Device, leaves: usize) -> Result<()> {
    let mut mode = 0;
    wait::until("leaves", LIMIT, || {
        mode = 1 - mode;
        for unit in 1..=MACHINES {
            device.unit(unit).set(Table::Holding, 0, &[mode]);
        }
        wait::throughout(STAY, || Ok(()))?;
        let evidence = Evidence::of(&stand.archive.messages()?)?;
        Ok((evidence.leaves.len() >= leaves).then_some(()))
    })
    .with_context(|| stand.log())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_agent_wrote_is_verified_by_others() -> Result<()> {
    let device = Device::new(MACHINES.into());
    let address = device.listen_tcp().await?;
    let settings = format!("{QUICK}\n[sessions]\nidle-close = \"1s\"");
    let mut stand = Stand::new(Persistence::Off, &settings)?;
    for unit in 1..=MACHINES {
        stand
            .site
            .machine(&format!("m-{unit:02}"), &map(address, unit))?;
    }
    for part in 1..=3 {
        stand.start()?;
        drive(&mut stand, &device, LEAVES * part / 3)?;
        if part < 3 {
            stand.kill()?;
        } else {
            stand.stop()?;
        }
    }

    let key = stand.site.path().join("keys/ledger.key");
    let (ledger, _) = Ledger::open(&stand.site.state_dir(), &key, ORIGIN)?;
    ensure!(ledger.suspended().is_none(), "{:?}", ledger.suspended());
    let size = ledger.signed();
    ensure!(
        size == ledger.size(),
        "{size} of {} signed at the stop",
        ledger.size()
    );
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < size {
        leaves.extend(
            ledger
                .read(leaves.len() as u64, 1 << 20)?
                .into_iter()
                .map(|(_, leaf)| leaf),
        );
    }
    let published = Evidence::of(&stand.archive.messages()?)?;
    same(&published, &leaves)?;
    let keys: Vec<String> = ledger.keys().iter().map(ToString::to_string).collect();
    let question = Question {
        dir: ledger.dir().to_owned(),
        origin: ORIGIN.to_owned(),
        keys: keys.clone(),
        seen: published.notes.clone(),
        inclusion: proofs(size, |place| Ok((size, ledger.inclusion(place, size)?)))?,
        consistency: proofs(size, |old| Ok((size, ledger.consistency(old, size)?)))?,
    };
    let answer = foreign::reference(&question)?;
    ensure!(answer.size == size && answer.leaves == size, "{answer:?}");

    let tree = Tree::new(leaves);
    let note = ledger
        .checkpoint()
        .borrow()
        .clone()
        .context("a checkpoint")?;
    let (noted, root) = foreign::opened(&note, &keys)?;
    ensure!(
        noted == size && tree.roots(&[size])? == [root],
        "another root"
    );
    for index in 0..size {
        tree.included(index, size, root, &ledger.inclusion(index, size)?)?;
    }
    for note in &published.notes {
        let old = foreign::opened(note, &keys)?;
        if old.0 < size {
            foreign::consistent(old, (size, root), &ledger.consistency(old.0, size)?)?;
        }
    }
    Ok(())
}

fn proofs(
    size: u64,
    make: impl Fn(u64) -> Result<(u64, Vec<lineside_proto::ledger::Hash>)>,
) -> Result<Vec<Proof>> {
    let proof = |place| {
        let (size, hashes) = make(place)?;
        Ok(Proof::new(place, size, &hashes))
    };
    (1..size).map(proof).collect()
}

/// What was published is what is on disk, as far as the city has it, and adds up.
fn same(published: &Evidence, leaves: &[Vec<u8>]) -> Result<()> {
    let mut conservation = Conservation::default();
    for (said, leaf) in published.leaves.values().zip(leaves) {
        ensure!(said.as_bytes() == leaf, "{said}");
    }
    for leaf in published.facts()? {
        conservation.take(&leaf);
    }
    let report = conservation.report();
    ensure!(report.is_sound(), "{:?}", report.violations);
    Ok(())
}
