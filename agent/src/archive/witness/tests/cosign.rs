//! What is cosigned and what is not; what is taken in.

use std::fs;

use lineside_proto::ledger::note::{Note, Signature};
use lineside_proto::ledger::{Checkpoint, Hash};

use super::{Desk, Log, NAME, ORIGIN, at};
use crate::archive::witness::{AdoptError, Refusal, Witness, WitnessError, with_signature};
use crate::ledger::KeyError;

/// Asks by the right proof.
fn ask(
    witness: &Witness,
    log: Log,
    old: u64,
    size: u64,
    millis: i64,
) -> Result<Signature, Refusal> {
    let proof = log.proof(old, size);
    witness.cosign(&log.note(size), &log.head(size), old, &proof, at(millis))
}

/// The time in a cosignature of a note, once it is verified.
fn time_of(witness: &Witness, note: &Note, signature: &Signature) -> i64 {
    let note = with_signature(note, signature);
    let keys = [witness.key().clone()];
    let verified = note.verify(&keys).unwrap();
    verified[0].cosigned.unwrap().as_millis() - at(0).as_millis()
}

#[test]
fn a_log_that_grows_is_cosigned_and_nothing_else() {
    let log = Log::new();
    let fork = Log::forked('b', 9);
    let cases: [(&str, Log, u64, u64, u16, u64); 17] = [
        ("nothing", log, 0, 0, 200, 0),
        ("the first head", log, 0, 8, 200, 8),
        (
            "the same again, as if nothing was cosigned",
            log,
            0,
            8,
            409,
            8,
        ),
        ("the same again", log, 8, 8, 200, 8),
        ("a size that nobody cosigned", log, 7, 12, 409, 8),
        ("an old size beyond the head", log, 9, 8, 400, 8),
        ("a smaller head", log, 5, 5, 409, 8),
        ("growth", log, 8, 13, 200, 13),
        ("growth by nothing", log, 13, 13, 200, 13),
        ("another root of this size", fork, 13, 13, 422, 13),
        ("another root, from nothing", fork, 0, 13, 409, 13),
        ("another history", fork, 13, 20, 422, 13),
        (
            "another history, whose fork is not cosigned",
            Log::forked('b', 13),
            13,
            20,
            200,
            20,
        ),
        ("and then the first", log, 20, 30, 422, 20),
        (
            "a log of one leaf more",
            Log::forked('b', 13),
            20,
            21,
            200,
            21,
        ),
        ("a whole tree", Log::forked('b', 13), 21, 32, 200, 32),
        ("far ahead", Log::forked('b', 13), 32, 1000, 200, 1000),
    ];
    let desk = Desk::new();
    for (what, log, old, size, status, known) in cases {
        // Another process each time.
        let witness = desk.open();
        let asked = ask(&witness, log, old, size, 0);
        let said = asked.as_ref().map_or_else(Refusal::status, |_| 200);
        assert_eq!(said, status, "{what}: {asked:?}");
        if let Ok(signature) = &asked {
            assert_eq!(time_of(&witness, &log.note(size), signature), 0, "{what}");
        }
        if let Err(Refusal::Conflict(size)) = asked {
            assert_eq!(size, known, "{what}");
        }
        let cosigned = witness.cosigned(ORIGIN).unwrap();
        assert_eq!(cosigned.map_or(0, |one| one.size), known, "{what}");
    }
    // What told of the fork is kept.
    let proofs = fs::read_dir(desk.folder()).unwrap();
    let refused = proofs.filter_map(|entry| {
        let path = entry.unwrap().path();
        path.extension()
            .is_some_and(|end| end == "refused")
            .then_some(path)
    });
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused.len(), 1);
    let kept = fs::read_to_string(&refused[0]).unwrap();
    assert_eq!(kept, fork.note(13).to_string());
}

