//! Selection sets, values and directives: the parts of a document that can be nested, scanned without recursion.

use crate::graphql::{
    lexer::Token,
    limits::{MAX_SELECTION_SETS, MAX_VALUE_NESTING},
    refusal::Refusal,
    scanner::{Counts, Scanner, Spread, count},
};

impl Scanner<'_, '_> {
    pub(super) fn directives(&mut self, own: &mut Counts, is_constant: bool) -> Result<(), Refusal> {
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
    pub(super) fn value(&mut self, is_constant: bool) -> Result<(), Refusal> {
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

    /// Scans a selection set and all that are in it. Of each one around the present place, one bit says if it is a
    /// field's.
    pub(super) fn selection_sets(&mut self, own: &mut Counts, is_operation: bool) -> Result<(), Refusal> {
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
