//! What the tests stand on: peers that are not ours, faults between them and the agent, and the
//! judgement of what arrived.
//!
//! Nothing here knows how the agent works inside: it starts the real binary and looks at what others
//! see of it. Every wait has a limit, every process is ended by its own id, every port is the kernel's.

pub mod agent;
pub mod archive;
pub mod broker;
pub mod browser;
pub mod city;
pub mod cosigned;
pub mod counting;
pub mod dense;
pub mod device;
pub mod durable;
pub mod evidence;
pub mod fleet;
pub mod foreign;
pub mod forgery;
pub mod http;
pub mod log;
pub mod mqtt;
pub mod opcua;
pub mod plant;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod requester;
pub mod said;
pub mod schemas;
pub mod sequence;
pub mod shelf;
pub mod site;
pub mod stand;
pub mod subscriber;
pub mod wait;
pub mod witness;
