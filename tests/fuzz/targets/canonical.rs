//! Canonical JSON, judged by a reader of its own that shares nothing with ours.

use lineside_proto::ledger::jcs;

/// Deeper than this ours refuses, as serde_json does.
const DEPTH_MAX: usize = 127;

pub(crate) fn jcs(bytes: &[u8]) {
    let ours = jcs::check(bytes).is_ok();
    let mut strict = Strict { rest: bytes };
    let theirs = strict.value(0).is_some() && strict.rest.is_empty();
    let shown = String::from_utf8_lossy(bytes);
    assert_eq!(ours, theirs, "{shown}");
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        if let Ok(canonical) = jcs::canonical(&value) {
            assert!(jcs::check(&canonical).is_ok(), "{shown}");
            assert_eq!(ours, canonical == bytes, "{shown}");
        }
    }
}

/// Reads the canonical form and nothing else.
struct Strict<'a> {
    rest: &'a [u8],
}

impl Strict<'_> {
    fn take(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.rest.first()? {
            b'n' => self.take(b"null"),
            b'"' => self.text().map(drop),
            b'[' if depth < DEPTH_MAX => self.list(depth + 1),
            b'{' if depth < DEPTH_MAX => self.object(depth + 1),
            b'-' | b'0'..=b'9' => self.integer(),
            _ => None,
        }
    }

    fn integer(&mut self) -> Option<()> {
        let is_negative = self.take(b"-").is_some();
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit());
        let count = digits.count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        let is_zero = digits == b"0";
        if count == 0 || count > 16 || (digits[0] == b'0' && !is_zero) || (is_zero && is_negative) {
            return None;
        }
        let number = digits
            .iter()
            .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        (number < 1 << 53).then_some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        self.take(b"[")?;
        if self.take(b"]").is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.take(b"]").is_some() {
                return Some(());
            }
            self.take(b",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.take(b"{")?;
        if self.take(b"}").is_some() {
            return Some(());
        }
        let mut before: Option<Vec<u16>> = None;
        loop {
            let name: Vec<u16> = self.text()?.encode_utf16().collect();
            if before.as_ref().is_some_and(|before| *before >= name) {
                return None;
            }
            before = Some(name);
            self.take(b":")?;
            self.value(depth)?;
            if self.take(b"}").is_some() {
                return Some(());
            }
            self.take(b",")?;
        }
    }

    /// A text: only what must be escaped is, in its shortest form.
    fn text(&mut self) -> Option<String> {
        self.take(b"\"")?;
        let mut text = Vec::new();
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return String::from_utf8(text).ok(),
                b'\\' => text.push(self.escape()?),
                0..=0x1f => return None,
                byte => text.push(*byte),
            }
        }
    }

    fn escape(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        match byte {
            b'"' => Some(b'"'),
            b'\\' => Some(b'\\'),
            b'b' => Some(8),
            b't' => Some(9),
            b'n' => Some(10),
            b'f' => Some(12),
            b'r' => Some(13),
            b'u' => {
                let (digits, rest) = self.rest.split_at_checked(4)?;
                self.rest = rest;
                let is_small = digits
                    .iter()
                    .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
                let digits = std::str::from_utf8(digits).ok().filter(|_| is_small)?;
                let number = u8::try_from(u16::from_str_radix(digits, 16).ok()?).ok()?;
                let is_short = matches!(number, 8 | 9 | 10 | 12 | 13);
                (number < 0x20 && !is_short).then_some(number)
            }
            _ => None,
        }
    }
}
