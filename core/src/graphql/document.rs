//! Documents: the grammar of GraphQL's executable definitions, with counters in place of a tree.

use crate::graphql::{
    fragments::flatten,
    lexer::{Lexer, Token},
    limits::Limits,
    refusal::Refusal,
    scanner::{Counts, Definition, Scanner, count},
};

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

impl<'a> Scanner<'a, '_> {
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

    /// Takes the name of a fragment or of a type that is followed by `on`.
    fn word_on(&mut self) -> Result<(), Refusal> {
        if self.name()? == "on" { Ok(()) } else { self.syntax() }
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
}
