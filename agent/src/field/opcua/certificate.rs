//! What a certificate says of its owner, in words that a person can check.
//!
//! It does not decide whether to trust one. Bounds: a name is cut at `NAME_CHARS_MAX`.

use lineside_proto::Time;
use opcua::crypto::X509;
use sha2::{Digest, Sha256};
use x509_cert::der::{Decode, Reader as _, SliceReader};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time as X509Time;

use super::fault::OpcFault;
use crate::config::model::Fingerprint;

/// Characters of a name that are shown: it comes from a stranger and goes to a terminal.
const NAME_CHARS_MAX: usize = 200;

/// A certificate as people see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// SHA-256 over its bytes.
    pub fingerprint: Fingerprint,
    /// Whose it is.
    pub subject: String,
    /// Who signed it: the same where it is self-signed.
    pub issuer: String,
    /// The application that it names, if any.
    pub application: Option<String>,
    /// Valid from.
    pub from: Time,
    /// Valid until.
    pub until: Time,
    /// The bits of its RSA key.
    pub key_bits: usize,
}

impl Certificate {
    /// Reads a certificate in DER; none if it is not exactly one certificate with an RSA key.
    pub fn read(der: &[u8]) -> Option<Self> {
        let parsed = x509_cert::Certificate::from_der(der).ok()?;
        let key_bits = X509::from_der(der).ok()?.key_length().ok()?;
        let body = &parsed.tbs_certificate;
        let names = body.get::<SubjectAltName>().ok().flatten();
        let application = names.and_then(|(_, names)| {
            names.0.into_iter().find_map(|name| match name {
                GeneralName::UniformResourceIdentifier(uri) => Some(shown(uri.as_str())),
                GeneralName::OtherName(_)
                | GeneralName::Rfc822Name(_)
                | GeneralName::DnsName(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EdiPartyName(_)
                | GeneralName::IpAddress(_)
                | GeneralName::RegisteredId(_) => None,
            })
        });
        Some(Self {
            fingerprint: Fingerprint(Sha256::digest(der).into()),
            subject: shown(&body.subject.to_string()),
            issuer: shown(&body.issuer.to_string()),
            application,
            from: time(body.validity.not_before),
            until: time(body.validity.not_after),
            key_bits,
        })
    }

    /// Reads the one that a server shows.
    ///
    /// # Errors
    ///
    /// [`OpcFault::Chain`], [`OpcFault::BadCertificate`].
    pub(super) fn shown(bytes: &[u8]) -> Result<Self, OpcFault> {
        Self::read(bytes).ok_or_else(|| match Self::first(bytes) {
            Some(first) => OpcFault::Chain(Box::new(first)),
            None => OpcFault::BadCertificate { key_bits: None },
        })
    }

    /// The first of several, one after the other.
    fn first(bytes: &[u8]) -> Option<Self> {
        let mut reader = SliceReader::new(bytes).ok()?;
        let first = reader.tlv_bytes().ok()?;
        Self::read(first).filter(|_| first.len() < bytes.len())
    }

    /// Checks that it is valid now.
    ///
    /// # Errors
    ///
    /// [`OpcFault::Expired`], [`OpcFault::NotYetValid`].
    pub(super) fn check_time(&self, now: Time) -> Result<(), OpcFault> {
        if now > self.until {
            return Err(OpcFault::Expired(Box::new(self.clone())));
        }
        if now < self.from {
            return Err(OpcFault::NotYetValid(Box::new(self.clone())));
        }
        Ok(())
    }

    /// The line of a machine map that trusts it.
    pub fn line(&self) -> String {
        format!("server-fingerprint = \"{}\"", self.fingerprint)
    }
}

fn time(time: X509Time) -> Time {
    let millis = time.to_unix_duration().as_millis();
    Time::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// A stranger's text without what a terminal would obey.
fn shown(text: &str) -> String {
    text.chars()
        .take(NAME_CHARS_MAX)
        .map(|char| if char.is_control() { '·' } else { char })
        .collect()
}
