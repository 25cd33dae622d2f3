//! Which organisations are the platform's own, and which are its affiliates: a list that an issuer signs,
//! so that a platform can't make its own hours another company's by leaving somebody out.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use super::token::TEXT_CHARS_MAX;
use super::{IssuerKey, JwsError, MESSAGE_BYTES_MAX, jws};
use crate::Identifier;

/// Organisations of each kind at most: more than a group of companies has.
pub const ORGANISATIONS_MAX: usize = 4096;

/// The payload of the signed list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Organisations {
    /// Version of this list's shape: 1.
    pub v: u8,
    /// The pilot platform.
    pub site: Identifier,
    /// Its own organisation, in the tokens' pseudonyms.
    #[serde(default)]
    pub own: BTreeSet<String>,
    /// Its affiliates, likewise.
    #[serde(default)]
    pub affiliates: BTreeSet<String>,
    /// When the list was issued, in seconds since the Unix epoch.
    pub iat: i64,
}

/// Why a text is no list of organisations that counts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrganisationsError {
    /// The signature.
    #[error("it {0}")]
    Jws(#[from] JwsError),
    /// What is signed is something else.
    #[error("what is signed is no such list: {0}")]
    Form(String),
    /// For another site.
    #[error("it is for the site {0}")]
    Site(Identifier),
    /// Too many organisations, or a name that is empty or too long.
    #[error(
        "at most {ORGANISATIONS_MAX} organisations of each kind, of 1 to {TEXT_CHARS_MAX} characters"
    )]
    Bounds,
}

impl Organisations {
    /// Reads a signed list, verifying it.
    ///
    /// # Errors
    ///
    /// Whatever is not a list for this site by one of these keys.
    pub fn from_jws(
        text: &str,
        keys: &[IssuerKey],
        site: &Identifier,
    ) -> Result<Self, OrganisationsError> {
        let verified = jws::verify(text, keys, MESSAGE_BYTES_MAX)?;
        if !jws::is_object(&verified.payload) {
            return Err(OrganisationsError::Form("no JSON object".into()));
        }
        let list: Self = serde_json::from_slice(&verified.payload)
            .map_err(|error| OrganisationsError::Form(error.to_string()))?;
        if list.v != 1 {
            let why = format!("version {} is not known", list.v);
            return Err(OrganisationsError::Form(why));
        }
        if list.site != *site {
            return Err(OrganisationsError::Site(list.site));
        }
        let fits = |all: &BTreeSet<String>| {
            let short = |name: &String| (1..=TEXT_CHARS_MAX).contains(&name.chars().count());
            all.len() <= ORGANISATIONS_MAX && all.iter().all(short)
        };
        if fits(&list.own) && fits(&list.affiliates) {
            Ok(list)
        } else {
            Err(OrganisationsError::Bounds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Organisations, OrganisationsError};
    use crate::booking::{IssuerSecret, JwsError, sign};

    #[test]
    fn only_an_issuers_list_for_this_site_counts() {
        let secret = IssuerSecret::from_seed(&[1; 32], Some("portal")).unwrap();
        let site = "s".parse().unwrap();
        let read = |text: &str| Organisations::from_jws(text, &[secret.public()], &site);
        let good = r#"{"v":1,"site":"s","own":["a"],"affiliates":["b","c"],"iat":1}"#;
        let list = read(&sign(&secret, good.as_bytes())).unwrap();
        assert!(list.own.contains("a") && list.affiliates.len() == 2);
        assert_eq!(read(good), Err(OrganisationsError::Jws(JwsError::Form)));
        let long = format!(r#""{}""#, "x".repeat(129));
        for (from, to) in [
            (r#""v":1"#, r#""v":2"#),
            (r#""s""#, r#""t""#),
            (r#","iat":1"#, ""),
            (r#""b""#, r#""""#),
            (r#""b""#, &long),
        ] {
            let text = good.replace(from, to);
            assert_ne!(text, good);
            let error = read(&sign(&secret, text.as_bytes())).unwrap_err();
            assert!(!matches!(error, OrganisationsError::Jws(_)), "{error}");
        }
        let other = IssuerSecret::from_seed(&[2; 32], Some("portal")).unwrap();
        let error = read(&sign(&other, good.as_bytes()));
        assert_eq!(error, Err(OrganisationsError::Jws(JwsError::Signature)));
    }
}
