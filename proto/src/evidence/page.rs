//! The verifier as a page: a second implementation of the checks, in one file that a browser opens from disk.

/// The page's text: HTML, with its scripts and style in it. It asks for nothing from anywhere.
pub const PAGE: &str = include_str!("../../page/verify.html");
