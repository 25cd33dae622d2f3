//! A virtual pilot line, for the demo, for training and for tests: Modbus devices that can be made to
//! misbehave at the level of frames, machines with a life of their own behind them, and a broker.
//!
//! Nothing here is used by the daemon. The devices are written without a Modbus library, since a
//! library sends only what is right.

pub mod broker;
pub mod device;
mod life;
pub mod line;
pub mod opcua;
mod plant;
pub mod year;
