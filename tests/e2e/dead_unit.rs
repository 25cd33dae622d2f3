//! One dead unit on a serial bus: the others hardly notice, beside a bus of the same agent where all live.

use anyhow::{Result, ensure};
use lineside::config::model::Table;
use lineside::sim::device::{Device, FaultKind};
use lineside_tests::broker::Persistence;
use lineside_tests::wait;
use std::time::Duration;

use lineside_tests::stand::{HEAVY, LIMIT, QUICK, Stand};

/// A tenth of the default, and so is the interval: all else scales with the timeout by itself.
const TIMEOUT: &str = "100ms";
const INTERVAL: Duration = Duration::from_millis(100);
/// Several of the periods after which a dead unit is asked again (thirty times 300 ms).
const WATCHED: Duration = Duration::from_secs(45);
/// A third of what is due where all live: a machine that manages less has nothing to judge by.
const POLLS_MIN: u64 = 150;

/// A bus with three units, one machine each, all of which answer.
struct Bus {
    name: &'static str,
    device: Device,
}

impl Bus {
    fn start(stand: &Stand, name: &'static str, seed: u64) -> Result<Self> {
        let device = Device::new(seed);
        let port = device.open_pty()?;
        for unit in 1..=3 {
            device.unit(unit).set(Table::Holding, 0, &[u16::from(unit)]);
            let map = format!(
                "[connection]\nprotocol = \"modbus-rtu\"\nport = {port:?}\nbaud = 115200\n\
                 parity = \"none\"\ntimeout = \"{TIMEOUT}\"\nunit-id = {unit}\n\
                 [groups]\nfast = \"{INTERVAL:?}\"\n[points]\n\
                 a = {{ holding = 0, type = \"u16\", group = \"fast\" }}\n\
                 [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a == {unit}\"\n"
            );
            stand.site.machine(&format!("{name}-{unit}"), &map)?;
        }
        Ok(Self { name, device })
    }

    fn answers(&self, stand: &mut Stand) -> Result<()> {
        for unit in 1..=3 {
            stand.availability(&format!("{}-{unit}", self.name), 0, |document, _| {
                document.rule.is_some().then_some(())
            })?;
        }
        Ok(())
    }

    /// How often each unit was asked.
    fn polls(&self) -> [u64; 3] {
        [1, 2, 3].map(|unit| self.device.statistics().of_unit(unit))
    }

    fn has_no_foreign_request(&self) -> Result<()> {
        let statistics = self.device.statistics();
        ensure!(statistics.foreign_total() == 0, "{:?}", statistics.foreign);
        Ok(())
    }
}

fn since([one, two, three]: [u64; 3], then: [u64; 3]) -> [u64; 3] {
    let [first, second, third] = then;
    [one - first, two - second, three - third]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_units_keep_their_rate_beside_a_dead_one() -> Result<()> {
    let _heavy = HEAVY.lock().await;
    let mut stand = Stand::new(Persistence::Off, QUICK)?;
    let bus = Bus::start(&stand, "bus", 61)?;
    let reference = Bus::start(&stand, "reference", 62)?;
    stand.start()?;
    bus.answers(&mut stand)?;
    reference.answers(&mut stand)?;
    bus.device.unit(3).fault(FaultKind::Silent);
    stand.availability("bus-3", 0, |document, _| {
        (document.rule.is_none() && document.observed_at.is_some()).then_some(())
    })?;

    let before = (bus.polls(), reference.polls());
    wait::throughout(WATCHED, || Ok(()))?;
    let [one, two, dead] = since(bus.polls(), before.0);
    let living = since(reference.polls(), before.1);
    eprintln!(
        "polls in {WATCHED:?} every {INTERVAL:?}: {one} and {two} beside a dead unit with {dead}, \
         {living:?} where all live"
    );
    let most = living.into_iter().max().unwrap_or_default();
    ensure!(most >= POLLS_MIN, "{most} polls where all live");
    for kept in [one, two] {
        ensure!(kept * 100 >= most * 95, "{kept} of {most} polls");
    }
    ensure!(
        (2..=6).contains(&dead),
        "the dead unit was asked {dead} times"
    );

    bus.device.unit(3).clear();
    let asked = bus.device.statistics().of_unit(3);
    wait::until_true("the dead unit to be asked again", LIMIT, || {
        bus.device.statistics().of_unit(3) > asked
    })?;
    let mark = stand.archive.mark()?;
    stand.availability("bus-3", mark, |document, _| {
        document.rule.is_some().then_some(())
    })?;
    bus.has_no_foreign_request()?;
    reference.has_no_foreign_request()?;
    stand.stop()
}
