//! Small bundles that are made up, always the same, for everybody's tests.
//!
//! [`Sample::new`] gives a pilot line's nine days as leaves; [`Sample::seal`] makes the entries of a bundle of them,
//! signed by the test keys; [`zip()`] writes these. Whoever wants to see a check fail changes the leaves before
//! sealing, or the entries before zipping: only what was changed is wrong then.

mod city;
mod days;
mod line;
mod seal;

pub use city::{Keys, MAP, ORIGIN, map_text, token};
pub use days::{FIRST_DAY_MS, Sample};
pub use line::{Begin, Line};
pub use seal::{Files, Plan, zip};

#[cfg(test)]
mod tests;
