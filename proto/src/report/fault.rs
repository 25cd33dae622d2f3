//! What is wrong with a file that somebody wrote.

use crate::text::Text;

/// Faults of one file that are told at most: whoever mends a hundred sees the rest the next time.
pub const FAULTS_MAX: usize = 100;

/// A fault of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputFault {
    /// The line, from 1.
    pub line: u64,
    /// The column from 1: of the text in a rule file, of the table in a CSV file.
    pub column: u64,
    /// The field, as the file calls it; empty where none is meant.
    pub field: String,
    /// What is wrong, and what to do.
    pub text: Text,
}

/// All faults of a file, in the order of its lines; the first [`FAULTS_MAX`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.said(|said| &said.en))]
pub struct InputFaults {
    /// The file's name.
    pub file: String,
    /// The faults.
    pub faults: Vec<InputFault>,
}

impl InputFaults {
    /// A line a fault: `file:line:column: field: text`.
    pub fn said<'a>(&'a self, pick: impl Fn(&'a Text) -> &'a str) -> String {
        let lines = self.faults.iter().map(|fault| {
            let field = match fault.field.as_str() {
                "" => String::new(),
                field => format!("{field}: "),
            };
            let (line, column) = (fault.line, fault.column);
            format!(
                "{}:{line}:{column}: {field}{}",
                self.file,
                pick(&fault.text)
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The line and the column, both from 1, of a place in a text.
pub(super) fn place(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).unwrap_or("").chars().count() + 1;
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    (wide(line), wide(column))
}

/// A file's bytes as text, without the mark that spreadsheets put before it.
pub(super) fn text_of(bytes: &[u8], bytes_max: usize) -> Result<&str, InputFault> {
    let fault = |line, column, text| InputFault {
        line,
        column,
        field: String::new(),
        text,
    };
    if bytes.len() > bytes_max {
        return Err(fault(
            1,
            1,
            Text::new(
                format!("the file has more than {bytes_max} bytes"),
                format!("文件超过 {bytes_max} 字节"),
            ),
        ));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = std::str::from_utf8(good).unwrap_or_default();
            let (line, column) = place(good, good.len());
            Err(fault(
                line,
                column,
                Text::new(
                    "the file is not UTF-8 (GBK, perhaps): save it as \"CSV UTF-8\" or as UTF-8 text",
                    "文件不是 UTF-8 编码（可能是 GBK）：请另存为“CSV UTF-8”或 UTF-8 文本",
                ),
            ))
        }
    }
}
