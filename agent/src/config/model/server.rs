//! An OPC UA server as a machine map names it: where it is, how messages to it are protected, and as
//! whom the agent speaks to it. Plain data: whatever files the map names have been read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Secret;

/// An OPC UA server and how it is spoken to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Server {
    /// `opc.tcp://host:port/path`.
    pub url: String,
    /// How messages are protected.
    pub security: Security,
    /// Who the agent says it is.
    pub identity: Identity,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether a gap is filled from the server's own history, where it offers one.
    pub history: bool,
}

/// How messages to an OPC UA server are protected. What is asked for is what is used: never less.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Security {
    /// Not at all.
    None,
    /// By certificates.
    Secured {
        /// The algorithms.
        policy: SecurityPolicy,
        /// Whether messages are encrypted, too.
        mode: SecurityMode,
        /// SHA-256 of the one certificate that the server may show; none: nothing is trusted yet,
        /// and the connection is refused with the words that would trust it.
        server: Option<Fingerprint>,
    },
}

/// SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The algorithms of OPC 10000-7 that the agent offers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SecurityPolicy {
    /// `Basic256Sha256`.
    Basic256Sha256,
    /// `Aes128-Sha256-RsaOaep`.
    Aes128Sha256RsaOaep,
    /// `Aes256-Sha256-RsaPss`.
    Aes256Sha256RsaPss,
}

/// Whether secured messages are encrypted, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SecurityMode {
    /// Signed only.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

/// Who the agent says it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// A user with a password, read from `password-file`.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A user with a certificate.
    Certificate {
        /// The certificate in DER, read from `user-certificate`.
        certificate: Arc<[u8]>,
        /// Its private key in PEM, read from `user-key`.
        key: Secret,
    },
}

impl SecurityPolicy {
    /// The word in a machine map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic256Sha256 => "Basic256Sha256",
            Self::Aes128Sha256RsaOaep => "Aes128-Sha256-RsaOaep",
            Self::Aes256Sha256RsaPss => "Aes256-Sha256-RsaPss",
        }
    }
}

impl SecurityMode {
    /// The word in a machine map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "Sign",
            Self::SignAndEncrypt => "SignAndEncrypt",
        }
    }
}
