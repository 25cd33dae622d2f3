//! What an archive serves over HTTP.

pub mod witness;
