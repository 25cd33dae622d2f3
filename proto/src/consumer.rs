//! x
/// x
pub struct Receipt;
/// x
pub fn believed() {}
