//! Sites, gateways, machines.

use lineside_proto::Identifier;

use super::super::model::{EpochRow, GatewayRow, MachineRow, Page, Select, SiteRow, StateSaid};
use super::super::records;
use super::super::sql::{Row, Sql};
use super::super::{Index, IndexError};
use super::{Question, nothing};

/// Machines of all epochs, each once.
const MACHINES: &str = "(SELECT g.site, g.gateway, m.machine, MIN(m.first_ms) AS first_ms, \
                        MAX(m.newest_ms) AS newest_ms FROM machines m JOIN logs g ON g.log = m.log \
                        GROUP BY g.site, g.gateway, m.machine) l";

impl Index {
    /// The pilot platforms, by name. Narrowed by `site`.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn sites(&self, select: &Select) -> Result<Page<SiteRow>, IndexError> {
        let what = "l.gateways, l.leaves, l.newest_ms, \
                    (SELECT COUNT(*) FROM (SELECT DISTINCT g.gateway, m.machine FROM machines m \
                    JOIN logs g ON g.log = m.log WHERE g.site = l.site) named)";
        let of = "(SELECT site, COUNT(DISTINCT gateway) AS gateways, CAST(SUM(size) AS BIGINT) AS leaves, \
                  MAX(newest_ms) AS newest_ms FROM logs GROUP BY site) l";
        self.look(|sql| {
            let mut asked = Question::new(what, of, &["l.site"], vec![nothing()]);
            asked.only_if("l.site = $", select.site.as_ref());
            asked.ask(sql, select, |_, row| {
                Ok(SiteRow {
                    site: row.name()?,
                    gateways: row.count()?,
                    leaves: row.count()?,
                    newest: row.time_if()?,
                    machines: row.count()?,
                })
            })
        })
    }

    /// The gateways, by site and name, with the epochs of their ledgers. Narrowed by `site` and `gateway`.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn gateways(&self, select: &Select) -> Result<Page<GatewayRow>, IndexError> {
        let what = "l.newest_ms, (SELECT COUNT(DISTINCT m.machine) FROM machines m JOIN logs g ON g.log = m.log \
                    WHERE g.site = l.site AND g.gateway = l.gateway)";
        let of = "(SELECT site, gateway, MAX(newest_ms) AS newest_ms FROM logs GROUP BY site, gateway) l";
        let order = ["l.site", "l.gateway"];
        self.look(|sql| {
            let mut asked = Question::new(what, of, &order, vec![nothing(), nothing()]);
            asked.of_place(select);
            asked.ask(sql, select, |sql, row| {
                let (site, gateway) = (row.name()?, row.name()?);
                Ok(GatewayRow {
                    newest: row.time_if()?,
                    machines: row.count()?,
                    epochs: epochs(sql, &site, &gateway)?,
                    site,
                    gateway,
                })
            })
        })
    }

    /// The machines, by site, gateway and name. Narrowed by `site`, `gateway` and `machine`.
    ///
    /// # Errors
    ///
    /// What was asked, or the store's.
    pub fn machines(&self, select: &Select) -> Result<Page<MachineRow>, IndexError> {
        self.look(|sql| {
            let mut asked = machines("l.first_ms, l.newest_ms");
            asked.of_place(select);
            asked.only_if("l.machine = $", select.machine.as_ref());
            asked.ask(sql, select, |sql, row| {
                let key = (row.name()?, row.name()?, row.name()?);
                let (first, newest) = (row.time()?, row.time()?);
                let mut machine = newest_of(sql, key)?;
                (machine.first, machine.newest) = (first, newest);
                Ok(machine)
            })
        })
    }
}

/// A question for machines of all epochs.
pub(super) fn machines(what: &str) -> Question<'_> {
    const ORDER: [&str; 3] = ["l.site", "l.gateway", "l.machine"];
    Question::new(
        what,
        MACHINES,
        &ORDER,
        vec![nothing(), nothing(), nothing()],
    )
}

fn epochs(
    sql: &mut dyn Sql,
    site: &Identifier,
    gateway: &Identifier,
) -> Result<Vec<EpochRow>, IndexError> {
    let text = "SELECT epoch, origin, size, root, first_ms, newest_ms, unknown, odd FROM logs \
                WHERE site = $1 AND gateway = $2 ORDER BY epoch";
    let found = sql.ask(text, &[site.into(), gateway.into()])?.into_iter();
    let row = |mut row: Row| {
        Ok(EpochRow {
            epoch: row.small()?,
            origin: row.text()?,
            size: row.count()?,
            root: row.text()?,
            first: row.time_if()?,
            newest: row.time_if()?,
            unknown: row.count()?,
            odd: row.count()?,
        })
    };
    found.map(row).collect()
}

/// What the newest epochs that know something of a machine say of it.
fn newest_of(
    sql: &mut dyn Sql,
    (site, gateway, machine): (Identifier, Identifier, Identifier),
) -> Result<MachineRow, IndexError> {
    let text = "SELECT m.name_zh, m.name_en, m.map, m.first_ms, m.newest_ms, l.epoch, \
                s.state, s.since_ms, s.at_ms, s.rule, s.leaf \
                FROM logs l JOIN machines m ON m.log = l.log \
                LEFT JOIN states s ON s.log = m.log AND s.machine = m.machine \
                WHERE l.site = $1 AND l.gateway = $2 AND m.machine = $3 ORDER BY l.epoch DESC";
    let values = [(&site).into(), (&gateway).into(), (&machine).into()];
    let mut found: Option<MachineRow> = None;
    for mut row in sql.ask(text, &values)? {
        let name = records::name(row.text_if()?, row.text_if()?);
        let map = row.text_if()?;
        let (first, newest, epoch) = (row.time()?, row.time()?, row.small()?);
        let state = match row.word_if()? {
            Some(state) => Some(StateSaid {
                state,
                since: row.time()?,
                decided: row.time()?,
                rule: row.text_if()?,
                epoch,
                leaf: row.count()?,
            }),
            None => None,
        };
        let known = found.get_or_insert_with(|| MachineRow {
            site: site.clone(),
            gateway: gateway.clone(),
            machine: machine.clone(),
            name: None,
            map: None,
            first,
            newest,
            state: None,
        });
        known.name = known.name.take().or(name);
        known.map = known.map.take().or(map);
        known.state = known.state.take().or(state);
    }
    found.ok_or(IndexError::Odd("a machine without a row"))
}
