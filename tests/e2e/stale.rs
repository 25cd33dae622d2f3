//! Late answers: a hundred thousand reads, one in ten answered late, and not one value that belongs
//! to another request.

use anyhow::{Context, Result, ensure};
use lineside::clock::SystemClock;
use lineside::config::load;
use lineside::config::model::{Address, MachineMap, Table};
use lineside::field::Field;
use lineside::field::opcua::Own;
use lineside::sample::{Observation, Slot, Value};
use lineside::sim::device::{Device, Fault, FaultKind, When};
use lineside_tests::site::Site;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use lineside_tests::stand::HEAVY;

/// Reads that each transport is to be asked for at least.
const READS: u64 = 100_000;
/// Links at once; each waits out its own late answers.
const LINKS: u16 = 150;
/// Points of a machine, each read by a request of its own and holding its own address.
const ADDRESSES: [u16; 4] = [0, 200, 400, 600];
/// Beyond the timeout of 20 ms and far within the quiet window after it, so that a busy machine, which
/// delays the simulated devices, too, does not push an answer out of the window.
const LATE: Duration = Duration::from_millis(25);
const SETTINGS: &str = "timeout = \"20ms\"\nquiet = \"350ms\"";
/// Batches on their way to the count.
const BATCHES_MAX: usize = 1024;
const LIMIT: Duration = Duration::from_secs(150);

async fn place(device: &Device, protocol: &str) -> Result<String> {
    Ok(match protocol {
        "modbus-tcp" => format!("address = \"{}\"", device.listen_tcp().await?),
        "modbus-rtu-over-tcp" => format!("address = \"{}\"", device.listen_rtu_over_tcp().await?),
        _ => format!(
            "port = {:?}\nbaud = 115200\nparity = \"none\"\nlisten = \"200ms\"",
            device.open_pty()?
        ),
    })
}

/// One machine a link, each with its device.
async fn machines(protocol: &str) -> Result<(Vec<Device>, Vec<(Slot, Arc<MachineMap>)>)> {
    let site = Site::new(1883)?;
    let mut devices = Vec::new();
    for link in 0..LINKS {
        let device = Device::new(u64::from(link));
        let unit = device.unit(1);
        let mut map = format!(
            "[connection]\nprotocol = \"{protocol}\"\n{}\n{SETTINGS}\n\
             [groups]\nfast = \"100ms\"\n[points]\n",
            place(&device, protocol).await?
        );
        for address in ADDRESSES {
            unit.set(Table::Holding, address, &[address]);
            map.push_str(&format!(
                "p{address} = {{ holding = {address}, type = \"u16\", group = \"fast\" }}\n"
            ));
        }
        map.push_str("[[state.rules]]\nstate = \"IDLE\"\nwhen = \"p0 == 0\"\n");
        site.machine(&format!("link-{link:03}"), &map)?;
        device.fault(Fault {
            kind: FaultKind::Late(LATE),
            when: When::Chance(0.1),
        });
        devices.push(device);
    }
    let loaded = load(&site.config());
    let loaded = loaded.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    // Quicker than a map may ask for, so that the count is reached within a test.
    let quick = |map: &Arc<MachineMap>| {
        let mut map = MachineMap::clone(map);
        for group in &mut map.groups {
            group.interval = Duration::from_millis(10);
        }
        Arc::new(map)
    };
    let slots = (0..)
        .map(Slot)
        .zip(loaded.config.machines.iter().map(quick))
        .collect();
    Ok((devices, slots))
}

async fn no_stale_value(protocol: &str) -> Result<()> {
    let (devices, machines) = machines(protocol).await?;
    let (sender, mut observations) = mpsc::channel(BATCHES_MAX);
    // No machine here is behind an OPC UA server.
    let own = Own {
        directory: PathBuf::new(),
        uri: String::new(),
    };
    let mut field = Field::new(Arc::new(SystemClock), own, sender);
    field.apply(&machines).await;
    let (mut good, mut bad, mut stale) = (0_u64, 0_u64, 0_u64);
    let reads = || {
        devices
            .iter()
            .map(|device| device.statistics().total())
            .sum::<u64>()
    };
    let counted = tokio::time::timeout(LIMIT, async {
        while let Some(observation) = observations.recv().await {
            let Observation::Batch(batch) = observation else {
                anyhow::bail!("not of Modbus: {observation:?}");
            };
            let (_, map) = machines
                .iter()
                .find(|(slot, _)| *slot == batch.slot)
                .context("a slot")?;
            for sample in batch.samples {
                let point = map
                    .points
                    .get(usize::from(sample.point))
                    .context("a point")?;
                let Address::Modbus(address) = &point.address else {
                    anyhow::bail!("no register: {:?}", point.address);
                };
                match sample.reading {
                    Ok(value) if value == Value::Uint(u64::from(address.start)) => good += 1,
                    Ok(_) => stale += 1,
                    Err(_) => bad += 1,
                }
            }
            let done = good + bad >= READS && (good + bad) % 1_000 == 0 && reads() >= READS;
            if done || stale > 0 {
                return Ok(());
            }
        }
        anyhow::bail!("the field has ended")
    });
    let counted = counted.await;
    eprintln!(
        "{protocol}: {} reads, {good} good, {bad} bad, {stale} stale",
        reads()
    );
    counted.context("too slow")??;
    ensure!(stale == 0, "{stale} stale values");
    ensure!(
        good > READS / 2 && bad > READS / 20,
        "{good} good, {bad} bad"
    );
    observations.close();
    field.stop().await;
    let foreign: u64 = devices
        .iter()
        .map(|device| device.statistics().foreign_total())
        .sum();
    ensure!(foreign == 0, "{foreign} requests that no reader sends");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stale_value_over_tcp() -> Result<()> {
    let _heavy = HEAVY.lock().await;
    no_stale_value("modbus-tcp").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stale_value_over_rtu_in_tcp() -> Result<()> {
    let _heavy = HEAVY.lock().await;
    no_stale_value("modbus-rtu-over-tcp").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stale_value_on_serial_lines() -> Result<()> {
    let _heavy = HEAVY.lock().await;
    no_stale_value("modbus-rtu").await
}
