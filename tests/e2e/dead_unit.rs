//! One dead unit on a serial bus: the others hardly notice.

use anyhow::{Result, ensure};
use lineside::config::model::Table;
use lineside::sim::device::{Device, FaultKind};
use lineside_tests::broker::Persistence;
use lineside_tests::wait;
use std::time::{Duration, Instant};

use lineside_tests::stand::{HEAVY, LIMIT, QUICK, Stand};

/// A tenth of the default, and so is the interval: all else scales with the timeout by itself.
const TIMEOUT: &str = "100ms";
const INTERVAL: Duration = Duration::from_millis(100);
/// Several of the periods after which a dead unit is asked again (thirty times 300 ms).
const WATCHED: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_units_keep_their_rate_beside_a_dead_one() -> Result<()> {
    let _heavy = HEAVY.lock().await;
    let device = Device::new(61);
    for unit in 1..=3 {
        device.unit(unit).set(Table::Holding, 0, &[u16::from(unit)]);
    }
    let port = device.open_pty()?;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    for unit in 1..=3 {
        let map = format!(
            "[connection]\nprotocol = \"modbus-rtu\"\nport = {port:?}\nbaud = 115200\n\
             parity = \"none\"\ntimeout = \"{TIMEOUT}\"\nunit-id = {unit}\n\
             [groups]\nfast = \"{INTERVAL:?}\"\n[points]\n\
             a = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
             [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a == {unit}\"\n"
        );
        stand.site.machine(&format!("unit-{unit}"), &map)?;
    }
    stand.start()?;
    for unit in 1..=3 {
        let machine = format!("unit-{unit}");
        stand.availability(&machine, 0, |document, _| {
            document.rule.is_some().then_some(())
        })?;
    }
    device.unit(3).fault(FaultKind::Silent);
    stand.availability("unit-3", 0, |document, _| {
        (document.rule.is_none() && document.observed_at.is_some()).then_some(())
    })?;

    let count = || {
        (1..=3)
            .map(|unit| device.statistics().of_unit(unit))
            .collect::<Vec<u64>>()
    };
    let (before, begun) = (count(), Instant::now());
    wait::throughout(WATCHED, || Ok(()))?;
    let polls: Vec<u64> = count()
        .iter()
        .zip(&before)
        .map(|(now, then)| now - then)
        .collect();
    let due = begun.elapsed().as_secs_f64() / INTERVAL.as_secs_f64();
    eprintln!("polls of three units in {WATCHED:?}, {due:.0} due: {polls:?}");
    let [one, two, dead] = polls[..] else {
        anyhow::bail!("{polls:?}")
    };
    for kept in [one, two] {
        let share = f64::from(u32::try_from(kept)?) / due;
        ensure!(share >= 0.95, "{kept} of {due:.0} polls");
    }
    ensure!(
        (2..=6).contains(&dead),
        "the dead unit was asked {dead} times"
    );

    device.unit(3).clear();
    let asked = device.statistics().of_unit(3);
    wait::until_true("the dead unit to be asked again", LIMIT, || {
        device.statistics().of_unit(3) > asked
    })?;
    let mark = stand.archive.mark()?;
    stand.availability("unit-3", mark, |document, _| {
        document.rule.is_some().then_some(())
    })?;
    ensure!(
        device.statistics().foreign_total() == 0,
        "{:?}",
        device.statistics().foreign
    );
    stand.stop()
}
