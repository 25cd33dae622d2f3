//! Many machines with many scattered points, for load.

use crate::site::Site;
use anyhow::Result;
use lineside::config::model::{Order, Table};
use lineside::sim::device::Device;
use std::net::SocketAddr;

/// Registers from one point to the next: a float and one register that nobody reads.
pub const REGISTERS_OF_POINT: u16 = 3;

/// Machines behind devices of their own.
pub struct Plant {
    /// The devices, in the order of the names.
    pub devices: Vec<Device>,
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    /// The machines' names.
    pub names: Vec<String>,
    points: u16,
}

impl Plant {
    /// So many machines with so many float points each. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the kernel has no port.
    pub async fn start(machines: usize, points: u16) -> Result<Self> {
        let mut plant = Self {
            devices: Vec::new(),
            addresses: Vec::new(),
            names: Vec::new(),
            points,
        };
        for machine in 0..machines {
            let device = Device::new(u64::try_from(machine)?);
            let unit = device.unit(1);
            for point in 0..points {
                let value = f32::from(point).mul_add(0.37, 20.0);
                unit.set_f32(
                    Table::Holding,
                    point * REGISTERS_OF_POINT,
                    value,
                    Order::Abcd,
                );
            }
            plant.addresses.push(device.listen_tcp().await?);
            plant.names.push(format!("machine-{machine:02}"));
            plant.devices.push(device);
        }
        Ok(plant)
    }

    /// Writes the machines' maps.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn write(&self, site: &Site, interval: &str) -> Result<()> {
        for (name, address) in self.names.iter().zip(&self.addresses) {
            site.machine(name, &map(&address.to_string(), self.points, interval))?;
        }
        Ok(())
    }

    /// Gives one in `nth` points another value, so that what is sent does not compress to nothing.
    pub fn change(&self, rng: &mut fastrand::Rng, nth: u16) {
        for device in &self.devices {
            let unit = device.unit(1);
            for point in (rng.u16(..nth)..self.points).step_by(usize::from(nth)) {
                unit.set_f32(
                    Table::Holding,
                    point * REGISTERS_OF_POINT,
                    rng.f32() * 400.0,
                    Order::Abcd,
                );
            }
        }
    }
}

/// The map of one such machine, without its name.
pub fn map(address: &str, points: u16, interval: &str) -> String {
    let mut map = format!(
        "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"{address}\"\nunit-id = 1\n\
         [groups]\nfast = \"{interval}\"\n[points]\n"
    );
    for point in 0..points {
        let at = point * REGISTERS_OF_POINT;
        map.push_str(&format!(
            "p{point} = {{ holding = 0x{at:x}, type = \"f32\", group = \"fast\" }}\n"
        ));
    }
    map.push_str("[[state.rules]]\nstate = \"RUN\"\nwhen = \"p0 >= 0\"\n");
    map
}
