//! The look of the eight states: a colour each, those of the terminal, and a pattern each, so that they are told
//! apart without colours, too.

use lineside_proto::State;
use maud::{Markup, PreEscaped, html};

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

/// The patterns that [`fill`] names; once a page.
pub fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" {
            defs {
                @for state in ORDER {
                    pattern #{"p-" (word(state))} width="6" height="6" patternUnits="userSpaceOnUse" {
                        rect.{"s-" (word(state))} width="6" height="6" {}
                        @if !strokes(state).is_empty() {
                            path.{"k-" (word(state))} d=(PreEscaped(strokes(state))) {}
                        }
                    }
                }
            }
        }
    }
}

/// A small field in a state's look, for tables and legends.
pub fn swatch(state: State) -> Markup {
    html! {
        svg.swatch width="18" height="12" viewBox="0 0 18 12" aria-hidden="true" {
            rect.edge x="0.5" y="0.5" width="17" height="11" fill=(fill(state)) {}
        }
    }
}

/// What the looks mean.
pub fn legend(language: Language) -> Markup {
    html! {
        p.legend {
            @for state in ORDER {
                span { (swatch(state)) " " (figure::state(state, language)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ORDER, patterns, strokes, swatch};
    use lineside_proto::State;
    use std::collections::BTreeSet;

    #[test]
    fn every_state_has_a_look_of_its_own() {
        let all: BTreeSet<State> = ORDER.into_iter().collect();
        assert_eq!(all, State::ALL.into_iter().collect());
        let page = patterns().into_string();
        for state in State::ALL {
            let swatch = swatch(state).into_string();
            let (_, rest) = swatch.split_once("url(#").unwrap();
            let (name, _) = rest.split_once(')').unwrap();
            assert_eq!(page.matches(&format!("id=\"{name}\"")).count(), 1, "{name}");
        }
        // Two are plain, one dark and one light; the rest differ by their strokes.
        let drawn: BTreeSet<&str> = ORDER.into_iter().map(strokes).collect();
        assert_eq!(drawn.len(), ORDER.len() - 1);
    }
}
