//! Cuts a rule's text into tokens and holds it to its bounds before a parser sees it: recursion runs
//! on the stack, so a text that nests too deep must never reach one. Also refuses early, and in
//! words that help, what other languages allow and rules do not.

use super::RuleFault;
use super::functions::FUNCTIONS;
use crate::text;
use crate::text::Text;
use std::ops::Range;

/// Bytes of a rule's text: room for a screenful of conditions.
pub(super) const TEXT_BYTES_MAX: usize = 4096;

/// Tokens of a rule, so that its compiled form stays small.
pub(super) const TOKENS_MAX: usize = 1024;

/// Levels of a rule: brackets, and operators whose operands nest. The parser uses up to 16 KiB of
/// stack for a level, so that a quarter of a thread's 2 MiB is enough.
pub(super) const DEPTH_MAX: usize = 32;

/// A piece of a rule's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Where it stands, in bytes.
    pub(super) span: Range<usize>,
}

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    /// A name or a word of the language.
    Name,
    /// A number without a sign.
    Number,
    /// A text in quotes.
    Quoted,
    /// An operator or a bracket.
    Symbol,
}

/// The tokens of a rule's text, all within the bounds and with every bracket paired.
pub(super) fn scan(text: &str) -> Result<Vec<Token>, Vec<RuleFault>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(vec![RuleFault::new(
            0..0,
            text!(
                "the rule has {} bytes, {TEXT_BYTES_MAX} at most are allowed",
                "规则有 {} 字节，最多允许 {TEXT_BYTES_MAX} 字节",
                text.len()
            ),
        )]);
    }
    let mut scanner = Scanner {
        text,
        position: 0,
        tokens: Vec::new(),
        faults: Vec::new(),
    };
    while scanner.step() {}
    let Scanner { tokens, faults, .. } = scanner;
    if !faults.is_empty() {
        return Err(faults);
    }
    check_bounds(text, &tokens)?;
    check_shape(text, &tokens)?;
    Ok(tokens)
}

struct Scanner<'t> {
    text: &'t str,
    position: usize,
    tokens: Vec<Token>,
    faults: Vec<RuleFault>,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// Takes the next token, blank or comment; false at the end.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return false;
        };
        if first.is_ascii_whitespace() {
            self.position += 1;
        } else if rest.starts_with("//") {
            self.position += rest.find('\n').unwrap_or(rest.len());
        } else if is_name_start(first) {
            self.name(rest);
        } else if first.is_ascii_digit() || is_fraction(rest) {
            self.number(rest);
        } else if first == '"' || first == '\'' {
            self.quoted(rest, first);
        } else {
            self.symbol(rest, first);
        }
        true
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let span = self.advance(length);
        self.tokens.push(Token { kind, span });
    }

    fn advance(&mut self, length: usize) -> Range<usize> {
        let start = self.position;
        self.position += length;
        start..self.position
    }

    fn name(&mut self, rest: &str) {
        let length = length_while(rest, is_name);
        let quote = rest.get(length..).unwrap_or_default().chars().next();
        if matches!(quote, Some('"' | '\'')) {
            let span = self.advance(length);
            self.faults.push(RuleFault::new(
                span,
                text!(
                    "a text stands in quotes alone, without letters before it",
                    "文本只用引号括起，引号前不能有字母"
                ),
            ));
        } else {
            self.push(TokenKind::Name, length);
        }
    }

    /// Digits, with a fraction, an exponent, `0x` or `u` as CEL has them.
    fn number(&mut self, rest: &str) {
        let length = number_length(rest);
        let tail = length_while(rest.get(length..).unwrap_or_default(), |c| {
            is_name(c) || c == '.'
        });
        if tail == 0 {
            self.push(TokenKind::Number, length);
            return;
        }
        let span = self.advance(length + tail);
        let written = self.text.get(span.clone()).unwrap_or_default();
        let fault = RuleFault::new(
            span,
            text!("`{written}` is not a number", "`{written}` 不是数值"),
        );
        self.faults.push(fault.hint(text!(
            "a number is written `5`, `5.0` or `0x1F`, without a unit",
            "数值写作 `5`、`5.0` 或 `0x1F`，不带单位"
        )));
    }

    fn quoted(&mut self, rest: &str, quote: char) {
        let inside = rest.get(1..).unwrap_or_default();
        let end = inside.find([quote, '\\', '\n', '\r']);
        let found = end.and_then(|end| Some((end, inside.get(end..)?.chars().next()?)));
        match found {
            Some((end, found)) if found == quote => self.push(TokenKind::Quoted, end + 2),
            Some((end, '\\')) => {
                let start = self.position + 1 + end;
                self.faults.push(
                    RuleFault::new(
                        start..start + 1,
                        text!("a text in a rule has no escapes", "规则中的文本不支持转义"),
                    )
                    .hint(text!(
                        "inside \"…\" a ' stands for itself, and the other way round",
                        "双引号内可直接写单引号，反之亦然"
                    )),
                );
                self.position = self.text.len();
            }
            Some(_) | None => {
                let span = self.advance(1);
                self.faults.push(RuleFault::new(
                    span,
                    text!("this quote is never closed", "这个引号没有闭合"),
                ));
                self.position = self.text.len();
            }
        }
    }

    fn symbol(&mut self, rest: &str, first: char) {
        const SYMBOLS: [&str; 21] = [
            "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":",
            "(", ")", "[", "]", ",",
        ];
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.push(TokenKind::Symbol, symbol.len());
            return;
        }
        // A word of another script is one fault, and so is a sign written twice.
        let same = |c: char| c == first || (c.is_alphanumeric() && first.is_alphanumeric());
        let span = self.advance(length_while(rest, same));
        let written = self.text.get(span.clone()).unwrap_or_default();
        let fault = RuleFault::new(
            span,
            text!(
                "`{written}` is no part of a rule",
                "`{written}` 不能用在规则中"
            ),
        );
        self.faults.push(match foreign_hint(first) {
            Some(hint) => fault.hint(hint),
            None => fault,
        });
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_fraction(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit())
}

