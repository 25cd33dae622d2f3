//! Each rule of tokens, broken.

use super::*;
use crate::evidence::{Grade, Status, Why};

/// An external session from the second to the third hour, whose token has these claims.
struct Case {
    claims: String,
    session: SessionLeaf,
    sight: Sight,
    secret: IssuerSecret,
    /// What becomes of the token's text.
    text: fn(String) -> Option<String>,
}

impl Case {
    fn new() -> Self {
        Self {
            claims: claims("m", "x", 2 * HOUR, 3 * HOUR),
            session: external("m", "x", (2 * HOUR, 3 * HOUR), ""),
            sight: believing(4 * HOUR),
            secret: issuer(),
            text: Some,
        }
    }

    fn claim(&mut self, from: &str, to: &str) {
        let changed = self.claims.replacen(from, to, 1);
        assert_ne!(changed, self.claims, "{from}");
        self.claims = changed;
    }

    fn tallied(mut self) -> Tallied {
        let text = (self.text)(sign(&self.secret, self.claims.as_bytes()));
        let named = text.clone().unwrap_or_default();
        self.session.token = self.session.token.map(|_| sha256(&named));
        let mut book = Book::new();
        book.open(self.session.clone());
        book.usage(run("m", ("x", Class::Ext), 2 * HOUR, 3 * HOUR));
        book.close(self.session);
        book.day(&text.into_iter().collect::<Vec<_>>(), &self.sight)
    }
}

#[test]
fn a_good_token_proves_that_the_hours_are_anothers() {
    let tallied = Case::new().tallied();
    no_finding(&tallied.sessions);
    no_finding(&tallied.tokens);
    let session = &tallied.totals.machines[0].sessions[0];
    assert_eq!(
        (session.grade, &*session.why),
        (Grade::B, &[Why::NoMeter][..])
    );
    assert_eq!(session.org.as_deref(), Some("org-x"));
    assert_eq!(session.org_kind.as_deref(), Some("company"));
}

/// What fails when the case is changed so; then the session's hours are worth least.
fn check(change: &dyn Fn(&mut Case), expected: &str) {
    let mut case = Case::new();
    change(&mut case);
    let tallied = case.tallied();
    let said = format!("machine m: session x {expected}");
    one_finding(&tallied.tokens, Check::Tokens, &said);
    assert_eq!(tallied.tokens.status(), Status::Failed);
    let session = &tallied.totals.machines[0].sessions[0];
    assert_eq!(session.grade, Grade::D, "{said}");
    assert!(session.why.contains(&Why::Token), "{said}");
}

