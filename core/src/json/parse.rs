//! A strict parser of RFC 8259, in one pass. Its recursion is bounded by the permitted depth.

use crate::json::node::{Kind, Node};
use std::borrow::Cow;

/// Default limit of nesting levels.
pub const MAX_DEPTH: usize = 64;

/// An error of the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The text is not JSON from this byte offset on.
    #[error("not JSON at byte {0}")]
    Syntax(usize),
    /// The text is nested more deeply than permitted.
    #[error("nested too deeply")]
    Depth,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
}

/// Parses a text into its nodes, in the order of the source.
pub(super) fn nodes(text: &str, depth: usize) -> Result<Vec<Node>, Malformed> {
    // Documents have about one node per ten bytes.
    let nodes = Vec::with_capacity(text.len() / 10 + 4);
    let mut reader = Reader { bytes: text.as_bytes(), at: 0, nodes };
    reader.value(depth)?;
    reader.space();
    if reader.at == text.len() { Ok(reader.nodes) } else { reader.refused() }
}

/// Returns true if the whole text is a number in the notation of JSON.
pub fn is_number(text: &str) -> bool {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0, nodes: Vec::new() };
    reader.number().is_ok() && reader.at == text.len()
}

/// Returns the number of bytes before the first quote, backslash or control character. Looks at
/// eight bytes at a time: a byte of a word is less than n if subtracting n from it borrows
/// (Anderson, "Bit Twiddling Hacks", hasless).
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word & HIGHS;
    let is = |word: u64, byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    let mut length = 0;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let found = less(word, 0x20) | is(word, b'"') | is(word, b'\\');
        if found != 0 {
            // The lowest mark is exact; those above it may come from a borrow.
            return length + usize::try_from(found.trailing_zeros() / 8).unwrap_or_default();
        }
        length += 8;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    length + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

impl Reader<'_> {
    #[inline(always)]
    fn peek(&self) -> u8 {
        // NUL can mark the end: it is not permitted anywhere in JSON, and strings refuse it too.
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn refused<T>(&self) -> Result<T, Malformed> {
        Err(Malformed::Syntax(self.at))
    }

    #[inline(always)]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() == byte {
            self.at += 1;
            return Ok(());
        }
        self.refused()
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            return Ok(());
        }
        self.refused()
    }

    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        self.space();
        let (place, start) = (self.nodes.len(), self.at);
        let (kind, word) = match self.peek() {
            b'"' => return self.string(),
            b'{' => (Kind::Object, ""),
            b'[' => (Kind::List, ""),
            b't' => (Kind::Bool, "true"),
            b'f' => (Kind::Bool, "false"),
            b'n' => (Kind::Null, "null"),
            _ => (Kind::Number, ""),
        };
        self.nodes.push(Node { kind, start, end: start, next: place });
        match kind {
            Kind::Object | Kind::List => self.inside(depth.checked_sub(1).ok_or(Malformed::Depth)?, kind)?,
            Kind::Number => self.number()?,
            _ => self.word(word)?,
        }
        let (end, next) = (self.at, self.nodes.len());
        if let Some(node) = self.nodes.get_mut(place) {
            (node.end, node.next) = (end, next);
        }
        Ok(())
    }

    /// Parses the fields of an object or the items of a list.
    fn inside(&mut self, depth: usize, kind: Kind) -> Result<(), Malformed> {
        let is_object = kind == Kind::Object;
        let close = if is_object { b'}' } else { b']' };
        self.at += 1;
        self.space();
        if self.peek() == close {
            return self.take(close);
        }
        loop {
            let name = self.nodes.len();
            if is_object {
                self.space();
                self.string()?;
                self.space();
                self.take(b':')?;
            }
            self.value(depth)?;
            let next = self.nodes.len();
            if let (true, Some(name)) = (is_object, self.nodes.get_mut(name)) {
                name.next = next;
            }
            self.space();
            if self.peek() != b',' {
                return self.take(close);
            }
            self.at += 1;
        }
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        if !self.peek().is_ascii_digit() {
            return self.refused();
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        // No digit may follow a leading zero.
        if self.peek() == b'0' {
            self.at += 1
        } else {
            self.digits()?
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        let mut kind = Kind::Text;
        self.take(b'"')?;
        loop {
            // Skip to the next byte that ends the string or needs a closer look.
            self.at += plain_length(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    kind = Kind::Escaped;
                    self.at += 1;
                    self.escape()?;
                }
                _ => return self.refused(),
            }
        }
        self.at += 1;
        let next = self.nodes.len() + 1;
        self.nodes.push(Node { kind, start, end: self.at, next });
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return self.refused();
                    }
                    self.at += 1;
                }
            }
            _ => return self.refused(),
        }
        Ok(())
    }
}

/// Resolves the escapes of a string, given the source between its quotes. Half of a surrogate pair
/// is not a character and is read as U+FFFD.
pub(super) fn unescaped(raw: &str) -> Cow<'_, str> {
    let Some((before, mut rest)) = raw.split_once('\\') else { return raw.into() };
    let mut text = before.to_owned();
    loop {
        let mut characters = rest.chars();
        text.push(match characters.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (character, length) = surrogates(characters.as_str());
                characters = characters.as_str().get(length..).unwrap_or_default().chars();
                character
            }
            Some(itself) => itself,
            None => return text.into(),
        });
        let (plain, more) = match characters.as_str().split_once('\\') {
            Some((plain, more)) => (plain, Some(more)),
            None => (characters.as_str(), None),
        };
        text.push_str(plain);
        let Some(more) = more else { return text.into() };
        rest = more;
    }
}

/// Returns the character whose code follows `\u`, and the number of bytes that the code takes.
fn surrogates(text: &str) -> (char, usize) {
    let code =
        |start: usize| text.get(start..start + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let first = code(0).unwrap_or_default();
    let second = text.get(4..6).filter(|next| *next == "\\u").and_then(|_| code(6));
    match second {
        Some(second) if (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second) => {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10)
        }
        _ => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4),
    }
}
