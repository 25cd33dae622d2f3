//! What the platform itself does: all is signed by the gateway and cosigned as it is written.

#![expect(clippy::wildcard_enum_match_arm, reason = "the leaves that matter")]

use super::*;
use crate::booking::{IssuerSecret, sign};
use crate::evidence::Validity;
use crate::ledger::{Leaf, LeafBody, SessionEvent};
use crate::{CheckIn, Class};

/// An external session on one machine, and the one that is unbooked.
const EXTERNAL: &str = "mixer-01";

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    format!(
        "sha256:{}",
        crate::evidence::entry::hex(&Sha256::digest(text))
    )
}

/// The id of the first session of the period of this class.
fn session(sample: &Sample, plan: &Plan, class: Class) -> (String, Option<String>) {
    let found = sample.leaves.iter().find_map(|leaf| match &leaf.body {
        LeafBody::Session(said)
            if said.class == class
                && said.from >= plan.from
                && said.event == SessionEvent::Open =>
        {
            Some((said.session.clone(), said.token.clone()))
        }
        _ => None,
    });
    found.unwrap()
}

/// Everything that is said of a session is changed.
fn relabel(
    leaves: &mut [Leaf],
    id: &str,
    change: impl Fn(&mut Class, &mut Option<String>, &mut Option<String>),
) {
    let mut none = (None, None);
    for leaf in leaves {
        match &mut leaf.body {
            LeafBody::Session(said) if said.session == id => {
                change(&mut said.class, &mut said.booking, &mut said.token);
                said.check_in = CheckIn::Implied;
            }
            LeafBody::Usage(said) if said.session.as_deref() == Some(id) => {
                if let Some(class) = &mut said.class {
                    change(class, &mut none.0, &mut none.1);
                }
            }
            LeafBody::Booking(said) if said.session.as_deref() == Some(id) => {
                let mut booking = Some(said.booking.clone());
                change(&mut said.class, &mut booking, &mut said.token);
            }
            _ => {}
        }
    }
}

fn check(what: &str, change: impl Fn(&mut Honest, &mut Sample), check: Check, words: &str) {
    let mut honest = Honest::new();
    let mut changed = copy();
    change(&mut honest, &mut changed);
    refused(what, &honest.platform(&changed), check, words);
}

/// The token of the first external session becomes another one.
fn forge(honest: &Honest, sample: &mut Sample, text: String) {
    let (id, old) = session(sample, &honest.plan, Class::Ext);
    let hash = sha256(&text);
    sample.tokens.insert(hash.clone(), text);
    let old = old.unwrap();
    relabel(&mut sample.leaves, &id, |_, _, token| {
        if token.as_deref() == Some(&old) {
            *token = Some(hash.clone());
        }
    });
}

/// What the first external session's token claims.
fn claims(honest: &Honest, sample: &Sample) -> String {
    use base64::Engine as _;
    let (_, token) = session(sample, &honest.plan, Class::Ext);
    let text = &sample.tokens[&token.unwrap()];
    let payload = text.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload);
    String::from_utf8(payload.unwrap()).unwrap()
}

#[test]
fn own_hours_are_not_anothers_without_a_token() {
    check(
        "relabelled class",
        |honest, sample| {
            let (id, _) = session(sample, &honest.plan, Class::Unb);
            relabel(&mut sample.leaves, &id, |class, _, _| *class = Class::Ext);
        },
        Check::Tokens,
        "is external and names no token",
    );
    check(
        "an own booking relabelled",
        |honest, sample| {
            let (id, _) = session(sample, &honest.plan, Class::Trn);
            relabel(&mut sample.leaves, &id, |class, _, _| *class = Class::Ext);
        },
        Check::Tokens,
        "is external, and its token asks for class TRN",
    );
    check(
        "another session's token",
        |honest, sample| {
            let (other, token) = session(sample, &honest.plan, Class::Ext);
            let (id, _) = session(sample, &honest.plan, Class::Unb);
            let bookings = sample.leaves.iter().find_map(|leaf| match &leaf.body {
                LeafBody::Session(said) if said.session == other => said.booking.clone(),
                _ => None,
            });
            relabel(&mut sample.leaves, &id, |class, booking, own| {
                *class = Class::Ext;
                booking.clone_from(&bookings);
                own.clone_from(&token);
            });
        },
        Check::Tokens,
        "has a token that is not for this machine",
    );
}

