//! What changes the index: a batch of leaves with its cursor, or a log that goes.

use std::collections::BTreeMap;

use lineside_proto::LocalText;
use lineside_proto::ledger::Hash;

use super::fold::Fold;
use super::reach::Reach;
use super::sql::{Sql, Value};
use super::tables::{LOGS, OF_LOGS};
use super::{Index, IndexError, Place};
use crate::archive::Shelf;

/// How far a log is in the index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Leaves.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            size: 0,
            root: Hash::of_nothing().to_string(),
        }
    }
}

/// Leaves that follow one another, and where they lead from and to.
pub(super) struct Batch<'a> {
    pub(super) place: &'a Place,
    pub(super) origin: &'a str,
    pub(super) before: &'a Cursor,
    pub(super) after: &'a Cursor,
    pub(super) leaves: &'a [(u64, Vec<u8>)],
    pub(super) reach: Reach<'a>,
}

/// Rows that are deleted together: a second's work. Few in tests, so that they are deleted in parts there, too.
const DELETED_MAX: u32 = if cfg!(test) { 100 } else { 20_000 };

/// Machines without a name that are looked at together.
const NAMELESS_MAX: u32 = 1_000;

impl Index {
    /// How far each log is.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn cursors(&self) -> Result<BTreeMap<Place, Cursor>, IndexError> {
        let mut found = BTreeMap::new();
        self.store.read(None, &mut |sql| {
            self.owned(sql)?;
            found.clear();
            let text = "SELECT site, gateway, epoch, size, root FROM logs";
            for mut row in sql.ask(text, &[])? {
                let place = Place {
                    site: row.name()?,
                    gateway: row.name()?,
                    epoch: row.small()?,
                };
                let (size, root) = (row.count()?, row.text()?);
                found.insert(place, Cursor { size, root });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Makes the tables where they are not there yet, and says whose the index is, if it is nobody's: what two archives
    /// write, each would take for another history. From then on it is no other archive's that is read here.
    ///
    /// # Errors
    ///
    /// [`IndexError::Foreign`], or the store's.
    pub fn begin(&self, shelf: &Shelf) -> Result<(), IndexError> {
        self.is_of(shelf)?;
        let Some(archive) = self.owner.get() else {
            return self.store.write(&mut |_| Ok(()));
        };
        self.store.write(&mut |sql| {
            let text = "INSERT INTO about (name, text) VALUES ('archive', $1) ON CONFLICT (name) DO NOTHING";
            sql.run(text, &[archive.as_str().into()])?;
            self.owned(sql)
        })
    }

    /// Takes in which archive's it must be.
    ///
    /// # Errors
    ///
    /// The archive's directory can't be read.
    pub(super) fn is_of(&self, shelf: &Shelf) -> Result<(), IndexError> {
        if let Some(archive) = shelf.name()? {
            self.owner.get_or_init(|| archive.to_string());
        }
        Ok(())
    }

    /// Refuses one that is another archive's.
    pub(super) fn owned(&self, sql: &mut dyn Sql) -> Result<(), IndexError> {
        let Some(archive) = self.owner.get() else {
            return Ok(());
        };
        for mut row in sql.ask("SELECT text FROM about WHERE name = 'archive'", &[])? {
            let owner = row.text()?;
            if owner != *archive {
                return Err(IndexError::Foreign(owner));
            }
        }
        Ok(())
    }

    /// Writes a batch; all of it, or nothing.
    pub(super) fn write(&self, batch: &Batch<'_>) -> Result<(), IndexError> {
        self.store.write(&mut |sql| batch.write(sql))
    }

    /// Deletes a log's rows, some at a time, so that nobody waits for long. From the first on its cursor fits no log,
    /// so that whoever finds it after a crash goes on.
    pub(super) fn clear(&self, place: &Place) -> Result<(), IndexError> {
        let mut found = None;
        self.store.write(&mut |sql| {
            found = number(sql, place)?;
            let text = "UPDATE logs SET root = '' WHERE log = $1";
            sql.run(text, &[found.into()]).map(drop)
        })?;
        let Some(log) = found else { return Ok(()) };
        for table in OF_LOGS {
            let mut deleted = u64::MAX;
            while deleted >= DELETED_MAX.into() {
                self.store.write(&mut |sql| {
                    deleted = table.clear(sql, log, DELETED_MAX)?;
                    Ok(())
                })?;
            }
        }
        self.store.write(&mut |sql| {
            let text = "DELETE FROM logs WHERE log = $1 AND root = ''";
            sql.run(text, &[log.into()]).map(drop)
        })
    }

    /// Makes all tables anew, empty.
    pub(super) fn renew(&self) -> Result<(), IndexError> {
        // Whatever else is wrong with it goes with it.
        if let Err(error @ IndexError::Foreign(_)) =
            self.store.read(None, &mut |sql| self.owned(sql))
        {
            return Err(error);
        }
        self.store.renew()
    }

    /// Gives machines their names whose map's text came later than the leaf that names it.
    pub(super) fn name(
        &self,
        name: &dyn Fn(&Place, &str) -> Option<LocalText>,
    ) -> Result<(), IndexError> {
        let mut after = (0, String::new());
        loop {
            let (next, found) = self.nameless(&after, name)?;
            self.store.write(&mut |sql| {
                let text = "UPDATE machines SET name_zh = $1, name_en = $2 \
                            WHERE log = $3 AND machine = $4 AND map = $5";
                for (name, key) in &found {
                    let names = [name.zh_cn.clone().into(), name.en.clone().into()];
                    sql.run(text, &[&names, key.as_slice()].concat())?;
                }
                Ok(())
            })?;
            let Some(next) = next else { return Ok(()) };
            after = next;
        }
    }

    /// The next machines without a name for which there is one now.
    #[expect(clippy::type_complexity, reason = "used once, above")]
    fn nameless(
        &self,
        after: &(i64, String),
        name: &dyn Fn(&Place, &str) -> Option<LocalText>,
    ) -> Result<(Option<(i64, String)>, Vec<(LocalText, Vec<Value>)>), IndexError> {
        let (mut next, mut found) = (None, Vec::new());
        self.store.read(None, &mut |sql| {
            (next, found) = (None, Vec::new());
            let text = "SELECT m.log, m.machine, m.map, l.site, l.gateway, l.epoch \
                        FROM machines m JOIN logs l ON l.log = m.log \
                        WHERE m.name_zh IS NULL AND m.name_en IS NULL AND m.map IS NOT NULL \
                        AND (m.log, m.machine) > ($1, $2) ORDER BY m.log, m.machine LIMIT $3";
            let values = [after.0.into(), after.1.as_str().into(), NAMELESS_MAX.into()];
            for mut row in sql.ask(text, &values)? {
                let (log, machine, map) = (row.int()?, row.text()?, row.text()?);
                let place = Place {
                    site: row.name()?,
                    gateway: row.name()?,
                    epoch: row.small()?,
                };
                next = Some((log, machine.clone()));
                if let Some(name) = name(&place, &map) {
                    found.push((name, vec![log.into(), machine.into(), map.into()]));
                }
            }
            Ok(())
        })?;
        Ok((next, found))
    }
}

/// The number of a log; none where it is not in the index.
pub(super) fn number(sql: &mut dyn Sql, place: &Place) -> Result<Option<i64>, IndexError> {
    let text = "SELECT log FROM logs WHERE site = $1 AND gateway = $2 AND epoch = $3";
    let found = sql.ask(text, &key(place))?.into_iter().next();
    found.map(|mut row| row.int()).transpose()
}

fn key(place: &Place) -> [Value; 3] {
    [
        (&place.site).into(),
        (&place.gateway).into(),
        place.epoch.into(),
    ]
}

impl Batch<'_> {
    fn write(&self, sql: &mut dyn Sql) -> Result<(), IndexError> {
        let log = match number(sql, self.place)? {
            Some(log) => log,
            None if self.before.size == 0 => self.begin(sql)?,
            None => return Err(IndexError::Moved),
        };
        // Whoever writes the same log waits here, and then finds that it has moved.
        let text = "UPDATE logs SET size = $1, root = $2, origin = $3 WHERE log = $4 AND size = $5 AND root = $6";
        let (before, after) = (self.before, self.after);
        let values = [
            after.size.into(),
            after.root.as_str().into(),
            self.origin.into(),
            log.into(),
            before.size.into(),
            before.root.as_str().into(),
        ];
        if sql.run(text, &values)? != 1 {
            return Err(IndexError::Moved);
        }
        let mut fold = Fold::new(sql, log, self.reach);
        fold.take(self.leaves)?;
        let told = fold.finish()?;
        let text = "UPDATE logs SET first_ms = COALESCE(first_ms, CAST($1 AS BIGINT)), \
                    newest_ms = COALESCE(CAST($2 AS BIGINT), newest_ms), unknown = unknown + $3, odd = odd + $4 \
                    WHERE log = $5";
        let values = [
            told.first.into(),
            told.newest.into(),
            told.unknown.into(),
            told.odd.into(),
            log.into(),
        ];
        sql.run(text, &values).map(drop)
    }

    /// The row of a log that is not in the index yet.
    fn begin(&self, sql: &mut dyn Sql) -> Result<i64, IndexError> {
        let newest = sql.ask("SELECT COALESCE(MAX(log), 0) FROM logs", &[])?;
        let newest = newest.into_iter().next().map(|mut row| row.int());
        let log = newest.transpose()?.unwrap_or(0).saturating_add(1);
        let [site, gateway, epoch] = key(self.place);
        let row = vec![
            log.into(),
            site,
            gateway,
            epoch,
            self.origin.into(),
            self.before.size.into(),
            self.before.root.as_str().into(),
            Value::Null,
            Value::Null,
            Value::Int(0),
            Value::Int(0),
        ];
        LOGS.add(sql, &[row])?;
        Ok(log)
    }
}
