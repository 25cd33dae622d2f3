//! One target under libFuzzer: `FUZZ_TARGET` names it. With `FUZZ_SEEDS` it writes what fuzzing begins with instead.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

mod seeds;

use std::sync::LazyLock;

static TARGET: LazyLock<&targets::Target> = LazyLock::new(|| {
    if let Some(dir) = std::env::var_os("FUZZ_SEEDS") {
        seeds::write(std::path::Path::new(&dir));
        std::process::exit(0);
    }
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    targets::TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("a target of this name")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