#[test]
fn one_token_does_not_make_two_sessions() {
    check(
        "double session",
        |honest, sample| {
            let of = |machine: &str| {
                let mut found = sample.leaves.iter().filter_map(|leaf| match &leaf.body {
                    LeafBody::Session(said)
                        if said.machine.as_str() == machine
                            && said.from >= honest.plan.from
                            && said.event == SessionEvent::Open
                            && said.class == Class::Ext =>
                    {
                        Some((
                            said.session.clone(),
                            said.booking.clone(),
                            said.token.clone(),
                        ))
                    }
                    _ => None,
                });
                (found.next().unwrap(), found.next().unwrap())
            };
            let ((_, booking, token), (second, ..)) = of(EXTERNAL);
            relabel(&mut sample.leaves, &second, |_, of, own| {
                of.clone_from(&booking);
                own.clone_from(&token);
            });
        },
        Check::Sessions,
        "opens session 01SAMPLE",
    );
}

#[test]
fn hours_of_related_organisations_are_not_anothers() {
    for (org, class) in [("org-aff", Class::Aff), ("org-own", Class::Own)] {
        let honest = Honest::new();
        let mut changed = copy();
        let claims = claims(&honest, &changed).replacen("org-ext", org, 1);
        let (id, _) = session(&changed, &honest.plan, Class::Ext);
        let text = sign(&changed.keys.issuer, claims.as_bytes());
        forge(&honest, &mut changed, text);
        let seen = honest.platform(&changed);
        assert_eq!(seen.verdict, Verdict::Verified, "{:#?}", failed(&seen));
        let words = &format!("session {id} is of {org}");
        noted(org, &seen, Check::Tokens, words);
        let totals = seen.totals.unwrap();
        let mut sessions = totals.machines.iter().flat_map(|one| &one.sessions);
        let found = sessions.find(|one| one.session == id).unwrap();
        assert_eq!((found.class, found.leaf_class), (class, Some(Class::Ext)));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_token_must_be_the_portals_and_for_this_session() {
    let forged = |what: &str, change: &dyn Fn(String) -> String, words: &str| {
        check(
            what,
            |honest, sample| {
                let claims = change(claims(honest, sample));
                let text = sign(&sample.keys.issuer, claims.as_bytes());
                forge(honest, sample, text);
            },
            Check::Tokens,
            words,
        );
    };
    let swap = |from: &'static str, to: &'static str| {
        move |claims: String| {
            let changed = claims.replacen(from, to, 1);
            assert_ne!(claims, changed);
            changed
        }
    };
    forged(
        "another machine's",
        &swap(r#"["mixer-01"]"#, r#"["press-01"]"#),
        "a token that is not for this machine",
    );
    forged(
        "another booking's",
        &swap("b-4-0", "b-4-9"),
        "has a token for booking b-4-9",
    );
    forged(
        "another site's",
        &swap("site-01", "site-02"),
        "a token for the site site-02",
    );
    forged(
        "another gateway's",
        &swap("gateway-01", "gateway-02"),
        "a token for the gateway gateway-02",
    );
    forged(
        "another day's",
        &swap(r#""start":"2026-03-06"#, r#""start":"2026-03-07"#),
        "and its token is for",
    );
    for (what, secret, words) in [
        (
            "forged by another",
            IssuerSecret::from_seed(&[77; 32], Some("portal-1")),
            "has a signature that does not fit",
        ),
        (
            "another issuer's",
            IssuerSecret::from_seed(&[77; 32], Some("portal-2")),
            "which the trust file does not have",
        ),
    ] {
        let secret = secret.unwrap();
        check(
            what,
            |honest, sample| {
                let claims = claims(honest, sample);
                forge(honest, sample, sign(&secret, claims.as_bytes()));
            },
            Check::Tokens,
            words,
        );
    }
    check(
        "an expired issuer's",
        |honest, _| {
            honest.trust.issuers[0].valid = Validity {
                from: None,
                to: Some(honest.plan.from.plus_millis(-3 * 86_400_000)),
            };
        },
        Check::Tokens,
        "was not to be trusted",
    );
    check(
        "none at all",
        |honest, sample| {
            let (_, token) = session(sample, &honest.plan, Class::Ext);
            sample.tokens.remove(&token.unwrap());
        },
        Check::Tokens,
        "which is not in the bundle",
    );
}

#[test]
fn time_is_not_made_up() {
    check(
        "a clock turned back within a boot",
        |honest, sample| {
            let plan = &honest.plan;
            let inside = |leaf: &&mut Leaf| leaf.head.at > plan.from && leaf.head.mono_ms > 0;
            sample.leaves.iter_mut().find(inside).unwrap().head.mono_ms -= 86_400_000;
        },
        Check::Time,
        "its clock says",
    );
    check(
        "an hour used twice",
        |honest, sample| {
            let plan = &honest.plan;
            let at = sample.leaves.iter().position(|leaf| matches!(&leaf.body, LeafBody::Usage(said) if said.from >= plan.from && said.session.is_some()));
            let again = sample.leaves[at.unwrap()].clone();
            sample.leaves.insert(at.unwrap() + 1, again);
            for (leaf, index) in sample.leaves.iter_mut().zip(0..) {
                leaf.head.index = index;
            }
        },
        Check::Time,
        "is accounted for twice",
    );
    check(
        "an hour left out",
        |honest, sample| {
            let plan = &honest.plan;
            sample.leaves.retain(
                |leaf| !matches!(&leaf.body, LeafBody::Usage(said) if said.from == plan.from),
            );
            for (leaf, index) in sample.leaves.iter_mut().zip(0..) {
                leaf.head.index = index;
            }
        },
        Check::Time,
        "nobody accounts for the time",
    );
    check(
        "a boot that comes again",
        |honest, sample| {
            let plan = &honest.plan;
            let last = sample
                .leaves
                .iter()
                .rposition(|leaf| leaf.head.at < plan.to)
                .unwrap();
            sample.leaves[last].head.boot = "5d1c1a3e-0001".to_owned();
        },
        Check::Time,
        "was over already",
    );
}

#[test]
fn a_session_opened_twice_is_told() {
    check(
        "duplicated session",
        |honest, sample| {
            let plan = &honest.plan;
            let of = |event| {
                sample.leaves.iter().position(|leaf| matches!(&leaf.body, LeafBody::Session(said) if said.from >= plan.from && said.event == event)).unwrap()
            };
            let close = of(SessionEvent::Close);
            let mut again = [
                sample.leaves[of(SessionEvent::Open)].clone(),
                sample.leaves[close].clone(),
            ];
            for leaf in &mut again {
                (leaf.head.at, leaf.head.mono_ms) = (
                    sample.leaves[close].head.at,
                    sample.leaves[close].head.mono_ms,
                );
            }
            sample.leaves.splice(close + 1..close + 1, again);
            for (leaf, index) in sample.leaves.iter_mut().zip(0..) {
                leaf.head.index = index;
            }
        },
        Check::Sessions,
        "begins a second time",
    );
}

#[test]
fn late_witnesses_make_hours_worth_less() {
    use crate::evidence::{Grade, Why};
    let honest = Honest::new();
    let sample = copy();
    let cosigned = sample.cosigned.iter();
    let late = cosigned.map(|(size, at)| (*size, at.plus_millis(10 * 86_400_000)));
    let plan = Plan {
        cosigned: late.collect(),
        ..sample.middle()
    };
    let (manifest, files) = sample.seal(&plan).unwrap();
    let verified = verify_bytes(&zip(&manifest, &files).unwrap(), Some(&honest.trust));
    let machines = verified.totals.unwrap().machines;
    let sessions = machines.iter().flat_map(|machine| &machine.sessions);
    let is_late = |session: &crate::evidence::SessionTotals| {
        session.grade >= Grade::C && session.why.contains(&Why::Late)
    };
    assert!(sessions.clone().count() > 5 && sessions.clone().all(is_late));
}

#[test]
fn no_check_in_makes_an_entered_class_worth_more() {
    use crate::evidence::Why;
    for check_in in [CheckIn::Local, CheckIn::Portal, CheckIn::Implied] {
        let honest = Honest::new();
        let mut sample = copy();
        let entered = sample.leaves.iter().find_map(|leaf| match &leaf.body {
            LeafBody::Session(said)
                if said.token.is_none()
                    && said.class != Class::Unb
                    && (honest.plan.from..honest.plan.to).contains(&said.from) =>
            {
                Some(said.session.clone())
            }
            _ => None,
        });
        let entered = entered.unwrap();
        for leaf in &mut sample.leaves {
            match &mut leaf.body {
                LeafBody::Session(said) if said.session == entered => said.check_in = check_in,
                _ => {}
            }
        }
        let verified = honest.platform(&sample);
        assert_eq!(failed(&verified), BTreeMap::new(), "{check_in:?}");
        let machines = verified.totals.unwrap().machines;
        let mut sessions = machines.iter().flat_map(|machine| &machine.sessions);
        let session = sessions.find(|session| session.session == entered).unwrap();
        assert_eq!(session.check_in, Some(check_in));
        assert_eq!(session.why.first(), Some(&Why::Entered), "{check_in:?}");
    }
}
