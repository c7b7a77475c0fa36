//! Recording of pairs: the requests of a file with the responses that legacy gives to them.

use super::origin::{ClientResponse, Origin};
use crate::{failure::Failure, output};
use cutover_core::{
    config::{RecordedPairs, SentRequest},
    json::{Decimal, Json},
};
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::Path,
};

/// Headers of legacy that are recorded.
const RECORDED_HEADERS: [&str; 3] = ["content-type", "link", "location"];

/// The destination of recorded pairs.
#[derive(Debug)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// A file that is new, and its name.
    File(File, String),
}

impl Sink {
    /// Creates the file of the given name; without one, the destination is standard output.
    ///
    /// # Errors
    ///
    /// Fails if there is such a file already, or if it cannot be created.
    pub fn new(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else { return Ok(Self::Stdout) };
        let name = file.display().to_string();
        match File::create_new(file) {
            Ok(created) => Ok(Self::File(created, name)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::Usage(format!(
                "there is a file already: {name}\n  hint: name another one with --output"
            ))),
            Err(error) => Err(Failure::Io(format!("{name} cannot be written: {error}"))),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                output::data(text);
                Ok(())
            }
            Self::File(file, name) => file
                .write_all(text.as_bytes())
                .map_err(|error| Failure::Io(format!("{name} cannot be written: {error}"))),
        }
    }
}

/// Sends every request to legacy and writes the pairs as YAML, each as soon as it has its response.
///
/// # Errors
///
/// Fails if legacy cannot be reached; the pairs before are written then.
pub fn run(recorded: &RecordedPairs, legacy: &Origin, sink: &mut Sink) -> Result<(), Failure> {
    let unwritable = |cause: String| Failure::Io(format!("the pairs cannot be written: {cause}"));
    sink.write(&head(recorded).map_err(unwritable)?)?;
    for (index, pair) in recorded.pairs.iter().enumerate() {
        let response = legacy.send_as_client(&pair.request).map_err(|failure| match failure {
            Failure::Unreachable(text) => {
                let count = recorded.pairs.len();
                Failure::Unreachable(format!("{text}\n  {index} of {count} pairs were recorded before"))
            }
            other => other,
        })?;
        let entry = entry(&pair.request, &response, &recorded.comparison.headers);
        sink.write(&item(entry).map_err(unwritable)?)?;
    }
    Ok(())
}

/// Builds the beginning of the file: the rules and headers if there are any, and the key of the list below
/// them.
fn head(recorded: &RecordedPairs) -> Result<String, String> {
    let comparison = &recorded.comparison;
    let mut fields = Map::new();
    if !comparison.rules.is_empty() {
        let rules = serde_json::to_value(&comparison.rules).map_err(|error| error.to_string())?;
        fields.insert("rules".to_owned(), rules);
    }
    if !comparison.headers.is_empty() {
        fields.insert("headers".to_owned(), json!(comparison.headers));
    }
    if fields.is_empty() {
        return Ok(String::new());
    }
    let text = serde_saphyr::to_string(&Value::from(fields)).map_err(|error| error.to_string())?;
    Ok(format!("{}\npairs:\n", text.trim_end_matches('\n')))
}