#[test]
fn proofs_must_be_those_of_the_head() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    ask(&witness, log, 0, 6, 0).unwrap();
    let check = |old, size, proof: &[Hash], status: u16| {
        let asked = witness.cosign(&log.note(size), &log.head(size), old, proof, at(0));
        let said = asked.as_ref().map_or_else(Refusal::status, |_| 200);
        assert_eq!(said, status, "{old} {size} {proof:?}");
    };
    let right = log.proof(6, 11);
    check(6, 11, &right[1..], 422);
    check(6, 11, &[], 422);
    check(6, 11, &log.proof(5, 11), 422);
    check(6, 11, &[&right[..], &right[..1]].concat(), 422);
    check(6, 6, &right, 422);
    check(6, 11, &right, 200);
    // Another log's first head: with a proof it proves nothing.
    let other = Log {
        origin: "example.com/other",
        ..log
    };
    let asked = witness.cosign(&other.note(3), &other.head(3), 0, &right, at(0));
    assert_eq!(asked.unwrap_err().status(), 422);
    // Without leaves there is one root only.
    let nothing = Checkpoint {
        root: Hash([1; 32]),
        ..other.head(0)
    };
    let note = Note {
        text: nothing.to_string(),
        signatures: Vec::new(),
    };
    let asked = witness.cosign(&note, &nothing, 0, &[], at(0));
    assert_eq!(asked.unwrap_err().status(), 422);
    // A head that is not the note's.
    let asked = witness.cosign(&log.note(12), &log.head(13), 11, &[], at(0));
    assert_eq!(asked.unwrap_err().status(), 400);
}

#[test]
fn lines_that_a_log_adds_are_cosigned_with_it() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    let text = format!("{}more\n", log.head(4));
    let signatures = vec![log.signer().sign(&text, at(0))];
    let note = Note { text, signatures };
    let signature = witness.cosign(&note, &log.head(4), 0, &[], at(0)).unwrap();
    assert_eq!(time_of(&witness, &note, &signature), 0);
}

#[test]
fn time_never_goes_back() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    let check = |old, size, millis, expected: Result<i64, i64>| {
        let asked = ask(&witness, log, old, size, millis);
        let said = match asked {
            Ok(signature) => Ok(time_of(&witness, &log.note(size), &signature)),
            Err(Refusal::Clock { behind_s }) => Err(behind_s),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(said, expected, "{millis}");
    };
    check(0, 1, 100_900, Ok(100_000));
    check(1, 1, 99_000, Ok(100_000));
    check(1, 2, 90_000, Ok(100_000));
    check(2, 3, 89_999, Err(11));
    check(2, 3, 0, Err(100));
    check(2, 3, 101_000, Ok(101_000));
    check(3, 4, -1_795_420_800_000, Err(1_795_420_901));
    // Another log has times of its own.
    let other = Log {
        origin: "example.com/other",
        ..log
    };
    assert!(ask(&witness, other, 0, 1, 0).is_ok());
    let never = Log {
        origin: "example.com/never",
        ..log
    };
    let asked = ask(&witness, never, 0, 1, -1_795_420_800_000);
    assert!(matches!(asked, Err(Refusal::Clock { .. })), "{asked:?}");
}

#[test]
fn what_others_kept_moves_the_record_forward() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    let adopt = |size, millis| witness.adopt(&log.head(size), at(millis)).unwrap();
    assert!(adopt(5, 10_000));
    assert!(!adopt(5, 10_000));
    // An older one tells nothing but its time.
    assert!(!adopt(3, 2_000));
    assert!(adopt(3, 20_000));
    let cosigned = witness.cosigned(ORIGIN).unwrap().unwrap();
    assert_eq!((cosigned.size, cosigned.at), (5, at(20_000)));
    assert!(adopt(9, 15_000));
    let cosigned = witness.cosigned(ORIGIN).unwrap().unwrap();
    assert_eq!((cosigned.size, cosigned.at), (9, at(20_000)));
    assert_eq!(cosigned.root, log.head(9).root.to_string());
    assert!(matches!(
        ask(&witness, log, 0, 12, 20_000),
        Err(Refusal::Conflict(9))
    ));
    let fork = Log::forked('b', 7);
    assert_eq!(
        ask(&witness, fork, 9, 12, 20_000).unwrap_err().status(),
        422
    );
    assert!(ask(&witness, log, 9, 12, 20_000).is_ok());
}

