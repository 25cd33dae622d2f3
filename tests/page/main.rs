//! The verifier as a page, tried in a browser that is not ours, against the verifier in Rust.

mod policy;
mod units;

use lineside_tests::subscriber::root;
use std::path::PathBuf;

/// The page.
fn page_path() -> PathBuf {
    root().join("proto/page/verify.html")
}
