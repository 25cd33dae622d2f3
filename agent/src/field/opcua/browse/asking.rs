//! Questions to a server about its address space, in requests that it can answer.
//!
//! Bounds: [`NODES_A_REQUEST_MAX`], halved for a server that finds that too many.

use opcua::client::Session;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResult, ByteString, DataValue, Error,
    NodeId, ReadValueId, ReferenceDescription, ReferenceTypeId, StatusCode, TimestampsToReturn,
};

use crate::field::opcua::fault::OpcFault;

/// Nodes in one request: what the smallest controllers still answer at once.
const NODES_A_REQUEST_MAX: usize = 100;

/// References in one answer for one node; the rest comes by continuation.
const REFERENCES_A_NODE_MAX: u32 = 500;

/// What is known of each reference's target: everything.
const ALL_FIELDS: u32 = 63;

/// Object and Variable.
pub(super) const THINGS: u32 = 1 | 2;

/// DataType.
pub(super) const DATA_TYPES: u32 = 64;

/// ObjectType.
pub(super) const OBJECT_TYPES: u32 = 8;

/// Which references of a node are asked for.
#[derive(Clone, Copy)]
pub(super) struct Which {
    pub kind: ReferenceTypeId,
    pub direction: BrowseDirection,
    pub classes: u32,
}

/// The references of each node, up to `limit` of them each; none where the server would not tell.
pub(super) async fn references(
    session: &Session,
    nodes: &[NodeId],
    which: Which,
    limit: usize,
) -> Result<Vec<Option<Vec<ReferenceDescription>>>, OpcFault> {
    let mut found = Vec::with_capacity(nodes.len());
    let mut size = NODES_A_REQUEST_MAX;
    let mut rest = nodes;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(size.min(rest.len()));
        let asked: Vec<BrowseDescription> = chunk
            .iter()
            .map(|node| BrowseDescription {
                node_id: node.clone(),
                browse_direction: which.direction,
                reference_type_id: which.kind.into(),
                include_subtypes: true,
                node_class_mask: which.classes,
                result_mask: ALL_FIELDS,
            })
            .collect();
        match session.browse(&asked, REFERENCES_A_NODE_MAX, None).await {
            Ok(results) if results.len() == chunk.len() => {
                for result in results {
                    found.push(whole(session, result, limit).await?);
                }
                rest = later;
            }
            Ok(_) => return Err(OpcFault::Nonsense(StatusCode::BadUnknownResponse)),
            Err(error) => size = smaller(&error, chunk.len())?,
        }
    }
    Ok(found)
}

/// A result with what its continuation points hold back.
async fn whole(
    session: &Session,
    result: BrowseResult,
    limit: usize,
) -> Result<Option<Vec<ReferenceDescription>>, OpcFault> {
    if result.status_code.is_bad() {
        return Ok(None);
    }
    let mut references = result.references.unwrap_or_default();
    let mut point = result.continuation_point;
    while !point.is_null_or_empty() {
        let enough = references.len() > limit;
        let next = session
            .browse_next(enough, std::slice::from_ref(&point))
            .await;
        point = ByteString::null();
        let next = next.map_err(fault)?.into_iter().next();
        if let Some(next) = next.filter(|next| !enough && next.status_code.is_good()) {
            let more = next.references.unwrap_or_default();
            // A server that gives nothing and promises more would be asked for ever.
            if !more.is_empty() {
                point = next.continuation_point;
            }
            references.extend(more);
        }
    }
    Ok(Some(references))
}

/// Attributes of nodes.
pub(super) async fn attributes(
    session: &Session,
    wanted: &[(NodeId, AttributeId)],
) -> Result<Vec<DataValue>, OpcFault> {
    let mut values = Vec::with_capacity(wanted.len());
    let mut size = NODES_A_REQUEST_MAX;
    let mut rest = wanted;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(size.min(rest.len()));
        let asked: Vec<ReadValueId> = chunk
            .iter()
            .map(|(node, attribute)| ReadValueId::new(node.clone(), *attribute))
            .collect();
        let read = session.read(&asked, TimestampsToReturn::Neither, 0.0);
        match read.await {
            Ok(read) if read.len() == chunk.len() => {
                values.extend(read);
                rest = later;
            }
            Ok(_) => return Err(OpcFault::Nonsense(StatusCode::BadUnknownResponse)),
            Err(error) if chunk.len() == 1 && is_too_much(error.status()) => {
                values.push(DataValue {
                    status: Some(error.status()),
                    ..DataValue::null()
                });
                rest = later;
            }
            Err(error) => size = smaller(&error, chunk.len())?,
        }
    }
    Ok(values)
}

/// How many nodes to ask for next time, after so many were too many.
fn smaller(error: &Error, size: usize) -> Result<usize, OpcFault> {
    if size > 1 && is_too_much(error.status()) {
        Ok(size / 2)
    } else {
        Err(OpcFault::of_status(error.status()))
    }
}

fn is_too_much(status: StatusCode) -> bool {
    [
        StatusCode::BadTooManyOperations,
        StatusCode::BadResponseTooLarge,
        StatusCode::BadRequestTooLarge,
        StatusCode::BadEncodingLimitsExceeded,
    ]
    .contains(&status)
}

fn fault(error: Error) -> OpcFault {
    OpcFault::of_status(error.status())
}
