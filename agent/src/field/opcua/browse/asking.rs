//! Questions to a server about its address space, in requests that it can answer.
//!
//! Bounds: [`NODES_A_REQUEST_MAX`], halved for a server that finds that too many; in all, so many requests
//! for each node that is looked for.

use std::sync::atomic::{AtomicUsize, Ordering};

use opcua::client::Session;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResult, DataValue, Error, NodeId,
    ReadValueId, ReferenceDescription, ReferenceTypeId, StatusCode, TimestampsToReturn,
};

use crate::field::opcua::fault::OpcFault;
use crate::field::opcua::pieces::{Pieces, is_too_much};
use crate::field::opcua::wanted::is_silence;

/// Nodes in one request: what the smallest controllers still answer at once.
const NODES_A_REQUEST_MAX: usize = 100;

/// References in one answer for one node; the rest comes by continuation.
const REFERENCES_A_NODE_MAX: u32 = 100;

/// Requests for each node that is looked for, on the average: one by one a node takes ten, and its list may
/// come in pieces.
const REQUESTS_A_NODE: usize = 20;

/// Requests beyond that: for what has to be known of a server with a single node.
const REQUESTS_LEAST: usize = 1_000;

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

/// What a server lists of a node.
#[derive(Default)]
pub(super) struct Listed {
    pub references: Vec<ReferenceDescription>,
    pub end: End,
}

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum End {
    /// It is whole.
    Whole,
    /// It is longer than was asked for.
    Cut,
    /// The server would not tell it, or not to its end.
    #[default]
    Refused,
}

/// A server that is asked, and how often it still may be.
pub(super) struct Asked<'a> {
    session: &'a Session,
    left: AtomicUsize,
}

impl<'a> Asked<'a> {
    /// For so many nodes at most.
    pub(super) fn new(session: &'a Session, nodes: usize) -> Self {
        let requests = nodes.saturating_mul(REQUESTS_A_NODE);
        Self {
            session,
            left: AtomicUsize::new(requests.saturating_add(REQUESTS_LEAST)),
        }
    }

    /// Whether it was asked as often as it may be: what was not told by then is left out.
    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Counts a request. False: there is none left.
    fn may_ask(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        let counted = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        counted.is_ok()
    }

    /// The references of each node, up to about `limit` of them each.
    pub(super) async fn references(
        &self,
        nodes: &[NodeId],
        which: Which,
        limit: usize,
    ) -> Result<Vec<Listed>, OpcFault> {
        let mut found = Vec::with_capacity(nodes.len());
        let mut pieces = Pieces::of(nodes, NODES_A_REQUEST_MAX);
        while let Some(piece) = pieces.next() {
            match self.browse(piece, which).await {
                Ok(results) if results.len() == piece.len() => {
                    let mut listed = Vec::with_capacity(piece.len());
                    for result in results {
                        listed.push(self.whole(result, limit).await?);
                    }
                    // There was no room left to go on later: alone there is.
                    for (node, listed) in piece.iter().zip(&mut listed) {
                        if listed.is_none() {
                            let again = self.browse(std::slice::from_ref(node), which).await;
                            if let Some(again) = answered(again)?.into_iter().next() {
                                *listed = self.whole(again, limit).await?;
                            }
                        }
                    }
                    found.extend(listed.into_iter().map(Option::unwrap_or_default));
                }
                Ok(_) if self.is_spent() => {
                    found.resize_with(nodes.len(), Listed::default);
                    break;
                }
                Ok(_) => return Err(OpcFault::Nonsense(StatusCode::BadUnknownResponse)),
                Err(error) if pieces.halve(error.status()) => {}
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(found)
    }

    /// One request; nothing comes of it where there is none left.
    async fn browse(&self, nodes: &[NodeId], which: Which) -> Result<Vec<BrowseResult>, Error> {
        if !self.may_ask() {
            return Ok(Vec::new());
        }
        let asked: Vec<BrowseDescription> = nodes
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
        let session = self.session;
        session.browse(&asked, REFERENCES_A_NODE_MAX, None).await
    }

    /// A result with what its continuation points hold back; none where the server has no such point left.
    async fn whole(&self, result: BrowseResult, limit: usize) -> Result<Option<Listed>, OpcFault> {
        if result.status_code == StatusCode::BadNoContinuationPoints {
            return Ok(None);
        }
        let mut listed = Listed::default();
        if result.status_code.is_bad() {
            return Ok(Some(listed));
        }
        listed.references = result.references.unwrap_or_default();
        let mut point = result.continuation_point;
        while !point.is_null_or_empty() {
            let enough = listed.references.len() > limit;
            if !enough && !self.may_ask() {
                return Ok(Some(listed));
            }
            let points = std::slice::from_ref(&point);
            let next = answered(self.session.browse_next(enough, points).await)?;
            if enough {
                listed.end = End::Cut;
                return Ok(Some(listed));
            }
            let next = next.into_iter().next();
            let Some(next) = next.filter(|next| next.status_code.is_good()) else {
                return Ok(Some(listed));
            };
            let more = next.references.unwrap_or_default();
            // A server that gives nothing and promises more would be asked for ever.
            if more.is_empty() && !next.continuation_point.is_null_or_empty() {
                return Ok(Some(listed));
            }
            point = next.continuation_point;
            listed.references.extend(more);
        }
        listed.end = End::Whole;
        Ok(Some(listed))
    }

    /// Attributes of nodes, in their order.
    pub(super) async fn attributes(
        &self,
        wanted: &[(NodeId, AttributeId)],
    ) -> Result<Vec<DataValue>, OpcFault> {
        let mut values = Vec::with_capacity(wanted.len());
        let mut pieces = Pieces::of(wanted, NODES_A_REQUEST_MAX);
        while let Some(piece) = pieces.next() {
            if !self.may_ask() {
                values.resize_with(wanted.len(), DataValue::null);
                break;
            }
            let asked: Vec<ReadValueId> = piece
                .iter()
                .map(|(node, attribute)| ReadValueId::new(node.clone(), *attribute))
                .collect();
            let session = self.session;
            let read = session.read(&asked, TimestampsToReturn::Neither, 0.0);
            match read.await {
                Ok(read) if read.len() == piece.len() => {
                    values.extend(read);
                }
                Ok(_) => return Err(OpcFault::Nonsense(StatusCode::BadUnknownResponse)),
                Err(error) if piece.len() == 1 && is_too_much(error.status()) => {
                    values.push(DataValue {
                        status: Some(error.status()),
                        ..DataValue::null()
                    });
                }
                Err(error) if pieces.halve(error.status()) => {}
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(values)
    }
}

/// What was answered; nothing where a server refused, and a fault where it was silent.
fn answered(answer: Result<Vec<BrowseResult>, Error>) -> Result<Vec<BrowseResult>, OpcFault> {
    match answer {
        Ok(results) => Ok(results),
        Err(error) if is_silence(error.status()) => Err(fault(error)),
        Err(_) => Ok(Vec::new()),
    }
}

fn fault(error: Error) -> OpcFault {
    OpcFault::of_status(error.status())
}
