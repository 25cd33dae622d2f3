//! One booking or check-in, judged: whether it counts on this machine, and as what.

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{CheckInClaims, Claims, JwsError, TOKEN_BYTES_MAX, Trust, jws};
use crate::{Class, ClockStatus, Identifier, RefusalCode, Time};

/// Milliseconds of a booking at most: 31 days. A longer one is a mistake, and would keep everybody else away.
pub const DURATION_MS_MAX: i64 = 31 * 86_400_000;

/// A token may be issued so far in the future, in milliseconds: clocks differ.
pub const AHEAD_MS_MAX: i64 = 5 * 60 * 1000;

/// Characters of a booking's id and of each pseudonym at most, so that a leaf holds them.
pub const TEXT_CHARS_MAX: usize = 128;

/// Why something does not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) code: RefusalCode,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }

    pub(super) fn of(what: &str, error: &JwsError) -> Self {
        Self::new(error.code(), format!("{what} {error}"))
    }

    fn malformed(text: impl Into<String>) -> Self {
        Self::new(RefusalCode::Malformed, text)
    }
}

/// Where and when something is judged.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) site: &'a Identifier,
    pub(super) gateway: &'a Identifier,
    pub(super) machine: &'a Identifier,
    pub(super) trust: &'a Trust,
    pub(super) now: Time,
    pub(super) clock: ClockStatus,
}

/// Something presented, its signature verified where there must be one.
pub(super) struct Presented<T> {
    pub(super) claims: T,
    /// The key that signed it; none for an unsigned one.
    pub(super) kid: Option<String>,
    /// `sha256:` and the hash of the token, or of the unsigned claims: by this it is known again.
    pub(super) mark: String,
}

impl<T: DeserializeOwned> Presented<T> {
    /// Reads a token, verifying it.
    pub(super) fn token(token: &str, scene: &Scene<'_>) -> Result<Self, Refusal> {
        let verified = jws::verify(token, &scene.trust.keys, TOKEN_BYTES_MAX)
            .map_err(|error| Refusal::of("the token", &error))?;
        Ok(Self {
            claims: read(&verified.payload)?,
            kid: Some(verified.kid),
            mark: sha256(token.as_bytes()),
        })
    }

    /// Reads claims that nobody signed.
    pub(super) fn bare(claims: &[u8]) -> Result<Self, Refusal> {
        Ok(Self {
            claims: read(claims)?,
            kid: None,
            mark: sha256(claims),
        })
    }
}

/// Reads a JSON object.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if !jws::is_object(bytes) {
        return Err(Refusal::malformed("no JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| Refusal::malformed(format!("{error}")))
}

/// `sha256:` and the hash of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// For whom, and from when to when something may be presented.
struct Address<'a> {
    site: &'a Identifier,
    gateway: &'a Identifier,
    machines: &'a [Identifier],
    iat: i64,
    exp: i64,
}

