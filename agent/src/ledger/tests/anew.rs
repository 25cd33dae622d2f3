//! A new epoch where witnesses are named: which head it cites, and when it waits for a word of the city.

use super::witnessed::{bare, cosigned, open, two, written};
use super::{ORIGIN, Place, grow, note};
use crate::ledger::{Ledger, LedgerError, Seen, Testimony, Witnessed, new_epoch};
use lineside_proto::ledger::Hash;
use std::fs;

fn cited(place: &Place) -> (u32, Option<(String, u64)>) {
    let (_, opened) = Ledger::open_witnessed(&place.state(), &place.key(), ORIGIN, &two()).unwrap();
    (
        opened.epoch,
        opened.prior.map(|prior| (prior.origin, prior.size)),
    )
}

#[test]
fn a_new_epoch_cites_what_the_city_has_and_no_number_comes_twice() {
    let other = Hash([9; 32]);
    let keys = two().keys;
    let check = |shown: &[String], prior: Option<&str>, expected: (u32, Option<(&str, u64)>)| {
        let place = Place::new();
        let ledger = written(&place, 3);
        for note in shown {
            ledger.cosign(note).unwrap();
        }
        if shown.is_empty() {
            ledger.cosign(&cosigned(&note(&ledger), 2, 1)).unwrap();
        }
        drop(ledger);
        let testimony = Testimony {
            witnesses: &keys,
            quorum: 1,
            prior,
            ..Testimony::default()
        };
        new_epoch(&place.state(), &place.key(), ORIGIN, "x", &testimony).unwrap();
        let (epoch, head) = cited(&place);
        let head = head.as_ref().map(|(origin, size)| (origin.as_str(), *size));
        assert_eq!((epoch, head), expected, "{shown:?} {prior:?}");
    };
    let third = "lineside/site/gw/e3";
    let (more, less) = (bare(ORIGIN, 10, other, 1), bare(ORIGIN, 2, other, 1));
    let later = bare(third, 7, other, 2);
    check(&[], None, (2, Some((ORIGIN, 3))));
    check(std::slice::from_ref(&more), None, (2, Some((ORIGIN, 10))));
    check(&[more.clone(), less.clone()], None, (2, Some((ORIGIN, 10))));
    // This copy went its own way, and signed more than the city saw.
    check(std::slice::from_ref(&less), None, (2, Some((ORIGIN, 2))));
    check(&[more.clone(), later.clone()], None, (4, Some((third, 7))));
    check(&[], Some(&more), (2, Some((ORIGIN, 10))));
    check(&[less], Some(&more), (2, Some((ORIGIN, 10))));
    check(&[], Some(&later), (4, Some((third, 7))));
    for (prior, why) in [
        ("junk", "no signed note"),
        (&*bare(ORIGIN, 10, other, 3), "neither this gateway's key"),
        (&*bare("other", 10, other, 1), "neither this gateway's key"),
    ] {
        refused(&[], prior, why);
    }
    refused(&[later], &more, "epoch 3 is known");
    let less = bare(ORIGIN, 2, other, 1);
    refused(&[more], &less, "10 are known to be cosigned");
}

fn refused(shown: &[String], prior: &str, why: &str) {
    let place = Place::new();
    let ledger = written(&place, 3);
    for note in shown {
        ledger.cosign(note).unwrap();
    }
    drop(ledger);
    let keys = two().keys;
    let testimony = Testimony {
        witnesses: &keys,
        quorum: 1,
        prior: Some(prior),
        ..Testimony::default()
    };
    let refused = new_epoch(&place.state(), &place.key(), ORIGIN, "x", &testimony);
    let said = refused.unwrap_err().to_string();
    assert!(said.contains(why), "{said}");
    assert_eq!(open(&place).size(), 3, "nothing was changed");
}

/// Begins a new epoch with both witnesses named.
fn begin(place: &Place, prior: Option<&str>, unheard: bool) -> Result<(), LedgerError> {
    let keys = two().keys;
    let testimony = Testimony {
        witnesses: &keys,
        quorum: 1,
        prior,
        unheard,
    };
    new_epoch(&place.state(), &place.key(), ORIGIN, "x", &testimony).map(drop)
}

/// The key's record is lost; the key stays.
fn lose_record(place: &Place) {
    for slot in 0..2 {
        fs::remove_file(format!("{}.head.{slot}", place.key().display())).unwrap();
    }
}

fn waits(place: &Place) {
    let begun = begin(place, None, false);
    assert!(matches!(begun, Err(LedgerError::Unheard)), "{begun:?}");
}

