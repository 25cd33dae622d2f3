//! Receipts from a made-up pilot line's bundle.

use lineside_proto::evidence::sample::{Sample, zip};
use lineside_proto::evidence::{Totals, Verdict};
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::proof::LeafProof;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

use super::{Args, Format, file_name, receipt};
use crate::cli::Failure;
use crate::report::receipt::Receipt;
use crate::text::Language;

/// A bundle with its trust file, and its totals.
struct Desk {
    dir: TempDir,
    totals: Totals,
}

impl Desk {
    fn new() -> Self {
        let sample = Sample::new();
        let (manifest, files) = sample.seal(&sample.whole()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.zip"), zip(&manifest, &files).unwrap()).unwrap();
        fs::write(dir.path().join("trust.toml"), sample.trust()).unwrap();
        let totals = serde_json::from_slice(&files["report.json"]).unwrap();
        Self { dir, totals }
    }

    fn args(&self, session: &str, is_trusted: bool) -> Args {
        let path = |name: &str| -> PathBuf { self.dir.path().join(name) };
        Args {
            session: session.to_owned(),
            bundle: path("b.zip"),
            trust: is_trusted.then(|| path("trust.toml")),
            output: None,
            format: Format::Html,
            json: false,
        }
    }

    fn receipt(&self, session: &str) -> Result<Receipt, Failure> {
        receipt(&self.args(session, true), Language::En)
    }

    fn sessions(&self) -> Vec<&str> {
        let machines = self.totals.machines.iter();
        let sessions = machines.flat_map(|machine| &machine.sessions);
        sessions.map(|session| session.session.as_str()).collect()
    }
}

#[test]
fn every_session_of_a_bundle_has_a_receipt_that_proves_itself() {
    let desk = Desk::new();
    let sessions = desk.sessions();
    assert!(sessions.len() > 3);
    // Each asks the verifier anew: a few stand for all.
    for session in [
        sessions[0],
        sessions[sessions.len() / 2],
        sessions[sessions.len() - 1],
    ] {
        let receipt = desk.receipt(session).unwrap();
        assert_eq!(receipt.verdict, Verdict::Verified);
        assert_eq!(receipt.session.session, session);
        assert!(receipt.leaf.contains(session), "{}", receipt.leaf);
        // As another verifier reads it: from the file alone.
        let proof = LeafProof::parse(&receipt.proof().to_string()).unwrap();
        let leaf = proof.extra.clone().unwrap();
        assert_eq!(leaf, receipt.leaf.as_bytes());
        let head = proof.check(Hash::of_leaf(&leaf)).unwrap();
        assert_eq!(
            (head.size, head.root.to_string()),
            (desk.totals.size, desk.totals.root.clone())
        );
        // The code says the same.
        let expected = format!(
            "lineside-receipt/v1\nindex {}\nleaf {}\n\n{head}",
            proof.index,
            Hash::of_leaf(&leaf)
        );
        assert_eq!(receipt.code, expected);
        let json = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
    }
}

#[test]
fn the_page_is_whole_in_either_language_and_needs_nothing_else() {
    let desk = Desk::new();
    let receipt = desk.receipt(desk.sessions()[0]).unwrap();
    for (language, words) in [
        (
            Language::En,
            ["Receipt for machine-hours", "Counted", "Evidence", "Proof"],
        ),
        (
            Language::ZhCn,
            ["上机机时凭证", "计入时长", "证据等级", "存证证明"],
        ),
    ] {
        let page = receipt.page(language);
        for word in words {
            assert!(page.contains(word), "{word}");
        }
        assert!(page.contains(&receipt.leaf_hash) && page.contains("class=\"qr\""));
        assert!(!page.contains("class=\"across\""));
        for word in ["<script", "src=", "http://", "https://", " style="] {
            assert!(!page.contains(word), "{word}");
        }
    }
    let mut hostile = receipt.clone();
    hostile.session.booking = Some("<img src=x>\"".to_owned());
    let page = hostile.page(Language::En);
    assert!(
        page.contains("&lt;img src=x&gt;&quot;") && !page.contains("<img"),
        "{page}"
    );
}

#[test]
fn without_a_trusted_key_the_page_is_marked() {
    let desk = Desk::new();
    let receipt = receipt(&desk.args(desk.sessions()[0], false), Language::En).unwrap();
    assert_eq!(receipt.verdict, Verdict::SelfConsistent);
    assert!(
        receipt
            .page(Language::En)
            .contains("<span>SIGNER UNKNOWN</span>")
    );
}

#[test]
fn a_session_is_found_by_the_beginning_of_its_name_if_that_is_enough() {
    let desk = Desk::new();
    let whole = desk.sessions()[0];
    let unique = |length: &usize| {
        desk.sessions()
            .iter()
            .filter(|other| other.starts_with(&whole[..*length]))
            .count()
            == 1
    };
    let length = (1..=whole.len()).find(unique).unwrap();
    assert_eq!(
        desk.receipt(&whole[..length]).unwrap().session.session,
        whole
    );
    assert!(
        matches!(desk.receipt(""), Err(Failure::Usage(text)) if text.en.contains("sessions begin with"))
    );
    assert!(matches!(desk.receipt("no-such"), Err(Failure::Negative(_))));
}

#[test]
fn what_does_not_verify_gives_no_receipt() {
    let desk = Desk::new();
    let path = desk.dir.path().join("b.zip");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let session = desk.sessions()[0];
    assert!(
        matches!(desk.receipt(session), Err(Failure::Negative(text)) if text.en.contains("gives no receipt"))
    );
}

#[test]
fn a_name_from_a_bundle_is_no_path() {
    assert_eq!(file_name("../../etc/x"), "______etc_x");
    assert_eq!(file_name("01KBQ4S8-a"), "01KBQ4S8-a");
    assert_eq!(file_name(&"x".repeat(500)).len(), 64);
}