#[test]
fn a_token_must_be_there_and_have_its_form() {
    check(
        &|case| case.session.token = None,
        "is external and names no token",
    );
    let none = sha256("");
    check(
        &|case| case.text = |_| None,
        &format!("names the token {none}, which is not in the bundle"),
    );
    check(
        &|case| case.text = |text| Some(text.replace('.', "")),
        "has a token that is no compact JWS: three parts in base64url without padding, joined by dots",
    );
    check(
        &|case| case.text = |text| Some(text + &"A".repeat(17_000)),
        "has a token that has 16385 bytes, and 16384 are allowed",
    );
    check(
        &|case| {
            case.text = |text| {
                let header = "eyJhbGciOiJub25lIiwia2lkIjoicG9ydGFsIn0";
                Some(format!("{header}.{}", text.split_once('.').unwrap().1))
            };
        },
        "has a token that is signed by another algorithm than EdDSA, or by none",
    );
    check(
        &|case| case.claim(r#""class":"EXT""#, r#""class":"ALL""#),
        "has a token whose claims can't be read: unknown variant `ALL`, expected one of `EXT`, `OWN`, `AFF`, `TRN`, `MNT`, `UNB` at line 1 column 136",
    );
    check(
        &|case| case.claims = "[1]".to_owned(),
        "has a token whose claims can't be read: no JSON object",
    );
}

#[test]
fn a_trusted_key_must_have_signed_it() {
    check(
        &|case| case.secret = IssuerSecret::from_seed(&[3; 32], Some("other")).unwrap(),
        "has a token of the key \"other\", which the trust file does not have",
    );
    check(
        &|case| case.secret = IssuerSecret::from_seed(&[4; 32], Some("portal")).unwrap(),
        "has a token that has a signature that does not fit",
    );
    let issued = time(-22 * HOUR);
    for valid in [
        Validity {
            from: Some(time(-22 * HOUR + 1)),
            to: None,
        },
        Validity {
            from: None,
            to: Some(time(-22 * HOUR)),
        },
    ] {
        check(
            &|case| case.sight.trust.issuers[0].valid = valid,
            &format!("has a token of {issued}, when the key \"portal\" was not to be trusted"),
        );
    }
}

#[test]
fn it_must_be_for_this_session_and_another_organisation() {
    check(
        &|case| case.claim(r#""s""#, r#""t""#),
        "has a token for the site t",
    );
    check(
        &|case| case.claim(r#""g""#, r#""h""#),
        "has a token for the gateway h",
    );
    check(
        &|case| case.claim(r#"["m"]"#, r#"["n","mm"]"#),
        "has a token that is not for this machine",
    );
    check(
        &|case| case.claim("bk-x", "bk-z"),
        "has a token for booking bk-z, and is of bk-x",
    );
    check(
        &|case| case.session.booking = None,
        "has a token for booking bk-x, and is of none",
    );
    check(
        &|case| case.claim("EXT", "OWN"),
        "is external, and its token asks for class OWN",
    );
    for org in [r#""org":"""#, r#""org":null"#, r#""o":1"#] {
        check(
            &|case| case.claim(r#""org":"org-x""#, org),
            "is external, and its token names no organisation",
        );
    }
}

#[test]
fn hours_of_related_organisations_never_count_as_external() {
    let check = |org: &str, class: Class, change: &dyn Fn(&mut Case), status: Status| {
        let mut case = Case::new();
        case.claim("org-x", org);
        change(&mut case);
        let tallied = case.tallied();
        assert_eq!(tallied.tokens.status(), status, "{org}");
        let machine = &tallied.totals.machines[0];
        let session = &machine.sessions[0];
        assert_eq!(
            (session.class, session.leaf_class),
            (class, Some(Class::Ext))
        );
        assert_eq!(
            (session.grade, &*session.why),
            (Grade::B, &[Why::NoMeter][..])
        );
        let hours = BTreeMap::from([(class, BTreeMap::from([(Grade::B, 3_600_000)]))]);
        assert_eq!(machine.hours, hours);
        if status == Status::Note {
            assert_eq!(tallied.external_count, 0);
            let said = format!(
                "machine m: session x is of {org}, which the trust file calls own or affiliated: it counts as {class}, not as EXT"
            );
            one_finding(&tallied.tokens, Check::Tokens, &said);
        }
    };
    check("org-own", Class::Own, &|_| {}, Status::Note);
    check("org-aff", Class::Aff, &|_| {}, Status::Note);
    check(
        "org-aff",
        Class::Aff,
        &|case| case.sight.trust.issuers.clear(),
        Status::Note,
    );
    // What else is wrong with the token is still wrong.
    check(
        "org-own",
        Class::Own,
        &|case| case.claim(r#"["m"]"#, r#"["n"]"#),
        Status::Failed,
    );
    // Who does not know these organisations counts the hours as the leaves say.
    let mut case = Case::new();
    case.claim("org-x", "org-own");
    case.sight.trust.own.clear();
    let tallied = case.tallied();
    no_finding(&tallied.tokens);
    let session = &tallied.totals.machines[0].sessions[0];
    assert_eq!((session.class, session.leaf_class), (Class::Ext, None));
}

#[test]
fn it_must_fit_the_sessions_times() {
    let iat = |case: &mut Case, at_ms: i64| {
        let issued = (BEGIN - 22 * HOUR) / 1000;
        case.claim(
            &format!(r#""iat":{issued}"#),
            &format!(r#""iat":{}"#, (BEGIN + at_ms) / 1000),
        );
    };
    check(
        &|case| iat(case, 3 * HOUR + 5 * MINUTE + 1000),
        "has a token that was issued at 2026-11-29T03:05:01.000Z, after it ended",
    );
    let window = |case: &mut Case, from_ms: i64, to_ms: i64| {
        case.claims = claims("m", "x", from_ms, to_ms);
    };
    for (from_ms, to_ms) in [
        (2 * HOUR + 30 * MINUTE + 1, 4 * HOUR),
        (HOUR, 2 * HOUR - 5 * MINUTE - 1),
    ] {
        let (from, to) = (time(from_ms), time(to_ms));
        check(
            &|case| window(case, from_ms, to_ms),
            &format!("began at 2026-11-29T02:00:00.000Z, and its token is for {from} to {to}"),
        );
    }
}

#[test]
fn what_lies_on_a_limit_is_good() {
    let check = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        change(&mut case);
        no_finding(&case.tallied().tokens);
    };
    check(&|case| case.claims = claims("m", "x", 2 * HOUR + 30 * MINUTE, 4 * HOUR));
    check(&|case| case.claims = claims("m", "x", HOUR, 2 * HOUR - 5 * MINUTE));
    check(&|case| {
        let issued = (BEGIN - 22 * HOUR) / 1000;
        let last = (BEGIN + 3 * HOUR + 5 * MINUTE) / 1000;
        case.claim(&issued.to_string(), &last.to_string());
    });
    check(&|case| {
        case.sight.trust.issuers[0].valid = Validity {
            from: Some(time(-22 * HOUR)),
            to: Some(time(-22 * HOUR + 1)),
        };
    });
    check(&|case| case.claim(r#"["m"]"#, r#"["n","m"]"#));
    check(&|case| {
        case.claim(
            r#""exp":1"#,
            r#""exp":1,"data":{"points":["a"]},"other":[1.5]"#,
        )
    });
    // Two keys of one id: one of them signed.
    check(&|case| {
        let mut other = case.sight.trust.issuers[0].clone();
        let secret = IssuerSecret::from_seed(&[9; 32], Some("portal")).unwrap();
        other.key = secret.public();
        case.sight.trust.issuers.insert(0, other);
    });
}

#[test]
fn without_issuers_all_but_the_signature_is_checked() {
    let check = |change: &dyn Fn(&mut Case), status: Status, expected: &str| {
        let mut case = Case::new();
        case.sight.trust.issuers.clear();
        change(&mut case);
        let tallied = case.tallied();
        one_finding(&tallied.tokens, Check::Tokens, expected);
        assert_eq!(tallied.tokens.status(), status);
        let why = &tallied.totals.machines[0].sessions[0].why;
        assert_eq!(why[0], Why::Token);
    };
    let unsigned = "no issuer key is trusted: the signatures of 1 tokens were not checked";
    check(&|_| {}, Status::Note, unsigned);
    check(
        &|case| case.secret = IssuerSecret::from_seed(&[4; 32], None).unwrap(),
        Status::Note,
        unsigned,
    );
    check(
        &|case| case.claim("bk-x", "bk-z"),
        Status::Failed,
        "machine m: session x has a token for booking bk-z, and is of bk-x",
    );
}

#[test]
fn a_session_whose_token_lies_outside_the_bundle_is_noted() {
    let mut book = Book::since(256);
    book.usage(run("m", ("x", Class::Ext), 0, HOUR));
    let tallied = book.day(&[], &believing(0));
    assert_eq!(tallied.tokens.status(), Status::Note);
    one_finding(
        &tallied.tokens,
        Check::Tokens,
        "machine m: session x neither begins nor ends in the bundle, so its token is not known",
    );
    let session = &tallied.totals.machines[0].sessions[0];
    assert_eq!(session.grade, Grade::D);
    assert_eq!(session.why[..2], [Why::Entered, Why::Token]);
    let tally = book.tally(time(0), time(HOUR), &[]);
    assert_eq!(tally.sessions(), []);
}

#[test]
fn sessions_outside_the_period_need_no_token() {
    let mut book = Book::new();
    let x = external("m", "x", (-3 * HOUR, -2 * HOUR), "gone");
    book.open(x.clone());
    book.usage(run("m", ("x", Class::Ext), -3 * HOUR, -2 * HOUR));
    book.close(x);
    let tallied = book.day(&[], &believing(0));
    no_finding(&tallied.tokens);
    assert_eq!(tallied.totals.machines, []);
}

#[test]
fn a_booking_that_nobody_signed_has_no_token() {
    let mut book = Book::new();
    let x = session("m", "x", 2 * HOUR, 3 * HOUR);
    book.open(x.clone());
    book.usage(run("m", ("x", Class::Unb), 2 * HOUR, 3 * HOUR));
    book.close(x);
    let y = session("m", "y", 4 * HOUR, 5 * HOUR);
    book.open(y.clone());
    book.close(y);
    for (id, at) in [("x", 6), ("y", 7)] {
        let bind = Bind {
            machine: identifier("m"),
            session: id.to_owned(),
            booking: format!("bk-{id}"),
            token: String::new(),
            class: Class::Own,
            before: Class::Unb,
        };
        book.add(at * HOUR, LeafBody::Bind(bind));
    }
    let tallied = book.day(&[], &believing(8 * HOUR));
    no_finding(&tallied.sessions);
    no_finding(&tallied.tokens);
    let sessions = &tallied.totals.machines[0].sessions;
    assert!(
        sessions.iter().all(|one| one.token.is_none()),
        "{sessions:?}"
    );
    assert_eq!(sessions[0].booking.as_deref(), Some("bk-x"));
}

#[test]
fn the_class_of_a_late_token_counts() {
    let text = token("m", "x", 2 * HOUR, 3 * HOUR);
    let mut book = Book::new();
    let x = session("m", "x", 2 * HOUR, 3 * HOUR);
    book.open(x.clone());
    book.usage(run("m", ("x", Class::Unb), 2 * HOUR, 3 * HOUR));
    book.close(x);
    book.add(
        5 * HOUR,
        LeafBody::Bind(Bind {
            machine: identifier("m"),
            session: "x".to_owned(),
            booking: "bk-x".to_owned(),
            token: sha256(&text),
            class: Class::Ext,
            before: Class::Unb,
        }),
    );
    let tallied = book.day(&[text], &believing(4 * HOUR));
    no_finding(&tallied.sessions);
    no_finding(&tallied.tokens);
    let machine = &tallied.totals.machines[0];
    assert_eq!(
        machine.hours,
        BTreeMap::from([(Class::Ext, BTreeMap::from([(Grade::B, 3_600_000)]))])
    );
    assert_eq!(machine.sessions[0].org.as_deref(), Some("org-x"));
    assert_eq!(tallied.external_count, 1);
}
