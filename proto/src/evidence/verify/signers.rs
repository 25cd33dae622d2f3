//! Whose signatures stand below the checkpoints.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checks::Checks;
use super::notes::Head;
use crate::Time;
use crate::evidence::say::said;
use crate::evidence::{Check, Manifest, Trust, TrustedGateway, Validity, Witnessed};
use crate::ledger::KeyLeaf;
use crate::ledger::note::{KeyKind, VerifierKey, change_text};

/// Keys that may have signed, and what they did.
pub(super) struct Signers {
    origin: String,
    gateways: Vec<(VerifierKey, Validity)>,
    /// The key that the bundle itself names.
    own: Option<VerifierKey>,
    witnesses: Vec<(VerifierKey, Validity)>,
    witnessed: Vec<Witnessed>,
    /// Whose signature is below every note, as far as it goes.
    untrusted: u64,
    first_untrusted: Option<String>,
}

impl Signers {
    /// Keys for a bundle. Changes of the key, in order, hand on what is trusted.
    pub(super) fn of(manifest: &Manifest, trust: &Trust, changes: &[KeyLeaf]) -> Self {
        let is_own = |one: &&TrustedGateway| {
            one.origin == manifest.origin
                && one.site == manifest.site
                && one.gateway == manifest.gateway
        };
        let gateways = trust.gateways.iter().filter(is_own);
        let mut gateways: Vec<(VerifierKey, Validity)> =
            gateways.map(|one| (one.key.clone(), one.valid)).collect();
        for change in changes {
            if let Some(new) = handed_on(change, &manifest.origin, &gateways) {
                gateways.push((new, Validity::default()));
            }
        }
        let own = manifest.key.parse::<VerifierKey>().ok();
        let witnesses = trust.witnesses.iter();
        Self {
            origin: manifest.origin.clone(),
            gateways,
            own: own.filter(|key| key.kind() == KeyKind::Ed25519),
            witnesses: witnesses.map(|one| (one.key.clone(), one.valid)).collect(),
            witnessed: Vec::new(),
            untrusted: 0,
            first_untrusted: None,
        }
    }

    /// Checks the signatures of a note whose last leaf is of this time.
    pub(super) fn check(&mut self, head: &Head, at: Time, checks: &mut Checks) {
        let (entry, checkpoint) = (&head.entry, &head.checkpoint);
        if checkpoint.origin != self.origin {
            let (found, wanted) = (&checkpoint.origin, &self.origin);
            checks.fail(Check::Signature, || {
                said!(
                    "{entry} is of the ledger {found}, not of {wanted}",
                    "{entry} 属于台账 {found},不是 {wanted}"
                )
            });
        }
        let valid = self.gateways.iter().filter(|(_, valid)| valid.holds(at));
        let trusted: Vec<VerifierKey> = valid.map(|(key, _)| key.clone()).collect();
        let witnesses = self.witnesses.iter().map(|(key, _)| key.clone());
        let keys: Vec<VerifierKey> = trusted
            .iter()
            .cloned()
            .chain(self.own.clone())
            .chain(witnesses)
            .collect();
        let verified = match head.note.verify(&keys) {
            Ok(verified) => verified,
            Err(error) => {
                return checks.fail(Check::Signature, || {
                    said!("{entry}: {error}", "{entry}:{error}")
                });
            }
        };
        for one in &verified {
            let Some(at) = one.cosigned else { continue };
            let mut own = self.witnesses.iter();
            if own.any(|(key, valid)| key == one.key && valid.holds(at)) {
                let size = checkpoint.size;
                self.witnessed.push(Witnessed { size, at });
            }
        }
        let is_signed = |by: &VerifierKey| verified.iter().any(|one| one.key == by);
        if trusted.iter().any(is_signed) {
            return;
        }
        if self.own.as_ref().is_some_and(is_signed) {
            self.untrusted += 1;
            self.first_untrusted
                .get_or_insert_with(|| entry.to_string());
            return;
        }
        checks.fail(Check::Signature, || {
            said!(
                "{entry}: neither a trusted key nor the bundle's own has signed it",
                "{entry}:可信密钥和证据包自带的密钥都没有签名"
            )
        });
    }

    /// Whether trusted keys signed every note.
    pub(super) fn finish(&self, checks: &mut Checks) -> bool {
        let Some(first) = &self.first_untrusted else {
            return true;
        };
        let (count, origin) = (self.untrusted, &self.origin);
        let key = self
            .own
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        if self.gateways.is_empty() {
            checks.note(
                Check::Signature,
                || said!(
                    "signed by {key}, which the bundle itself names: no key is trusted for {origin}, so who signed is not known",
                    "由证据包自带的密钥 {key} 签名:信任文件里没有 {origin} 的密钥,签名者身份不明"
                ),
            );
        } else {
            checks.note(
                Check::Signature,
                || said!(
                    "{count} checkpoints, {first} first, are signed by {key}, which the bundle itself names, and by no key that is trusted for {origin} at their time",
                    "{count} 个签名存证点(第一个是 {first})由证据包自带的密钥 {key} 签名,信任文件里没有 {origin} 在当时有效的密钥"
                ),
            );
        }
        false
    }

    pub(super) fn into_witnessed(self) -> Vec<Witnessed> {
        self.witnessed
    }
}

/// The new key of a change that a trusted key has signed, and itself.
fn handed_on(
    change: &KeyLeaf,
    origin: &str,
    trusted: &[(VerifierKey, Validity)],
) -> Option<VerifierKey> {
    let old = change.old.parse::<VerifierKey>().ok()?;
    let new = change.new.parse::<VerifierKey>().ok()?;
    let is_note_key = new.kind() == KeyKind::Ed25519 && old.kind() == KeyKind::Ed25519;
    if !is_note_key || trusted.iter().all(|(key, _)| *key != old) {
        return None;
    }
    let text = change_text(origin, &old, &new);
    let signs = |key: &VerifierKey, signature: &str| {
        let bytes = STANDARD.decode(signature).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        bytes.is_some_and(|bytes| key.verify_bytes(text.as_bytes(), &bytes))
    };
    let both = signs(&old, &change.old_signature) && signs(&new, &change.new_signature);
    both.then_some(new)
}
