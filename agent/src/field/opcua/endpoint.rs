//! What a server offers, and the one endpoint that is what the map asks for.
//!
//! The answer comes unsecured: all it can do is lead to a connection that fails. Bounds: see
//! [`ANSWER_BYTES_MAX`] and [`ENDPOINTS_MAX`]; the server's `timeout`.

use std::sync::Arc;
use std::time::Duration;

use opcua::client::transport::TransportPollResult;
use opcua::client::{AsyncSecureChannel, ClientBuilder, SessionBuilder};
use opcua::core::ResponseMessage;
use opcua::core::comms::url::url_matches_except_host;
use opcua::crypto::SecurityPolicy as Policy;
use opcua::sync::RwLock;
use opcua::types::{
    DateTime, EndpointDescription, Error, GetEndpointsRequest, MessageSecurityMode, RequestHeader,
    StatusCode,
};

use super::connector::Connector;
use super::fault::OpcFault;
use super::{Own, identity, trust};
use crate::config::model::{Security, SecurityMode, SecurityPolicy, Server};

/// Bytes of the answer at most: hundreds of endpoints with their certificates.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Endpoints, and elements of any other array, in the answer at most.
const ENDPOINTS_MAX: usize = 256;

/// The one transport that the agent speaks.
const TRANSPORT: &str = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary";

/// Asks the server at `url` which endpoints it has.
///
/// # Errors
///
/// It can't be reached, or does not answer as an OPC UA server within `timeout`.
pub(super) async fn ask(
    url: &str,
    timeout: Duration,
    own: &Own,
) -> Result<Vec<EndpointDescription>, OpcFault> {
    let connector = Connector::new(url, timeout, None);
    let asked = asked(&connector, url, timeout, own);
    match tokio::time::timeout(timeout, asked).await {
        Ok(Ok(endpoints)) => Ok(endpoints),
        Ok(Err(error)) => Err(connector
            .fault()
            .unwrap_or_else(|| OpcFault::of_status(error.status()))),
        Err(_) => Err(OpcFault::Slow),
    }
}

async fn asked(
    connector: &Connector,
    url: &str,
    timeout: Duration,
    own: &Own,
) -> Result<Vec<EndpointDescription>, Error> {
    let config = ClientBuilder::new()
        .max_message_size(ANSWER_BYTES_MAX)
        .max_array_length(ENDPOINTS_MAX)
        .into_config();
    let channel = SessionBuilder::new(&config)
        .connect_to_endpoint_directly(EndpointDescription::from(url))?
        .build_channel(Arc::new(RwLock::new(trust::empty_store(own))))?;
    let mut events = channel.connect_no_retry(connector).await?;
    let answer = {
        let answer = endpoints(&channel, url, timeout);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => break answer,
                event = events.poll() => if let TransportPollResult::Closed(status) = event {
                    return Err(Error::new(status, "closed"));
                }
            }
        }
    };
    channel.close_channel().await;
    while !matches!(events.poll().await, TransportPollResult::Closed(_)) {}
    answer
}

async fn endpoints(
    channel: &AsyncSecureChannel,
    url: &str,
    timeout: Duration,
) -> Result<Vec<EndpointDescription>, Error> {
    let request = GetEndpointsRequest {
        request_header: RequestHeader {
            timestamp: DateTime::now(),
            request_handle: channel.request_handle(),
            timeout_hint: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            ..RequestHeader::default()
        },
        endpoint_url: url.into(),
        locale_ids: None,
        profile_uris: None,
    };
    let response = channel.send(request, timeout).await?;
    let (header, endpoints) = if let ResponseMessage::GetEndpoints(response) = response {
        (response.response_header, response.endpoints)
    } else if let ResponseMessage::ServiceFault(fault) = response {
        (fault.response_header, None)
    } else {
        return Err(Error::new(StatusCode::BadUnknownResponse, "no endpoints"));
    };
    if header.service_result.is_bad() {
        return Err(Error::new(header.service_result, "no endpoints"));
    }
    Ok(endpoints.unwrap_or_default())
}

/// Chooses the endpoint that is exactly what the map asks for, its token policies cut down to the
/// one to use, and its URL the map's: the server may know itself by a name that leads nowhere here.
///
/// # Errors
///
/// [`OpcFault::NoSuchSecurity`], [`OpcFault::NoSuchIdentity`], [`OpcFault::PasswordInClear`].
pub(super) fn choose(
    offered: Vec<EndpointDescription>,
    server: &Server,
) -> Result<EndpointDescription, OpcFault> {
    let (policy, mode) = wanted(&server.security);
    let description = list(&offered);
    let mut fit: Vec<EndpointDescription> = offered
        .into_iter()
        .filter(is_binary)
        .filter(|endpoint| endpoint.security_mode == mode)
        .filter(|endpoint| Policy::from_uri(endpoint.security_policy_uri.as_ref()) == policy)
        .collect();
    // One host may serve several endpoints by their paths.
    fit.sort_by_key(|endpoint| {
        !url_matches_except_host(&server.url, endpoint.endpoint_url.as_ref())
    });
    let mut fault = OpcFault::NoSuchSecurity {
        asked: describe(policy, mode),
        offered: description,
    };
    let mut refused = false;
    for mut endpoint in fit {
        match identity::policy(&endpoint, &server.identity, &server.security) {
            Ok(token) => {
                endpoint.user_identity_tokens = Some(vec![token]);
                endpoint.endpoint_url = server.url.as_str().into();
                return Ok(endpoint);
            }
            Err(why) if !refused => {
                fault = why;
                refused = true;
            }
            Err(_) => (),
        }
    }
    Err(fault)
}

/// The crate's word for our algorithms.
pub(super) fn algorithms(policy: SecurityPolicy) -> Policy {
    match policy {
        SecurityPolicy::Basic256Sha256 => Policy::Basic256Sha256,
        SecurityPolicy::Aes128Sha256RsaOaep => Policy::Aes128Sha256RsaOaep,
        SecurityPolicy::Aes256Sha256RsaPss => Policy::Aes256Sha256RsaPss,
    }
}

fn wanted(security: &Security) -> (Policy, MessageSecurityMode) {
    match security {
        Security::None => (Policy::None, MessageSecurityMode::None),
        Security::Secured { policy, mode, .. } => {
            let mode = match mode {
                SecurityMode::Sign => MessageSecurityMode::Sign,
                SecurityMode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
            };
            (algorithms(*policy), mode)
        }
    }
}

fn is_binary(endpoint: &EndpointDescription) -> bool {
    let transport = &endpoint.transport_profile_uri;
    transport.is_empty() || transport.as_ref() == TRANSPORT
}

fn describe(policy: Policy, mode: MessageSecurityMode) -> String {
    match (policy, mode) {
        (Policy::None, _) => "None".to_owned(),
        (policy, MessageSecurityMode::Sign) => format!("{} Sign", policy.to_str()),
        (policy, _) => format!("{} SignAndEncrypt", policy.to_str()),
    }
}

/// What a server offers that the agent knows, in words.
fn list(offered: &[EndpointDescription]) -> String {
    let mut names: Vec<String> = offered
        .iter()
        .filter(|endpoint| is_binary(endpoint))
        .map(|endpoint| {
            let policy = Policy::from_uri(endpoint.security_policy_uri.as_ref());
            (policy, endpoint.security_mode)
        })
        .filter(|(policy, _)| *policy != Policy::Unknown)
        .map(|(policy, mode)| describe(policy, mode))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
