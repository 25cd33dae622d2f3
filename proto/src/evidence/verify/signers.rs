//! Whose signatures stand below the checkpoints.

use super::checks::Checks;
use super::notes::Head;
use crate::Time;
use crate::evidence::{Check, Entry, Manifest, Trust, TrustedGateway, Validity, Witnessed};
use crate::ledger::KeyLeaf;
use crate::ledger::note::{KeyKind, NoteError, VerifierKey};
use crate::text;

/// A key that may have signed, and which notes.
#[derive(Clone)]
struct Signer {
    key: VerifierKey,
    /// At the time of whose last leaf.
    valid: Validity,
    /// Only older heads of at most so many leaves: it was followed by a key that is believed.
    size_max: Option<u64>,
}

impl Signer {
    /// Whether it may sign such a note.
    fn may_sign(&self, head: &Head, at: Time) -> bool {
        let is_old = head.entry != Entry::End;
        let fits = |max: u64| is_old && head.checkpoint.size <= max;
        self.valid.holds(at) && self.size_max.is_none_or(fits)
    }
}

/// Keys that may have signed, and what they did.
pub(super) struct Signers {
    origin: String,
    gateways: Vec<Signer>,
    /// The key that the bundle itself names, and those that it followed or that followed it.
    own: Vec<Signer>,
    witnesses: Vec<(VerifierKey, Validity)>,
    witnessed: Vec<Witnessed>,
    /// Notes that only a key of the bundle's own has signed.
    untrusted: u64,
    first_untrusted: Option<String>,
    /// A trusted key signed the newest head.
    is_end_trusted: bool,
}

impl Signers {
    /// Keys for a bundle. Changes of the key, in order, hand on what is believed, and back.
    pub(super) fn of(manifest: &Manifest, trust: &Trust, changes: &[(u64, KeyLeaf)]) -> Self {
        let is_own = |one: &&TrustedGateway| {
            one.origin == manifest.origin
                && one.site == manifest.site
                && one.gateway == manifest.gateway
        };
        let gateways = trust.gateways.iter().filter(is_own);
        let gateways = gateways.map(|one| Signer {
            key: one.key.clone(),
            valid: one.valid,
            size_max: None,
        });
        let own = manifest.key.parse::<VerifierKey>().ok();
        let own = own.filter(|key| key.kind() == KeyKind::Ed25519);
        let own = own.into_iter().map(|key| Signer {
            key,
            valid: Validity::default(),
            size_max: None,
        });
        let links = changes.iter().filter_map(|(index, change)| {
            let (old, new) = change.verified(&manifest.origin)?;
            Some((*index, old, new))
        });
        let links: Vec<Link> = links.collect();
        let witnesses = trust.witnesses.iter();
        Self {
            origin: manifest.origin.clone(),
            gateways: linked(gateways.collect(), &links),
            own: linked(own.collect(), &links),
            witnesses: witnesses.map(|one| (one.key.clone(), one.valid)).collect(),
            witnessed: Vec::new(),
            untrusted: 0,
            first_untrusted: None,
            is_end_trusted: false,
        }
    }

