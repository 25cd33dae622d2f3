//! The verifier as a page, tried in a browser that is not ours, against the verifier in Rust.

mod agree;
mod desk;
mod mutants;
mod network;
mod policy;
mod shown;
mod units;

use lineside_tests::subscriber::root;
use std::path::PathBuf;

/// The page.
fn page_path() -> PathBuf {
    root().join("proto/page/verify.html")
}

/// A bundle that everybody's tests know.
fn golden(name: &str) -> PathBuf {
    root().join("proto/tests/golden").join(name)
}
