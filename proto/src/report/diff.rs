//! The difference of two maps' texts, line by line, with a bound.

use serde_json::Value;

use super::anomaly::DIFF_LINES_MAX;

/// Lines that differ, of each text, that are compared one by one: the table of their common lines has the square of it.
const COMPARED_MAX: usize = 1000;

/// Lines of the same that stand around a change.
const CONTEXT: usize = 2;

/// The difference of two JSON texts as people read it: lines with `-`, `+` or a blank before them.
pub(super) fn diff(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (pretty(before), pretty(after));
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let pairs = before.iter().zip(&after);
    let head = pairs.take_while(|(one, other)| one == other).count();
    let rest = before.len().min(after.len()) - head;
    let pairs = before.iter().rev().zip(after.iter().rev()).take(rest);
    let tail = pairs.take_while(|(one, other)| one == other).count();
    let middle = |lines: &[&'_ str]| {
        let end = lines.len() - tail;
        lines
            .get(head..end)
            .unwrap_or_default()
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    let (old, new) = (middle(&before), middle(&after));
    let mut lines = Vec::new();
    let context = before
        .get(head.saturating_sub(CONTEXT)..head)
        .unwrap_or_default();
    lines.extend(context.iter().map(|line| format!("  {line}")));
    if old.len() > COMPARED_MAX || new.len() > COMPARED_MAX {
        lines.push(format!("… {} → {}", old.len(), new.len()));
    } else {
        changed(&old, &new, &mut lines);
    }
    let end = before.len() - tail;
    let context = before.get(end..).unwrap_or_default().iter().take(CONTEXT);
    lines.extend(context.map(|line| format!("  {line}")));
    if lines.len() > DIFF_LINES_MAX {
        let over = lines.len() - DIFF_LINES_MAX + 1;
        lines.truncate(DIFF_LINES_MAX - 1);
        lines.push(format!("… +{over}"));
    }
    lines
}

fn pretty(text: &str) -> String {
    let value = serde_json::from_str::<Value>(text);
    value.map_or_else(|_| text.to_owned(), |value| format!("{value:#}"))
}

/// The lines of both by their longest common part.
fn changed(old: &[String], new: &[String], lines: &mut Vec<String>) {
    let width = new.len() + 1;
    let mut table = vec![0_u16; (old.len() + 1) * width];
    let at = |table: &[u16], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let best = if one == other {
                at(&table, i + 1, j + 1) + 1
            } else {
                at(&table, i + 1, j).max(at(&table, i, j + 1))
            };
            if let Some(place) = table.get_mut(i * width + j) {
                *place = best;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (Some(one), Some(other)) if one == other => {
                lines.push(format!("  {one}"));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), other)
                if other.is_none() || at(&table, i + 1, j) >= at(&table, i, j + 1) =>
            {
                lines.push(format!("- {one}"));
                i += 1;
            }
            (_, Some(other)) => {
                lines.push(format!("+ {other}"));
                j += 1;
            }
            (Some(_), None) | (None, None) => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::diff;
    use crate::report::DIFF_LINES_MAX;
    use proptest::prelude::*;

    #[test]
    fn what_changed_stands_between_what_did_not() {
        let before = r#"{"machine":"m","p-off":10,"rules":["a","b","c"],"z":1}"#;
        let after = r#"{"machine":"m","p-off":25,"rules":["a","c","d"],"z":1}"#;
        assert_eq!(
            diff(before, after),
            [
                "  {",
                "    \"machine\": \"m\",",
                "-   \"p-off\": 10,",
                "+   \"p-off\": 25,",
                "    \"rules\": [",
                "      \"a\",",
                "-     \"b\",",
                "-     \"c\"",
                "+     \"c\",",
                "+     \"d\"",
                "    ],",
                "    \"z\": 1",
            ]
        );
        assert!(diff("{}", "{}").iter().all(|line| line.starts_with(' ')));
    }

    #[test]
    fn large_ones_are_bounded() {
        let list = |from: u32, to: u32| format!("{:?}", (from..to).collect::<Vec<_>>());
        let lines = diff(&list(0, 900), &list(1000, 1900));
        assert_eq!(lines.len(), DIFF_LINES_MAX);
        assert!(lines.last().unwrap().starts_with('…'));
        let lines = diff(&list(0, 9000), &list(10_000, 19_000));
        assert_eq!(lines[1], "… 9000 → 9000");
    }

    proptest! {
        #[test]
        fn both_texts_can_be_had_from_it(
            before in prop::collection::vec(0_u8..4, 0..12),
            after in prop::collection::vec(0_u8..4, 0..12),
        ) {
            let text = |lines: &[u8]| lines.iter().map(|n| format!("x{n}\n")).collect::<String>();
            let lines = diff(&text(&before), &text(&after));
            let side = |mark: char| {
                let mine = lines.iter().filter(|line| line.starts_with(mark) || line.starts_with(' '));
                mine.map(|line| format!("{}\n", &line[2..])).collect::<String>()
            };
            prop_assert!(text(&before).contains(&side('-')));
            prop_assert!(text(&after).contains(&side('+')));
        }
    }
}
