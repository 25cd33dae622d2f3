//! What the console works with.

use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::mpsc;

use super::requests::{AT_ONCE, TIME_MAX};
use crate::answers::Answers;
use crate::config::model::{self, Gateway};
use crate::pseudonym::Pseudonyms;
use crate::run::Ask;
use crate::serve::requests::Requests;
use crate::serve::share::Places;
use crate::text::Language;

/// What the console works with: where questions go, and what is served.
#[derive(Debug)]
pub struct Desk {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) pseudonyms: Pseudonyms,
    pub(super) requests: Requests,
    pub(super) known: Arc<Answers>,
    pub(super) ledger: PathBuf,
    pub(super) language: Language,
    pub(super) title: String,
    listen: SocketAddr,
    /// The password's hash; none: nobody is asked.
    password: Option<[u8; 32]>,
}

impl Desk {
    /// The console of a gateway; requests are answered with `known`.
    pub fn new(
        gateway: &Gateway,
        language: Language,
        asks: mpsc::Sender<Ask>,
        known: Arc<Answers>,
    ) -> Self {
        let title = format!("{}/{}", gateway.site, gateway.id);
        let (console, state_dir) = (&gateway.console, &gateway.state_dir);
        Self::of(console, state_dir, (language, title), asks, known)
    }

    pub(super) fn of(
        console: &model::Console,
        state_dir: &Path,
        (language, title): (Language, String),
        asks: mpsc::Sender<Ask>,
        known: Arc<Answers>,
    ) -> Self {
        Self {
            requests: Requests::new(Places::new(AT_ONCE), TIME_MAX),
            known,
            asks,
            pseudonyms: Pseudonyms::new(state_dir),
            ledger: state_dir.join("ledger"),
            language,
            title,
            listen: console.listen,
            password: console
                .password
                .as_ref()
                .map(|password| hash(password.0.as_bytes())),
        }
    }

    /// Where it is to listen.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Whether somebody who says this password, if any, may come in. Takes the same time for every wrong one.
    pub(super) fn admits(&self, said: Option<&[u8]>) -> bool {
        match (&self.password, said) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wanted), Some(said)) => hash(said).ct_eq(wanted).into(),
        }
    }
}

fn hash(password: &[u8]) -> [u8; 32] {
    Sha256::digest(password).into()
}
