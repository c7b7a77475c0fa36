//! The deletion of an object of the configuration.

use crate::{
    client::Client,
    confirm::Confirmation,
    etag,
    failure::Failure,
    output::{self, Format},
    publication,
};
use reqwest::Method;
use serde_json::Value;

/// An object that is deleted.
#[derive(Debug, Clone, Copy)]
pub struct Deletion<'d> {
    /// Kind of the object, such as `segment`.
    pub kind: &'static str,
    /// Name of the object.
    pub name: &'d str,
    /// Path of the object.
    pub path: &'d str,
    /// Says what is lost with the object as it was read, as the second half of a sentence.
    pub lost: fn(&Value) -> String,
}

impl Deletion<'_> {
    /// Deletes the object if it is still as it is shown. Asks first. Returns the response.
    ///
    /// # Errors
    ///
    /// Fails if the deletion is not confirmed, or if the management API refuses it or cannot be reached.
    pub fn run(&self, confirmation: Confirmation, client: &Client, format: Format) -> Result<Value, Failure> {
        let Self { kind, name, path, lost } = self;
        let before = client.get(path)?;
        confirmation.confirm(client.environment(), &format!("delete the {kind} {name}"), &lost(&before))?;
        let tag = etag::as_read(&before, "version");
        let response = client.on_condition("if-match", &tag).send(Method::DELETE, path, None)?;
        output::show_change(format, &response, || {
            println!("deleted {name}; {}", publication::revision(&response));
        });
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        environment::Environment,
        fake_server::{answering, answering_tags},
    };

    const STAFF: &str = r#"{"name":"staff","include":["ann"],"version":3,"revision":4}"#;

    const DELETION: Deletion<'static> = Deletion {
        kind: "segment",
        name: "staff",
        path: "/segments/staff",
        lost: |before| format!("it names {} user", output::list(before, "include").count()),
    };

    #[test]
    fn an_object_is_deleted_as_it_was_read() {
        let (url, tags) = answering_tags(200, STAFF);
        let client = Client::new(&url, "t", None).unwrap();
        let response = DELETION.run(Confirmation::given(), &client, Format::Json).unwrap();
        assert_eq!(output::field(&response, "revision"), "4");
        assert_eq!(*tags.lock().unwrap(), ["", "\"3\""]);
    }

    #[test]
    fn what_is_lost_is_asked_about_and_without_an_answer_nothing_is_deleted() {
        let (url, paths) = answering(200, STAFF);
        let client = Client::new(&url, "t", None).unwrap();
        let client = client.in_environment(Environment::of_context("live", &url, true));
        let refused = DELETION.run(Confirmation::default(), &client, Format::Json).unwrap_err().to_string();
        assert!(refused.contains("delete the segment staff"), "{refused}");
        assert!(refused.contains("it names 1 user"), "{refused}");
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/segments/staff"], "it is read only");
    }
}
