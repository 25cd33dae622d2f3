//! `lineside schema`: the published description of the documents, for tools.

use std::io::{self, Write};

use lineside_proto::schema;
use serde_json::{Value, json};

use super::{Context, Failure, Outcome};
use crate::console;
use crate::text;

/// Arguments of `lineside schema`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  lineside schema availability > availability.schema.json")]
pub struct Args {
    /// Which one to print; without it, the names are listed.
    pub name: Option<String>,
    /// List the names as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Prints one schema, or the names of all.
///
/// # Errors
///
/// [`Failure::Usage`] for a name that does not exist, [`Failure::Other`] where standard output can't be
/// written.
pub fn run(args: &Args, _context: &Context) -> Result<Outcome, Failure> {
    print(args, &mut io::stdout().lock())
}

fn print(args: &Args, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let written = match &args.name {
        Some(name) => {
            let Some(schema) = described(name) else {
                return Err(Failure::Usage(unknown(name)));
            };
            writeln!(out, "{schema:#}")
        }
        None if args.json => {
            let names: Vec<_> = names()
                .map(|(name, summary)| json!({"name": name, "summary": summary}))
                .collect();
            writeln!(out, "{:#}", json!(names))
        }
        None => names().try_for_each(|(name, summary)| writeln!(out, "{name:<14} {summary}")),
    };
    written.and_then(|()| out.flush())?;
    Ok(Outcome::Done)
}

/// The name under which the description of the local API is asked for.
const OPENAPI: &str = "openapi";

/// All names, with what they stand for.
fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let openapi = (OPENAPI, "OpenAPI 3.1: the local API of the gateway");
    schema::names().chain([openapi])
}

fn described(name: &str) -> Option<Value> {
    if name == OPENAPI {
        return Some(console::openapi());
    }
    schema::schema(name)
}

fn unknown(name: &str) -> text::Text {
    let names: Vec<_> = names().map(|(name, _)| name).collect();
    let names = names.join(", ");
    text!(
        "there is no schema `{name}`; there are: {names}",
        "没有名为 `{name}` 的 schema;可选:{names}"
    )
}

#[cfg(test)]
mod tests {
    use super::{Args, Failure, names, print};

    fn printed(name: Option<&str>, json: bool) -> Result<String, Failure> {
        let args = Args {
            name: name.map(Into::into),
            json,
        };
        let mut out = Vec::new();
        print(&args, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn lists_the_names_and_prints_each() {
        let list = printed(None, false).unwrap();
        let json: Vec<serde_json::Value> =
            serde_json::from_str(&printed(None, true).unwrap()).unwrap();
        assert_eq!(list.lines().count(), json.len());
        for (name, _) in names() {
            assert!(list.contains(name), "{name}");
            let text = printed(Some(name), false).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn an_unknown_name_is_wrong_usage_and_names_the_others() {
        let Err(Failure::Usage(text)) = printed(Some("availabilty"), false) else {
            panic!("accepted");
        };
        assert!(text.en.contains("availability"), "{text}");
        assert!(text.zh.contains("availability"), "{}", text.zh);
    }
}
