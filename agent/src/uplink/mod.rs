//! The rim towards the city.

pub mod board;