/// The disk is gone, and the key's record tells of leaves that were signed and never sent: nobody could prove them.
#[test]
fn a_gateway_that_lost_its_disk_cites_what_others_hold_and_waits_for_it() {
    // What it hears, whether it is told to do without, and what it cites.
    let check = |heard: bool, named: bool, unheard: bool, size: Option<u64>| {
        let place = Place::new();
        let ledger = written(&place, 3);
        let sent = note(&ledger);
        grow(&ledger, 3);
        ledger.sign().unwrap();
        drop(ledger);
        fs::remove_dir_all(place.state()).unwrap();
        let ledger = open(&place);
        assert!(ledger.suspended().is_some());
        if heard {
            ledger.compare(&sent).unwrap();
        }
        drop(ledger);
        if size.is_none() {
            return waits(&place);
        }
        if named {
            begin(&place, None, unheard).unwrap();
        } else {
            let nobody = Testimony::default();
            new_epoch(&place.state(), &place.key(), ORIGIN, "x", &nobody).unwrap();
        }
        let expected = size.map(|size| (ORIGIN.to_owned(), size));
        assert_eq!(cited(&place), (2, expected));
    };
    check(true, true, false, Some(3));
    check(false, true, false, None);
    check(false, true, true, Some(6));
    // Where no witness is named nobody else is asked.
    check(false, false, false, Some(6));
}

/// State and the key's record are gone, the key is put back, and the broker is away: what is begun then is not all.
#[test]
fn a_ledger_that_was_begun_in_ignorance_is_not_cited_before_the_city_was_heard() {
    let place = Place::new();
    let ledger = written(&place, 11);
    let seen = cosigned(&note(&ledger), 1, 1);
    ledger.cosign(&seen).unwrap();
    drop(ledger);
    fs::remove_dir_all(place.state()).unwrap();
    lose_record(&place);
    drop(written(&place, 5));
    waits(&place);
    let ledger = open(&place);
    assert_eq!(ledger.compare(&seen).unwrap(), Seen::Conflict);
    drop(ledger);
    begin(&place, None, false).unwrap();
    assert_eq!(cited(&place), (2, Some((ORIGIN.to_owned(), 11))));
}

/// Somebody is not sure whether it worked, or has a better reason.
#[test]
fn a_new_epoch_that_signed_nothing_hands_on_what_it_cites() {
    let place = Place::new();
    let ledger = written(&place, 3);
    ledger.cosign(&cosigned(&note(&ledger), 1, 1)).unwrap();
    drop(ledger);
    for epoch in 2..5 {
        begin(&place, None, false).unwrap();
        assert_eq!(cited(&place), (epoch, Some((ORIGIN.to_owned(), 3))));
    }
    let nobody = Testimony::default();
    new_epoch(&place.state(), &place.key(), ORIGIN, "x", &nobody).unwrap();
    assert_eq!(cited(&place), (5, Some((ORIGIN.to_owned(), 3))));
    // What is brought may be more than that, and not less.
    let [less, more] = [2, 7].map(|size| bare(ORIGIN, size, Hash([9; 32]), 1));
    let said = begin(&place, Some(&less), false).unwrap_err().to_string();
    assert!(said.contains("3 are known"), "{said}");
    begin(&place, Some(&more), false).unwrap();
    assert_eq!(cited(&place), (6, Some((ORIGIN.to_owned(), 7))));
    // Unless somebody says that the word before was wrong.
    begin(&place, Some(&less), true).unwrap();
    assert_eq!(cited(&place), (7, Some((ORIGIN.to_owned(), 2))));
}

/// The gateway got another name: what is cited still bears the old one.
#[test]
fn a_ledger_that_was_renamed_hands_on_what_it_cites() {
    let place = Place::new();
    drop(written(&place, 3));
    let (other, nobody) = ("lineside/site/other", Testimony::default());
    for _ in 0..2 {
        new_epoch(&place.state(), &place.key(), other, "x", &nobody).unwrap();
    }
    let (_, opened) = Ledger::open(&place.state(), &place.key(), other).unwrap();
    let prior = opened.prior.unwrap();
    assert_eq!((prior.origin.as_str(), prior.size), (ORIGIN, 3));
}

/// What was begun without a word of the city says so of the next one, too, until something of it is cosigned.
#[test]
fn what_was_begun_unheard_is_not_handed_on_unheard() {
    let place = Place::new();
    drop(written(&place, 3));
    waits(&place);
    begin(&place, None, true).unwrap();
    waits(&place);
    begin(&place, None, true).unwrap();
    assert_eq!(cited(&place), (3, Some((ORIGIN.to_owned(), 3))));
    // A witness knows better, also of less.
    let less = bare(ORIGIN, 2, Hash([9; 32]), 1);
    begin(&place, Some(&less), false).unwrap();
    assert_eq!(cited(&place), (4, Some((ORIGIN.to_owned(), 2))));
    let ledger = written(&place, 2);
    ledger.cosign(&cosigned(&note(&ledger), 1, 1)).unwrap();
    drop(ledger);
    begin(&place, None, false).unwrap();
    assert_eq!(
        cited(&place),
        (5, Some(("lineside/site/gw/e4".to_owned(), 2)))
    );
}

