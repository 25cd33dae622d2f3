//! A change of the signing key: worth something only if both keys have signed it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::KeyLeaf;
use super::note::{KeyKind, VerifierKey, change_text};

impl KeyLeaf {
    /// The old key and the new one, if both have signed that the one follows the other in the log of this origin.
    pub fn verified(&self, origin: &str) -> Option<(VerifierKey, VerifierKey)> {
        let old = self.old.parse::<VerifierKey>().ok()?;
        let new = self.new.parse::<VerifierKey>().ok()?;
        if new.kind() != KeyKind::Ed25519 || old.kind() != KeyKind::Ed25519 {
            return None;
        }
        let text = change_text(origin, &old, &new);
        let signs = |key: &VerifierKey, signature: &str| {
            let bytes = STANDARD.decode(signature).ok();
            let bytes = bytes.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
            bytes.is_some_and(|bytes| key.verify_bytes(text.as_bytes(), &bytes))
        };
        let both = signs(&old, &self.old_signature) && signs(&new, &self.new_signature);
        both.then_some((old, new))
    }
}
