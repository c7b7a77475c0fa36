//! Reads RFC 8259, strictly. Recursion is bounded by the depth that is allowed.

use super::Json;
use std::borrow::Cow;

/// The text is not JSON, or nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, at this byte.
    #[error("not JSON at byte {0}")]
    Syntax(usize),
    /// Nested more deeply than was allowed.
    #[error("nested too deeply")]
    Depth,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

pub(super) fn whole(text: &str, depth: usize) -> Result<Json<'_>, Malformed> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(depth)?;
    reader.end().map(|()| value)
}

/// The fields of an object with the text of their values, as it stands.
pub fn members(text: &str) -> Result<Vec<(Cow<'_, str>, &str)>, Malformed> {
    let mut reader = Reader { text, at: 0 };
    let mut members = Vec::new();
    reader.space();
    reader.object(|reader, name| {
        reader.space();
        let start = reader.at;
        reader.skip(super::MAX_DEPTH)?;
        members.push((name, reader.since(start)));
        Ok(())
    })?;
    reader.end().map(|()| members)
}

/// How many bytes stand before a quote, a backslash or a control character. Eight at a time: a byte of a word is less than
/// n where taking n away from it borrows (Anderson, "Bit Twiddling Hacks", hasless).
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
            // The lowest mark is exact; those above it may be borrowed.
            return length + usize::try_from(found.trailing_zeros() / 8).unwrap_or_default();
        }
        length += 8;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    length + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

impl<'a> Reader<'a> {
    fn peek(&self) -> u8 {
        // A NUL is no part of JSON outside of texts, and there it is refused too.
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn refused<T>(&self) -> Result<T, Malformed> {
        Err(Malformed::Syntax(self.at))
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.refused() }
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() == byte {
            self.at += 1;
            return Ok(());
        }
        self.refused()
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        if self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            return Ok(());
        }
        self.refused()
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        self.space();
        match self.peek() {
            b'{' => {
                let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
                let mut fields = Vec::new();
                self.object(|reader, name| {
                    fields.push((name, reader.value(depth)?));
                    Ok(())
                })?;
                Ok(Json::Object(fields))
            }
            b'[' => {
                let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
                let mut items = Vec::new();
                self.list(|reader| {
                    items.push(reader.value(depth)?);
                    Ok(())
                })?;
                Ok(Json::List(items))
            }
            b'"' => self.string().map(Json::Text),
            b't' => self.word("true").map(|()| Json::Bool(true)),
            b'f' => self.word("false").map(|()| Json::Bool(false)),
            b'n' => self.word("null").map(|()| Json::Null),
            _ => self.number().map(|text| Json::Number(text.into())),
        }
    }

    fn skip(&mut self, depth: usize) -> Result<(), Malformed> {
        // Texts are the only values that own anything, and only where they hold escapes.
        self.value(depth).map(|_| ())
    }

    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.take(b'{')?;
        self.space();
        if self.peek() == b'}' {
            return self.take(b'}');
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.take(b':')?;
            member(self, name)?;
            self.space();
            if self.peek() != b',' {
                return self.take(b'}');
            }
            self.at += 1;
        }
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.take(b'[')?;
        self.space();
        if self.peek() == b']' {
            return self.take(b']');
        }
        loop {
            item(self)?;
            self.space();
            if self.peek() != b',' {
                return self.take(b']');
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

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        // Nothing follows a zero at the front.
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
        Ok(self.since(start))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.take(b'"')?;
        let start = self.at;
        self.plain();
        if self.peek() == b'"' {
            let text = self.since(start);
            self.at += 1;
            return Ok(text.into());
        }
        let mut text = self.since(start).to_owned();
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(text.into());
                }
                b'\\' => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                0..=0x1f => return self.refused(),
                _ => {
                    let start = self.at;
                    self.plain();
                    text.push_str(self.since(start));
                }
            }
        }
    }

    /// Goes on to what ends a text or needs to be looked at.
    fn plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += plain_length(rest);
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let escaped = match self.peek() {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.refused(),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn hexadecimal(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| !text.starts_with('+'));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => self.refused(),
        }
    }

    /// Half of a surrogate pair alone is no character; it is read as U+FFFD.
    fn unicode(&mut self) -> Result<char, Malformed> {
        let first = self.hexadecimal()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) {
            let at = self.at;
            if self.word("\\u").is_ok() {
                let second = self.hexadecimal()?;
                if (0xdc00..0xe000).contains(&second) {
                    code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                } else {
                    // Another character, to be read on its own.
                    self.at = at;
                }
            }
        }
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}
