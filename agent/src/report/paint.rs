//! The look of the eight states: a colour each, those of the terminal, and a pattern each, so that they are told
//! apart without colours, too.

use lineside_proto::{Class, State};
use maud::{Markup, html};

use super::figure;
use crate::text::Language;

/// The order in which states are drawn and listed: what counts first, what nobody knows last.
pub const ORDER: [State; 8] = [
    State::Run,
    State::Setup,
    State::Hold,
    State::Idle,
    State::Maint,
    State::Down,
    State::Off,
    State::Unknown,
];

/// The class and pattern of a state: the last part of their names.
fn word(state: State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Off => "off",
        State::Down => "down",
        State::Maint => "maint",
        State::Idle => "idle",
        State::Setup => "setup",
        State::Run => "run",
        State::Hold => "hold",
    }
}

/// The `fill` of a state.
pub fn fill(state: State) -> String {
    format!("url(#p-{})", word(state))
}

/// The class and pattern of a class of use.
fn class_word(class: Class) -> &'static str {
    match class {
        Class::Ext => "ext",
        Class::Own => "own",
        Class::Aff => "aff",
        Class::Trn => "trn",
        Class::Mnt => "mnt",
        Class::Unb => "unb",
    }
}

/// The `fill` of a class of use.
pub fn class_fill(class: Class) -> String {
    format!("url(#p-{})", class_word(class))
}

/// What is drawn over a class's colour, in a tile of 6 × 6.
fn class_strokes(class: Class) -> &'static str {
    match class {
        Class::Ext => "",
        Class::Own => "M-1 7L7-1M-1 1L1-1M5 7L7 5",
        Class::Aff => "M1 1h2v2h-2zM4 4h2v2h-2z",
        Class::Trn => "M1.5 0V6M4.5 0V6",
        Class::Mnt => "M0 3H6",
        Class::Unb => "M-1-1L7 7M-1 5L1 7M5-1L7 1",
    }
}

/// What is drawn over a state's colour, in a tile of 6 × 6.
fn strokes(state: State) -> &'static str {
    match state {
        State::Run | State::Idle => "",
        State::Setup => "M-1 7L7-1M-1 1L1-1M5 7L7 5",
        State::Hold => "M1 1h2v2h-2zM4 4h2v2h-2z",
        State::Maint => "M1.5 0V6M4.5 0V6",
        State::Down => "M0 0L6 6M6 0L0 6",
        State::Off => "M0 3H6",
        State::Unknown => "M-1-1L7 7M-1 5L1 7M5-1L7 1",
    }
}

/// The patterns that [`fill`] and [`class_fill`] name; once a page.
pub fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" {
            defs {
                @for state in ORDER { (pattern(word(state), strokes(state))) }
                @for class in Class::ALL { (pattern(class_word(class), class_strokes(class))) }
            }
        }
    }
}

fn pattern(word: &str, strokes: &str) -> Markup {
    html! {
        pattern #{"p-" (word)} width="6" height="6" patternUnits="userSpaceOnUse" {
            rect.{"s-" (word)} width="6" height="6" {}
            @if !strokes.is_empty() {
                path.{"k-" (word)} d=(strokes) {}
            }
        }
    }
}

/// A small field in a look, for tables and legends.
pub fn swatch(fill: &str) -> Markup {
    html! {
        svg.swatch width="18" height="12" viewBox="0 0 18 12" aria-hidden="true" {
            rect.edge x="0.5" y="0.5" width="17" height="11" fill=(fill) {}
        }
    }
}

/// What the looks mean.
pub fn legend(language: Language) -> Markup {
    html! {
        p.legend {
            @for state in ORDER {
                span { (swatch(&fill(state))) " " (figure::state(state, language)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ORDER, class_fill, fill, patterns, strokes};
    use lineside_proto::{Class, State};
    use std::collections::BTreeSet;

    #[test]
    fn every_state_has_a_look_of_its_own() {
        let all: BTreeSet<State> = ORDER.into_iter().collect();
        assert_eq!(all, State::ALL.into_iter().collect());
        let page = patterns().into_string();
        let states = State::ALL.into_iter().map(fill);
        let fills: Vec<String> = states.chain(Class::ALL.map(class_fill)).collect();
        for fill in fills {
            let name = fill
                .strip_prefix("url(#")
                .and_then(|fill| fill.strip_suffix(')'));
            let id = format!("id=\"{}\"", name.unwrap());
            assert_eq!(page.matches(&id).count(), 1, "{id}");
        }
        // Two are plain, one dark and one light; the rest differ by their strokes.
        let drawn: BTreeSet<&str> = ORDER.into_iter().map(strokes).collect();
        assert_eq!(drawn.len(), ORDER.len() - 1);
    }
}
