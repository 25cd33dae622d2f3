//! `lineside archive index`: the index compared with the tiles, made anew from them, or its tables told.

use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::none_there;
use crate::archive::Shelf;
use crate::archive::index::{Checked, Index, IndexError, LOCK, Round, SCHEMA, check, rebuild};
use crate::cli::{Context, Failure, Outcome, write_json};
use crate::ledger::disk;
use crate::logs::chain;
use crate::text;
use crate::text::Text;

/// Arguments of `lineside archive index`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside archive index --check --dir /var/lib/lineside-archive")]
#[command(group = clap::ArgGroup::new("deed").required(true))]
pub(super) struct Args {
    /// Delete all rows and make them anew from the tiles
    #[arg(long, group = "deed")]
    rebuild: bool,
    /// Compare every row with the tiles
    #[arg(long, group = "deed")]
    check: bool,
    /// Print the tables and what each column means
    #[arg(long, group = "deed")]
    schema: bool,
    /// The archive's directory
    #[arg(long, value_name = "DIR", required_unless_present = "schema")]
    dir: Option<PathBuf>,
    /// The index in PostgreSQL instead of the directory's own
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a check says, for programs.
#[derive(Serialize)]
struct Said {
    equal: bool,
    logs: u64,
    rows: u64,
    behind: u64,
    /// Whether an archive runs that writes it.
    written: bool,
    differences: u64,
    first: Vec<SaidDifference>,
}

#[derive(Serialize)]
struct SaidDifference {
    log: String,
    table: &'static str,
    what: String,
}

/// What a rebuild says, for programs.
#[derive(Serialize)]
struct SaidRebuilt {
    leaves: u64,
    faults: u64,
}

/// Runs the command.
///
/// # Errors
///
/// The index or the archive's directory can't be used.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let Some(dir) = args.dir.as_deref().filter(|_| !args.schema) else {
        io::stdout().write_all(SCHEMA.as_bytes())?;
        return Ok(Outcome::Done);
    };
    if !Shelf::of(dir).logs_dir().is_dir() {
        return Err(none_there(dir));
    }
    if args.postgres.is_none() && !args.rebuild && !Index::is_in(dir) {
        let dir = dir.display();
        return Err(Failure::Negative(text!(
            "there is no index in {dir} yet: the archive makes it when it runs, or `lineside archive index --rebuild --dir {dir}`",
            "{dir} 中尚无索引：存证库运行时会建立，也可执行 `lineside archive index --rebuild --dir {dir}`"
        )));
    }
    let index = Arc::new(open(dir, args.postgres.as_deref()).map_err(failure)?);
    let shelf = Shelf::of(dir);
    if args.rebuild {
        rebuilt(&shelf, &index, args, context)
    } else {
        checked(&shelf, &index, args, context)
    }
}

fn open(dir: &Path, postgres: Option<&str>) -> Result<Index, IndexError> {
    match postgres {
        Some(url) => Index::postgres(url),
        None => Index::embedded(dir),
    }
}

fn rebuilt(
    shelf: &Shelf,
    index: &Arc<Index>,
    args: &Args,
    context: &Context,
) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let Round { leaves, faults, .. } = rebuild(shelf, index).map_err(failure)?;
    if args.postgres.is_none() {
        Index::give(shelf.dir()).map_err(|error| {
            let dir = shelf.dir().display();
            Failure::Correct(text!(
                "the index can't be given to the owner of {dir}: {error}; run this as the archive's own account",
                "无法将索引交给 {dir} 的所有者：{error}；请以存证库自己的账户执行"
            ))
        })?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        write_json(&mut out, &SaidRebuilt { leaves, faults })?;
    } else {
        let seconds = begun.elapsed().as_secs_f64();
        let said = text!(
            "{leaves} leaves are in the index, after {seconds:.1} s",
            "索引已含 {leaves} 条记录，用时 {seconds:.1} 秒"
        );
        writeln!(out, "{}", said.say(context.language))?;
        if faults > 0 {
            let said = text!(
                "{faults} logs can't be read as a whole: `lineside archive verify` tells more",
                "有 {faults} 份日志无法完整读取：详见 `lineside archive verify`"
            );
            writeln!(out, "{}", said.say(context.language))?;
        }
    }
    Ok(outcome(faults == 0))
}

