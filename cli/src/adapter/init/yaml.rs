//! Writing of YAML with comments.

/// Longest line, in characters.
const WIDTH: usize = 110;

/// Most maps inside each other that are written in one line.
const FLOW_DEPTH: usize = 2;

/// The key whose map is always written in several lines.
const OBJECT: &str = "object";

/// The word that marks a decision in a comment.
const DECIDE: &str = "DECIDE: ";

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    /// A scalar, as it is written.
    Scalar(String),
    /// A map, or a list if its lines are items.
    Block(Vec<Line>),
}

/// A line of a map or a list, with everything below it.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A comment, without its mark.
    Comment(String),
    /// An empty line.
    Blank,
    /// An entry of a map.
    Field(String, Yaml),
    /// An item of a list.
    Item(Yaml),
}

impl Yaml {
    /// Builds a string, in quotes if it needs them.
    pub fn text(text: &str) -> Self {
        Self::Scalar(quoted(text))
    }

    /// Builds a list of strings.
    pub fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        Self::Block(texts.map(|text| Line::Item(Self::text(text))).collect())
    }

    /// Returns the number of decisions in it.
    pub fn decisions(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::Block(lines) => decisions(lines),
        }
    }

    /// Returns the value in one line, unless it has comments.
    fn flow(&self) -> Option<String> {
        let lines = match self {
            Self::Scalar(text) => return Some(text.clone()),
            Self::Block(lines) => lines,
        };
        let mut parts = Vec::new();
        let mut is_list = false;
        for line in lines {
            parts.push(match line {
                Line::Comment(_) | Line::Blank => return None,
                // The fields of an object are easier to read below each other.
                Line::Field(key, _) if key == OBJECT => return None,
                Line::Field(key, value) => format!("{}: {}", quoted(key), value.flow()?),
                Line::Item(value) => {
                    is_list = true;
                    value.flow()?
                }
            });
        }
        let parts = parts.join(", ");
        Some(if is_list { format!("[{parts}]") } else { format!("{{ {parts} }}") })
    }

    fn depth(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::Block(lines) => {
                let below = lines.iter().map(|line| match line {
                    Line::Field(_, value) | Line::Item(value) => value.depth(),
                    Line::Comment(_) | Line::Blank => 0,
                });
                1 + below.max().unwrap_or_default()
            }
        }
    }
}

impl Line {
    /// Builds an entry.
    pub fn field(key: &str, value: Yaml) -> Self {
        Self::Field(key.to_owned(), value)
    }

    /// Builds an entry whose value is a string.
    pub fn text(key: &str, text: &str) -> Self {
        Self::field(key, Yaml::text(text))
    }

    /// Builds a comment about a decision that is left to the reader.
    pub fn decide(text: impl AsRef<str>) -> Self {
        Self::Comment(format!("{DECIDE}{}", text.as_ref()))
    }
}

/// Returns the number of decisions in some lines.
pub fn decisions(lines: &[Line]) -> usize {
    let of = |line: &Line| match line {
        Line::Comment(text) => usize::from(text.starts_with(DECIDE)),
        Line::Blank => 0,
        Line::Field(_, value) | Line::Item(value) => value.decisions(),
    };
    lines.iter().map(of).sum()
}

/// Writes a document.
pub fn document(lines: &[Line]) -> String {
    let mut out = String::new();
    write(lines, 0, &mut out);
    out
}

fn write(lines: &[Line], indent: usize, out: &mut String) {
    let margin = " ".repeat(indent);
    for line in lines {
        match line {
            Line::Blank => out.push('\n'),
            Line::Comment(text) => comment(text, &margin, out),
            Line::Field(key, value) => {
                out.push_str(&margin);
                out.push_str(&quoted(key));
                out.push(':');
                let room = WIDTH.saturating_sub(indent + key.len() + 2);
                match (value, value.flow()) {
                    (Yaml::Scalar(text), _) => {
                        out.push(' ');
                        out.push_str(text);
                        out.push('\n');
                    }
                    (value, Some(flow))
                        if value.depth() <= FLOW_DEPTH && flow.len() <= room && key != OBJECT =>
                    {
                        out.push(' ');
                        out.push_str(&flow);
                        out.push('\n');
                    }
                    (Yaml::Block(lines), _) => {
                        out.push('\n');
                        write(lines, indent + 2, out);
                    }
                }
            }
            Line::Item(Yaml::Scalar(text)) => out.push_str(&format!("{margin}- {text}\n")),
            Line::Item(Yaml::Block(lines)) => {
                let mut item = String::new();
                write(lines, indent + 2, &mut item);
                // The first line begins with the dash in place of its last two spaces.
                out.push_str(&margin);
                out.push_str("- ");
                out.push_str(item.trim_start());
            }
        }
    }
}

/// Writes a comment in lines of limited length.
fn comment(text: &str, margin: &str, out: &mut String) {
    let mut line = format!("{margin}#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = format!("{margin}#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// Returns a string as YAML: plain if nothing in it can be misread, else in quotes.
fn quoted(text: &str) -> String {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'));
    let is_word = ["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if text == "." || (begins && !is_word && text.chars().all(is_inner)) {
        return text.to_owned();
    }
    // A JSON string is one of YAML.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Node;

    #[test]
    fn a_document_is_written_as_a_person_would() {
        let route = Yaml::Block(vec![
            Line::field(
                "match",
                Yaml::Block(vec![Line::text("method", "GET"), Line::text("path", "/reviews/{id}")]),
            ),
            Line::decide("this or that"),
            Line::text("root", "review"),
        ]);
        let object = Yaml::Block(vec![Line::text("id", "id"), Line::text("a b", "null")]);
        let lines = vec![
            Line::field("forward_headers", Yaml::texts(["authorization"].into_iter())),
            Line::field(
                "shapes",
                Yaml::Block(vec![Line::field("review", Yaml::Block(vec![Line::field("object", object)]))]),
            ),
            Line::field(
                "routes",
                Yaml::Block(vec![Line::Item(route), Line::Blank, Line::Comment("more".to_owned())]),
            ),
        ];
        let expected = "\
forward_headers: [authorization]
shapes:
  review:
    object:
      id: id
      \"a b\": \"null\"
routes:
  - match: { method: GET, path: \"/reviews/{id}\" }
    # DECIDE: this or that
    root: review

  # more
";
        assert_eq!(document(&lines), expected);
        assert_eq!(decisions(&lines), 1);
        let read = Node::from_yaml(expected).unwrap().to_json();
        assert_eq!(read["shapes"]["review"]["object"]["a b"], "null");
        assert_eq!(read["routes"][0]["match"]["path"], "/reviews/{id}");
    }

    #[test]
    fn strings_come_back_as_they_were() {
        for text in [
            "a", ".", ".5", "7", "1e3", "true", "~", "", "a: b", "#", "é", "a\n\"b\"", "-", "path.id", "{x}",
            "/a/{id}",
        ] {
            let read = Node::from_yaml(&document(&[Line::text("key", text)])).unwrap().to_json();
            assert_eq!(read["key"], text);
        }
    }

    #[test]
    fn long_comments_are_broken() {
        let text = document(&[Line::decide("word ".repeat(60))]);
        assert!(
            text.lines().count() > 2
                && text.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH)
        );
    }
}
