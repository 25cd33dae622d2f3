//! Compact JSON Web Signatures (RFC 7515) with Ed25519 (RFC 8037), and no others: the header names the
//! algorithm and the key, and nothing that would have to be understood.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::jwk::{IssuerKey, IssuerSecret, KID_CHARS_MAX};
use crate::RefusalCode;

/// Bytes of a token at most: a booking's claims take less than one KiB, however many machines it names.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Bytes of a message of bookings at most: what a broker carries by default, and some hundred tokens.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// What a signature covers, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The key that signed.
    pub kid: String,
    /// What was signed.
    pub payload: Vec<u8>,
}

/// Why a text is no signature that counts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JwsError {
    /// More than it may have.
    #[error("has {0} bytes, and {1} are allowed")]
    Size(usize, usize),
    /// Not three parts in base64url without padding.
    #[error("is no compact JWS: three parts in base64url without padding, joined by dots")]
    Form,
    /// A header with something else than `alg`, `kid` and `typ`, or without a `kid`.
    #[error(
        "has a header that is not exactly {{\"alg\":\"EdDSA\",\"kid\":…}}; only \"typ\" may stand beside these"
    )]
    Header,
    /// Another algorithm than EdDSA, or none.
    #[error("is signed by another algorithm than EdDSA, or by none")]
    Algorithm,
    /// The header wants something to be understood that isn't.
    #[error("has \"crit\" in its header, and nothing of it is understood")]
    Critical,
    /// No such key is configured.
    #[error("is signed by the key {0:?}, which is not configured here")]
    UnknownKey(String),
    /// The signature is of something else, or of another key.
    #[error("has a signature that does not fit")]
    Signature,
}

impl JwsError {
    /// The code that a portal reads.
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::Size(..) | Self::Form | Self::Header | Self::Critical => RefusalCode::Malformed,
            Self::Algorithm => RefusalCode::Algorithm,
            Self::UnknownKey(_) => RefusalCode::UnknownKey,
            Self::Signature => RefusalCode::BadSignature,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

/// What can be said of a header that is not as it must be.
#[derive(Deserialize)]
struct OtherHeader {
    #[serde(default)]
    alg: serde_json::Value,
    #[serde(default)]
    crit: serde_json::Value,
}

/// Signs a payload.
pub fn sign(secret: &IssuerSecret, payload: &[u8]) -> String {
    let header = Header {
        alg: "EdDSA".into(),
        kid: secret.public().kid,
        typ: None,
    };
    // Texts only: writing them can't fail.
    let header = serde_json::to_vec(&header).unwrap_or_default();
    compact(&header, payload, secret)
}

fn compact(header: &[u8], payload: &[u8], secret: &IssuerSecret) -> String {
    let mut token = format!("{}.{}", encode(header), encode(payload));
    let signature = secret.key().sign(token.as_bytes());
    token.push('.');
    token.push_str(&encode(&signature.to_bytes()));
    token
}

/// Verifies a compact JWS of at most so many bytes against the keys that may have signed it.
///
/// # Errors
///
/// Whatever is not exactly a compact JWS by one of these keys.
pub fn verify(token: &str, keys: &[IssuerKey], bytes_max: usize) -> Result<Verified, JwsError> {
    let parts = Parts::of(token, bytes_max)?;
    let header = decode(parts.header).ok_or(JwsError::Form)?;
    let header = read_header(&header)?;
    let payload = decode(parts.payload).ok_or(JwsError::Form)?;
    let unknown = || JwsError::UnknownKey(header.kid.chars().take(KID_CHARS_MAX).collect());
    let key = keys.iter().find(|key| key.kid == header.kid);
    let key = key.ok_or_else(unknown)?;
    parts.check(&key.key)?;
    Ok(Verified {
        kid: header.kid,
        payload,
    })
}

fn read_header(bytes: &[u8]) -> Result<Header, JwsError> {
    if !is_object(bytes) {
        return Err(JwsError::Header);
    }
    match serde_json::from_slice::<Header>(bytes) {
        Ok(header) if header.alg == "EdDSA" => Ok(header),
        Ok(_) => Err(JwsError::Algorithm),
        Err(_) => Err(match serde_json::from_slice::<OtherHeader>(bytes) {
            Ok(other) if other.alg != "EdDSA" => JwsError::Algorithm,
            Ok(other) if !other.crit.is_null() => JwsError::Critical,
            Ok(_) | Err(_) => JwsError::Header,
        }),
    }
}

/// What a token says of itself, whoever signed it: only to name it where it is refused.
pub(super) fn unverified(token: &str) -> Option<Vec<u8>> {
    let parts = Parts::of(token, TOKEN_BYTES_MAX).ok()?;
    decode(parts.payload)
}

/// The key that a token names, and what it says, whoever signed it.
///
/// # Errors
///
/// Whatever has not exactly the form of a compact JWS with EdDSA.
pub(crate) fn said(token: &str, bytes_max: usize) -> Result<(String, Vec<u8>), JwsError> {
    let parts = Parts::of(token, bytes_max)?;
    let header = decode(parts.header).ok_or(JwsError::Form)?;
    let header = read_header(&header)?;
    let payload = decode(parts.payload).ok_or(JwsError::Form)?;
    decode(parts.signature).ok_or(JwsError::Form)?;
    Ok((header.kid, payload))
}

struct Parts<'a> {
    /// Header and payload, as they are signed.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str, bytes_max: usize) -> Result<Self, JwsError> {
        if token.len() > bytes_max {
            return Err(JwsError::Size(token.len(), bytes_max));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Form)?;
        if payload.contains('.') {
            return Err(JwsError::Form);
        }
        Ok(Self {
            signed,
            header,
            payload,
            signature,
        })
    }

    fn check(&self, key: &[u8; 32]) -> Result<(), JwsError> {
        let signature = decode(self.signature).ok_or(JwsError::Form)?;
        let signature = Signature::from_slice(&signature).map_err(|_| JwsError::Signature)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| JwsError::Signature)?;
        key.verify_strict(self.signed.as_bytes(), &signature)
            .map_err(|_| JwsError::Signature)
    }
}

