//! Ed25519 keys as JSON Web Keys (RFC 7517, RFC 8037): the public half that a gateway trusts, and the
//! private half, which only whoever issues tokens has.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

use super::jws;

/// Characters of a key's id at most: a thumbprint has 43.
pub const KID_CHARS_MAX: usize = 128;

/// An Ed25519 public key whose holder may sign booking tokens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IssuerKey {
    /// The key's id, as tokens name it in `kid`.
    pub kid: String,
    /// The public key.
    pub key: [u8; 32],
}

/// The private half of an issuer's key. Never shown, but where it is asked for as a key.
#[derive(Clone)]
pub struct IssuerSecret {
    kid: String,
    key: SigningKey,
}

/// Why a text is no key that can be used here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JwkError {
    /// No JSON object with the fields of a key.
    #[error("no JSON Web Key")]
    Form,
    /// A key of another kind.
    #[error("a key of another kind than Ed25519 (\"kty\":\"OKP\",\"crv\":\"Ed25519\")")]
    Kind,
    /// For another purpose than signatures.
    #[error("a key for another purpose than signatures")]
    Purpose,
    /// A coordinate that is no point, or a point that anybody could sign for.
    #[error("no public key in \"x\"")]
    Point,
    /// The private half is there, where only the public one may be.
    #[error("a private key: \"d\" must never leave whoever issues tokens")]
    Private,
    /// The private half is missing, or belongs to another public one.
    #[error("no private key in \"d\" that \"x\" belongs to")]
    Secret,
    /// An id that is empty, too long or has characters that don't print.
    #[error("a \"kid\" of 1 to {KID_CHARS_MAX} printable ASCII characters is needed")]
    Kid,
}

/// The fields of a key that mean something here; others are ignored, as RFC 7517 says.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    x: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
}

impl Jwk {
    fn read(text: &str, operation: &str) -> Result<Self, JwkError> {
        if !jws::is_object(text.as_bytes()) {
            return Err(JwkError::Form);
        }
        let jwk: Self = serde_json::from_str(text).map_err(|_| JwkError::Form)?;
        if jwk.kty != "OKP" || jwk.crv != "Ed25519" {
            return Err(JwkError::Kind);
        }
        // RFC 9864 gives the algorithm of this curve a name of its own.
        let alg = jwk.alg.as_deref();
        let is_signature = alg.is_none_or(|alg| matches!(alg, "EdDSA" | "Ed25519"))
            && jwk.purpose.as_deref().is_none_or(|word| word == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|all| all.iter().any(|word| word == operation));
        if is_signature {
            Ok(jwk)
        } else {
            Err(JwkError::Purpose)
        }
    }

    fn of(key: &IssuerKey, d: Option<String>) -> Self {
        Self {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            kid: Some(key.kid.clone()),
            alg: Some("EdDSA".into()),
            purpose: Some("sig".into()),
            key_ops: None,
            x: jws::encode(&key.key),
            d,
        }
    }

    fn point(&self) -> Result<VerifyingKey, JwkError> {
        let bytes = fixed(&self.x).ok_or(JwkError::Point)?;
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(key),
            Ok(_) | Err(_) => Err(JwkError::Point),
        }
    }

    fn named(&self, key: &VerifyingKey) -> Result<IssuerKey, JwkError> {
        let key = key.to_bytes();
        let kid = match &self.kid {
            None => thumbprint(&key),
            Some(kid) => named(kid)?,
        };
        Ok(IssuerKey { kid, key })
    }

    fn text(&self) -> String {
        // Texts only: writing them can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn fixed(text: &str) -> Option<[u8; 32]> {
    jws::decode(text)?.try_into().ok()
}

fn named(kid: &str) -> Result<String, JwkError> {
    let prints = kid.bytes().all(|byte| byte.is_ascii_graphic());
    if prints && (1..=KID_CHARS_MAX).contains(&kid.len()) {
        Ok(kid.to_owned())
    } else {
        Err(JwkError::Kid)
    }
}

/// The key's thumbprint (RFC 7638): its id where it has been given none.
pub fn thumbprint(key: &[u8; 32]) -> String {
    let x = jws::encode(key);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    jws::encode(&Sha256::digest(members))
}

impl IssuerKey {
    /// Reads a public key.
    ///
    /// # Errors
    ///
    /// Whatever is no Ed25519 key for signatures, and a private key, too.
    pub fn from_jwk(text: &str) -> Result<Self, JwkError> {
        let jwk = Jwk::read(text, "verify")?;
        if jwk.d.is_some() {
            return Err(JwkError::Private);
        }
        jwk.named(&jwk.point()?)
    }

    /// The key as JSON, with its id.
    pub fn to_jwk(&self) -> String {
        Jwk::of(self, None).text()
    }
}

