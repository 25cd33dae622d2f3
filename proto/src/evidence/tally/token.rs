//! Whether a session's token makes it another company's.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

use super::flaw::{External, Flaw};
use super::room::Room;
use super::session::Session;
use super::{Scope, Sight, TALLY_TOKEN_BYTES_MAX};
use crate::booking::{self, JwsError, WINDOW_AFTER_MS, WINDOW_BEFORE_MS};
use crate::evidence::{Trust, TrustedIssuer};
use crate::{Class, Identifier, Time};

/// A token may be issued so long after its session ended: clocks differ.
const ISSUED_AFTER_MS: i64 = 5 * 60 * 1000;

/// What a token takes beside its text.
const TOKEN_BYTES: usize = 96;

/// The texts of tokens, by their SHA-256.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens(BTreeMap<[u8; 32], Box<[u8]>>);

impl Tokens {
    pub(super) fn take(&mut self, text: &[u8], room: &mut Room) {
        let hash: [u8; 32] = Sha256::digest(text).into();
        // What is too long is kept as far as it shows that.
        let text = text.get(..=TALLY_TOKEN_BYTES_MAX).unwrap_or(text);
        if !self.0.contains_key(&hash) && room.take(text.len() + TOKEN_BYTES) {
            self.0.insert(hash, text.into());
        }
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        let hash = hash_of(name)?;
        self.0.get(&hash).map(|text| &**text)
    }

    /// What a token claims, whoever signed it.
    pub(super) fn claims(&self, name: &str) -> Option<Claims> {
        let (_, payload) = claimed(self.get(name)?).ok()?;
        read(&payload).ok()
    }
}

/// The bytes of `sha256:` and 64 small hexadecimal digits.
fn hash_of(name: &str) -> Option<[u8; 32]> {
    let digits = name.strip_prefix("sha256:")?.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    let value = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let mut pair = pair.iter().map(value);
        *byte = pair.next()?? * 16 + pair.next()??;
    }
    Some(hash)
}

/// What of a booking's claims counts here.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Claims {
    site: Identifier,
    gateway: Identifier,
    pub(super) id: String,
    pub(super) machines: Vec<Identifier>,
    pub(super) start: Time,
    pub(super) end: Time,
    class: Class,
    #[serde(default)]
    pub(super) org: Option<String>,
    #[serde(default)]
    pub(super) org_kind: Option<String>,
    iat: i64,
}

fn claimed(text: &[u8]) -> Result<(String, Vec<u8>), JwsError> {
    let text = std::str::from_utf8(text).map_err(|_| JwsError::Form)?;
    booking::said(text, TALLY_TOKEN_BYTES_MAX)
}

fn read(payload: &[u8]) -> Result<Claims, Flaw> {
    if !booking::is_object(payload) {
        return Err(Flaw::Claims("no JSON object".to_owned()));
    }
    serde_json::from_slice(payload).map_err(|error| Flaw::Claims(error.to_string()))
}

/// What of a token holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// All of it.
    Signed,
    /// All but the signature, for want of trusted issuers.
    Unsigned,
    /// It is of an organisation that the trust file calls own or affiliated: its hours are not another company's.
    Related,
    /// Nobody knows: which token it has is said outside the bundle.
    Unknown,
}

/// The token of an external session.
pub(super) struct Case<'a> {
    pub(super) scope: &'a Scope,
    pub(super) machine: &'a Identifier,
    pub(super) session: &'a Session,
    pub(super) tokens: &'a Tokens,
    pub(super) sight: &'a Sight,
}

impl Case<'_> {
    pub(super) fn judge(&self) -> Result<Standing, Flaw> {
        if self.session.owner.is_none() {
            return Ok(Standing::Unknown);
        }
        let name = self.session.token().ok_or(Flaw::None)?;
        let text = self.tokens.get(name);
        let text = text.ok_or_else(|| Flaw::Absent(name.clone()))?;
        let (kid, payload) = claimed(text)?;
        let claims = read(&payload)?;
        let issuers = &self.sight.trust.issuers;
        if !issuers.is_empty() {
            signed(text, &kid, &claims, issuers)?;
        }
        self.place(&claims)?;
        let org = external(&claims)?;
        self.times(&claims)?;
        Ok(if related(&self.sight.trust, org).is_some() {
            Standing::Related
        } else if issuers.is_empty() {
            Standing::Unsigned
        } else {
            Standing::Signed
        })
    }

    fn place(&self, claims: &Claims) -> Result<(), Flaw> {
        if claims.site != self.scope.site {
            return Err(Flaw::Site(claims.site.clone()));
        }
        if claims.gateway != self.scope.gateway {
            return Err(Flaw::Gateway(claims.gateway.clone()));
        }
        if !claims.machines.contains(self.machine) {
            return Err(Flaw::Machine);
        }
        let known = self.session.booking();
        if known != Some(&claims.id) {
            return Err(Flaw::Booking {
                said: claims.id.clone(),
                known: known.map_or_else(|| "none".to_owned(), ToString::to_string),
            });
        }
        Ok(())
    }

    fn times(&self, claims: &Claims) -> Result<(), Flaw> {
        let iat = seconds(claims.iat);
        let ended = self.session.end.as_ref().and_then(|end| end.to);
        if ended.is_some_and(|ended| iat > ended.plus_millis(ISSUED_AFTER_MS)) {
            return Err(Flaw::Issued { iat });
        }
        let (start, end) = (claims.start, claims.end);
        let window = start.plus_millis(-WINDOW_BEFORE_MS)..=end.plus_millis(WINDOW_AFTER_MS);
        match &self.session.begin {
            Some(begin) if !window.contains(&begin.from) => Err(Flaw::Window {
                from: begin.from,
                start,
                end,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// The organisation that a token is for, where it asks for an external session.
fn external(claims: &Claims) -> Result<&str, Flaw> {
    if claims.class != Class::Ext {
        return Err(Flaw::External(External::Class(claims.class)));
    }
    let org = claims.org.as_deref().filter(|org| !org.is_empty());
    org.ok_or(Flaw::External(External::NoOrg))
}

/// The class of an organisation's hours, where the trust file calls it own or affiliated.
pub(super) fn related(trust: &Trust, org: &str) -> Option<Class> {
    if trust.own.contains(org) {
        return Some(Class::Own);
    }
    trust.affiliates.contains(org).then_some(Class::Aff)
}

fn seconds(seconds: i64) -> Time {
    Time::from_millis(seconds.saturating_mul(1000))
}

/// Whether a trusted key signed it, at a time at which that key was to be trusted.
fn signed(text: &[u8], kid: &str, claims: &Claims, issuers: &[TrustedIssuer]) -> Result<(), Flaw> {
    let text = std::str::from_utf8(text).map_err(|_| JwsError::Form)?;
    let iat = seconds(claims.iat);
    let mut flaw = Flaw::Key(kid.to_owned());
    for issuer in issuers.iter().filter(|issuer| issuer.key.kid == kid) {
        let keys = std::slice::from_ref(&issuer.key);
        match booking::verify(text, keys, TALLY_TOKEN_BYTES_MAX) {
            Ok(_) if issuer.valid.holds(iat) => return Ok(()),
            Ok(_) => {
                let kid = kid.to_owned();
                flaw = Flaw::Validity { kid, iat };
            }
            Err(error) if matches!(flaw, Flaw::Key(_)) => flaw = Flaw::Jws(error),
            Err(_) => {}
        }
    }
    Err(flaw)
}