#[test]
fn a_record_that_was_restored_learns_from_its_own_cosignatures() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    ask(&witness, log, 0, 5, 0).unwrap();
    let backup: Vec<_> = [0, 1].map(|turn| fs::read(desk.slot(turn)).unwrap()).into();
    let signature = ask(&witness, log, 5, 10, 1_000).unwrap();
    let kept = with_signature(&log.note(10), &signature);
    for (turn, bytes) in (0..).zip(backup) {
        fs::write(desk.slot(turn), bytes).unwrap();
    }
    let witness = desk.open();
    assert_eq!(witness.cosigned(ORIGIN).unwrap().unwrap().size, 5);
    // Somebody else's line, and one that was changed, are nothing.
    let unsigned = witness.adopt_note(&log.note(10), at(9_000_000));
    assert!(
        matches!(unsigned, Err(AdoptError::Foreign(_))),
        "{unsigned:?}"
    );
    let mut changed = kept.clone();
    changed.text = log.head(11).to_string();
    assert!(matches!(
        witness.adopt_note(&changed, at(9_000_000)),
        Err(AdoptError::Foreign(_))
    ));
    assert!(witness.adopt_note(&kept, at(9_000_000)).unwrap());
    assert!(!witness.adopt_note(&kept, at(9_000_000)).unwrap());
    let fork = Log::forked('b', 7);
    assert_eq!(ask(&witness, fork, 5, 12, 2_000).unwrap_err().status(), 409);
    assert_eq!(
        ask(&witness, fork, 10, 12, 2_000).unwrap_err().status(),
        422
    );
    assert!(ask(&witness, log, 10, 12, 2_000).is_ok());
}

#[test]
fn two_heads_of_one_size_stop_a_log_for_good() {
    let (desk, log) = (Desk::new(), Log::new());
    let witness = desk.open();
    ask(&witness, log, 0, 5, 0).unwrap();
    let fork = Log::forked('b', 2);
    let adopted = witness.adopt(&fork.head(5), at(0));
    assert!(
        matches!(adopted, Err(AdoptError::Contradicted(_))),
        "{adopted:?}"
    );
    let witness = desk.open();
    for (log, old, size) in [(log, 5, 5), (log, 5, 8), (fork, 5, 8), (log, 0, 8)] {
        let asked = ask(&witness, log, old, size, 0);
        assert!(matches!(asked, Err(Refusal::Stopped(_))), "{asked:?}");
    }
    let adopted = witness.adopt(&log.head(50), at(0));
    assert!(
        matches!(adopted, Err(AdoptError::Stopped(_))),
        "{adopted:?}"
    );
    // That log only.
    let other = Log {
        origin: "example.com/other",
        ..log
    };
    assert!(ask(&witness, other, 0, 5, 0).is_ok());
}

#[test]
fn a_key_has_a_name_and_a_memory_and_is_nobody_elses() {
    let desk = Desk::new();
    assert_eq!(desk.open().key().name(), NAME);
    let again = Witness::create(&desk.key(), NAME);
    assert!(
        matches!(again, Err(WitnessError::Key(KeyError::Exists(_)))),
        "{again:?}"
    );
    for wrong in ["", "a b", "a+b", "a\nb", "\u{1}", &"a".repeat(256)] {
        let made = Witness::create(&desk.dir.path().join("other.key"), wrong);
        assert!(
            matches!(made, Err(WitnessError::Name(_))),
            "{wrong:?} {made:?}"
        );
    }
    let long = "a".repeat(255);
    let other = desk.dir.path().join("more/other.key");
    let made = Witness::create(&other, &long).unwrap();
    assert_eq!(Witness::open(&other).unwrap().key(), made.key());
    assert_eq!(made.key().name(), long);
    // A ledger's key names no witness.
    let ledger = desk.dir.path().join("ledger.key");
    crate::ledger::Keys::init(&ledger).unwrap();
    let opened = Witness::open(&ledger);
    assert!(
        matches!(opened, Err(WitnessError::Unnamed(_))),
        "{opened:?}"
    );
    fs::remove_dir(desk.folder()).unwrap();
    let opened = Witness::open(&desk.key());
    assert!(
        matches!(opened, Err(WitnessError::Forgotten(_))),
        "{opened:?}"
    );
    let missing = Witness::open(&desk.dir.path().join("none.key"));
    assert!(
        matches!(missing, Err(WitnessError::Key(KeyError::Missing(_)))),
        "{missing:?}"
    );
}
