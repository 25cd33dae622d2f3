//! The words that stand for what documents and snapshots name, in the reader's language.

use lineside_proto::{AvailableNow, LocalText, State};

use crate::live::LinkPhase;
use crate::machine::state::NO_RULE;
use crate::text::Language;

/// A state.
pub(super) fn state(state: State, language: Language) -> &'static str {
    language.pick(state.as_str(), state.zh_cn())
}

/// The reason for a state: names and conditions are the map's own, the rest is the reader's language.
pub(super) fn reason(reason: &str, language: Language) -> &str {
    match reason {
        NO_RULE => language.pick(reason, "无规则成立"),
        _ => reason,
    }
}

/// Whether somebody could start now.
pub(super) fn available(available: AvailableNow, language: Language) -> &'static str {
    match available {
        AvailableNow::Yes => language.pick("yes", "可用"),
        AvailableNow::No => language.pick("no", "不可用"),
        AvailableNow::Unknown => language.pick("unknown", "不明"),
    }
}

/// What a link is going through.
pub(super) fn phase(phase: LinkPhase, language: Language) -> &'static str {
    match phase {
        LinkPhase::Up => language.pick("up", "正常"),
        LinkPhase::Connecting => language.pick("connecting", "连接中"),
        LinkPhase::Listening => language.pick("listening", "侦听中"),
        LinkPhase::Quiet => language.pick("quiet", "静默"),
        LinkPhase::Backoff => language.pick("backoff", "等待重试"),
        LinkPhase::Refused => language.pick("refused", "另有主站"),
    }
}

/// A name in the reader's language, else in the other.
pub(super) fn name(name: &LocalText, language: Language) -> Option<&str> {
    let (first, second) = language.pick((&name.en, &name.zh_cn), (&name.zh_cn, &name.en));
    first.as_deref().or(second.as_deref())
}