/// It was begun unheard, and then the broker is reached: what it should have cited is cosigned.
#[test]
fn an_epoch_that_was_begun_in_ignorance_stops_for_what_it_should_have_cited() {
    let shown = |size, seed| bare(ORIGIN, size, Hash([9; 32]), seed);
    // What is heard; whether that stops it, and what the next one cites.
    let check = |heard: &[String], stops: bool, expected: (u32, u64)| {
        let place = Place::new();
        drop(written(&place, 3));
        begin(&place, None, true).unwrap();
        let ledger = open(&place);
        for note in heard {
            let said = ledger.cosign(note).unwrap();
            let conflicts = said == Witnessed::Conflict;
            assert!(conflicts == stops || said == Witnessed::Earlier, "{said:?}");
        }
        assert_eq!(ledger.suspended().is_some(), stops, "{heard:?}");
        grow(&ledger, 2);
        assert_eq!(ledger.sign().unwrap().is_none(), stops, "{heard:?}");
        drop(ledger);
        assert_eq!(open(&place).suspended().is_some(), stops);
        if !stops {
            return;
        }
        begin(&place, None, false).unwrap();
        let (epoch, size) = expected;
        assert_eq!(cited(&place), (epoch, Some((ORIGIN.to_owned(), size))));
        // That is what the city has, and so it is not stopped again.
        let ledger = open(&place);
        for note in heard {
            assert_eq!(ledger.cosign(note).unwrap(), Witnessed::Earlier);
        }
        grow(&ledger, 2);
        assert!(ledger.sign().unwrap().is_some());
    };
    check(&[shown(5, 1)], true, (3, 5));
    check(&[shown(5, 1), shown(4, 2), shown(6, 2)], true, (3, 6));
    // Another tree of as many.
    check(&[shown(3, 1)], true, (3, 3));
    check(&[shown(2, 1)], false, (0, 0));
}

/// Once something of it is signed, or a witness has cosigned it, what was before is settled.
#[test]
fn what_is_signed_is_not_stopped_for_what_it_did_not_cite() {
    let place = Place::new();
    drop(written(&place, 3));
    begin(&place, None, true).unwrap();
    let ledger = written(&place, 2);
    let before = bare(ORIGIN, 5, Hash([9; 32]), 1);
    assert_eq!(ledger.cosign(&before).unwrap(), Witnessed::Earlier);
    ledger.cosign(&cosigned(&note(&ledger), 1, 1)).unwrap();
    drop(ledger);
    // It was heard since: a head that says less than what it cites is no better word.
    fs::remove_dir_all(place.state()).unwrap();
    let less = bare(ORIGIN, 2, Hash([9; 32]), 1);
    let said = begin(&place, Some(&less), true).unwrap_err().to_string();
    assert!(said.contains("3 are known"), "{said}");
}

/// It cites nothing, and then the note of what the city has is brought.
#[test]
fn an_epoch_that_cites_nothing_gives_way_to_what_is_named() {
    for is_remembered in [true, false] {
        let place = Place::new();
        drop(open(&place));
        begin(&place, None, true).unwrap();
        assert_eq!(cited(&place), (2, None));
        if !is_remembered {
            lose_record(&place);
        }
        let known = bare(ORIGIN, 5, Hash([9; 32]), 1);
        begin(&place, Some(&known), false).unwrap();
        assert_eq!(cited(&place), (3, Some((ORIGIN.to_owned(), 5))));
    }
}

/// The key's record and the newest ledger are lost: that later epochs were signed is still known.
#[test]
fn an_epoch_long_given_up_is_not_cited_where_the_record_is_lost() {
    let place = Place::new();
    let first = written(&place, 3);
    let seen = cosigned(&note(&first), 1, 1);
    first.cosign(&seen).unwrap();
    drop(first);
    begin(&place, None, false).unwrap();
    let second = written(&place, 4);
    second.cosign(&cosigned(&note(&second), 1, 2)).unwrap();
    drop(second);
    begin(&place, None, false).unwrap();
    drop(written(&place, 5));
    lose_record(&place);
    fs::remove_dir_all(place.state().join("ledger")).unwrap();
    let said = begin(&place, Some(&seen), false).unwrap_err().to_string();
    assert!(said.contains("epoch 3 is known"), "{said}");
}