/// Formats a pair as an item of a list.
fn item(entry: Value) -> Result<String, String> {
    let mut text = serde_saphyr::to_string(&Value::from(vec![entry])).map_err(|error| error.to_string())?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn entry(request: &SentRequest, response: &ClientResponse, more: &[String]) -> Value {
    let mut fields = Map::new();
    fields.insert("request".to_owned(), request.line.to_string().into());
    if !request.headers.is_empty() {
        fields.insert("headers".to_owned(), headers(&request.headers));
    }
    if !request.body.is_empty() {
        put_body(&mut fields, &request.body);
    }
    if let Ok(claims @ Value::Object(_)) = serde_json::from_str(&request.claims) {
        fields.insert("claims".to_owned(), claims);
    }
    let mut expected = Map::new();
    expected.insert("status".to_owned(), response.status.into());
    let is_recorded =
        |name: &String| RECORDED_HEADERS.contains(&name.as_str()) || more.iter().any(|held| held == name);
    let kept: Vec<(String, String)> =
        response.headers.iter().filter(|(name, _)| is_recorded(name)).cloned().collect();
    if !kept.is_empty() {
        expected.insert("headers".to_owned(), headers(&kept));
    }
    put_body(&mut expected, &String::from_utf8_lossy(&response.body));
    fields.insert("expect".to_owned(), expected.into());
    fields.into()
}

fn headers(headers: &[(String, String)]) -> Value {
    let fields: Map<String, Value> =
        headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    fields.into()
}

/// Adds a body: as a value if nothing of it is lost in YAML, else as the exact string.
fn put_body(fields: &mut Map<String, Value>, text: &str) {
    let value = Json::parse(text).ok().filter(survives).and_then(|_| serde_json::from_str(text).ok());
    let (key, value) = match value {
        Some(value) => ("body", value),
        None => ("text", Value::from(text)),
    };
    fields.insert(key.to_owned(), value);
}

/// Returns true if every number is the same when it is read as a float, as numbers of YAML are, and
/// no name is repeated.
fn survives(value: &Json<'_>) -> bool {
    match value {
        Json::Number(digits) => {
            let float = cutover_core::json::float(digits).map(|number| number.to_string());
            float.and_then(|text| Decimal::parse(&text)) == Decimal::parse(digits)
        }
        Json::List(items) => items.iter().all(survives),
        Json::Object(fields) => {
            let mut names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
            names.sort_unstable();
            let is_repeated = names.windows(2).any(|pair| pair.first() == pair.last());
            !is_repeated && fields.iter().all(|(_, field)| survives(field))
        }
        Json::Null | Json::Bool(_) | Json::Text(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Expected;

    /// Records one response and reads the file again. Returns the body that is then expected.
    fn recorded(body: &str) -> String {
        let requests = "rules: [{ path: at, ignore: true }]\npairs:\n  - { request: POST /a, body: { b: 'no' }, claims: { sub: u1 } }\n";
        let before = RecordedPairs::from_yaml(requests).unwrap();
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("date".to_owned(), "today".to_owned()),
        ];
        let response = ClientResponse { status: 201, headers, body: body.as_bytes().to_vec() };
        // Two, because each is formatted by itself.
        let pair = || item(entry(&before.pairs[0].request, &response, &[])).unwrap();
        let text = head(&before).unwrap() + &pair() + &pair();
        let after = RecordedPairs::from_yaml(&text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        assert_eq!((&after.comparison, after.pairs.len()), (&before.comparison, 2), "{text}");
        assert_eq!(after.pairs[0].expected, after.pairs[1].expected, "{text}");
        assert_eq!(after.pairs[0].request, before.pairs[0].request, "{text}");
        let Some(Expected::Response(expected)) = &after.pairs[0].expected else { panic!("{text}") };
        assert_eq!(expected.status, 201);
        assert_eq!(expected.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        expected.body.clone().unwrap()
    }

    #[test]
    fn what_was_recorded_is_read_as_it_was() {
        for body in [
            r#"{"id":7,"price":1.5,"name":"no","at":"2024-01-08T12:00:00Z","tags":[],"a":{"b":null,"c":true}}"#,
            r#"[{"n":"007"},{"n":"1e3"},{"n":"- x: #y"},{"n":"a\nb"},{"n":""},{"n":" "},{"n":"~"}]"#,
            r#""text""#,
            "null",
            // Not the same as a float, not JSON, nothing at all, a name twice.
            r#"{"id":12345678901234567890}"#,
            "plain text: with #marks\nand lines",
            "",
            r#"{"a":1,"a":2}"#,
        ] {
            assert_eq!(recorded(body), body);
        }
        // Another notation of the same number is the same number.
        assert_eq!(recorded(r#"{"a":1.0}"#), r#"{"a":1}"#);
    }
}
