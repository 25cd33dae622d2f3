//! The text of the tables: made into statements, and into a page for people.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::IndexError;
use super::sql::{Sql, Value};

/// The tables, with what each column means.
pub const SCHEMA: &str = include_str!("schema.sql");

/// Rises with each change of the tables: an index of an earlier one is made anew from the tiles.
const VERSION: u32 = 3;

/// Makes the tables where they are not there, or are those of an earlier version. `dialect` is how the store spells
/// a statement.
///
/// # Errors
///
/// [`IndexError::Later`], or the store refuses.
pub(super) fn begin(sql: &mut dyn Sql, dialect: &dyn Fn(&str) -> String) -> Result<(), IndexError> {
    let mut statements = statements().into_iter();
    if let Some(about) = statements.next() {
        sql.run(&dialect(&about), &[])?;
    }
    let found = sql.ask("SELECT text FROM about WHERE name = 'version'", &[])?;
    let found = found.into_iter().next().map(|mut row| row.text());
    if let Some(version) = found.transpose()? {
        match version.parse::<u32>() {
            Ok(VERSION) => return Ok(()),
            Ok(version) if version < VERSION => drop_tables(sql)?,
            Ok(_) | Err(_) => return Err(IndexError::Later(version)),
        }
    }
    for statement in statements {
        sql.run(&dialect(&statement), &[])?;
    }
    let text = "INSERT INTO about (name, text) VALUES ('version', $1) \
                ON CONFLICT (name) DO UPDATE SET text = excluded.text";
    sql.run(text, &[Value::Text(VERSION.to_string())]).map(drop)
}

/// Drops all tables and makes them anew.
pub(super) fn renew(sql: &mut dyn Sql, dialect: &dyn Fn(&str) -> String) -> Result<(), IndexError> {
    drop_tables(sql)?;
    sql.run("DROP TABLE IF EXISTS about", &[])?;
    begin(sql, dialect)
}

/// All but `about`.
fn drop_tables(sql: &mut dyn Sql) -> Result<(), IndexError> {
    let names = tables().into_iter().map(|table| table.name);
    for name in names.filter(|name| *name != "about") {
        sql.run(&format!("DROP TABLE IF EXISTS {name}"), &[])?;
    }
    Ok(())
}

/// The statements, without comments.
fn statements() -> Vec<String> {
    let code = |line: &'static str| line.split_once("--").map_or(line, |(code, _)| code);
    let code: Vec<&str> = SCHEMA.lines().map(|line| code(line).trim_end()).collect();
    let code = code.join("\n");
    let statements = code.split(';').map(str::trim);
    let statements = statements.filter(|statement| !statement.is_empty());
    statements.map(str::to_owned).collect()
}

/// A table, as the schema's text tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    pub(super) name: &'static str,
    about: String,
    key: &'static str,
    /// Name, type and whether it may be null, meaning.
    pub(super) columns: Vec<(&'static str, String, &'static str)>,
}

pub(super) fn tables() -> Vec<Told> {
    let mut tables: Vec<Told> = Vec::new();
    let mut about: Vec<&str> = Vec::new();
    for line in SCHEMA.lines() {
        if let Some(text) = line.strip_prefix("-- ") {
            about.push(text);
        } else if let Some(name) = line.strip_prefix("CREATE TABLE IF NOT EXISTS ") {
            tables.push(Told {
                name: name.trim_end_matches(" ("),
                about: about.join(" "),
                ..Told::default()
            });
        } else if let (Some(line), Some(table)) = (line.strip_prefix("  "), tables.last_mut()) {
            table.take(line);
        } else if line.is_empty() {
            about.clear();
        }
    }
    tables
}

impl Told {
    fn take(&mut self, line: &'static str) {
        if let Some(key) = line.strip_prefix("PRIMARY KEY (") {
            self.key = key.trim_end_matches([',', ')']);
        }
        let Some((code, about)) = line.split_once(" -- ") else {
            return;
        };
        let code = code.trim_end_matches(',');
        let (name, kind) = code.split_once(' ').unwrap_or((code, ""));
        let kind = match kind.strip_suffix(" NOT NULL") {
            Some(kind) => kind.to_lowercase(),
            None => format!("{}, may be null", kind.to_lowercase()),
        };
        self.columns.push((name, kind, about));
    }
}

/// Whether a column holds texts; else it holds numbers.
pub(super) fn is_text(table: &str, column: &str) -> bool {
    static TEXTS: LazyLock<BTreeSet<(&str, &str)>> = LazyLock::new(|| {
        let mut texts = BTreeSet::new();
        for Told { name, columns, .. } in tables() {
            let of_text = columns.iter().filter(|column| column.1.starts_with("text"));
            texts.extend(of_text.map(|column| (name, column.0)));
        }
        texts
    });
    TEXTS.contains(&(table, column))
}

/// The tables as a page of Markdown: what `deploy/city/INDEX.md` tells of them.
pub fn documentation() -> String {
    let mut page = String::new();
    for table in tables() {
        let Told {
            name, about, key, ..
        } = &table;
        page += &format!("### `{name}`\n\n{about} Key: `{key}`.\n\n");
        page += "| Column | Type | Meaning |\n|---|---|---|\n";
        for (name, kind, meaning) in &table.columns {
            page += &format!("| `{name}` | {kind} | {meaning} |\n");
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

#[cfg(test)]
mod tests {
    use super::super::tables::{LOGS, OF_LOGS};
    use super::{VERSION, documentation, statements, tables};

    #[test]
    fn program_and_schema_know_the_same_tables() {
        let told = tables();
        assert_eq!(told.len(), OF_LOGS.len() + 2);
        for table in OF_LOGS.into_iter().chain([&LOGS]) {
            let told = told.iter().find(|told| told.name == table.name).unwrap();
            let columns: Vec<&str> = told.columns.iter().map(|column| column.0).collect();
            assert_eq!(columns, table.columns, "{}", table.name);
            assert_eq!(told.key, table.columns[..table.key].join(", "));
            assert!(told.columns.iter().all(|column| !column.2.is_empty()));
        }
        assert_eq!(VERSION, 3);
    }

    #[test]
    fn comments_are_no_statements() {
        let statements = statements();
        assert_eq!(statements.len(), tables().len() + 7);
        for statement in statements {
            assert!(statement.starts_with("CREATE "), "{statement}");
            assert!(!statement.contains("--"), "{statement}");
        }
    }

    #[test]
    fn the_page_of_the_tables_is_what_the_schema_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/city/INDEX.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (head, rest) = page.split_once("<!-- tables -->\n\n").unwrap();
        let wanted = documentation();
        if std::env::var_os("LINESIDE_INDEX_PAGE").is_some() {
            std::fs::write(path, format!("{head}<!-- tables -->\n\n{wanted}")).unwrap();
        } else {
            assert_eq!(rest, wanted, "LINESIDE_INDEX_PAGE=1 writes it anew");
        }
    }
}
