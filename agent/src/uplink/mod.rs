//! The rim towards the city.

pub mod board;
mod delivery;
mod flight;
mod history;
mod refusal;
mod shown;
