//! Signed notes (C2SP signed-note): a text and the signatures of those who stand behind it, and the
//! cosignatures of witnesses (C2SP tlog-cosignature, version 1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

use crate::Time;

/// Bytes of a note at most: a checkpoint and more signatures than anybody needs.
pub const NOTE_BYTES_MAX: usize = 64 << 10;

/// Signatures of a note at most.
const SIGNATURES_MAX: usize = 100;

/// How a signature line begins.
const DASH: &str = "\u{2014} ";

/// What a key signs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyKind {
    /// Notes (Ed25519, type 0x01).
    Ed25519,
    /// Checkpoints that a witness has seen, with the time (cosignature/v1, type 0x04).
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// Why a text is no key or no note.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// Not a verifier key.
    #[error("no verifier key: it is written name+hash+key")]
    Key,
    /// A verifier key whose hash is not that of its name and key.
    #[error("the hash in the verifier key of {0} does not fit its name and key")]
    KeyHash(String),
    /// A key of a kind that is not known.
    #[error("the verifier key of {0} is of a kind that is not known here")]
    KeyKind(String),
    /// A name with blanks or `+`, or none.
    #[error("`{0}` can't be the name of a key: no blanks, no `+`")]
    Name(String),
    /// Not a note.
    #[error("no signed note: a text, an empty line, and signature lines")]
    Form,
    /// Longer than a note may be, or with more signatures.
    #[error("the note is longer than a note may be")]
    TooLong,
    /// A signature of a key that is known, and that does not fit the text.
    #[error("the signature of {0} does not fit: the text was changed, or somebody else signed it")]
    Signature(String),
    /// No signature of any key that is known.
    #[error("no signature of a key that is trusted here")]
    Unsigned,
}

/// A public key with the name of its holder (vkey).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
}

/// The hash by which a signature line names its key.
fn key_hash(name: &str, kind: KeyKind, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update(b"\n")
        .chain_update([kind.byte()])
        .chain_update(key.as_bytes());
    let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
    [a, b, c, d]
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter == '+')
}

impl VerifierKey {
    /// A key.
    ///
    /// # Errors
    ///
    /// [`NoteError::Name`], and [`NoteError::Key`] for bytes that are no Ed25519 key.
    pub fn new(name: &str, kind: KeyKind, key: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name(name.to_owned()));
        }
        let key = VerifyingKey::from_bytes(key).map_err(|_| NoteError::Key)?;
        let name = name.to_owned();
        Ok(Self { name, kind, key })
    }

    /// Its holder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key itself.
    pub fn key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The hash by which signature lines name it.
    pub fn hash(&self) -> [u8; 4] {
        key_hash(&self.name, self.kind, &self.key)
    }

    /// Whether this is its signature over any bytes.
    pub fn verify_bytes(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Ed25519::from_bytes(signature);
        self.key.verify_strict(bytes, &signature).is_ok()
    }

    /// When it was cosigned, if this is its signature over the text of a note; for a key that signs notes,
    /// no time.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<Time>> {
        match self.kind {
            KeyKind::Ed25519 => {
                let signature = signature.try_into().ok()?;
                self.verify_bytes(text.as_bytes(), signature)
                    .then_some(None)
            }
            KeyKind::Cosignature => {
                let (seconds, signature) = signature.split_first_chunk::<8>()?;
                let seconds = u64::from_be_bytes(*seconds);
                let signature = signature.try_into().ok()?;
                let said = cosigned_text(seconds, text);
                let time = i64::try_from(seconds).ok()?.checked_mul(1000)?;
                self.verify_bytes(said.as_bytes(), signature)
                    .then(|| Some(Time::from_millis(time)))
            }
        }
    }
}

/// What both keys sign when one follows the other: four lines.
pub fn change_text(origin: &str, old: &VerifierKey, new: &VerifierKey) -> String {
    format!("lineside key change\n{origin}\n{old}\n{new}\n")
}

