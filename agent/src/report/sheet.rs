//! The frame of every page: its head, its style, its policy, and the mark of what nobody verified.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::paint;
use crate::text::Language;

/// How the pages look, on screen and on A4.
const STYLE: &str = include_str!("sheet.css");

/// What a page is before its content.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// Its title.
    pub title: &'a str,
    /// The language that it is in.
    pub language: Language,
    /// A word to print across every page; none for what was verified.
    pub mark: Option<&'a str>,
    /// What stands at the foot of every printed page.
    pub foot: &'a str,
}

/// A whole page. Only this style may apply, and nothing may be fetched or run.
pub fn page(sheet: &Sheet<'_>, body: &Markup) -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang=(sheet.language.pick("en", "zh-CN")) {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (sheet.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (paint::patterns())
                @if let Some(mark) = sheet.mark {
                    p.mark role="note" { (mark) }
                    div.across aria-hidden="true" { span { (mark) } }
                }
                main { (body) }
                footer { (sheet.foot) }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests {
    use super::{STYLE, Sheet, page};
    use crate::text::Language;
    use maud::html;

    fn sheet(mark: Option<&str>, language: Language) -> String {
        let sheet = Sheet {
            title: "<a> & b",
            language,
            mark,
            foot: "foot",
        };
        page(&sheet, &html! { p { "<script>" } })
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        let page = sheet(None, Language::En);
        assert!(
            page.starts_with("<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        );
        assert!(page.contains("default-src 'none'; style-src 'sha256-"));
        assert!(page.contains("<title>&lt;a&gt; &amp; b</title>"));
        assert!(page.contains("<p>&lt;script&gt;</p>"));
        for word in [
            "<script", "<link", "<img", "@import", "http://", "https://", "url(h", "style=\"",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        // What the policy names is what the element holds.
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
    }

    #[test]
    fn what_nobody_verified_is_marked() {
        let plain = sheet(None, Language::ZhCn);
        assert!(plain.contains("<html lang=\"zh-CN\">"));
        assert!(!plain.contains("class=\"across\""));
        let marked = sheet(Some("未核验"), Language::ZhCn);
        assert!(
            marked.contains("<div class=\"across\" aria-hidden=\"true\"><span>未核验</span></div>")
        );
    }
}