    /// Checks the signatures of a note whose last leaf is of this time.
    pub(super) fn check(&mut self, head: &Head, at: Time, checks: &mut Checks) {
        let (entry, checkpoint) = (&head.entry, &head.checkpoint);
        if checkpoint.origin != self.origin {
            let (found, wanted) = (&checkpoint.origin, &self.origin);
            checks.fail(Check::Signature, || {
                text!(
                    "{entry} is of the ledger {found}, not of {wanted}",
                    "{entry} 属于机时台账 {found}，不是 {wanted}"
                )
            });
        }
        let mine = |signers: &[Signer]| -> Vec<VerifierKey> {
            let mine = signers.iter().filter(|one| one.may_sign(head, at));
            mine.map(|one| one.key.clone()).collect()
        };
        let (trusted, own) = (mine(&self.gateways), mine(&self.own));
        let witnesses = self.witnesses.iter().map(|(key, _)| key);
        let keys = trusted.iter().chain(&own).chain(witnesses);
        let keys: Vec<VerifierKey> = keys.cloned().collect();
        let verified = match head.note.verify(&keys) {
            Ok(verified) => verified,
            Err(NoteError::Unsigned) => Vec::new(),
            Err(error) => {
                return checks.fail(Check::Signature, || {
                    text!("{entry}: {error}", "{entry}:{error}")
                });
            }
        };
        for one in &verified {
            let Some(at) = one.cosigned else { continue };
            let mut known = self.witnesses.iter();
            if known.any(|(key, valid)| key == one.key && valid.holds(at)) {
                let size = checkpoint.size;
                self.witnessed.push(Witnessed { size, at });
            }
        }
        let is_signed = |by: &VerifierKey| verified.iter().any(|one| one.key == by);
        if trusted.iter().any(is_signed) {
            self.is_end_trusted |= *entry == Entry::End;
        } else if own.iter().any(is_signed) {
            self.untrusted += 1;
            self.first_untrusted
                .get_or_insert_with(|| entry.to_string());
        } else if *entry == Entry::End {
            checks.fail(Check::Signature, || {
                text!(
                    "{entry}: neither a trusted key nor the bundle's own has signed it",
                    "{entry}：可信密钥和证据包自带的密钥都没有签名"
                )
            });
        } else {
            // The newest head holds what it commits to: whoever signed it.
            checks.note(Check::Signature, || {
                text!(
                    "{entry}: an older head, signed by a key that is not named",
                    "{entry}：较早的签名存证点，由未列出的密钥签名"
                )
            });
        }
    }

    /// Whether a trusted key signed the newest head.
    pub(super) fn finish(&self, checks: &mut Checks) -> bool {
        let Some(first) = &self.first_untrusted else {
            return self.is_end_trusted;
        };
        let (count, origin) = (self.untrusted, &self.origin);
        let key = self.own.first().map(|one| one.key.to_string());
        let key = key.unwrap_or_default();
        if self.gateways.is_empty() {
            checks.note(
                Check::Signature,
                || text!(
                    "signed by {key}, which the bundle itself names: no key is trusted for {origin}, so who signed is not known",
                    "由证据包自带的密钥 {key} 签名：信任文件里没有 {origin} 的密钥，签名者身份不明"
                ),
            );
        } else {
            checks.note(
                Check::Signature,
                || text!(
                    "{count} checkpoints, {first} first, are signed by {key}, which the bundle itself names, and by no key that is trusted for {origin} at their time",
                    "{count} 个签名存证点（第一个是 {first}）由证据包自带的密钥 {key} 签名，信任文件里没有 {origin} 在当时有效的密钥"
                ),
            );
        }
        self.is_end_trusted
    }

    pub(super) fn into_witnessed(self) -> Vec<Witnessed> {
        self.witnessed
    }
}

/// A change of the key: its leaf's index, the old key and the new one.
type Link = (u64, VerifierKey, VerifierKey);

/// What is believed with these changes: the key that follows one that is believed, and, for older heads, the one that
/// it followed.
fn linked(mut signers: Vec<Signer>, links: &[Link]) -> Vec<Signer> {
    let is_known =
        |signers: &[Signer], key: &VerifierKey| signers.iter().any(|one| one.key == *key);
    for (_, old, new) in links {
        if is_known(&signers, old) {
            signers.push(Signer {
                key: new.clone(),
                valid: Validity::default(),
                size_max: None,
            });
        }
    }
    for (index, old, new) in links.iter().rev() {
        if is_known(&signers, new) {
            signers.push(Signer {
                key: old.clone(),
                valid: Validity::default(),
                size_max: Some(index.saturating_add(1)),
            });
        }
    }
    signers
}
