//! What is wrong with a rule's text.

use crate::text::Text;
use std::ops::Range;

/// A fault in a rule's text.
#[derive(Clone, PartialEq, Debug)]
pub struct RuleFault {
    /// Where in the text, in bytes; always on the borders of characters.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: Text,
    /// What would be right.
    pub hint: Option<Text>,
}

impl RuleFault {
    /// A fault without a hint.
    pub(super) fn new(span: Range<usize>, message: Text) -> Self {
        Self {
            span,
            message,
            hint: None,
        }
    }

    /// The same fault with a hint.
    pub(super) fn hint(mut self, hint: Text) -> Self {
        self.hint = Some(hint);
        self
    }
}
