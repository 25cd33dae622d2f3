//! What is asked of the index: one page of rows, from one state of the tables.

mod hours;
mod ledger;
mod names;

use super::model::{Page, Select};
use super::sql::{Row, Sql, Value};
use super::{Index, IndexError, page};

/// A question for a page of rows: `what`, `of`, conditions, and in which order. Each condition has its values.
pub(super) struct Question<'a> {
    /// The columns.
    what: &'a str,
    /// The tables.
    of: &'a str,
    /// The columns that order the rows, all of them together unlike for each two.
    order: &'a [&'a str],
    /// What comes before all values of these.
    first: Vec<Value>,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl<'a> Question<'a> {
    fn new(what: &'a str, of: &'a str, order: &'a [&'a str], first: Vec<Value>) -> Self {
        Self {
            what,
            of,
            order,
            first,
            conditions: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Only rows for which this holds; `$` stands for the value.
    fn only(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let place = format!("${}", self.values.len());
        self.conditions.push(condition.replace('$', &place));
    }

    fn only_if(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.only(condition, value);
        }
    }

    /// Only rows of this site and gateway.
    fn of_place(&mut self, select: &Select) {
        self.only_if("l.site = $", select.site.as_ref());
        self.only_if("l.gateway = $", select.gateway.as_ref());
    }

    /// A page of the rows. Each begins with the columns of the order, and then has `what`.
    fn ask<T>(
        mut self,
        sql: &mut dyn Sql,
        select: &Select,
        mut read: impl FnMut(&mut dyn Sql, &mut Row) -> Result<T, IndexError>,
    ) -> Result<Page<T>, IndexError> {
        let limit = select.limit()?;
        let width = self.first.len();
        let after = page::read(select.after.as_deref(), self.first)?;
        let places: Vec<String> = (1..=width)
            .map(|place| format!("${}", self.values.len() + place))
            .collect();
        self.values.extend(after);
        let columns = self.order.join(", ");
        let after = format!("({columns}) > ({})", places.join(", "));
        self.conditions.push(after);
        self.values.push(limit.saturating_add(1).into());
        let text = format!(
            "SELECT {columns}, {} FROM {} WHERE {} ORDER BY {columns} LIMIT ${}",
            self.what,
            self.of,
            self.conditions.join(" AND "),
            self.values.len()
        );
        let mut found = Vec::new();
        for mut row in sql.ask(&text, &self.values)? {
            let key = row.next_ones(width);
            found.push((key, read(sql, &mut row)?));
        }
        Ok(page::page(found, limit))
    }
}

impl Index {
    /// Reads something, from one state of the tables, for whoever wants it.
    fn look<T>(
        &self,
        look: impl Fn(&mut dyn Sql) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut found = None;
        self.store.read(self.wanted.as_ref(), &mut |sql| {
            self.owned(sql)?;
            found = Some(look(sql)?);
            Ok(())
        })?;
        found.ok_or(IndexError::Odd("nothing was read"))
    }
}

/// A text that comes before all others.
fn nothing() -> Value {
    Value::Text(String::new())
}
