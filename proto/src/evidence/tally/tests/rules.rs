//! Each rule of sessions, broken.

#![expect(clippy::wildcard_enum_match_arm, reason = "the leaves that matter")]

use super::*;

const X: (&str, Class) = ("x", Class::Unb);

/// Two sessions on one machine, the second bound to a booking after it has ended.
fn ledger(first: u64) -> Book {
    let mut book = Book::since(first);
    let x = session("m", "x", 0, HOUR);
    book.open(x.clone());
    book.usage(run("m", X, 0, HOUR));
    book.close(x);
    let y = session("m", "y", HOUR, 2 * HOUR);
    book.open(y.clone());
    book.usage(run("m", ("y", Class::Unb), HOUR, 2 * HOUR));
    book.close(y);
    book.add(
        3 * HOUR,
        LeafBody::Bind(Bind {
            machine: identifier("m"),
            session: "y".to_owned(),
            booking: "bk-y".to_owned(),
            token: "sha256:00".to_owned(),
            class: Class::Own,
            before: Class::Unb,
        }),
    );
    book.add(3 * HOUR, LeafBody::Booking(outcome("bk-y", Some("y"))));
    book
}

fn outcome(booking: &str, session: Option<&str>) -> BookingLeaf {
    BookingLeaf {
        machine: identifier("m"),
        booking: booking.to_owned(),
        token: None,
        class: Class::Own,
        outcome: Outcome::Fulfilled,
        check_in: CheckIn::Implied,
        session: session.map(str::to_owned),
        start: time(HOUR),
        end: time(2 * HOUR),
        slot_ms: 3_600_000,
        active_ms: 3_600_000,
        unknown_ms: 0,
        down_ms: 0,
        coverage_pm: 1000,
    }
}

fn said_of(book: &Book, leaf: u64) -> SessionLeaf {
    let place = usize::try_from(leaf - book.first).unwrap();
    match &book.leaves[place].body {
        LeafBody::Session(leaf) => leaf.clone(),
        other => panic!("{other:?}"),
    }
}

fn drop(book: &mut Book, place: usize) {
    book.leaves.remove(place);
    for (leaf, index) in book.leaves.iter_mut().zip(book.first..) {
        leaf.head.index = index;
    }
}

trait Body: Sized {
    fn of(body: &mut LeafBody) -> Option<&mut Self>;
}

macro_rules! body {
    ($($kind:ident $leaf:ident),*) => {$(
        impl Body for $leaf {
            fn of(body: &mut LeafBody) -> Option<&mut Self> {
                match body {
                    LeafBody::$kind(leaf) => Some(leaf),
                    _ => None,
                }
            }
        }
    )*};
}

body!(Session SessionLeaf, Usage UsageLeaf, Bind Bind, Booking BookingLeaf);

/// Changes what the leaf at this place says.
fn leaf<T: Body>(book: &mut Book, place: usize, change: impl FnOnce(&mut T)) {
    change(T::of(&mut book.leaves[place].body).unwrap());
}

#[test]
fn sessions_that_follow_the_rules_are_not_found_fault_with() {
    for first in [0, 256] {
        let book = ledger(first);
        let tallied = book.day(&[], &Sight::default());
        no_finding(&tallied.sessions);
        no_finding(&tallied.tokens);
        let machine = &tallied.totals.machines[0];
        let of = |place: usize| {
            let session = &machine.sessions[place];
            (
                session.session.as_str(),
                session.class,
                session.booking.as_deref(),
            )
        };
        assert_eq!(of(0), ("x", Class::Unb, None));
        assert_eq!(of(1), ("y", Class::Own, Some("bk-y")));
    }
}

/// The rule that the ledger breaks when it is changed so. Its leaves: 1 to 3 begin, usage and end of x; 4 to 6 of y; 7
/// its bind; 8 the outcome.
fn check(change: &dyn Fn(&mut Book), expected: &str) {
    let mut book = ledger(0);
    change(&mut book);
    let expected = format!("leaf {expected}");
    let tallied = book.day(&[], &Sight::default());
    one_finding(&tallied.sessions, Check::Sessions, &expected);
}

