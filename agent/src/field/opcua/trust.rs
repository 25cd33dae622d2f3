//! Trust in a server: one certificate, pinned by its fingerprint.
//!
//! The OPC UA crate trusts what lies in a directory; for each pinned certificate there is one that
//! holds just that certificate. Issuers and revocation lists play no part.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use opcua::crypto::{CertificateStore, X509};

use super::Own;
use super::certificate::Certificate;
use super::fault::{OpcFault, OwnFault};
use super::own::{Place, make_directory, place};
use crate::config::model::Fingerprint;

/// Checks the certificate that a server shows against the pinned one.
///
/// # Errors
///
/// [`OpcFault::Chain`], [`OpcFault::BadCertificate`], [`OpcFault::Untrusted`].
pub(super) fn check(der: &[u8], pinned: Option<Fingerprint>) -> Result<Certificate, OpcFault> {
    let shown = Certificate::shown(der)?;
    if pinned == Some(shown.fingerprint) {
        Ok(shown)
    } else {
        Err(OpcFault::Untrusted {
            certificate: Box::new(shown),
            pinned,
        })
    }
}

/// A store that trusts exactly this certificate, and shows ours. Blocks.
///
/// # Errors
///
/// The directory can't be used.
pub(super) fn store(own: &Own, der: &[u8]) -> Result<CertificateStore, OpcFault> {
    let certificate =
        X509::from_der(der).map_err(|_| OpcFault::BadCertificate { key_bits: None })?;
    let Fingerprint(fingerprint) = Certificate::read(der)
        .ok_or(OpcFault::BadCertificate { key_bits: None })?
        .fingerprint;
    let name: String = fingerprint
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let servers = own.directory.join("servers");
    make_directory(&servers).map_err(OpcFault::Own)?;
    let directory = servers.join(name);
    lay_out(&directory, &certificate, der).map_err(OpcFault::Own)?;
    let mut store = CertificateStore::new_with_x509_data::<opcua::crypto::X509Data>(
        &directory,
        false,
        Some(&own.certificate_path()),
        Some(&own.key_path()),
        None,
    )
    .0;
    store.set_trust_unknown_certs(false);
    // The very certificate is pinned: the host name in it says nothing more, and is often another
    // behind a router. Its time is checked at each connection.
    store.set_skip_verify_certs(true);
    Ok(store)
}

/// A store that trusts nobody and shows nothing, for what is not secured.
pub(super) fn empty_store(own: &Own) -> CertificateStore {
    CertificateStore::new(&own.directory.join("none"))
}

fn lay_out(directory: &Path, certificate: &X509, der: &[u8]) -> Result<(), OwnFault> {
    let trusted = directory.join("trusted");
    let rejected = directory.join("rejected");
    for directory in [directory, &trusted, &rejected] {
        make_directory(directory)?;
    }
    let name = OsString::from(CertificateStore::cert_file_name(certificate));
    let path = trusted.join(&name);
    if fs::read(&path).ok().as_deref() != Some(der) {
        place(&path, der, Place::Over)?;
    }
    sweep(&trusted, &BTreeSet::from([name]))?;
    sweep(&rejected, &BTreeSet::new())
}

/// Removes what does not belong there.
fn sweep(directory: &Path, keep: &BTreeSet<OsString>) -> Result<(), OwnFault> {
    let strangers = || -> std::io::Result<Vec<PathBuf>> {
        let mut strangers = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if !keep.contains(&entry.file_name()) {
                strangers.push(entry.path());
            }
        }
        Ok(strangers)
    };
    let result = strangers().and_then(|strangers| strangers.iter().try_for_each(fs::remove_file));
    result.map_err(|error| OwnFault::File {
        path: directory.to_owned(),
        error: std::sync::Arc::new(error),
    })
}
