//! The ledger's log, tried hard: by verifiers that are not ours, by forgers, by kills, power cuts and full disks.

mod crash;
mod foreign;
mod full;
mod how;
mod mutations;
