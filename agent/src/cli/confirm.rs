//! A question before something is done that can't be undone.

use std::io::{self, BufRead, Write};

use super::Context;
use crate::text::Text;

/// Asks; only a clear yes is one, and a closed standard input is a no.
pub(super) fn confirmed(question: &Text, context: &Context) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    write!(out, "{} [y/N] ", question.say(context.language))?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    let answer = answer.trim().to_lowercase();
    ["y", "yes", "是"].contains(&answer.as_str())
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (answer, yes) in [
            ("y\n", true),
            (" YES ", true),
            ("是\n", true),
            ("", false),
            ("\n", false),
            ("n", false),
            ("yep", false),
        ] {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
