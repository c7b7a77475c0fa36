//! The tokens of a document. Each byte is read a bounded number of times, from the first to the last.

use crate::graphql::refusal::Refusal;
#[cfg(test)]
use std::cell::Cell;

/// A token, as far as the scanner tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Mark(u8),
    /// Three points.
    Spread,
    Number,
    Text,
    End,
}

/// The byte order mark, which may be anywhere between tokens.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The separators of lines and of paragraphs.
const SEPARATORS: [&str; 2] = ["\u{2028}", "\u{2029}"];

const QUOTES: &[u8] = b"\"\"\"";

pub(super) struct Lexer<'a> {
    text: &'a str,
    index: usize,
    tokens: u32,
    limit: u32,
    #[cfg(test)]
    bytes_read: Cell<usize>,
}

impl<'a> Lexer<'a> {
    /// Begins to read a text of at most `limit` tokens.
    pub(super) fn new(text: &'a str, limit: u32) -> Self {
        Self {
            text,
            index: 0,
            tokens: 0,
            limit,
            #[cfg(test)]
            bytes_read: Cell::new(0),
        }
    }

    /// Returns the number of tokens that have been read.
    pub(super) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Returns the number of times that a byte was read.
    #[cfg(test)]
    pub(super) fn bytes_read(&self) -> usize {
        self.bytes_read.get()
    }

    /// Returns the refusal of a text that is not GraphQL at the present place.
    pub(super) fn syntax(&self) -> Refusal {
        Refusal::Syntax(u32::try_from(self.index).unwrap_or(u32::MAX))
    }

    /// Reads the next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Refusal> {
        self.skip_ignored()?;
        let Some(first) = self.byte() else { return Ok(Token::End) };
        self.tokens = self.tokens.saturating_add(1);
        if self.tokens > self.limit {
            return Err(Refusal::Tokens(self.limit));
        }
        match first {
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => Ok(Token::Name(self.name())),
            b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|' | b'}' => {
                self.index += 1;
                Ok(Token::Mark(first))
            }
            b'.' if self.is_before(b"...") => {
                self.index += 3;
                Ok(Token::Spread)
            }
            b'"' if self.is_before(QUOTES) => self.block_string().map(|()| Token::Text),
            b'"' => self.string().map(|()| Token::Text),
            b'-' | b'0'..=b'9' => self.number().map(|()| Token::Number),
            _ => Err(self.syntax()),
        }
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        #[cfg(test)]
        self.bytes_read.set(self.bytes_read.get() + 1);
        self.text.as_bytes().get(self.index).copied()
    }

    /// Returns true if the given bytes come next.
    fn is_before(&self, bytes: &[u8]) -> bool {
        #[cfg(test)]
        self.bytes_read.set(self.bytes_read.get() + bytes.len());
        self.text.as_bytes().get(self.index..).is_some_and(|rest| rest.starts_with(bytes))
    }

    fn skip_ignored(&mut self) -> Result<(), Refusal> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b',') => self.index += 1,
                Some(b'#') => self.comment()?,
                Some(0xef) if self.is_before(BYTE_ORDER_MARK) => self.index += BYTE_ORDER_MARK.len(),
                _ => return Ok(()),
            }
        }
    }

    /// Skips a comment. There are backends for which U+2028 and U+2029 end it, and others that read on.
    fn comment(&mut self) -> Result<(), Refusal> {
        loop {
            match self.byte() {
                None | Some(b'\n' | b'\r') => return Ok(()),
                Some(0xe2) if SEPARATORS.iter().any(|separator| self.is_before(separator.as_bytes())) => {
                    return Err(self.syntax());
                }
                Some(_) => self.index += 1,
            }
        }
    }

    fn name(&mut self) -> &'a str {
        let start = self.index;
        while matches!(self.byte(), Some(b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')) {
            self.index += 1;
        }
        self.text.get(start..self.index).unwrap_or_default()
    }

    /// Skips a string in single quotes. Escapes are checked as far as they could hide its end.
    fn string(&mut self) -> Result<(), Refusal> {
        self.index += 1;
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.index += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.index += 1;
                    self.escape()?;
                }
                None | Some(b'\n' | b'\r') => return Err(self.syntax()),
                Some(_) => self.index += 1,
            }
        }
    }

    /// Skips an escape, whose backslash has been read.
    fn escape(&mut self) -> Result<(), Refusal> {
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.index += 1,
            Some(b'u') => {
                self.index += 1;
                if self.byte() == Some(b'{') {
                    self.index += 1;
                    self.hexadecimal(1)?;
                    while self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        self.index += 1;
                    }
                    if self.byte() != Some(b'}') {
                        return Err(self.syntax());
                    }
                    self.index += 1;
                } else {
                    self.hexadecimal(4)?;
                }
            }
            _ => return Err(self.syntax()),
        }
        Ok(())
    }

    /// Skips this many hexadecimal digits.
    fn hexadecimal(&mut self, digits: u32) -> Result<(), Refusal> {
        for _ in 0..digits {
            if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return Err(self.syntax());
            }
            self.index += 1;
        }
        Ok(())
    }

    /// Skips a block string, in which no quotation mark may be. For backends that are older than block strings, it is
    /// three strings, and with a quotation mark they would end elsewhere.
    fn block_string(&mut self) -> Result<(), Refusal> {
        self.index += QUOTES.len();
        loop {
            match self.byte() {
                Some(b'"') if self.is_before(QUOTES) => {
                    self.index += QUOTES.len();
                    return Ok(());
                }
                None | Some(b'"') => return Err(self.syntax()),
                Some(b'\\') if self.is_before(b"\\\"") => return Err(self.syntax()),
                Some(_) => self.index += 1,
            }
        }
    }

    fn number(&mut self) -> Result<(), Refusal> {
        if self.byte() == Some(b'-') {
            self.index += 1;
        }
        if self.byte() == Some(b'0') {
            self.index += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.index += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.index += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.index += 1;
            }
            self.digits()?;
        }
        // `01`, `1.5.0` and `1a` are no two tokens.
        match self.byte() {
            Some(b'.' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') => Err(self.syntax()),
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> Result<(), Refusal> {
        if !self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.syntax());
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.index += 1;
        }
        Ok(())
    }
}
