//! `[bookings]` and `[sessions]`: who may book, how sessions begin and end, and whose they are.

use lineside_proto::Identifier;
use lineside_proto::booking::{
    IssuerKey, JwkError, ORGANISATIONS_MAX, Organisations, OrganisationsError, TEXT_CHARS_MAX,
};
use std::collections::BTreeSet;
use std::time::Duration;

use super::super::fault::Fault;
use super::super::files::Files;
use super::super::model::{Bookings, CheckInMode, Sessions};
use super::super::section::{Said, Section};
use crate::text;
use crate::text::Text;

/// Keys that may sign: a portal's present one and its next, for a few portals.
const KEYS_MAX: usize = 16;

const IDLE_CLOSE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Reads both tables. A list of organisations counts only for its site, and signed by one of the keys.
pub(super) fn read(
    root: &Section<'_>,
    site: Option<&Identifier>,
    files: &Files,
) -> (Bookings, Sessions) {
    let booking = root.section("bookings");
    let sessions = root.section("sessions");
    let said = booking.as_ref().map(|section| bookings(section, files));
    let bookings = said.unwrap_or_default();
    let affiliates = sessions
        .as_ref()
        .and_then(|section| section.text("affiliates"));
    if let (Some(section), false, None) = (&booking, bookings.issuer_keys.is_empty(), affiliates) {
        let message = text!(
            "nobody signed which organisations are the platform's own or affiliates: their sessions would count as another company's",
            "未提供经签名的本单位与关联单位名单：其上机会被计为对外"
        );
        let fault = Fault::warning("unsigned-organisations", section.at(), message);
        section.add(fault.hint(text!(
            "ask the portal for the list that it signs, and name the file in [sessions] affiliates; `own` adds to it",
            "请向门户索取其签名的名单文件，写在 [sessions] affiliates 中；own 可作补充"
        )));
    }
    let sessions = sessions.map(|section| {
        let read = Reading {
            section: &section,
            files,
            keys: &bookings.issuer_keys,
            site,
        };
        let settings = read.sessions(affiliates);
        section.finish();
        settings
    });
    (bookings, sessions.unwrap_or_default())
}

fn bookings(section: &Section<'_>, files: &Files) -> Bookings {
    let mut bookings = Bookings::default();
    let named = section.texts("issuer-keys").unwrap_or_default();
    if named.len() > KEYS_MAX {
        let message = text!(
            "more than {KEYS_MAX} keys may sign",
            "签发密钥超过 {KEYS_MAX} 个"
        );
        section.add(Fault::error("too-many", section.at(), message));
    }
    for said in named.into_iter().take(KEYS_MAX) {
        let Some(key) = issuer_key(section, said, files) else {
            continue;
        };
        if bookings
            .issuer_keys
            .iter()
            .any(|other| other.kid == key.kid)
        {
            let kid = &key.kid;
            let message = text!(
                "two keys have the id `{kid}`",
                "两个密钥的 kid 均为 `{kid}`"
            );
            section.add(Fault::error("bad-key", said.at, message));
        }
        bookings.issuer_keys.push(key);
    }
    let words = [
        ("implied", CheckInMode::Implied),
        ("required", CheckInMode::Required),
    ];
    let check_in = section.choice("check-in", &words);
    bookings.check_in = check_in.map_or(CheckInMode::Implied, |said| said.value);
    section.finish();
    bookings
}

fn issuer_key(section: &Section<'_>, said: Said<'_, &str>, files: &Files) -> Option<IssuerKey> {
    let path = files.beside(said.at, said.value);
    // Read like a secret, so that no report shows a line of it: it may hold a private key by mistake.
    let text = match files.secret(&path) {
        Ok(text) => text,
        Err(error) => {
            section.add(error.fault(&path, said.at));
            return None;
        }
    };
    let error = match IssuerKey::from_jwk(&text) {
        Ok(key) => return Some(key),
        Err(error) => error,
    };
    let shown = path.display();
    let message = match &error {
        JwkError::Private => text!(
            "{shown} holds the portal's private key",
            "{shown} 中是门户的私钥"
        ),
        JwkError::Form
        | JwkError::Kind
        | JwkError::Purpose
        | JwkError::Point
        | JwkError::Secret
        | JwkError::Kid => text!(
            "{shown} is no key that may sign bookings: {error}",
            "{shown} 不是可签发预约的公钥：{error}"
        ),
    };
    let fault = Fault::error("bad-key", said.at, message);
    section.add(fault.hint(what_a_key_is(&error)));
    None
}