fn length_while(text: &str, accept: impl Fn(char) -> bool) -> usize {
    text.find(|c| !accept(c)).unwrap_or(text.len())
}

/// The bytes of the number that the text begins with.
fn number_length(rest: &str) -> usize {
    let after = |length: usize| rest.get(length..).unwrap_or_default();
    let digits = |length: usize| length + length_while(after(length), |c| c.is_ascii_digit());
    let unsigned = |length: usize| length + usize::from(after(length).starts_with(['u', 'U']));
    if rest.starts_with("0x") {
        return unsigned(2 + length_while(after(2), |c| c.is_ascii_hexdigit()));
    }
    let whole = digits(0);
    let mut length = whole;
    if is_fraction(after(length)) {
        length = digits(length + 1);
    }
    if after(length).starts_with(['e', 'E']) {
        let sign = usize::from(after(length + 1).starts_with(['+', '-']));
        let end = digits(length + 1 + sign);
        if end > length + 1 + sign {
            length = end;
        }
    }
    if length == whole {
        unsigned(length)
    } else {
        length
    }
}

/// What a sign of another language, or of a Chinese keyboard, was probably meant to be.
fn foreign_hint(sign: char) -> Option<Text> {
    let meant = match sign {
        '=' => "==",
        '&' => {
            return Some(text!(
                "write `&&`, or `bit(word, 3)` for a bit of a word",
                "请写 `&&`；取字的一位请写 `bit(word, 3)`"
            ));
        }
        '＆' => "&&",
        '|' | '｜' => "||",
        '（' => "(",
        '）' => ")",
        '，' | '、' => ",",
        '！' => "!",
        '＝' => "==",
        '＞' => ">",
        '＜' => "<",
        '“' | '”' | '‘' | '’' => "\"",
        '：' => ":",
        '？' => "?",
        '≠' => "!=",
        '≥' => ">=",
        '≤' => "<=",
        '∧' => "&&",
        '∨' => "||",
        '¬' => "!",
        '.' => {
            return Some(text!(
                "points have no fields, and functions stand before their arguments: `bit(word, 3)`",
                "点位没有字段，函数写在参数之前：`bit(word, 3)`"
            ));
        }
        _ => return None,
    };
    Some(text!("write `{meant}`", "请写 `{meant}`"))
}

