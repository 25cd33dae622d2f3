//! As whom the agent signs in, and by which of the server's token policies.
//!
//! A password is only ever sent encrypted: by the channel, or by the server's certificate. Without
//! `security` that certificate is whatever the server shows: it keeps listeners out, not impostors.

use opcua::client::IdentityToken;
use opcua::crypto::{PrivateKey, SecurityPolicy as Policy, X509};
use opcua::types::{EndpointDescription, StatusCode, UserTokenPolicy, UserTokenType};

use super::certificate::Certificate;
use super::fault::OpcFault;
use crate::config::model::{Identity, Secret, Security, SecurityMode};

/// The policy of the endpoint by which the identity may be shown.
///
/// # Errors
///
/// [`OpcFault::NoSuchIdentity`], [`OpcFault::PasswordInClear`].
pub(super) fn policy(
    endpoint: &EndpointDescription,
    identity: &Identity,
    security: &Security,
) -> Result<UserTokenPolicy, OpcFault> {
    let offered = endpoint.user_identity_tokens.as_deref().unwrap_or_default();
    let (wanted, asked) = match identity {
        Identity::Anonymous => (UserTokenType::Anonymous, "anonymous"),
        Identity::Password { .. } => (UserTokenType::UserName, "user name"),
        Identity::Certificate { .. } => (UserTokenType::Certificate, "certificate"),
    };
    let mut in_clear = false;
    for token in offered.iter().filter(|token| token.token_type == wanted) {
        match protection(token, identity, endpoint, security) {
            Protection::Enough(algorithms) => {
                let mut token = token.clone();
                if matches!(identity, Identity::Certificate { .. }) {
                    // Named, since the crate takes a token without a policy for one without a signature.
                    token.security_policy_uri = algorithms.to_uri().into();
                }
                return Ok(token);
            }
            Protection::None => in_clear = true,
            Protection::Unfit => (),
        }
    }
    if in_clear {
        return Err(OpcFault::PasswordInClear);
    }
    Err(OpcFault::NoSuchIdentity {
        asked,
        offered: list(offered),
    })
}

/// The token that the identity is shown by.
///
/// # Errors
///
/// [`OpcFault::UserCertificate`].
pub(super) fn token(identity: &Identity) -> Result<IdentityToken, OpcFault> {
    Ok(match identity {
        Identity::Anonymous => IdentityToken::Anonymous,
        Identity::Password { user, password } => {
            let Secret(password) = password;
            IdentityToken::new_user_name(user.as_str(), password.as_str())
        }
        Identity::Certificate { certificate, key } => {
            let Secret(key) = key;
            let certificate = X509::from_der(certificate).map_err(|_| OpcFault::UserCertificate)?;
            let key =
                PrivateKey::from_pem(key.as_bytes()).map_err(|_| OpcFault::UserCertificate)?;
            IdentityToken::new_x509(certificate, key)
        }
    })
}

/// What it means that a session was refused so, where that is about who signs in.
///
/// A certificate that an endpoint names need not be shown in its sessions where they are not secured: the
/// crate then finds none for a user's certificate, and panics for a password.
pub(super) fn unproven(
    status: StatusCode,
    identity: &Identity,
    security: &Security,
) -> Option<OpcFault> {
    let expected = match identity {
        Identity::Anonymous => return None,
        Identity::Password { .. } => StatusCode::BadUnknownResponse,
        Identity::Certificate { .. } => StatusCode::BadCertificateInvalid,
    };
    (*security == Security::None && status == expected).then_some(OpcFault::Unproven)
}

/// How what proves the identity would be protected.
enum Protection {
    /// By the channel, or by these algorithms.
    Enough(Policy),
    /// Not at all.
    None,
    /// By what the agent doesn't offer, or can't use here.
    Unfit,
}

fn protection(
    token: &UserTokenPolicy,
    identity: &Identity,
    endpoint: &EndpointDescription,
    security: &Security,
) -> Protection {
    let algorithms = algorithms(token, security);
    let is_modern = match algorithms {
        Policy::Basic256Sha256 | Policy::Aes128Sha256RsaOaep | Policy::Aes256Sha256RsaPss => true,
        Policy::Unknown | Policy::None | Policy::Basic128Rsa15 | Policy::Basic256 => false,
    };
    let is_known = algorithms != Policy::Unknown;
    let fit = match identity {
        Identity::Anonymous => true,
        // Algorithms of the past are enough for what travels inside a channel of ours.
        Identity::Certificate { .. } => {
            is_known && algorithms != Policy::None && (is_modern || *security != Security::None)
        }
        Identity::Password { .. } if is_encrypted(security) => is_known,
        Identity::Password { .. } if algorithms == Policy::None => return Protection::None,
        Identity::Password { .. } => is_modern && has_certificate(endpoint),
    };
    if fit {
        Protection::Enough(algorithms)
    } else {
        Protection::Unfit
    }
}

/// The algorithms that protect a token: its own, else the channel's.
fn algorithms(token: &UserTokenPolicy, security: &Security) -> Policy {
    if !token.security_policy_uri.is_empty() {
        return Policy::from_uri(token.security_policy_uri.as_ref());
    }
    match security {
        Security::None => Policy::None,
        Security::Secured { policy, .. } => super::endpoint::algorithms(*policy),
    }
}

fn is_encrypted(security: &Security) -> bool {
    match security {
        Security::None => false,
        Security::Secured { mode, .. } => *mode == SecurityMode::SignAndEncrypt,
    }
}

/// Whether there is a certificate to encrypt a password with.
fn has_certificate(endpoint: &EndpointDescription) -> bool {
    Certificate::read(endpoint.server_certificate.as_ref()).is_some()
}

fn list(offered: &[UserTokenPolicy]) -> String {
    let mut names: Vec<&str> = offered
        .iter()
        .map(|token| match token.token_type {
            UserTokenType::Anonymous => "anonymous",
            UserTokenType::UserName => "user name",
            UserTokenType::Certificate => "certificate",
            UserTokenType::IssuedToken => "issued token",
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
