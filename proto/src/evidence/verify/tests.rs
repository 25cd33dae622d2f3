use crate::text::Language;
use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::evidence::sample::{Plan, Sample, zip};
use crate::evidence::{Check, Manifest, Status, Trust, Verdict, Verification};
use crate::evidence::{tell, verify, verify_bytes};

fn of(sample: &Sample, plan: &Plan, trust: Option<&Trust>) -> Verification {
    let (manifest, files) = sample.seal(plan).unwrap();
    verify_bytes(&zip(&manifest, &files).unwrap(), trust)
}

fn honest() -> Vec<u8> {
    let sample = Sample::new();
    let (manifest, files) = sample.seal(&sample.middle()).unwrap();
    zip(&manifest, &files).unwrap()
}

#[test]
fn honest_bundles_are_verified() {
    let sample = Sample::new();
    let trust = Trust::parse(&sample.trust()).unwrap();
    for plan in [sample.whole(), sample.middle()] {
        let verified = of(&sample, &plan, Some(&trust));
        assert_eq!(verified.verdict, Verdict::Verified, "{verified:#?}");
        let alone = of(&sample, &plan, None);
        assert_eq!(alone.verdict, Verdict::SelfConsistent);
        for (language, word) in [(Language::En, "grade"), (Language::ZhCn, "等级")] {
            let text = tell("bundle.zip", &verified, language);
            assert!(text.contains(word), "{text}");
        }
    }
}

/// A zip of one manifest that says so much, and entries as they are given.
fn raw(entries: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, method) in entries {
        let options = SimpleFileOptions::default().compression_method(*method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn hostile_files_fail_and_say_why() {
    let check = |name: &str, bytes: &[u8], words: &str| {
        let said = verify_bytes(bytes, None);
        assert_eq!(said.verdict, Verdict::Failed, "{name}");
        let bundle = &said.checks[0];
        assert_eq!(
            (bundle.check, bundle.status),
            (Check::Bundle, Status::Failed)
        );
        let text = bundle.said.join("\n");
        assert!(text.contains(words), "{name}: {text}");
    };
    let good = honest();
    let deflated = CompressionMethod::Deflated;
    check("nothing", b"", "no directory");
    check("text", &b"hello".repeat(100), "no directory");
    check("cut off", &good[..good.len() - 1], "no directory");
    check(
        "something before it",
        &[b"x", &*good].concat(),
        "not where it says",
    );
    check(
        "no manifest",
        &raw(&[("report.json", b"{}", deflated)]),
        "missing",
    );
    let deep = "[".repeat(1 << 20);
    let manifest = |bytes: &[u8]| raw(&[("manifest.json", bytes, deflated)]);
    check("deep", &manifest(deep.as_bytes()), "manifest");
    check("no JSON", &manifest(b"\xff"), "manifest");
    check("a bomb", &manifest(&vec![b' '; 40 << 20]), "at most");
    let end = good.len() - 22;
    let mut many = good.clone();
    many[end + 8..end + 12].copy_from_slice(&[0xfe, 0xff, 0xfe, 0xff]);
    check("many entries", &many, "breaks off");
    let central = good
        .windows(4)
        .rposition(|four| four == b"PK\x01\x02")
        .unwrap();
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[central + at] = byte;
        bytes
    };
    check("encrypted", &change(8, 1), "encrypted");
    check(
        "another method",
        &change(10, 12),
        "neither stored nor deflated",
    );
    check("a length that lies", &change(24, 0xff), "bytes");
    check(
        "an offset that lies",
        &change(42, good[central + 42] ^ 1),
        "manifest.json",
    );
    let mut huge = good.clone();
    huge[end + 12..end + 16].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    check("a huge directory", &huge, "at most");
}

#[test]
fn entries_that_are_not_the_manifests_are_named() {
    let sample = Sample::new();
    let (manifest, files) = sample.seal(&sample.middle()).unwrap();
    let check = |change: &dyn Fn(&mut Manifest), words: &str| {
        let mut changed = manifest.clone();
        change(&mut changed);
        let said = verify_bytes(&zip(&changed, &files).unwrap(), None);
        assert_eq!(said.checks[0].status, Status::Failed, "{words}");
        let text = said.checks[0].said.join("\n");
        assert!(text.contains(words), "{text}");
        for result in &said.checks[1..] {
            assert_eq!(result.said, ["not run"]);
        }
    };
    check(&|manifest| manifest.first = manifest.end + 256, "can't be");
    check(&|manifest| manifest.end = u64::MAX, "can't be");
    check(&|manifest| manifest.first += 1, "256");
    check(
        &|manifest| manifest.start_size = manifest.size + 1,
        "older tree",
    );
    check(&|manifest| manifest.to = manifest.from, "period");
    check(
        &|manifest| manifest.to = manifest.to.plus_millis(1),
        "period",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_byte_can_be_changed_unseen(place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        thread_local!(static GOOD: (Vec<u8>, Trust) = (honest(), Trust::parse(&Sample::new().trust()).unwrap()));
        let (bytes, trust) = GOOD.with(Clone::clone);
        let mut changed = bytes.clone();
        let place = place.index(changed.len());
        changed[place] ^= 1 << bit;
        let said = verify_bytes(&changed, Some(&trust));
        if said.verdict == Verdict::Verified {
            // Only what nobody reads: times, versions, checksums and rights in the zip's own records.
            let other = verify(Cursor::new(&bytes), Some(&trust), Language::En);
            prop_assert_eq!(said, other);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(verify_bytes(&bytes, None).verdict, Verdict::Failed);
    }
}