/// Whether JSON is an object: a list would be read as the fields of one in their order.
pub(crate) fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// Base64url without padding (RFC 4648, section 5).
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a text in base64url without padding; none if it has padding, spaces, or bits beyond the last byte.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::{JwsError, Parts, TOKEN_BYTES_MAX, compact, encode, sign, verify};
    use crate::booking::{IssuerKey, IssuerSecret};
    use proptest::prelude::*;

    /// RFC 8037, appendix A.
    const PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn secret() -> IssuerSecret {
        IssuerSecret::from_jwk(PRIVATE).unwrap()
    }

    fn keys() -> Vec<IssuerKey> {
        let other = IssuerSecret::from_seed(&[7; 32], Some("other")).unwrap();
        vec![other.public(), secret().public()]
    }

    #[test]
    fn the_vectors_of_rfc_8037_hold() {
        let made = compact(
            br#"{"alg":"EdDSA"}"#,
            b"Example of Ed25519 signing",
            &secret(),
        );
        assert_eq!(made, SIGNED);
        let parts = Parts::of(SIGNED, TOKEN_BYTES_MAX).unwrap();
        assert_eq!(parts.check(&secret().public().key), Ok(()));
        // Here a token must name its key.
        let error = verify(SIGNED, &keys(), TOKEN_BYTES_MAX);
        assert_eq!(error, Err(JwsError::Header));
    }

    #[test]
    fn a_token_of_ours_is_verified() {
        let token = sign(&secret(), b"payload");
        let verified = verify(&token, &keys(), TOKEN_BYTES_MAX).unwrap();
        assert_eq!(verified.payload, b"payload");
        assert_eq!(verified.kid, secret().public().kid);
        let error = verify(&token, &keys()[..1], TOKEN_BYTES_MAX).unwrap_err();
        assert!(matches!(error, JwsError::UnknownKey(_)));
        let error = verify(&token, &keys(), token.len() - 1).unwrap_err();
        assert_eq!(error, JwsError::Size(token.len(), token.len() - 1));
        assert!(verify(&token, &keys(), token.len()).is_ok());
    }

    #[test]
    fn other_headers_are_refused() {
        let kid = secret().public().kid;
        let check = |header: &str, expected: Option<JwsError>| {
            let token = compact(header.as_bytes(), b"{}", &secret());
            let found = verify(&token, &keys(), TOKEN_BYTES_MAX).err();
            assert_eq!(found, expected, "{header}");
        };
        let with = |rest: &str| format!(r#"{{"alg":"EdDSA","kid":"{kid}"{rest}}}"#);
        check(&with(""), None);
        check(&with(r#","typ":"JWT""#), None);
        check(&with(r#","crit":["exp"]"#), Some(JwsError::Critical));
        for rest in [
            r#","b64":false"#,
            r#","jwk":{}"#,
            r#","kid":"other""#,
            r#","alg":"EdDSA""#,
            r#","typ":1"#,
            "} ",
        ] {
            check(&with(rest), Some(JwsError::Header));
        }
        for alg in ["none", "HS256", "ES256", "eddsa", "Ed25519", ""] {
            let header = with("").replace("EdDSA", alg);
            check(&header, Some(JwsError::Algorithm));
        }
        check(r#"{"kid":"x"}"#, Some(JwsError::Algorithm));
        check(r#"{"alg":"EdDSA"}"#, Some(JwsError::Header));
        for list in ["[]", r#"["EdDSA","other"]"#, "null", ""] {
            check(list, Some(JwsError::Header));
        }
        check(
            r#"{"alg":"EdDSA","kid":"nobody"}"#,
            Some(JwsError::UnknownKey("nobody".into())),
        );
        check(
            r#"{"alg":"EdDSA","kid":"other"}"#,
            Some(JwsError::Signature),
        );
        // Unsigned, as the algorithm "none" has it.
        let none = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(b"{}"));
        let error = verify(&none, &keys(), TOKEN_BYTES_MAX);
        assert_eq!(error, Err(JwsError::Algorithm));
    }

    #[test]
    fn other_forms_are_refused() {
        let token = sign(&secret(), b"payload!");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for (text, expected) in [
            (String::new(), JwsError::Form),
            (signed.to_owned(), JwsError::Form),
            (format!("{signed}."), JwsError::Signature),
            (format!("{token}."), JwsError::Form),
            (format!("{token}="), JwsError::Form),
            (format!("{token}=="), JwsError::Form),
            (format!("{token} "), JwsError::Form),
            (format!("\n{token}"), JwsError::Form),
            (format!("{token}.{signature}"), JwsError::Form),
            (token[..token.len() - 2].to_owned(), JwsError::Signature),
        ] {
            let found = verify(&text, &keys(), TOKEN_BYTES_MAX);
            let found = found.expect_err(&text);
            assert_eq!(found.code(), expected.code(), "{text}: {found}");
        }
    }

    proptest! {
        #[test]
        fn bytes_never_panic(text in "\\PC*|[A-Za-z0-9_.-]{0,300}") {
            prop_assert!(verify(&text, &keys(), TOKEN_BYTES_MAX).is_err());
        }

        #[test]
        fn one_other_byte_and_it_is_refused(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            place in any::<prop::sample::Index>(),
            byte in 0x21_u8..0x7f,
        ) {
            let mut token = sign(&secret(), &payload).into_bytes();
            let place = place.index(token.len());
            prop_assume!(token[place] != byte);
            token[place] = byte;
            let token = String::from_utf8(token).unwrap();
            prop_assert!(verify(&token, &keys(), TOKEN_BYTES_MAX).is_err(), "{}", token);
        }
    }
}