fn checked(
    shelf: &Shelf,
    index: &Index,
    args: &Args,
    context: &Context,
) -> Result<Outcome, Failure> {
    let is_written = is_written(shelf);
    let checked = check(shelf, index).map_err(failure)?;
    let mut out = io::stdout().lock();
    // Behind it may only be while somebody is about to write the rest.
    let is_well = is_well(&checked, is_written);
    if args.json {
        write_json(&mut out, &said(checked, is_written))?;
    } else {
        for difference in &checked.first {
            let (place, table, what) = (&difference.place, difference.table, &difference.what);
            writeln!(out, "{place}: {table}: {what}")?;
        }
        writeln!(out, "{}", in_words(&checked).say(context.language))?;
        if checked.behind > 0 && !is_written {
            let said = text!(
                "no archive writes it: start one, or `lineside archive index --rebuild`",
                "没有存证程序在写入索引：请启动存证库，或执行 `lineside archive index --rebuild`"
            );
            writeln!(out, "{}", said.say(context.language))?;
        }
    }
    Ok(outcome(is_well))
}

fn is_well(checked: &Checked, is_written: bool) -> bool {
    checked.count == 0 && (checked.behind == 0 || is_written)
}

/// Whether an archive that runs writes the index of this directory; where nobody can tell, none does.
fn is_written(shelf: &Shelf) -> bool {
    matches!(disk::lock(&shelf.dir().join(LOCK)), Ok(None))
}

fn said(checked: Checked, written: bool) -> Said {
    let first = checked.first.into_iter().map(|difference| SaidDifference {
        log: difference.place.to_string(),
        table: difference.table,
        what: difference.what,
    });
    Said {
        equal: checked.count == 0,
        logs: checked.logs,
        rows: checked.rows,
        behind: checked.behind,
        written,
        differences: checked.count,
        first: first.collect(),
    }
}

fn in_words(checked: &Checked) -> Text {
    let Checked {
        logs,
        rows,
        behind,
        count,
        ..
    } = checked;
    match count {
        0 => text!(
            "the index equals the tiles: {logs} logs, {rows} rows; {behind} leaves are not in it yet",
            "索引与日志一致：{logs} 份日志，{rows} 行；尚有 {behind} 条记录未入索引"
        ),
        _ => text!(
            "the index differs from the tiles in {count} rows: `lineside archive index --rebuild` makes it anew",
            "索引与日志有 {count} 行不一致：可用 `lineside archive index --rebuild` 重建"
        ),
    }
}

fn outcome(is_well: bool) -> Outcome {
    if is_well {
        Outcome::Done
    } else {
        Outcome::Negative
    }
}

/// An index that can't be used, for a person.
pub(super) fn failure(error: IndexError) -> Failure {
    let said = chain(&error);
    match error {
        IndexError::Asked(what) => Failure::Usage(what),
        IndexError::Address(what) => Failure::Correct(what),
        IndexError::Away(_) | IndexError::Slow | IndexError::Moved => Failure::Unreachable(text!(
            "the index can't be reached: {said}",
            "无法连接索引：{said}"
        )),
        IndexError::Later(_) | IndexError::Foreign(_) => Failure::Correct(text!(
            "the index can't be used: {said}",
            "索引无法使用：{said}"
        )),
        IndexError::Refused(_) | IndexError::Odd(_) => Failure::Store(text!(
            "the index can't be used: {said}",
            "索引无法使用：{said}"
        )),
        IndexError::Log { .. } | IndexError::Leaf { .. } | IndexError::Shelf(_) => {
            Failure::Store(text!(
                "the archive can't be read: {said}",
                "存证库无法读取：{said}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_well, is_written};
    use crate::archive::Shelf;
    use crate::archive::index::{Checked, LOCK};
    use crate::ledger::disk;

    #[test]
    fn an_index_is_well_if_it_equals_or_somebody_writes_the_rest() {
        for (count, behind, written, expected) in [
            (0, 0, false, true),
            (0, 0, true, true),
            (0, 5, true, true),
            (0, 5, false, false),
            (1, 0, true, false),
        ] {
            let checked = Checked {
                count,
                behind,
                ..Checked::default()
            };
            let found = is_well(&checked, written);
            assert_eq!(found, expected, "{count} {behind} {written}");
        }
    }

    #[test]
    fn whoever_writes_the_index_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(dir.path());
        assert!(!is_written(&shelf));
        let held = disk::lock(&dir.path().join(LOCK)).unwrap();
        assert!(held.is_some() && is_written(&shelf));
        drop(held);
        assert!(!is_written(&shelf));
    }
}
