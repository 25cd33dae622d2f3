//! What there is: sites, gateways and their logs; what may be believed of machines; how the archive is.

use axum::extract::State;
use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::{Extensions, HeaderMap, StatusCode, Uri};
use axum::response::{Html, Response};
use lineside_proto::{Identifier, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::openapi::{ENDPOINTS, document};
use super::{Desk, LISTENERS_MAX, query};
use crate::archive::live::LiveFigures;
use crate::archive::{Held, Standing, Stranger};
use crate::clock::{Clock, SystemClock};
use crate::serve::Sender;
use crate::serve::page;
use crate::serve::problem::{Problem, json};
use crate::text;
use crate::text::Language;

type Shared = State<Arc<Desk>>;

/// Of which site and gateway; of all where none is named.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Wanted {
    site: Option<Identifier>,
    gateway: Option<Identifier>,
}

impl Wanted {
    pub(super) fn is(&self, site: &Identifier, gateway: &Identifier) -> bool {
        self.site.as_ref().is_none_or(|wanted| wanted == site)
            && self.gateway.as_ref().is_none_or(|wanted| wanted == gateway)
    }
}

/// How the archive is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct ArchiveStatus {
    /// Version of this document's shape: 1.
    pub(super) v: u8,
    /// The archive's version.
    pub(super) version: String,
    /// When it started.
    pub(super) started: Time,
    /// When this was made.
    pub(super) at: Time,
    /// What it holds.
    pub(super) logs: Sum,
    /// What it hears.
    pub(super) live: LiveFigures,
    /// Who listens to events.
    pub(super) listeners: u64,
}

/// What several logs add up to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Sum {
    /// Gateways that have a log.
    pub(super) gateways: u64,
    /// Logs: epochs of all gateways.
    pub(super) logs: u64,
    /// Leaves under their newest signed heads.
    pub(super) leaves: u64,
    /// When the newest leaf was established.
    pub(super) newest: Option<Time>,
    /// Logs of which nothing is taken any more.
    pub(super) stopped: u64,
    /// What was refused in all.
    pub(super) alarms: u64,
    /// Logs whose head can't be read now; they are not among the others.
    #[serde(default)]
    pub(super) unreadable: u64,
}

impl Sum {
    fn add(&mut self, held: &Held) {
        self.gateways += 1;
        for log in &held.logs {
            self.logs += 1;
            self.leaves = self.leaves.saturating_add(log.size);
            self.newest = self.newest.max(log.newest);
            self.stopped += u64::from(log.stopped.is_some());
            self.alarms = self.alarms.saturating_add(log.alarms);
        }
        let unreadable = u64::try_from(held.unreadable.len()).unwrap_or(u64::MAX);
        self.unreadable = self.unreadable.saturating_add(unreadable);
    }
}

/// A platform.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SiteNow {
    /// The platform.
    pub(super) site: Identifier,
    /// What is held of it.
    #[serde(flatten)]
    pub(super) sum: Sum,
}

/// A gateway, and what is held of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GatewayNow {
    /// The platform.
    pub(super) site: Identifier,
    /// The gateway.
    pub(super) gateway: Identifier,
    /// Whether it is there now, by its own fresh status; null where the archive has heard nothing of it.
    pub(super) online: Option<bool>,
    /// Whether it has an enrolment card; one that has none is not taken in any more.
    pub(super) enrolled: bool,
    /// Its logs, oldest epoch first; none where nothing that its key has signed was taken in yet.
    pub(super) logs: Vec<Standing>,
    /// Epochs of which there was a log, and whose head can't be read now: damaged, or to be fetched anew.
    #[serde(default)]
    pub(super) unreadable: Vec<u32>,
}

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Ready: its directory can be read.
pub(super) async fn ready(State(desk): Shared, of: Extensions) -> Result<&'static str, Problem> {
    let listed = desk.read(of.get::<Sender>(), |desk| {
        let logs = desk.library.shelf().logs();
        logs.map(drop).map_err(|error| unreadable(&error))
    });
    listed.await.map(|()| "ready\n")
}

pub(super) async fn status(
    State(desk): Shared,
    of: Extensions,
    uri: Uri,
) -> Result<Response, Problem> {
    let Wanted { .. } = query::read(&uri)?;
    let mut logs = Sum::default();
    for held in held(&desk, &of, Wanted::default()).await? {
        logs.add(&held);
    }
    let listeners = LISTENERS_MAX.saturating_sub(desk.listeners.available_permits());
    Ok(json(&ArchiveStatus {
        v: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: desk.started,
        at: SystemClock.now().wall,
        logs,
        live: desk.live.figures(),
        listeners: u64::try_from(listeners).unwrap_or(u64::MAX),
    }))
}