#[test]
fn a_session_begins_once_and_ends_once() {
    check(
        &|book| {
            let again = said_of(book, 3);
            book.open(SessionLeaf {
                from: time(4 * HOUR),
                ..again
            });
        },
        "9, machine m: session x begins a second time",
    );
    check(
        &|book| drop(book, 3),
        "3, machine m: session y begins while x runs",
    );
    check(
        &|book| {
            let again = said_of(book, 6);
            book.close(again);
        },
        "9, machine m: session y ends a second time",
    );
    check(
        &|book| {
            book.close(session("m", "z", HOUR, 3 * HOUR));
        },
        "9, machine m: session z ends and does not run",
    );
}

#[test]
fn a_begin_says_no_end_and_an_end_says_all() {
    check(
        &|book| leaf::<SessionLeaf>(book, 1, |leaf| leaf.to = Some(time(HOUR))),
        "1, machine m: the begin of session x says when or why it ended",
    );
    check(
        &|book| leaf::<SessionLeaf>(book, 3, |leaf| leaf.reason = None),
        "3, machine m: the end of session x does not say when and why",
    );
    check(
        &|book| {
            let z = session("m", "z", 5 * HOUR, 6 * HOUR);
            book.open(z.clone());
            let to_ms = Some(z.from_ms - 1);
            book.close(SessionLeaf { to_ms, ..z });
        },
        "10, machine m: session z ends at 190799999 ms of the boot, and began at 190800000 ms",
    );
}

#[test]
fn usage_is_within_its_session() {
    check(
        &|book| {
            book.usage(run("m", ("x", Class::Unb), 3 * HOUR, 4 * HOUR));
        },
        "9, machine m: usage of session x, which does not run",
    );
    check(
        &|book| {
            book.usage(run("n", ("x", Class::Unb), 3 * HOUR, 4 * HOUR));
        },
        "9, machine n: usage of session x, which does not run",
    );
    check(
        &|book| leaf::<UsageLeaf>(book, 2, |leaf| leaf.class = Some(Class::Ext)),
        "2, machine m: usage says class EXT of session x, which has UNB",
    );
    check(
        &|book| leaf::<UsageLeaf>(book, 2, |leaf| leaf.class = None),
        "2, machine m: usage of session x without a class",
    );
    check(
        &|book| {
            let class = Some(Class::Own);
            let leaf = idle("m", 3 * HOUR, 4 * HOUR, &[(State::Idle, 3_600_000)]);
            book.usage(UsageLeaf { class, ..leaf });
        },
        "9, machine m: usage of class OWN outside sessions",
    );
    check(
        &|book| leaf::<UsageLeaf>(book, 2, |leaf| leaf.mono_from_ms -= 1),
        "2, machine m: usage of session x at 172799999 ms of the boot, outside it",
    );
    check(
        &|book| leaf::<UsageLeaf>(book, 2, |leaf| leaf.mono_to_ms += 1),
        "3, machine m: usage of session x at 176400001 ms of the boot, outside it",
    );
}

#[test]
fn an_end_agrees_with_its_session() {
    check(
        &|book| leaf::<SessionLeaf>(book, 3, |leaf| leaf.class = Class::Ext),
        "3, machine m: its end says class EXT of session x, which has UNB",
    );
    check(
        &|book| leaf::<SessionLeaf>(book, 3, |leaf| leaf.booking = Some("bk".to_owned())),
        "3, machine m: its end says booking bk of session x, which has none",
    );
    check(
        &|book| leaf::<SessionLeaf>(book, 1, |leaf| leaf.token = Some("sha256:01".to_owned())),
        "3, machine m: its end says token none of session x, which has sha256:01",
    );
    check(
        &|book| leaf::<SessionLeaf>(book, 3, |leaf| leaf.check_in = CheckIn::Local),
        "3, machine m: its end says check-in local of session x, which has none",
    );
    check(
        &|book| leaf::<SessionLeaf>(book, 3, |leaf| leaf.from = time(1)),
        "3, machine m: its end says begin 2026-11-29T00:00:00.001Z of session x, which has 2026-11-29T00:00:00.000Z",
    );
    check(
        &|book| leaf::<SessionLeaf>(book, 3, |leaf| leaf.from_ms += 1),
        "3, machine m: its end says begin in ms 172800001 of session x, which has 172800000",
    );
}