/// The key's record is lost, and the newest epoch is here and was never signed: the one before it is cited.
#[test]
fn an_epoch_that_was_never_signed_gives_way_to_the_newest_one_that_was() {
    let place = Place::new();
    let notes: Vec<String> = (3..5)
        .map(|count| {
            let ledger = written(&place, count);
            let seen = cosigned(&note(&ledger), 1, 1);
            ledger.cosign(&seen).unwrap();
            drop(ledger);
            begin(&place, None, false).unwrap();
            seen
        })
        .collect();
    grow(&open(&place), 2);
    lose_record(&place);
    for (prior, unheard, why) in [
        // It may have been signed and lost.
        (&notes[1], false, "epoch 3 is known"),
        (&notes[0], false, "epoch 3 is known"),
        (&notes[0], true, "epoch 2 is known"),
    ] {
        let said = begin(&place, Some(prior), unheard).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    begin(&place, Some(&notes[1]), true).unwrap();
    assert_eq!(
        cited(&place),
        (4, Some(("lineside/site/gw/e2".to_owned(), 4)))
    );
}

/// What is heard of an epoch before says nothing of one that is lost.
#[test]
fn a_word_of_the_epoch_before_is_none_of_the_one_that_is_lost() {
    let place = Place::new();
    let ledger = written(&place, 11);
    let other = bare(ORIGIN, 12, Hash([9; 32]), 1);
    assert_eq!(ledger.cosign(&other).unwrap(), Witnessed::Conflict);
    drop(ledger);
    let copy = place.dir.path().join("copy");
    super::copy_tree(&place.state(), &copy);
    begin(&place, None, false).unwrap();
    drop(written(&place, 6));
    fs::remove_dir_all(place.state()).unwrap();
    super::copy_tree(&copy, &place.state());
    waits(&place);
    begin(&place, Some(&other), true).unwrap();
    assert_eq!(cited(&place), (3, Some((ORIGIN.to_owned(), 12))));
}

/// The second epoch never left the gateway, and its disk is lost: nobody can ever show it.
#[test]
fn an_epoch_that_nobody_has_gives_way_to_what_it_continued() {
    for old_copy in [false, true] {
        let place = Place::new();
        let ledger = written(&place, 11);
        let seen = cosigned(&note(&ledger), 1, 1);
        ledger.cosign(&seen).unwrap();
        drop(ledger);
        let copy = place.dir.path().join("copy");
        super::copy_tree(&place.state(), &copy);
        begin(&place, None, false).unwrap();
        drop(written(&place, 6));
        // As long as its leaves are here they count.
        let early = begin(&place, Some(&seen), false).unwrap_err().to_string();
        assert!(early.contains("epoch 2 is known"), "{early}");
        fs::remove_dir_all(place.state()).unwrap();
        if old_copy {
            super::copy_tree(&copy, &place.state());
        }
        // Leaves of another epoch stand for none of it.
        assert!(open(&place).suspended().is_some());
        waits(&place);
        // The city may have it, and more of the one before than this.
        for (note, unheard, why) in [
            (&seen, false, "epoch 2 is known"),
            (&bare(ORIGIN, 10, Hash([9; 32]), 1), true, "11 are known"),
        ] {
            let said = begin(&place, Some(note), unheard).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
        begin(&place, Some(&seen), true).unwrap();
        assert_eq!(cited(&place), (3, Some((ORIGIN.to_owned(), 11))));
    }
}

/// State and key are gone: only the broker and the city remember.
#[test]
fn a_gateway_that_lost_everything_goes_on_after_what_the_city_has() {
    let place = Place::new();
    let ledger = written(&place, 300);
    let kept = note(&ledger);
    let seen = cosigned(&kept, 1, 1);
    ledger.cosign(&seen).unwrap();
    drop(ledger);
    fs::remove_dir_all(place.state()).unwrap();
    fs::remove_dir_all(place.key().parent().unwrap()).unwrap();

    let ledger = open(&place);
    grow(&ledger, 2);
    assert_eq!(
        ledger.compare(&kept).unwrap(),
        Seen::Foreign,
        "of a key that is gone"
    );
    assert!(ledger.suspended().is_none());
    // The same note with the cosignature speaks for itself, wherever it is shown.
    assert_eq!(ledger.compare(&seen).unwrap(), Seen::Conflict);
    assert!(ledger.sign().unwrap().is_none());
    drop(ledger);
    let keys = two().keys;
    let testimony = Testimony {
        witnesses: &keys,
        quorum: 1,
        prior: None,
        ..Testimony::default()
    };
    new_epoch(
        &place.state(),
        &place.key(),
        ORIGIN,
        "all was lost",
        &testimony,
    )
    .unwrap();
    assert_eq!(cited(&place), (2, Some((ORIGIN.to_owned(), 300))));
    // What the broker keeps of the first epoch disturbs the second no more.
    let ledger = open(&place);
    assert_eq!(ledger.cosign(&seen).unwrap(), Witnessed::Earlier);
    assert_eq!(ledger.compare(&kept).unwrap(), Seen::Foreign);
    grow(&ledger, 1);
    assert!(ledger.sign().unwrap().is_some());
    assert!(ledger.suspended().is_none());
}
