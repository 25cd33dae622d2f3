//! Faults as a technician reads them: the line, the text underlined, what is wrong, what would be
//! right. The excerpts are drawn by miette; nothing else here knows of it.

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};
use std::fmt;

use super::fault::{Fault, Faults, Severity};
use crate::text::Language;

/// Characters of a line shown before and after the fault, so that a line of a megabyte stays legible.
const CONTEXT_CHARS_MAX: usize = 120;

impl Faults {
    /// The report for a terminal of so many columns, in the given language; without `color` it is
    /// plain ASCII around the messages.
    pub fn render(&self, language: Language, color: bool, width: usize) -> String {
        let mut report = String::new();
        for fault in self.iter() {
            render_fault(&mut report, fault, language, color, width);
            report.push('\n');
        }
        report.push_str(&self.count_line(language));
        report.push('\n');
        report
    }

    fn count_line(&self, language: Language) -> String {
        let errors = self.count(Severity::Error);
        let warnings = self.count(Severity::Warning);
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let mut line = match language {
            Language::En => {
                let (es, ws) = (plural(errors), plural(warnings));
                format!("{errors} error{es}, {warnings} warning{ws}")
            }
            Language::ZhCn => format!("{errors} 个错误，{warnings} 个警告"),
        };
        if self.more() > 0 {
            line.push_str(&match language {
                Language::En => format!(", and {} more that are not shown", self.more()),
                Language::ZhCn => format!("，另有 {} 个未列出", self.more()),
            });
        }
        line
    }
}

fn render_fault(report: &mut String, fault: &Fault, language: Language, color: bool, width: usize) {
    let shown = Shown::of(fault, language);
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::none()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_wrap_lines(false)
        .with_context_lines(0)
        .with_links(false);
    // Writing to a String fails only if the excerpt can't be read, and it always can.
    if handler.render_report(report, &shown).is_err() {
        report.push_str(&shown.message);
        report.push('\n');
    }
    if fault.span.is_none() {
        report.push_str(&format!(
            "   [{}]\n",
            printable(&fault.file.path().to_string_lossy())
        ));
    }
    if let Some(hint) = &fault.hint {
        let word = match language {
            Language::En => "help: ",
            Language::ZhCn => "建议：",
        };
        let hint = printable(hint.say(language));
        report.push_str(&if color {
            format!("  \u{1b}[36m{word}\u{1b}[0m{hint}\n")
        } else {
            format!("  {word}{hint}\n")
        });
    }
}

/// The line with whatever may be a password as stars, byte by byte: reports go to logs, too. These are
/// the two mistakes that put one there: a key `password`, and a URL with a user.
fn masked(line: &str) -> String {
    let mut secret = Vec::new();
    for (at, key) in line.match_indices("password") {
        let rest = line.get(at + key.len()..).unwrap_or_default();
        if rest
            .trim_start_matches(['"', '\'', ' ', '\t'])
            .starts_with('=')
        {
            let equals = rest
                .find('=')
                .map_or(line.len(), |place| at + key.len() + place + 1);
            secret.push(equals..line.len());
        }
    }
    for (at, mark) in line.match_indices("://") {
        let start = at + mark.len();
        let rest = line.get(start..).unwrap_or_default();
        let end = rest.find(['"', '\'']).unwrap_or(rest.len());
        if let Some(user) = rest.get(..end).and_then(|server| server.rfind('@')) {
            secret.push(start..start + user);
        }
    }
    let mut shown = String::with_capacity(line.len());
    for (at, c) in line.char_indices() {
        if secret.iter().any(|span| span.contains(&at)) {
            shown.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The text without control characters, each byte of one as a question mark: what stands in a file
/// can't command a terminal.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            shown.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A fault as miette takes it: the message and one line with one stretch underlined.
#[derive(Debug)]
struct Shown {
    message: String,
    severity: miette::Severity,
    excerpt: Option<Excerpt>,
}

#[derive(Debug)]
struct Excerpt {
    name: String,
    text: String,
    label: SourceSpan,
    line: usize,
    column: usize,
}

impl Shown {
    fn of(fault: &Fault, language: Language) -> Self {
        let (severity, word) = match (fault.severity, language) {
            (Severity::Error, Language::En) => (miette::Severity::Error, "error"),
            (Severity::Error, Language::ZhCn) => (miette::Severity::Error, "错误"),
            (Severity::Warning, Language::En) => (miette::Severity::Warning, "warning"),
            (Severity::Warning, Language::ZhCn) => (miette::Severity::Warning, "警告"),
        };
        let said = printable(fault.message.say(language));
        let message = format!("{word}[{}]: {said}", fault.code);
        Self {
            message,
            severity,
            excerpt: Excerpt::of(fault),
        }
    }
}

impl Excerpt {
    fn of(fault: &Fault) -> Option<Self> {
        let span = fault.span.clone()?;
        let position = fault.file.position(span.start);
        let (_, start, line) = fault.file.line(span.start);
        let line = masked(line);
        let line = line.as_str();
        let from = floor(line, span.start.saturating_sub(start));
        let to = floor(line, span.end.saturating_sub(start)).max(from);
        let before = line.get(..from)?;
        let after = line.get(from..)?;
        let left = before
            .char_indices()
            .rev()
            .nth(CONTEXT_CHARS_MAX)
            .map_or(0, |(at, _)| at);
        let right = after
            .char_indices()
            .nth(2 * CONTEXT_CHARS_MAX)
            .map_or(after.len(), |(at, _)| at);
        let right = from + right;
        let mut text = printable(line.get(left..right)?);
        // An empty stretch, such as the end of a line, still gets one mark.
        if from == right {
            text.push(' ');
        }
        let length = to.min(right).saturating_sub(from).max(1);
        Some(Self {
            name: printable(&fault.file.path().to_string_lossy()),
            text,
            label: SourceSpan::from((from - left, length)),
            line: position.line - 1,
            column: position.column - 1,
        })
    }
}

/// The nearest place at or before `at` where a character begins, within the line.
fn floor(line: &str, at: usize) -> usize {
    let mut at = at.min(line.len());
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt
            .as_ref()
            .map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        let label = LabeledSpan::new_primary_with_span(None, excerpt.label);
        Some(Box::new(std::iter::once(label)))
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        _span: &SourceSpan,
        _before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let all = SourceSpan::from((0, self.text.len()));
        let name = self.name.clone();
        let (line, column) = (self.line, self.column);
        let text = self.text.as_bytes();
        Ok(Box::new(MietteSpanContents::new_named(
            name, text, all, line, column, 1,
        )))
    }
}
