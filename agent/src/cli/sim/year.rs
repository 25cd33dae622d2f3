//! `lineside sim year`: a sample year, to try pull, verify and report.

use jiff::civil::Date;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use crate::cli::{Context, Failure, Outcome};
use crate::sim::year::{DAYS_MAX, MACHINES_MAX, Trick, Year, YearSettings, make};
use crate::text;
use crate::text::{Language, Text};

/// Months at most.
const MONTHS_MAX: i8 = 36;

/// Arguments of `lineside sim year`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example: lineside sim year --dir sample")]
pub struct Args {
    /// Where to write it; empty, or not there yet
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The first day, in Asia/Shanghai
    #[arg(long, value_name = "DATE", default_value = "2025-01-01", value_parser = day)]
    pub from: Date,
    /// How many months
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(i8).range(1..=i64::from(MONTHS_MAX)))]
    pub months: i8,
    /// How many machines: an extruder, a furnace, a press, and again
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(MACHINES_MAX)))]
    pub machines: u32,
    /// The same seed gives the same year
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// A day of a year for which there is a next one and one before.
fn day(text: &str) -> Result<Date, Text> {
    let wanted = || {
        text!(
            "a day from 2000-01-01 to 2099-12-31 is wanted",
            "应为 2000-01-01 到 2099-12-31 之间的日期"
        )
    };
    let day: Date = text.parse().map_err(|_| wanted())?;
    let fits = (2000..2100).contains(&day.year());
    fits.then_some(day).ok_or_else(wanted)
}

/// Runs the command.
///
/// # Errors
///
/// See [`Failure`].
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let end = args
        .from
        .saturating_add(jiff::Span::new().months(args.months));
    let days = (end - args.from).get_days();
    let settings = YearSettings {
        from: args.from,
        days: usize::try_from(days).unwrap_or(DAYS_MAX),
        machines: args.machines,
        seed: args.seed,
    };
    let is_seen = io::stderr().is_terminal();
    let mut told = |part: u32| {
        if is_seen {
            // Nobody needs it.
            drop(write!(io::stderr(), "\r{:3} %", part / 10));
        }
    };
    let year = make(&args.dir, settings, &mut told).map_err(Failure::Other)?;
    if is_seen {
        drop(write!(io::stderr(), "\r     \r"));
    }
    say(
        &made(&args.dir.display().to_string(), &year),
        context.language,
    )
    .map_err(|error| Failure::Other(error.into()))?;
    Ok(Outcome::Done)
}

fn made(dir: &str, year: &Year) -> Text {
    let leaves = year.leaves;
    let mut text = text!(
        "A sample year in {dir}: {leaves} leaves. What is wrong on purpose:",
        "样例年度数据已写入 {dir}：{leaves} 条台账记录。特意植入的问题："
    );
    for kind in Trick::ALL {
        let count = year.planted.iter().filter(|one| one.kind == kind).count();
        if count > 0 {
            let what = kind.text();
            text.en += &format!("\n{count:5} x  {}", what.en);
            text.zh += &format!("\n{count:5} 次  {}", what.zh);
        }
    }
    let next = text!(
        "\nTry the three steps in {dir}/README.txt.",
        "\n请按 {dir}/README.txt 中的三个步骤试用。"
    );
    text.en += &next.en;
    text.zh += &next.zh;
    text
}

fn say(text: &Text, language: Language) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", text.say(language))
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn a_day_is_one_of_this_century() {
        for (text, fits) in [
            ("2025-01-01", true),
            ("2099-12-31", true),
            ("1999-12-31", false),
            ("2025-02-30", false),
            ("tomorrow", false),
        ] {
            assert_eq!(day(text).is_ok(), fits, "{text}");
        }
    }
}
