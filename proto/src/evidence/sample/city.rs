//! Who signs: the gateway, a witness, a portal; and what the machines' maps are.

use sha2::{Digest, Sha256};

use crate::booking::{Claims, IssuerSecret, sign};
use crate::evidence::entry::hex;
use crate::ledger::note::{KeyKind, SignerKey};
use crate::{Class, Time};

/// The ledger's origin.
pub const ORIGIN: &str = "lineside.example/site-01/gateway-01/e1";

/// The fixed keys of all that sign.
pub struct Keys {
    /// The gateway's.
    pub gateway: SignerKey,
    /// The city's witness.
    pub witness: SignerKey,
    /// The portal's.
    pub issuer: IssuerSecret,
}

impl Keys {
    /// The keys.
    #[expect(clippy::expect_used, reason = "made-up names are good ones")]
    pub fn new() -> Self {
        let signer = |name, kind, seed| SignerKey::new(name, kind, &[seed; 32]).expect("a name");
        Self {
            gateway: signer(ORIGIN, KeyKind::Ed25519, 1),
            witness: signer("archive.example", KeyKind::Cosignature, 2),
            issuer: IssuerSecret::from_seed(&[3; 32], Some("portal-1")).expect("an id"),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

/// Who books hours of a class.
pub(super) fn org(class: Class) -> &'static str {
    match class {
        Class::Ext => "org-ext",
        Class::Aff => "org-aff",
        Class::Own | Class::Trn | Class::Mnt | Class::Unb => "org-own",
    }
}

/// Maps are numbered: this one is the approved one.
pub const MAP: u32 = 1;

/// The canonical text of a machine's map.
pub fn map_text(machine: &str, number: u32) -> String {
    format!(
        r#"{{"machine":"{machine}","points":{{"power":{{"type":"f32"}}}},"rules":[{{"state":"RUN","when":"power > {}"}}]}}"#,
        number * 100
    )
}

/// `sha256:` and the hash of a text.
pub(super) fn named(text: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(text)))
}

/// A booking's token for one machine.
pub fn token(
    keys: &Keys,
    machine: &str,
    id: &str,
    class: Class,
    org: &str,
    span: [i64; 2],
) -> String {
    let [start, end] = span;
    let claims = serde_json::json!({
        "site": "site-01", "gateway": "gateway-01", "id": id, "machines": [machine],
        "start": Time::from_millis(start), "end": Time::from_millis(end), "class": class,
        "org": org, "org_kind": "enterprise", "iss": "portal.example",
        "iat": start / 1000 - 86_400, "exp": end / 1000,
    });
    debug_assert!(serde_json::from_value::<Claims>(claims.clone()).is_ok());
    sign(&keys.issuer, claims.to_string().as_bytes())
}