pub(super) async fn sites(
    State(desk): Shared,
    of: Extensions,
    uri: Uri,
) -> Result<Response, Problem> {
    let wanted = query::read(&uri)?;
    let mut sites: BTreeMap<Identifier, Sum> = BTreeMap::new();
    for held in held(&desk, &of, wanted).await? {
        sites.entry(held.site.clone()).or_default().add(&held);
    }
    let sites = sites.into_iter().map(|(site, sum)| SiteNow { site, sum });
    Ok(json(&sites.collect::<Vec<_>>()))
}

pub(super) async fn gateways(
    State(desk): Shared,
    of: Extensions,
    uri: Uri,
) -> Result<Response, Problem> {
    let wanted: Wanted = query::read(&uri)?;
    let held = held(&desk, &of, wanted.clone()).await?;
    let mut gateways: BTreeMap<(Identifier, Identifier), (Vec<Standing>, Vec<u32>)> =
        BTreeMap::new();
    let held = held
        .into_iter()
        .map(|held| ((held.site, held.gateway), (held.logs, held.unreadable)));
    gateways.extend(held);
    let enrolled = desk.live.enrolled();
    let is_wanted = |place: &(Identifier, Identifier)| wanted.is(&place.0, &place.1);
    for place in enrolled.iter().filter(|place| is_wanted(place)) {
        gateways.entry(place.clone()).or_default();
    }
    let gateways = gateways
        .into_iter()
        .map(|(place, (logs, unreadable))| GatewayNow {
            online: desk.live.is_online(&place.0, &place.1),
            enrolled: enrolled.binary_search(&place).is_ok(),
            site: place.0,
            gateway: place.1,
            logs,
            unreadable,
        });
    Ok(json(&gateways.collect::<Vec<_>>()))
}

/// What nobody has enrolled, and was shown.
pub(super) async fn strangers(
    State(desk): Shared,
    of: Extensions,
    uri: Uri,
) -> Result<Response, Problem> {
    let wanted: Wanted = query::read(&uri)?;
    let found = desk.read(of.get::<Sender>(), move |desk| {
        let found = Stranger::list(desk.library.shelf().dir());
        let mut found = found.map_err(|error| unreadable(&error))?;
        found.retain(|stranger| wanted.is(&stranger.site, &stranger.gateway));
        Ok(found)
    });
    Ok(json(&found.await?))
}

/// What may be believed of machines now.
pub(super) async fn availability(State(desk): Shared, uri: Uri) -> Result<Response, Problem> {
    let wanted: Wanted = query::read(&uri)?;
    let machines = desk.live.machines(|site, gateway| wanted.is(site, gateway));
    Ok(json(&machines))
}

pub(super) async fn described() -> Response {
    json(&document())
}

pub(super) async fn page(headers: HeaderMap) -> Html<String> {
    let intro = "The city's copy of every gateway's ledger: static logs, requests, figures. It only reads.<br>\
                 城市存证库：各网关台账的副本，含静态日志、查询与统计。仅供读取。";
    let wanted = headers.get(ACCEPT_LANGUAGE);
    let wanted = wanted.and_then(|wanted| wanted.to_str().ok());
    page::page(
        "archive 存证库",
        intro,
        &ENDPOINTS,
        first_of(wanted.unwrap_or("")),
    )
}

/// The language that a browser wants first, of those that there are.
fn first_of(wanted: &str) -> Language {
    let mut tags = wanted.split(',').map(|tag| tag.trim().to_ascii_lowercase());
    let known = tags.find(|tag| tag.starts_with("zh") || tag.starts_with("en"));
    match known {
        Some(tag) if tag.starts_with("zh") => Language::ZhCn,
        Some(_) | None => Language::En,
    }
}

async fn held(desk: &Arc<Desk>, of: &Extensions, wanted: Wanted) -> Result<Vec<Held>, Problem> {
    let reading = desk.read(of.get::<Sender>(), move |desk| {
        let shelf = desk.library.shelf();
        let held = Held::all(shelf, |site, gateway| wanted.is(site, gateway));
        held.map_err(|error| unreadable(&error))
    });
    reading.await
}

/// The archive's directory can't be read.
pub(super) fn unreadable(error: &io::Error) -> Problem {
    tracing::warn!(%error, "the archive's directory can't be read");
    let text = text!(
        "the archive's directory can't be read at the moment",
        "暂时无法读取存证库目录"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unreadable", text)
}

#[cfg(test)]
mod tests {
    use super::first_of;
    use crate::text::Language;

    #[test]
    fn a_page_is_in_the_language_that_is_wanted_first() {
        for (wanted, expected) in [
            ("", Language::En),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::ZhCn),
            ("en-US,zh;q=0.5", Language::En),
            ("de, ZH", Language::ZhCn),
            ("fr", Language::En),
        ] {
            assert_eq!(first_of(wanted), expected, "{wanted}");
        }
    }
}