fn cosigned_text(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.hash();
        let mut key = vec![self.kind.byte()];
        key.extend_from_slice(self.key.as_bytes());
        let key = STANDARD.encode(key);
        write!(f, "{}+{a:02x}{b:02x}{c:02x}{d:02x}+{key}", self.name)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let (kind, bytes) = bytes.split_first().ok_or(NoteError::Key)?;
        let kind = [KeyKind::Ed25519, KeyKind::Cosignature]
            .into_iter()
            .find(|known| known.byte() == *kind)
            .ok_or_else(|| NoteError::KeyKind(name.to_owned()))?;
        let bytes = bytes.try_into().map_err(|_| NoteError::Key)?;
        let key = Self::new(name, kind, bytes)?;
        let [a, b, c, d] = key.hash();
        if format!("{a:02x}{b:02x}{c:02x}{d:02x}") != hash {
            return Err(NoteError::KeyHash(name.to_owned()));
        }
        Ok(key)
    }
}

/// A private key with the name of its holder. Its secret is never shown.
pub struct SignerKey {
    public: VerifierKey,
    secret: SigningKey,
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.public)
    }
}

impl SignerKey {
    /// A key from its seed.
    ///
    /// # Errors
    ///
    /// [`NoteError::Name`].
    pub fn new(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let secret = SigningKey::from_bytes(seed);
        let public = VerifierKey::new(name, kind, secret.verifying_key().as_bytes())?;
        Ok(Self { public, secret })
    }

    /// The public half.
    pub fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// The signature over any bytes.
    pub fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        self.secret.sign(bytes).to_bytes()
    }

    /// The signature line over the text of a note; a cosignature is of the moment `at`.
    pub fn sign(&self, text: &str, at: Time) -> Signature {
        let bytes = match self.public.kind {
            KeyKind::Ed25519 => self.sign_bytes(text.as_bytes()).to_vec(),
            KeyKind::Cosignature => {
                let seconds = u64::try_from(at.as_millis() / 1000).unwrap_or(0);
                let said = cosigned_text(seconds, text);
                let mut bytes = seconds.to_be_bytes().to_vec();
                bytes.extend_from_slice(&self.sign_bytes(said.as_bytes()));
                bytes
            }
        };
        Signature {
            name: self.public.name.clone(),
            hash: self.public.hash(),
            bytes,
        }
    }
}

