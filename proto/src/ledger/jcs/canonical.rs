//! Whether bytes are canonical, in one pass and without memory: what a year's leaves are checked by.

use super::INTEGER_MAX;

/// Lists and objects in one another at most; what is deeper is left to the slower check.
const DEPTH_MAX: u8 = 16;

/// Whether these bytes are certainly canonical. What is canonical may be denied only for its depth.
pub(super) fn is_canonical(bytes: &[u8]) -> bool {
    if std::str::from_utf8(bytes).is_err() {
        return false;
    }
    let mut rest = Rest(bytes);
    rest.value(DEPTH_MAX).is_some() && rest.0.is_empty()
}

/// What is still to be read. `None` says that it is not canonical.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn value(&mut self, depth: u8) -> Option<()> {
        match self.0.first()? {
            b'"' => self.text().map(drop),
            b'n' => self.expect(b"null"),
            b'{' => {
                let deeper = depth.checked_sub(1)?;
                let mut fields = Fields(*self, None);
                while fields.next(|rest| rest.value(deeper))?.is_some() {}
                *self = fields.0;
                Some(())
            }
            b'[' => self.list(depth.checked_sub(1)?),
            _ => self.integer(),
        }
    }

    fn list(&mut self, depth: u8) -> Option<()> {
        self.expect(b"[")?;
        if self.expect(b"]").is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            match self.byte()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    fn integer(&mut self) -> Option<()> {
        let is_negative = self.expect(b"-").is_some();
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = self.take(digits.count())?;
        let number = match digits {
            [b'0'] if !is_negative => 0,
            // More digits than the largest has, or none.
            [] | [b'0', ..] => return None,
            _ if digits.len() > 16 => return None,
            _ => digits
                .iter()
                .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
        };
        (number <= INTEGER_MAX).then_some(())
    }

    /// A text; gives what is between its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.expect(b"\"")?;
        let begin = self.0;
        let mut length = 0;
        loop {
            let plain = self.0.iter();
            let plain =
                plain.take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\');
            let plain = plain.count();
            self.take(plain)?;
            length += plain;
            match self.byte()? {
                b'"' => return begin.get(..length),
                b'\\' => length += 1 + self.escape()?,
                _ => return None,
            }
        }
    }

    /// What stands behind a backslash; gives its length.
    fn escape(&mut self) -> Option<usize> {
        match self.byte()? {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
            b'u' => {
                let digits = self.take(4)?;
                let is_shortest = match digits {
                    [b'0', b'0', b'0', last] => matches!(last, b'0'..=b'7' | b'b' | b'e' | b'f'),
                    [b'0', b'0', b'1', last] => {
                        last.is_ascii_digit() || matches!(last, b'a'..=b'f')
                    }
                    _ => false,
                };
                is_shortest.then_some(5)
            }
            _ => None,
        }
    }
}

/// The fields of a canonical object, one after the other.
struct Fields<'a>(Rest<'a>, Option<&'a [u8]>);

impl<'a> Fields<'a> {
    /// The next field's name, the end, or that this is not canonical.
    fn next(
        &mut self,
        value: impl FnOnce(&mut Rest<'a>) -> Option<()>,
    ) -> Option<Option<&'a [u8]>> {
        let rest = &mut self.0;
        match rest.byte()? {
            b'{' if self.1.is_none() => {
                if rest.expect(b"}").is_some() {
                    return Some(None);
                }
            }
            b',' if self.1.is_some() => {}
            b'}' if self.1.is_some() => return Some(None),
            _ => return None,
        }
        let name = rest.text()?;
        if self.1.is_some_and(|before| !is_before(before, name)) {
            return None;
        }
        self.1 = Some(name);
        rest.expect(b":")?;
        value(rest)?;
        Some(Some(name))
    }
}

/// The text of this name in what is certainly a canonical object, between its quotes; none if these bytes are
/// something else, or too deep to be sure.
pub(in crate::ledger) fn text_of<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    std::str::from_utf8(bytes).ok()?;
    let mut fields = Fields(Rest(bytes), None);
    let mut found = None;
    loop {
        let mut here = None;
        let field = fields.next(|rest| {
            here = Some(*rest);
            rest.value(DEPTH_MAX)
        })?;
        match field {
            Some(field) if field == name => found = here,
            Some(_) => {}
            None => break,
        }
    }
    fields.0.0.is_empty().then_some(found?.text()?)
}

/// Whether a name stands before another, by UTF-16 units as RFC 8785 has it.
fn is_before(one: &[u8], other: &[u8]) -> bool {
    let is_plain = |name: &[u8]| name.iter().all(|byte| byte.is_ascii() && *byte != b'\\');
    if is_plain(one) && is_plain(other) {
        return one < other;
    }
    units(one) < units(other)
}

fn units(name: &[u8]) -> Option<Vec<u16>> {
    let quoted = [b"\"", name, b"\""].concat();
    let text: String = serde_json::from_slice(&quoted).ok()?;
    Some(text.encode_utf16().collect())
}