/// Counts tokens and levels, and pairs the brackets.
///
/// A level is a bracket, or an operator whose operand nests in it: all but `&&`, `||` and commas,
/// whose operands stand side by side. What is open at a token is what a parser may have on its stack
/// there.
fn check_bounds(text: &str, tokens: &[Token]) -> Result<(), Vec<RuleFault>> {
    let Some(last) = tokens.last() else {
        let fault = RuleFault::new(0..text.len(), text!("the rule is empty", "规则为空"));
        return Err(vec![fault]);
    };
    if let Some(token) = tokens.get(TOKENS_MAX) {
        return Err(vec![RuleFault::new(
            token.span.start..last.span.end,
            text!(
                "the rule has more than {TOKENS_MAX} words and signs",
                "规则的词和符号超过 {TOKENS_MAX} 个"
            ),
        )]);
    }
    let mut open: Vec<(&Token, &str)> = Vec::new();
    // Levels of the operators in the present operand, and those of the brackets around it.
    let mut operators = vec![0_usize];
    for token in tokens {
        let written = token.written(text);
        match written {
            "(" | "[" => {
                open.push((token, written));
                operators.push(0);
            }
            ")" | "]" => {
                let opening = if written == ")" { "(" } else { "[" };
                if open.pop().is_none_or(|(_, opened)| opened != opening) {
                    return Err(vec![RuleFault::new(
                        token.span.clone(),
                        text!("`{written}` closes nothing", "`{written}` 没有对应的左括号"),
                    )]);
                }
                operators.pop();
            }
            "&&" | "||" | "," => {
                if let Some(count) = operators.last_mut() {
                    *count = 0;
                }
            }
            _ if token.kind == TokenKind::Symbol || written == "in" => {
                if let Some(count) = operators.last_mut() {
                    *count += 1;
                }
            }
            _ => {}
        }
        if open.len() + operators.iter().sum::<usize>() > DEPTH_MAX {
            return Err(vec![
                RuleFault::new(
                    token.span.clone(),
                    text!(
                        "the rule nests deeper than {DEPTH_MAX} levels here",
                        "规则在此处的嵌套超过 {DEPTH_MAX} 层"
                    ),
                )
                .hint(text!(
                    "divide it with `&&` and `||`, or into several rules of one state",
                    "请用 `&&`、`||` 拆分，或拆成同一状态的几条规则"
                )),
            ]);
        }
    }
    match open.last() {
        None => Ok(()),
        Some((token, written)) => Err(vec![RuleFault::new(
            token.span.clone(),
            text!("`{written}` is never closed", "`{written}` 没有闭合"),
        )]),
    }
}

/// Refuses what the syntax would allow and rules do not have: other functions, lists that are no
/// operand of `in`, signs that cancel each other.
fn check_shape(text: &str, tokens: &[Token]) -> Result<(), Vec<RuleFault>> {
    let mut faults = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| tokens.get(place));
        let before_written = before.map_or("", |token| token.written(text));
        let is_call = token.written(text) == "("
            && before.is_some_and(|before| before.kind == TokenKind::Name)
            && before_written != "in";
        if is_call {
            if let Some(before) = before {
                faults.extend(check_function(before, before_written));
            }
        } else if token.written(text) == "[" && before_written != "in" {
            faults.push(
                RuleFault::new(
                    token.span.clone(),
                    text!("a list stands only after `in`", "列表只能写在 `in` 之后"),
                )
                .hint(text!("as in `mode in [1, 2]`", "例如 `mode in [1, 2]`")),
            );
        } else if is_doubled_sign(text, tokens, place) {
            let sign = token.written(text);
            faults.push(
                RuleFault::new(
                    token.span.clone(),
                    text!(
                        "a second `{sign}` takes back the first",
                        "第二个 `{sign}` 抵消了第一个"
                    ),
                )
                .hint(text!("leave both out", "请把两个都去掉")),
            );
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn check_function(token: &Token, name: &str) -> Option<RuleFault> {
    if FUNCTIONS.iter().any(|(known, _)| *known == name) {
        return None;
    }
    let fault = RuleFault::new(
        token.span.clone(),
        text!("rules have no function `{name}`", "规则没有函数 `{name}`"),
    );
    let calls = FUNCTIONS.map(|(_, call)| format!("`{call}`")).join(", ");
    let hint = word_hint(name).unwrap_or_else(|| text!("there are {calls}", "可用的有 {calls}"));
    Some(fault.hint(hint))
}

/// What a word of another language was probably meant to be.
pub(super) fn word_hint(word: &str) -> Option<Text> {
    let meant = match word.to_ascii_lowercase().as_str() {
        "and" => "&&",
        "or" => "||",
        "not" => "!",
        "mod" => "%",
        "is" => "==",
        "true" => "true",
        "false" => "false",
        _ => return None,
    };
    Some(text!("write `{meant}`", "请写 `{meant}`"))
}

/// Whether the token is a `!` or a `-` before an operand, right behind another such.
fn is_doubled_sign(text: &str, tokens: &[Token], place: usize) -> bool {
    let at = |place: Option<usize>| {
        place
            .and_then(|place| tokens.get(place))
            .map_or("", |token| token.written(text))
    };
    let (sign, before) = (at(Some(place)), at(place.checked_sub(1)));
    if before != sign || (sign != "!" && sign != "-") {
        return false;
    }
    // `a - -1` subtracts: there the first sign stands behind an operand.
    let operand = place.checked_sub(2).and_then(|place| tokens.get(place));
    sign == "!" || !operand.is_some_and(|token| token.ends_operand(text))
}

impl Token {
    /// The token as it is written.
    pub(super) fn written<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.span.clone()).unwrap_or_default()
    }

    fn ends_operand(&self, text: &str) -> bool {
        match self.kind {
            TokenKind::Number | TokenKind::Quoted => true,
            TokenKind::Name => self.written(text) != "in",
            TokenKind::Symbol => matches!(self.written(text), ")" | "]"),
        }
    }
}
