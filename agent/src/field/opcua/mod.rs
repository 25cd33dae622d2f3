//! OPC UA: one session per server, values by subscription.
//!
//! Only Read, Browse, HistoryRead and subscriptions are used here; there is no code path to a
//! service that changes anything in a server.

use std::path::PathBuf;

use crate::config::model::{Gateway, Server};
use certificate::Certificate;
use fault::OpcFault;

mod about;
mod audit;
mod batch;
pub mod browse;
pub mod certificate;
mod connector;
mod doubt;
mod drive;
mod endpoint;
pub mod fault;
mod filling;
mod freshness;
mod gap;
mod history;
mod identity;
mod item;
pub(super) mod link;
mod nonce;
mod note;
mod own;
mod pieces;
pub mod plan;
mod probe;
#[cfg(test)]
mod sample_map;
mod sequence;
mod session;
mod status;
mod strange;
mod subscription;
mod texts;
mod trust;
mod value;
mod wanted;
mod words;
mod work;

#[cfg(test)]
mod tests;

/// What OPC UA servers know the agent by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Own {
    /// Where the agent's certificate and its key are kept, readable by the agent alone.
    pub directory: PathBuf,
    /// The application URI: the same in the certificate and in every session.
    pub uri: String,
}

impl Own {
    /// What this gateway is known by.
    pub fn of(gateway: &Gateway) -> Self {
        Self {
            directory: gateway.state_dir.join("opc-ua"),
            uri: format!("urn:lineside:{}:{}", gateway.site, gateway.id),
        }
    }
}

/// The certificate that a server shows for the security that the map asks for; nothing is trusted
/// for that, and nothing of ours is shown. Bounded by the server's `timeout`.
///
/// # Errors
///
/// It can't be reached, or offers no such security.
pub async fn shown(server: &Server, own: &Own) -> Result<Certificate, OpcFault> {
    let offered = endpoint::ask(&server.url, server.timeout, own).await?;
    let endpoint = endpoint::choose(offered, server)?;
    Certificate::shown(endpoint.server_certificate.as_ref())
}
