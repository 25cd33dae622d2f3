//! Sessions against a real server in this process.

mod hostile;
mod open;
mod peer;
mod reopen;
mod walk;
