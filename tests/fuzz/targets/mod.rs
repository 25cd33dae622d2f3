//! What is fuzzed: each a function that takes any bytes, reads them by one of our decoders, and asserts what must
//! hold of whatever comes out. A panic is a finding; so is too much memory, which the runner watches.

mod bundles;
mod canonical;
mod documents;
mod leaves;
mod logs;
mod texts;
mod tokens;

/// A decoder under fire.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Its name, which its corpus has, too.
    pub(crate) name: &'static str,
    /// Reads any bytes.
    pub(crate) run: fn(&[u8]),
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    target("bundle", bundles::raw),
    target("sealed", bundles::sealed),
    target("manifest", bundles::manifest),
    target("trust", bundles::trust),
    target("totals", bundles::totals),
    target("ledger", leaves::ledger),
    target("tally", leaves::tally),
    target("leaf", leaves::leaf),
    target("jcs", canonical::jcs),
    target("note", logs::note),
    target("vkey", logs::vkey),
    target("checkpoint", logs::checkpoint),
    target("tile", logs::tile),
    target("proof", logs::proof),
    target("jws", tokens::jws),
    target("jwk", tokens::jwk),
    target("bookings", tokens::bookings),
    target("claims", tokens::claims),
    target("organisations", tokens::organisations),
    target("document", documents::document),
    target("request", documents::request),
    target("time", texts::time),
    target("name", texts::name),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Bytes as a text; none of bytes that are none.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
