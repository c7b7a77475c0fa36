//! The state of a scan, and its steps from token to token.

use crate::graphql::{
    lexer::{Lexer, Token},
    limits::Limits,
    refusal::Refusal,
};

/// Counts of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Most fields inside one another.
    pub depth: u32,
    /// Fields with an alias.
    pub aliases: u32,
    /// Fields that are in no other field of the definition.
    pub root_fields: u32,
    /// Number of fields.
    pub fields: u32,
    /// Number of directives.
    pub directives: u32,
}

/// An operation, or a fragment with its name.
#[derive(Debug)]
pub(super) struct Definition<'a> {
    pub(super) fragment: Option<&'a str>,
    /// Without the fragments that it spreads.
    pub(super) own: Counts,
    /// Range of its spreads in the document's.
    pub(super) first_spread: usize,
    pub(super) end_spread: usize,
}

/// The place at which a definition spreads a fragment.
#[derive(Debug)]
pub(super) struct Spread<'a> {
    pub(super) fragment: &'a str,
    /// Number of fields around it.
    pub(super) depth: u32,
}

/// A document on its way through the scanner.
pub(super) struct Scanner<'a, 'l> {
    pub(super) lexer: Lexer<'a>,
    /// The token that comes next.
    pub(super) token: Token<'a>,
    pub(super) limits: &'l Limits,
    pub(super) allows_introspection: bool,
    pub(super) definitions: Vec<Definition<'a>>,
    pub(super) spreads: Vec<Spread<'a>>,
    pub(super) has_only_queries: bool,
}

/// Adds one to a counter. Fails beyond the limit.
pub(super) fn count(counter: &mut u32, limit: u32, refusal: fn(u32) -> Refusal) -> Result<(), Refusal> {
    *counter = counter.saturating_add(1);
    if *counter > limit { Err(refusal(limit)) } else { Ok(()) }
}

impl<'a> Scanner<'a, '_> {
    pub(super) fn advance(&mut self) -> Result<(), Refusal> {
        self.token = self.lexer.next()?;
        Ok(())
    }

    pub(super) fn syntax<T>(&self) -> Result<T, Refusal> {
        Err(self.lexer.syntax())
    }

    pub(super) fn expect(&mut self, mark: u8) -> Result<(), Refusal> {
        if self.token == Token::Mark(mark) { self.advance() } else { self.syntax() }
    }

    /// Takes a mark if it comes next.
    pub(super) fn take(&mut self, mark: u8) -> Result<bool, Refusal> {
        let is_next = self.token == Token::Mark(mark);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    pub(super) fn name(&mut self) -> Result<&'a str, Refusal> {
        let Token::Name(name) = self.token else { return self.syntax() };
        self.advance()?;
        Ok(name)
    }
}
