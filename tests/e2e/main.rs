//! The agent from end to end: the real binary between peers that are not ours, through faults.

mod apply;
mod availability;
mod bad_input;
mod broker;
mod console;
mod dead_unit;
mod entered;
mod help;
mod ledger;
mod opcua;
mod opcua_faults;
mod opcua_messages;
mod opcua_nodes;
mod opcua_tools;
mod outage;
mod portal;
mod probe;
mod readonly;
mod reload;
mod requests;
mod stale;
mod status;
mod tokens;
mod types;
mod usage;
mod will;
