//! The rim towards the machines: what a device says becomes samples, what it doesn't say becomes
//! bad samples. Nothing here can write to a machine.

pub mod modbus;
