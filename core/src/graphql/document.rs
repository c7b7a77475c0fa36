//! The scanner of a document: the grammar of GraphQL's executable definitions, with counters instead of a tree.

use crate::graphql::{
    fragments::flatten,
    lexer::{Lexer, Token},
    limits::{Limits, MAX_SELECTION_SETS, MAX_VALUE_NESTING},
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
    /// Fields.
    pub fields: u32,
    /// Directives.
    pub directives: u32,
}

/// A document within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Number of its tokens.
    pub tokens: u32,
    /// Counts of its operations in their order, each with the fragments that it spreads.
    pub operations: Vec<Counts>,
    /// Number of its named fragments.
    pub fragments: u32,
    /// True if all its operations are queries.
    pub has_only_queries: bool,
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

/// Scans a document.
///
/// ```
/// use cutover_core::graphql::{Limits, Refusal, scan};
///
/// let limits = Limits { depth: 2, ..Limits::default() };
/// let scanned = scan("{ user { name } }", &limits, false)?;
/// assert_eq!((scanned.tokens, scanned.operations[0].depth), (6, 2));
/// let fragments = "{ user { ...F } } fragment F on User { friends { name } }";
/// assert_eq!(scan(fragments, &limits, false), Err(Refusal::Depth(2)));
/// # Ok::<(), Refusal>(())
/// ```
///
/// # Errors
///
/// Fails at the first limit that is passed, if the text is no document of operations and fragments, or if it asks for
/// `__schema` or `__type` without being allowed to.
pub fn scan(text: &str, limits: &Limits, allows_introspection: bool) -> Result<Scanned, Refusal> {
    scan_counting(text, limits, allows_introspection).0
}

/// As [`scan`], with the work: bytes read, and steps between definitions and spreads. Only tests count the bytes.
pub(super) fn scan_counting(
    text: &str,
    limits: &Limits,
    allows_introspection: bool,
) -> (Result<Scanned, Refusal>, usize) {
    if u32::try_from(text.len()).map_or(true, |length| length > limits.bytes) {
        return (Err(Refusal::Bytes(limits.bytes)), 0);
    }
    let mut scanner = Scanner {
        lexer: Lexer::new(text, limits.tokens),
        token: Token::End,
        limits,
        allows_introspection,
        definitions: Vec::new(),
        spreads: Vec::new(),
        has_only_queries: true,
    };
    let mut steps = 0;
    let scanned = scanner.document().and_then(|()| scanner.finish(&mut steps));
    #[cfg(test)]
    let steps = steps + scanner.lexer.bytes_read();
    (scanned, steps)
}

struct Scanner<'a, 'l> {
    lexer: Lexer<'a>,
    /// The token that comes next.
    token: Token<'a>,
    limits: &'l Limits,
    allows_introspection: bool,
    definitions: Vec<Definition<'a>>,
    spreads: Vec<Spread<'a>>,
    has_only_queries: bool,
}

/// Adds one to a counter. Fails beyond the limit.
fn count(counter: &mut u32, limit: u32, refusal: fn(u32) -> Refusal) -> Result<(), Refusal> {
    *counter = counter.saturating_add(1);
    if *counter > limit { Err(refusal(limit)) } else { Ok(()) }
}