/// A signature line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// Whose it is said to be.
    pub name: String,
    /// The hash of the key.
    pub hash: [u8; 4],
    /// The signature.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Reads a signature line, without its line break.
    ///
    /// # Errors
    ///
    /// [`NoteError::Form`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let line = line.strip_prefix(DASH).ok_or(NoteError::Form)?;
        let (name, signature) = line.split_once(' ').ok_or(NoteError::Form)?;
        let bytes = STANDARD.decode(signature).map_err(|_| NoteError::Form)?;
        let (hash, bytes) = bytes.split_first_chunk::<4>().ok_or(NoteError::Form)?;
        if !is_name(name) || bytes.is_empty() {
            return Err(NoteError::Form);
        }
        Ok(Self {
            name: name.to_owned(),
            hash: *hash,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.hash.to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text with signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What is signed; ends with a line break.
    pub text: String,
    /// Who signed it.
    pub signatures: Vec<Signature>,
}

/// A signature that fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified<'a> {
    /// The key.
    pub key: &'a VerifierKey,
    /// When a witness cosigned it; none for a key that signs notes.
    pub cosigned: Option<Time>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    ///
    /// [`NoteError::Form`] and [`NoteError::TooLong`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let bad = |letter: char| letter != '\n' && letter.is_control();
        let end = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = note.split_at(end + 1);
        let lines = lines
            .strip_prefix('\n')
            .and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or(NoteError::Form)?;
        if text.contains(bad) {
            return Err(NoteError::Form);
        }
        let signatures: Vec<Signature> = lines
            .split('\n')
            .take(SIGNATURES_MAX + 1)
            .map(Signature::parse)
            .collect::<Result<_, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::TooLong);
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The signatures that fit, by the keys that are known; those of other keys are passed over.
    ///
    /// # Errors
    ///
    /// [`NoteError::Signature`] if one of a known key does not fit, [`NoteError::Unsigned`] if there is none.
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<Vec<Verified<'a>>, NoteError> {
        let mut verified: Vec<Verified<'a>> = Vec::new();
        for signature in &self.signatures {
            let mine =
                |key: &&VerifierKey| key.name == signature.name && key.hash() == signature.hash;
            let Some(key) = keys.iter().find(mine) else {
                continue;
            };
            let cosigned = key
                .verify(&self.text, &signature.bytes)
                .ok_or_else(|| NoteError::Signature(signature.name.clone()))?;
            if verified.iter().all(|known| known.key != key) {
                verified.push(Verified { key, cosigned });
            }
        }
        if verified.is_empty() {
            return Err(NoteError::Unsigned);
        }
        Ok(verified)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            writeln!(f, "{signature}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyKind, Note, NoteError, Signature, SignerKey, VerifierKey};
    use crate::Time;
    use proptest::prelude::*;

    /// The example of golang.org/x/mod/sumdb/note, whose key is public.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_foreign_note_is_verified() {
        let key: VerifierKey = PETER.parse().unwrap();
        assert_eq!(key.to_string(), PETER);
        let note = Note::parse(NOTE).unwrap();
        assert_eq!(note.to_string(), NOTE);
        let keys = [key];
        let verified = note.verify(&keys).unwrap();
        assert_eq!(verified.len(), 1);
        let changed = Note::parse(&NOTE.replace("answer", "question")).unwrap();
        assert_eq!(
            changed.verify(&keys),
            Err(NoteError::Signature("PeterNeumann".to_owned()))
        );
        assert_eq!(note.verify(&[]), Err(NoteError::Unsigned));
    }

    #[test]
    fn signatures_of_both_kinds_fit_and_only_theirs() {
        let at = Time::from_millis(1_795_420_800_000);
        let log = SignerKey::new("lineside/site/gw", KeyKind::Ed25519, &[1; 32]).unwrap();
        let witness = SignerKey::new("witness", KeyKind::Cosignature, &[2; 32]).unwrap();
        let text = "lineside/site/gw\n1\nAAAA\n".to_owned();
        let note = Note {
            signatures: vec![log.sign(&text, at), witness.sign(&text, at)],
            text,
        };
        let note = Note::parse(&note.to_string()).unwrap();
        let keys = [witness.public().clone(), log.public().clone()];
        let verified = note.verify(&keys).unwrap();
        let times: Vec<_> = verified
            .iter()
            .map(|one| (one.key.name(), one.cosigned))
            .collect();
        assert_eq!(times, [("lineside/site/gw", None), ("witness", Some(at))]);
        let other = SignerKey::new("lineside/site/gw", KeyKind::Ed25519, &[3; 32]).unwrap();
        assert_eq!(
            note.verify(&[other.public().clone()]),
            Err(NoteError::Unsigned)
        );
        assert!(!format!("{log:?}").contains("1, 1, 1"));
    }

    #[test]
    fn what_is_no_key_or_note_is_refused() {
        let key = |text: &str| text.parse::<VerifierKey>().unwrap_err();
        assert_eq!(key("a"), NoteError::Key);
        assert_eq!(
            key(&PETER.replace("c74f", "c74e")),
            NoteError::KeyHash("PeterNeumann".to_owned())
        );
        assert_eq!(
            key(&PETER.replace("+ARpc", "+Bhpc")),
            NoteError::KeyKind("PeterNeumann".to_owned())
        );
        assert_eq!(
            key(&PETER.replace("PeterNeumann", "Peter N")),
            NoteError::Name("Peter N".to_owned())
        );
        for note in [
            "",
            "a\n",
            "a\n\n",
            "a\n\nb\n",
            "a\n\n\u{2014} b\n",
            "a\r\n\n\u{2014} b AAAAAAA=\n",
        ] {
            assert_eq!(Note::parse(note), Err(NoteError::Form), "{note:?}");
        }
        let line = "\u{2014} b AAAAAAA=\n";
        assert!(Note::parse(&format!("a\n\n{line}")).is_ok());
        assert_eq!(
            Note::parse(&format!("a\n\n{}", line.repeat(101))),
            Err(NoteError::TooLong)
        );
        assert_eq!(
            Note::parse(&format!("a\n\n{}", "x".repeat(70_000))),
            Err(NoteError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            drop(text.parse::<VerifierKey>());
            drop(Note::parse(&text));
            drop(Note::parse(&format!("a\n\n\u{2014} {text}\n")));
            drop(Signature::parse(&text));
        }
    }
}