#[test]
fn a_bind_leaf_and_an_outcome_agree_with_their_session() {
    check(
        &|book| leaf::<Bind>(book, 7, |leaf| leaf.before = Class::Trn),
        "7, machine m: the class before in a bind leaf says class TRN of session y, which has UNB",
    );
    check(
        &|book| {
            let again = book.leaves[7].body.clone();
            book.add(4 * HOUR, again);
            leaf::<Bind>(book, 9, |leaf| {
                leaf.before = Class::Own;
                leaf.booking = "bk-z".to_owned();
            });
        },
        "9, machine m: session y is bound to booking bk-z, and has booking bk-y",
    );
    check(
        &|book| {
            let again = book.leaves[7].body.clone();
            book.add(4 * HOUR, again);
            leaf::<Bind>(book, 9, |leaf| {
                leaf.session = "z".to_owned();
                leaf.token = "sha256:02".to_owned();
            });
        },
        "9, machine m: session z is bound to a booking, and never began",
    );
    check(
        &|book| leaf::<BookingLeaf>(book, 8, |leaf| leaf.booking = "bk-z".to_owned()),
        "8, machine m: the outcome of a booking says booking bk-z of session y, which has bk-y",
    );
    check(
        &|book| leaf::<BookingLeaf>(book, 8, |leaf| leaf.session = Some("z".to_owned())),
        "8, machine m: the outcome of a booking names session z, which never began",
    );
    check(
        &|book| {
            book.add(4 * HOUR, LeafBody::Booking(outcome("bk-y", None)));
        },
        "9, machine m: the outcome of booking bk-y is said a second time",
    );
    check(
        &|book| book.correct(9),
        "9: a correction of leaf 9, which does not come before it",
    );
}

#[test]
fn one_token_opens_one_session_on_a_machine() {
    let mut book = ledger(0);
    let again = book.leaves[7].body.clone();
    book.add(4 * HOUR, again);
    let LeafBody::Bind(leaf) = &mut book.leaves[9].body else {
        panic!()
    };
    leaf.session = "x".to_owned();
    one_finding(
        &book.day(&[], &Sight::default()).sessions,
        Check::Sessions,
        "machine m: the token sha256:00 opens session x and session y",
    );
}

#[test]
fn the_same_token_may_open_a_session_on_each_machine_that_it_names() {
    let mut book = Book::new();
    for machine in ["m", "n"] {
        let x = external(machine, machine, (0, HOUR), "token");
        book.open(x.clone());
        book.usage(run(machine, (machine, Class::Ext), 0, HOUR));
        book.close(x);
    }
    no_finding(&book.day(&[], &Sight::default()).sessions);
}

#[test]
fn a_session_may_run_already_when_the_bundle_begins() {
    let check = |first: u64, leaves: &dyn Fn(&mut Book), expected: Option<&str>| {
        let mut book = Book::since(first);
        leaves(&mut book);
        let tallied = book.day(&[], &Sight::default());
        match expected {
            None => no_finding(&tallied.sessions),
            Some(text) => one_finding(&tallied.sessions, Check::Sessions, text),
        }
        tallied
    };
    let used = |book: &mut Book| {
        book.usage(run("m", X, 0, HOUR));
    };
    let whole = |book: &mut Book| {
        used(book);
        book.close(session("m", "x", -40 * HOUR, HOUR));
    };
    let tallied = check(256, &whole, None);
    let x = &tallied.totals.machines[0].sessions[0];
    assert_eq!(
        (x.from, x.open, x.close),
        (Some(time(-40 * HOUR)), None, Some(258))
    );
    let tallied = check(256, &used, None);
    let x = &tallied.totals.machines[0].sessions[0];
    assert_eq!(
        (x.from, x.check_in, x.class, x.close),
        (None, None, Class::Unb, None)
    );
    check(
        0,
        &used,
        Some("leaf 1, machine m: usage of session x, which does not run"),
    );
    check(
        256,
        &|book| {
            whole(book);
            book.usage(run("m", ("y", Class::Unb), HOUR, 2 * HOUR));
        },
        Some("leaf 259, machine m: usage of session y, which does not run"),
    );
    check(
        256,
        &|book| {
            book.open(session("m", "y", 0, HOUR));
            book.close(session("m", "y", 0, HOUR));
            book.close(session("m", "x", -HOUR, 0));
        },
        Some("leaf 259, machine m: session x ends and does not run"),
    );
    let mut book = Book::since(256);
    used(&mut book);
    book.open(session("m", "x", 0, HOUR));
    let found = told(&book.day(&[], &Sight::default()).sessions, Check::Sessions);
    assert_eq!(
        found.said,
        [
            "leaf 258, machine m: session x begins after a leaf that is of it",
            "leaf 258, machine m: session x begins while x runs"
        ]
    );
}