impl<'a> Scanner<'a, '_> {
    fn advance(&mut self) -> Result<(), Refusal> {
        self.token = self.lexer.next()?;
        Ok(())
    }

    fn syntax<T>(&self) -> Result<T, Refusal> {
        Err(self.lexer.syntax())
    }

    fn expect(&mut self, mark: u8) -> Result<(), Refusal> {
        if self.token == Token::Mark(mark) { self.advance() } else { self.syntax() }
    }

    /// Takes a mark if it comes next.
    fn take(&mut self, mark: u8) -> Result<bool, Refusal> {
        let is_next = self.token == Token::Mark(mark);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn name(&mut self) -> Result<&'a str, Refusal> {
        let Token::Name(name) = self.token else { return self.syntax() };
        self.advance()?;
        Ok(name)
    }

    /// Takes the name of a fragment or of a type that is followed by `on`.
    fn word_on(&mut self) -> Result<(), Refusal> {
        if self.name()? == "on" { Ok(()) } else { self.syntax() }
    }

    fn document(&mut self) -> Result<(), Refusal> {
        self.advance()?;
        let (mut operations, mut fragments) = (0, 0);
        while self.token != Token::End {
            let is_described = self.token == Token::Text;
            if is_described {
                self.advance()?;
            }
            let first_spread = self.spreads.len();
            let mut own = Counts::default();
            let mut fragment = None;
            match self.token {
                Token::Mark(b'{') if !is_described => {
                    count(&mut operations, self.limits.operations, Refusal::Operations)?;
                }
                Token::Name(kind @ ("query" | "mutation" | "subscription")) => {
                    count(&mut operations, self.limits.operations, Refusal::Operations)?;
                    self.has_only_queries &= kind == "query";
                    self.operation_head(&mut own)?;
                }
                Token::Name("fragment") => {
                    count(&mut fragments, self.limits.fragments, Refusal::Fragments)?;
                    fragment = Some(self.fragment_head(&mut own)?);
                }
                Token::Name(
                    "schema" | "scalar" | "type" | "interface" | "union" | "enum" | "input" | "directive"
                    | "extend",
                ) => return Err(Refusal::NotExecutable),
                _ => return self.syntax(),
            }
            self.selection_sets(&mut own, fragment.is_none())?;
            let end_spread = self.spreads.len();
            self.definitions.push(Definition { fragment, own, first_spread, end_spread });
        }
        if operations == 0 { Err(Refusal::NoOperation) } else { Ok(()) }
    }

    fn finish(&self, steps: &mut usize) -> Result<Scanned, Refusal> {
        let totals = flatten(&self.definitions, &self.spreads, self.limits, steps)?;
        let both = self.definitions.iter().zip(&totals);
        let operations: Vec<Counts> =
            both.filter(|(definition, _)| definition.fragment.is_none()).map(|(_, total)| *total).collect();
        let fragments = u32::try_from(totals.len() - operations.len()).unwrap_or(u32::MAX);
        Ok(Scanned {
            tokens: self.lexer.tokens(),
            operations,
            fragments,
            has_only_queries: self.has_only_queries,
        })
    }

    fn operation_head(&mut self, own: &mut Counts) -> Result<(), Refusal> {
        self.advance()?;
        if matches!(self.token, Token::Name(_)) {
            self.advance()?;
        }
        if self.take(b'(')? {
            loop {
                if self.token == Token::Text {
                    self.advance()?;
                }
                self.expect(b'$')?;
                self.name()?;
                self.expect(b':')?;
                self.type_reference()?;
                if self.take(b'=')? {
                    self.value(true)?;
                }
                self.directives(own, true)?;
                if self.take(b')')? {
                    break;
                }
            }
        }
        self.directives(own, false)
    }

    fn fragment_head(&mut self, own: &mut Counts) -> Result<&'a str, Refusal> {
        self.advance()?;
        let name = self.name()?;
        if name == "on" {
            return self.syntax();
        }
        self.word_on()?;
        self.name()?;
        self.directives(own, false)?;
        Ok(name)
    }

    fn type_reference(&mut self) -> Result<(), Refusal> {
        let mut lists = 0;
        while self.take(b'[')? {
            count(&mut lists, self.limits.value_nesting, Refusal::ValueNesting)?;
        }
        self.name()?;
        self.take(b'!')?;
        for _ in 0..lists {
            self.expect(b']')?;
            self.take(b'!')?;
        }
        Ok(())
    }

    fn directives(&mut self, own: &mut Counts, is_constant: bool) -> Result<(), Refusal> {
        let mut here = 0;
        while self.take(b'@')? {
            count(&mut here, self.limits.directives_per_node, Refusal::DirectivesPerNode)?;
            count(&mut own.directives, self.limits.directives, Refusal::Directives)?;
            self.name()?;
            self.arguments(is_constant)?;
        }
        Ok(())
    }

    fn arguments(&mut self, is_constant: bool) -> Result<(), Refusal> {
        if self.take(b'(')? {
            loop {
                self.name()?;
                self.expect(b':')?;
                self.value(is_constant)?;
                if self.take(b')')? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Scans a value. Of each list and object around the present place, one bit says which of the two it is.
    fn value(&mut self, is_constant: bool) -> Result<(), Refusal> {
        let limit = self.limits.value_nesting.min(MAX_VALUE_NESTING);
        let (mut objects, mut nesting) = (0_u64, 0);
        loop {
            match self.token {
                Token::Mark(mark @ (b'[' | b'{')) => {
                    count(&mut nesting, limit, Refusal::ValueNesting)?;
                    objects = objects << 1 | u64::from(mark == b'{');
                    self.advance()?;
                }
                Token::Mark(b'$') if !is_constant => {
                    self.advance()?;
                    self.name()?;
                }
                Token::Number | Token::Text | Token::Name(_) => self.advance()?,
                _ => return self.syntax(),
            }
            // Close what ends here, up to the next value.
            loop {
                if nesting == 0 {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                if !self.take(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.name()?;
                        self.expect(b':')?;
                    }
                    break;
                }
                objects >>= 1;
                nesting -= 1;
            }
        }
    }

    /// Scans a selection set and all that are in it. Of each one around the present place, one bit says if it is a field's.
    fn selection_sets(&mut self, own: &mut Counts, is_operation: bool) -> Result<(), Refusal> {
        let (mut of_fields, mut sets) = (0_u128, 0);
        let mut depth = 0;
        let mut opens_field = false;
        loop {
            self.expect(b'{')?;
            count(&mut sets, MAX_SELECTION_SETS, Refusal::SelectionSets)?;
            of_fields = of_fields << 1 | u128::from(opens_field);
            depth += u32::from(opens_field);
            let mut is_empty = true;
            // Pass selections without one of their own, up to the next selection set that begins.
            loop {
                if !is_empty && self.take(b'}')? {
                    depth -= u32::from(of_fields & 1 == 1);
                    of_fields >>= 1;
                    sets -= 1;
                    if sets == 0 {
                        return Ok(());
                    }
                    continue;
                }
                is_empty = false;
                match self.token {
                    Token::Spread => {
                        if self.fragment(own, depth)? {
                            continue;
                        }
                        opens_field = false;
                        break;
                    }
                    Token::Name(_) => {
                        self.field(own, depth, is_operation)?;
                        if self.token == Token::Mark(b'{') {
                            opens_field = true;
                            break;
                        }
                    }
                    _ => return self.syntax(),
                }
            }
        }
    }

    /// Scans a spread, or the head of an inline fragment. Returns true for a spread.
    fn fragment(&mut self, own: &mut Counts, depth: u32) -> Result<bool, Refusal> {
        self.advance()?;
        let mut is_spread = false;
        if let Token::Name(fragment) = self.token {
            self.advance()?;
            if fragment == "on" {
                self.name()?;
            } else {
                is_spread = true;
                self.spreads.push(Spread { fragment, depth });
            }
        }
        self.directives(own, false)?;
        Ok(is_spread)
    }

    /// Scans a field up to its selection set.
    fn field(&mut self, own: &mut Counts, depth: u32, is_operation: bool) -> Result<(), Refusal> {
        let limits = self.limits;
        if depth >= limits.depth {
            return Err(Refusal::Depth(limits.depth));
        }
        own.depth = own.depth.max(depth + 1);
        count(&mut own.fields, limits.fields, Refusal::Fields)?;
        if depth == 0 {
            // A fragment's are root fields only if it is spread at the root.
            let limit = if is_operation { limits.root_fields } else { u32::MAX };
            count(&mut own.root_fields, limit, Refusal::RootFields)?;
        }
        let mut name = self.name()?;
        if self.take(b':')? {
            count(&mut own.aliases, limits.aliases, Refusal::Aliases)?;
            name = self.name()?;
        }
        // Types may return the query's root again, so introspection is possible below it too. No other field may have
        // such a name.
        if !self.allows_introspection && matches!(name, "__schema" | "__type") {
            return Err(Refusal::Introspection);
        }
        self.arguments(false)?;
        self.directives(own, false)
    }
}
