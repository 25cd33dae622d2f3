//! From a question to a bundle: the plan, the leaves, what proves them, and the check of the whole.

use lineside_proto::Time;
use lineside_proto::evidence::Totals;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task;

use super::fetch::{self, Progress, broken};
use super::informant::Informant;
use super::inquiry::{Inquiry, PullError};
use super::period::wide;
use super::plan::{Plan, Wanted};
use super::scribe::{Rest, Scribe};
use super::work::{Kind, Work};

/// A bundle that was made.
#[derive(Clone, PartialEq, Debug)]
pub struct Pulled {
    /// What was fetched.
    pub plan: Plan,
    /// The times of its first and last leaf.
    pub span: Option<(Time, Time)>,
    /// What its leaves add up to.
    pub totals: Totals,
    /// Maps that leaves name and the gateway does not have, by their hashes.
    pub maps_missing: Vec<String>,
    /// Tokens, likewise.
    pub tokens_missing: Vec<String>,
    /// What the check of the whole found beside, in words.
    pub found: Vec<String>,
}

impl Pulled {
    /// The leaves of its tree, where so many are known and some of these, which may be of the period, are not in it.
    pub fn short_of(&self, known: u64) -> Option<u64> {
        let size = self.plan.size;
        let end = wide(self.plan.period).to;
        let is_whole = self.span.is_some_and(|(_, last)| last >= end);
        (size < known && !is_whole).then_some(size)
    }
}

/// How a bundle is to be made.
#[derive(Clone, Debug)]
pub struct Making<'a> {
    /// What is wanted.
    pub wanted: &'a Wanted,
    /// The file that it becomes.
    pub bundle: &'a Path,
    /// Whether what was received before is not to be used.
    pub fresh: bool,
    /// The time, for the manifest.
    pub made: Time,
    /// Who makes it.
    pub by: String,
}

/// Makes a bundle. What was received of it before is used; what is received now is kept if it ends too early.
///
/// # Errors
///
/// [`PullError`].
pub async fn pull<I: Informant>(
    inquiry: Inquiry<I>,
    making: Making<'_>,
    progress: &Arc<Progress>,
) -> Result<Pulled, PullError> {
    let inquiry = Arc::new(inquiry);
    let work = Arc::new(Work::open(&Work::beside(making.bundle), making.fresh)?);
    let plan = Arc::new(plan(&inquiry, &work, making.wanted).await?);
    let scribe = Scribe::begin(Arc::clone(&work), Arc::clone(&plan))?;
    // One waits while one is written.
    let (sender, parts) = mpsc::channel(1);
    let writing = task::spawn_blocking(move || scribe.take_all(parts));
    let fetched = fetch::leaves(&inquiry, &work, &plan, progress, sender).await;
    // What the scribe found wrong came before what was fetched after it.
    let scribe = writing.await.map_err(broken)??;
    fetched?;
    let tiles = fetch::hash_tiles(&inquiry, &plan).await?;
    let (maps, maps_missing) = fetch::texts(&inquiry, &work, Kind::Map, scribe.maps()).await?;
    let tokens = fetch::texts(&inquiry, &work, Kind::Token, scribe.tokens()).await?;
    let (tokens, tokens_missing) = tokens;
    let rest = Rest {
        tiles,
        maps,
        tokens,
        made: making.made,
        by: making.by,
    };
    let writing = task::spawn_blocking(move || scribe.finish(rest));
    let written = writing.await.map_err(broken)??;
    drop(inquiry);
    let path = work.bundle();
    let checking = task::spawn_blocking(move || super::whole::check(&path));
    let found = checking.await.map_err(broken)??;
    work.finish(making.bundle)?;
    Ok(Pulled {
        plan: Arc::unwrap_or_clone(plan),
        span: written.span,
        totals: written.totals,
        maps_missing,
        tokens_missing,
        found,
    })
}

/// The plan that was kept, else a new one.
async fn plan<I: Informant>(
    inquiry: &Inquiry<I>,
    work: &Work,
    wanted: &Wanted,
) -> Result<Plan, PullError> {
    if let Some(plan) = work.plan() {
        if plan.suits(wanted) {
            return Ok(plan);
        }
        return Err(PullError::Other(work.dir().to_owned()));
    }
    let plan = match Plan::make(inquiry, wanted).await {
        Ok(plan) => plan,
        Err(PullError::Nothing) => {
            // There is nothing to go on with later.
            work.leave();
            return Err(PullError::Nothing);
        }
        Err(error) => return Err(error),
    };
    work.keep_plan(&plan)?;
    Ok(plan)
}