impl Scene<'_> {
    /// Whether a booking counts here; `known`: it was accepted before, so that it can't expire any more.
    pub(super) fn booking(
        &self,
        presented: &Presented<Claims>,
        known: bool,
    ) -> Result<Class, Refusal> {
        let claims = &presented.claims;
        texts(claims)?;
        let signed = presented.kid.is_some();
        let address = Address {
            site: &claims.site,
            gateway: &claims.gateway,
            machines: &claims.machines,
            iat: claims.iat,
            exp: claims.exp,
        };
        self.address(&address, signed, known)?;
        let length = claims.end.as_millis() - claims.start.as_millis();
        if length <= 0 {
            return Err(Refusal::new(
                RefusalCode::BadTimes,
                "its end is not after its start",
            ));
        }
        if length > DURATION_MS_MAX {
            let text = "it is longer than 31 days; book in parts";
            return Err(Refusal::new(RefusalCode::BadTimes, text));
        }
        self.class(claims, signed)
    }

    /// Whether a check-in counts here, leaving its booking aside.
    pub(super) fn check_in(&self, presented: &Presented<CheckInClaims>) -> Result<(), Refusal> {
        let claims = &presented.claims;
        text("checkin", Some(&claims.checkin))?;
        text("iss", claims.iss.as_ref())?;
        let address = Address {
            site: &claims.site,
            gateway: &claims.gateway,
            machines: &claims.machines,
            iat: claims.iat,
            exp: claims.exp,
        };
        self.address(&address, presented.kid.is_some(), false)
    }

    fn address(&self, address: &Address<'_>, signed: bool, known: bool) -> Result<(), Refusal> {
        if signed && (address.iat <= 0 || address.exp <= 0) {
            return Err(Refusal::malformed("a token needs iat and exp, in seconds"));
        }
        self.place(address.site, address.gateway)?;
        if !address.machines.contains(self.machine) {
            let text = format!("it does not name {} among its machines", self.machine);
            return Err(Refusal::new(RefusalCode::WrongMachine, text));
        }
        // A clock that was never set (or counts only durations) says nothing of either limit: a gateway that
        // starts without a network would refuse every booking. Signature and revision still hold then.
        if known || matches!(self.clock, ClockStatus::U | ClockStatus::R) {
            return Ok(());
        }
        let now = self.now.as_millis();
        if address.exp > 0 && now > seconds(address.exp).as_millis() {
            let text = format!("it could be presented until {}", seconds(address.exp));
            return Err(Refusal::new(RefusalCode::Expired, text));
        }
        if seconds(address.iat).as_millis() > now.saturating_add(AHEAD_MS_MAX) {
            let (iat, now) = (seconds(address.iat), self.now);
            let text = format!("it was issued at {iat}, and it is {now} here");
            return Err(Refusal::new(RefusalCode::NotYetValid, text));
        }
        Ok(())
    }

    /// Whether something is for this gateway.
    pub(super) fn place(&self, site: &Identifier, gateway: &Identifier) -> Result<(), Refusal> {
        if site != self.site {
            let text = format!("it is for the site {site}, and this is {}", self.site);
            return Err(Refusal::new(RefusalCode::WrongSite, text));
        }
        if gateway != self.gateway {
            let text = format!(
                "it is for the gateway {gateway}, and this is {}",
                self.gateway
            );
            return Err(Refusal::new(RefusalCode::WrongGateway, text));
        }
        Ok(())
    }

    /// The class that is granted: another company's only by a signature, and never for an organisation
    /// that is the platform's own or an affiliate.
    fn class(&self, claims: &Claims, signed: bool) -> Result<Class, Refusal> {
        let is_in = |list: &std::collections::BTreeSet<String>| {
            claims.org.as_ref().is_some_and(|org| list.contains(org))
        };
        match claims.class {
            Class::Trn | Class::Mnt | Class::Own => Ok(claims.class),
            Class::Ext | Class::Aff if !signed || is_in(&self.trust.own) => Ok(Class::Own),
            Class::Ext if claims.org.as_deref().is_none_or(str::is_empty) => {
                Err(Refusal::malformed("class EXT needs org"))
            }
            Class::Ext if is_in(&self.trust.affiliates) => Ok(Class::Aff),
            Class::Ext | Class::Aff => Ok(claims.class),
            Class::Unb => Err(Refusal::malformed("class UNB can't be booked")),
        }
    }
}

/// Seconds since the epoch as a time.
pub(super) fn seconds(seconds: i64) -> Time {
    Time::from_millis(seconds.saturating_mul(1000))
}

fn texts(claims: &Claims) -> Result<(), Refusal> {
    text("id", Some(&claims.id))?;
    for (name, said) in [
        ("org", &claims.org),
        ("org_kind", &claims.org_kind),
        ("org_region", &claims.org_region),
        ("user", &claims.user),
        ("iss", &claims.iss),
    ] {
        text(name, said.as_ref())?;
    }
    Ok(())
}

fn text(name: &str, said: Option<&String>) -> Result<(), Refusal> {
    let fits = |said: &&String| {
        let chars = said.chars().count();
        (1..=TEXT_CHARS_MAX).contains(&chars) && !said.contains(char::is_control)
    };
    if said.as_ref().is_none_or(fits) {
        Ok(())
    } else {
        let text = format!("{name} has 1 to {TEXT_CHARS_MAX} characters that print");
        Err(Refusal::malformed(text))
    }
}