fn what_a_key_is(error: &JwkError) -> Text {
    if *error == JwkError::Private {
        return text!(
            "remove \"d\" from it, and have the portal make a new key: whoever read this one can book in its name",
            "请删除其中的 \"d\"，并让门户更换密钥：读到它的人都能冒名预约"
        );
    }
    text!(
        "it is one Ed25519 public key as a JWK, like {{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"portal\",\"x\":\"…\"}}; `lineside booking key` makes one for trials",
        "应为一个 Ed25519 公钥的 JWK，例如 {{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"portal\",\"x\":\"…\"}}；可用 `lineside booking key` 生成试用密钥"
    )
}

/// `[sessions]`, being read.
struct Reading<'a> {
    section: &'a Section<'a>,
    files: &'a Files,
    keys: &'a [IssuerKey],
    site: Option<&'a Identifier>,
}

impl Reading<'_> {
    fn sessions(&self, affiliates: Option<Said<'_, &str>>) -> Sessions {
        let section = self.section;
        let mut sessions = Sessions::default();
        let idle = section.duration("idle-close", IDLE_CLOSE);
        sessions.idle_close = idle.map_or(sessions.idle_close, |said| said.value);
        let own = section.texts("own");
        let lists = own.is_some() || affiliates.is_some();
        sessions.own = self.names(own.unwrap_or_default());
        if self.keys.is_empty() {
            if lists {
                let message = text!(
                    "without [bookings] issuer-keys no session is another company's: `own` and `affiliates` have no effect",
                    "没有 [bookings] issuer-keys 时不会有对外机时：own 和 affiliates 不起作用"
                );
                section.add(Fault::warning("no-effect", section.at(), message));
            }
        } else if let Some(list) = affiliates.and_then(|said| self.list(said)) {
            sessions.own.extend(list.own);
            sessions.affiliates = list.affiliates;
        }
        sessions
    }

    fn names(&self, said: Vec<Said<'_, &str>>) -> BTreeSet<String> {
        if said.len() > ORGANISATIONS_MAX {
            let message = text!(
                "more than {ORGANISATIONS_MAX} organisations",
                "单位超过 {ORGANISATIONS_MAX} 个"
            );
            let at = self.section.at();
            self.section.add(Fault::error("too-many", at, message));
        }
        for name in &said {
            let chars = name.value.chars().count();
            if !(1..=TEXT_CHARS_MAX).contains(&chars) {
                let message = text!(
                    "an organisation has 1 to {TEXT_CHARS_MAX} characters",
                    "单位名应为 1 到 {TEXT_CHARS_MAX} 个字符"
                );
                let fault = Fault::error("out-of-range", name.at, message);
                self.section.add(fault);
            }
        }
        said.into_iter().map(|name| name.value.to_owned()).collect()
    }

    fn list(&self, said: Said<'_, &str>) -> Option<Organisations> {
        let path = self.files.beside(said.at, said.value);
        let text = match self.files.secret(&path) {
            Ok(text) => text,
            Err(error) => {
                self.section.add(error.fault(&path, said.at));
                return None;
            }
        };
        match Organisations::from_jws(text.trim(), self.keys, self.site?) {
            Ok(list) => Some(list),
            Err(error) => {
                let shown = path.display();
                let message = text!(
                    "{shown} is no list of organisations that counts here: {error}",
                    "{shown} 不是在此有效的单位名单：{error}"
                );
                let fault = Fault::error("bad-list", said.at, message);
                self.section.add(fault.hint(match error {
                    OrganisationsError::Jws(_) => text!(
                        "it is a compact JWS by one of the issuer-keys, header {{\"alg\":\"EdDSA\",\"kid\":…}}",
                        "应为由 issuer-keys 之一签名的紧凑 JWS，头部为 {{\"alg\":\"EdDSA\",\"kid\":…}}"
                    ),
                    OrganisationsError::Form(_)
                    | OrganisationsError::Site(_)
                    | OrganisationsError::Bounds => text!(
                        "it says {{\"v\":1,\"site\":…,\"own\":[…],\"affiliates\":[…],\"iat\":…}}",
                        "其内容为 {{\"v\":1,\"site\":…,\"own\":[…],\"affiliates\":[…],\"iat\":…}}"
                    ),
                }));
                None
            }
        }
    }
}
