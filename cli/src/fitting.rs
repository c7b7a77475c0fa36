//! Tables that fit a terminal: times become their distance from now, then columns of words are cut, and at last left out.

use crate::{terminal, times};

/// Headings of columns of words, which may be cut or left out. Identifiers, revisions, percentages, states and times may not.
const WORDS: [&str; 10] = [
    "DESCRIPTION",
    "DEFAULT",
    "REASON",
    "OBJECTS",
    "CHANGE",
    "PATH",
    "  PATH",
    "URL",
    "FLAGS",
    "EXAMPLE: OLD -> NEW",
];

/// Headings of further columns that may be left out, but not cut, because they are identifiers. Other commands show them.
const DETAILS: [&str; 3] = ["LEGACY", "NEW", "VERSION"];

/// Fewest characters of a column of words, unless all of its cells are shorter. One that would be narrower is left out.
const MIN_WORDS: usize = 20;

/// Fewest characters of a distance from now, so that a table does not change its shape every ten seconds.
const DISTANCE: usize = 10;

/// Spaces between two columns.
pub const GAP: usize = 2;

/// A table that fits a terminal, as far as that is possible without cutting identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FittedTable<'h> {
    /// Names of the columns.
    pub heading: Vec<&'h str>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// True if no column is left out.
    pub is_whole: bool,
}

impl<'h> FittedTable<'h> {
    /// Fits a table into lines of so many characters.
    pub fn of(heading: &[&'h str], rows: &[Vec<String>], columns: usize) -> Self {
        let mut table = Self { heading: heading.to_vec(), rows: rows.to_vec(), is_whole: true };
        if table.width(&table.widths()) > columns {
            table.shorten_times();
            table.leave_out(columns);
            table.cut(columns);
        }
        table
    }

    /// Returns the widths of the columns.
    fn widths(&self) -> Vec<usize> {
        let heading = self.heading.iter().map(|cell| cell.chars().count());
        heading.enumerate().map(|(column, heading)| heading.max(widest(&self.rows, column))).collect()
    }

    fn width(&self, widths: &[usize]) -> usize {
        widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
    }

    fn is_words(&self, column: usize) -> bool {
        self.heading.get(column).is_some_and(|heading| WORDS.contains(heading))
    }

    fn may_be_left_out(&self, column: usize) -> bool {
        let is_detail = self.heading.get(column).is_some_and(|heading| DETAILS.contains(heading));
        is_detail || self.is_words(column)
    }

    fn shorten_times(&mut self) {
        for cell in self.rows.iter_mut().flatten() {
            if let Some(distance) = times::distance(cell) {
                *cell = format!("{distance:<DISTANCE$}");
            }
        }
    }

    /// Leaves out columns of words and details, the last one first, until the others fit if they are cut.
    fn leave_out(&mut self, columns: usize) {
        loop {
            let narrowest = |(column, width): (usize, usize)| {
                if self.is_words(column) { width.min(MIN_WORDS) } else { width }
            };
            let widths: Vec<usize> = self.widths().into_iter().enumerate().map(narrowest).collect();
            let last = (1..widths.len()).rev().find(|column| self.may_be_left_out(*column));
            let Some(column) = last.filter(|_| self.width(&widths) > columns) else { return };
            self.heading.remove(column);
            for row in &mut self.rows {
                if column < row.len() {
                    row.remove(column);
                }
            }
            self.is_whole = false;
        }
    }

    /// Cuts the widest column of words until the table fits, or until none is left to cut.
    fn cut(&mut self, columns: usize) {
        let mut widths = self.widths();
        while self.width(&widths) > columns {
            let cuttable = widths.iter_mut().enumerate().filter(|(column, _)| self.is_words(*column));
            match cuttable.map(|(_, width)| width).filter(|width| **width > MIN_WORDS).max() {
                Some(width) => *width -= 1,
                None => break,
            }
        }
        for row in &mut self.rows {
            for (cell, width) in row.iter_mut().zip(&widths) {
                *cell = terminal::cut(cell, *width);
            }
        }
    }
}

/// Returns the width of the widest cell of a column.
fn widest(rows: &[Vec<String>], column: usize) -> usize {
    rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: [&str; 5] = ["REVISION", "TIME", "BY", "OBJECTS", "REASON"];

    fn rows(objects: &str, reason: &str) -> Vec<Vec<String>> {
        vec![["7", "2001-01-01T00:00:00.000Z (1 d ago)", "ann", objects, reason].map(str::to_owned).to_vec()]
    }

    fn fitted(objects: &str, reason: &str, columns: usize) -> FittedTable<'static> {
        let table = FittedTable::of(&HEADING, &rows(objects, reason), columns);
        assert!(table.width(&table.widths()) <= columns, "{table:?}");
        table
    }

    #[test]
    fn a_table_that_fits_is_not_changed() {
        let table = FittedTable::of(&HEADING, &rows("flags/a", "-"), 80);
        assert_eq!((table.rows, table.is_whole), (rows("flags/a", "-"), true));
    }

    #[test]
    fn times_are_shortened_before_words_are_cut() {
        let table = fitted("feature_flags/reviews_read", "first users", 80);
        let row = &table.rows[0];
        assert!(row[1].ends_with(" d ago") && !row[1].contains('Z'), "{row:?}");
        assert_eq!(
            [row[0].as_str(), row[3].as_str(), row[4].as_str()],
            ["7", "feature_flags/reviews_read", "first users"]
        );
        assert!(table.is_whole);
    }

    #[test]
    fn words_are_cut_and_identifiers_are_not() {
        let table = fitted(&"o".repeat(50), &"r".repeat(30), 80);
        let widths: Vec<usize> = table.rows[0].iter().map(|cell| cell.chars().count()).collect();
        assert!(table.is_whole && table.rows[0][3].ends_with('…') && table.rows[0][4].ends_with('…'));
        assert!(widths[3].abs_diff(widths[4]) <= 1, "the widest one is cut first: {widths:?}");
        let long = "graphql_reviews_read".repeat(4);
        let ids = FittedTable::of(&["FLAG", "DESCRIPTION"], &[vec![long.clone(), "words".to_owned()]], 40);
        assert_eq!(ids.rows, [vec![long]], "a name is never cut");
    }

    #[test]
    fn the_last_words_are_left_out_if_they_had_no_room() {
        let table = fitted(&"o".repeat(50), &"r".repeat(30), 60);
        assert_eq!(table.heading, ["REVISION", "TIME", "BY", "OBJECTS"]);
        assert_eq!((table.rows[0].len(), table.is_whole), (4, false));
        let heading = ["ROUTE", "PATH", "FLAG", "NEW", "VERSION"];
        let row = ["reviews.read", "/api/v1/reviews/{*rest}", "graphql_reviews_read", "graphql", "480"];
        let routes = FittedTable::of(&heading, &[row.map(str::to_owned).to_vec()], 64);
        assert_eq!(routes.heading, ["ROUTE", "PATH", "FLAG"], "paths say more than versions");
    }
}