impl IssuerSecret {
    /// A key from 32 bytes of chance; its id is the thumbprint unless one is given.
    ///
    /// # Errors
    ///
    /// [`JwkError::Kid`].
    pub fn from_seed(seed: &[u8; 32], kid: Option<&str>) -> Result<Self, JwkError> {
        let key = SigningKey::from_bytes(seed);
        let kid = match kid {
            None => thumbprint(key.verifying_key().as_bytes()),
            Some(kid) => named(kid)?,
        };
        Ok(Self { kid, key })
    }

    /// Reads a private key.
    ///
    /// # Errors
    ///
    /// Whatever is no Ed25519 key for signatures, or has only the public half.
    pub fn from_jwk(text: &str) -> Result<Self, JwkError> {
        let jwk = Jwk::read(text, "sign")?;
        let seed = jwk.d.as_deref().and_then(fixed).ok_or(JwkError::Secret)?;
        let key = SigningKey::from_bytes(&seed);
        if key.verifying_key() != jwk.point()? {
            return Err(JwkError::Secret);
        }
        let kid = jwk.named(&key.verifying_key())?.kid;
        Ok(Self { kid, key })
    }

    /// The private key as JSON: whoever has it can issue tokens.
    pub fn to_jwk(&self) -> String {
        Jwk::of(&self.public(), Some(jws::encode(self.key.as_bytes()))).text()
    }

    /// The public half.
    pub fn public(&self) -> IssuerKey {
        IssuerKey {
            kid: self.kid.clone(),
            key: self.key.verifying_key().to_bytes(),
        }
    }

    pub(super) fn key(&self) -> &SigningKey {
        &self.key
    }
}

impl fmt::Debug for IssuerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerSecret({}, …)", self.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::{IssuerKey, IssuerSecret, JwkError, thumbprint};

    /// RFC 8037, appendix A.1 and A.3.
    const PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    #[test]
    fn the_vectors_of_rfc_8037_hold() {
        let secret = IssuerSecret::from_jwk(PRIVATE).unwrap();
        let public = secret.public();
        assert_eq!(public.kid, THUMBPRINT);
        assert_eq!(thumbprint(&public.key), THUMBPRINT);
        let text = public.to_jwk();
        assert_eq!(
            text,
            format!(
                r#"{{"kty":"OKP","crv":"Ed25519","kid":"{THUMBPRINT}","alg":"EdDSA","use":"sig","x":"{X}"}}"#
            )
        );
        assert_eq!(IssuerKey::from_jwk(&text), Ok(public.clone()));
        let again = IssuerSecret::from_jwk(&secret.to_jwk()).unwrap();
        assert_eq!(again.public(), public);
        assert!(!format!("{secret:?}").contains("nWGx"));
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let jwk = |rest: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519",{rest}}}"#);
        let x = format!(r#""x":"{X}""#);
        let check = |text: &str, expected: Option<JwkError>| {
            assert_eq!(IssuerKey::from_jwk(text).err(), expected, "{text}");
        };
        check(&jwk(&x), None);
        check(&jwk(&format!(r#"{x},"x5c":[],"other":1"#)), None);
        check(&jwk(&format!(r#"{x},"alg":"Ed25519","use":"sig""#)), None);
        check(&jwk(&format!(r#"{x},"key_ops":["verify"]"#)), None);
        let purpose = Some(JwkError::Purpose);
        check(&jwk(&format!(r#"{x},"alg":"ES256""#)), purpose.clone());
        check(&jwk(&format!(r#"{x},"use":"enc""#)), purpose.clone());
        check(&jwk(&format!(r#"{x},"key_ops":["sign"]"#)), purpose);
        check(PRIVATE, Some(JwkError::Private));
        for text in [
            "",
            "[]",
            &format!(r#"["OKP","Ed25519",null,null,null,null,"{X}"]"#),
            "{}",
            "null",
            &format!(r#"{{"keys":[{}]}}"#, jwk(&x)),
        ] {
            check(text, Some(JwkError::Form));
        }
        check(&jwk(&format!("{x},{x}")), Some(JwkError::Form));
        for text in [
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
            jwk(&x).replace("Ed25519", "X25519"),
            jwk(&x).replace("OKP", "EC"),
        ] {
            check(&text, Some(JwkError::Kind));
        }
        for x in [
            "",
            &X[1..],
            &format!("{X}="),
            &X.replace('_', "/"),
            // Bits beyond the last byte.
            &X.replace("URo", "URp"),
            // No point; the neutral one, which verifies whatever anybody signs.
            "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            check(&jwk(&format!(r#""x":"{x}""#)), Some(JwkError::Point));
        }
        for kid in [String::new(), "a b".into(), "钥".into(), "k".repeat(129)] {
            check(&jwk(&format!(r#"{x},"kid":"{kid}""#)), Some(JwkError::Kid));
        }
        let other = PRIVATE.replace("nWGx", "nWGy");
        assert_eq!(IssuerSecret::from_jwk(&other).err(), Some(JwkError::Secret));
        assert_eq!(
            IssuerSecret::from_jwk(&jwk(&x)).err(),
            Some(JwkError::Secret)
        );
    }
}
