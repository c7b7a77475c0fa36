//! Policies and their evaluation. The elements, operators and context keys are those that the policies of `infra` use: any
//! other is a panic, so that none is silently ignored.

use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Values of the context keys that a service gives to a kind of request. A key that a request lacks has no values.
pub type Context = BTreeMap<&'static str, Vec<String>>;

/// A request for permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Service and action, such as `dynamodb:GetItem`.
    pub action: String,
    /// ARN of the resource.
    pub resource: String,
    /// Values of the context keys.
    pub context: Context,
}

impl Request {
    /// Builds a request of a kind without context keys.
    pub fn new(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), context: Context::new() }
    }

    /// Adds the values of a context key.
    pub fn with(mut self, key: &'static str, values: &[&str]) -> Self {
        self.context.insert(key, values.iter().map(|value| (*value).to_owned()).collect());
        self
    }
}

/// The result of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows the request, and none denies it.
    Allowed,
    /// A statement denies the request.
    ExplicitlyDenied,
    /// No statement applies to the request.
    ImplicitlyDenied,
}

/// A policy document, attached to a role or to a resource.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    version: String,
    #[serde(rename = "Statement")]
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    sid: Option<String>,
    effect: Effect,
    /// Callers to whom a policy of a resource applies; `None` in a policy of a role.
    principal: Option<Value>,
    action: Strings,
    resource: Strings,
    /// Values by operator and context key.
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Strings>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// Strings that a document writes as an array, or as a string if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMore")]
struct Strings(BTreeSet<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(BTreeSet<String>),
}

impl From<OneOrMore> for Strings {
    fn from(written: OneOrMore) -> Self {
        match written {
            OneOrMore::One(string) => Self(BTreeSet::from([string])),
            OneOrMore::More(strings) => Self(strings),
        }
    }
}

impl Policy {
    /// Parses a document, and panics if it has elements that the simulator does not know.
    pub fn parse(document: Value) -> Self {
        serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{error}: {document:#}"))
    }

    /// Returns the policy with only those statements whose actions are all actions of one service.
    pub fn of_service(&self, service: &str) -> Self {
        let prefix = format!("{service}:");
        let is_of_service =
            |statement: &&Statement| statement.action.0.iter().all(|action| action.starts_with(&prefix));
        Self {
            version: self.version.clone(),
            statements: self.statements.iter().filter(is_of_service).cloned().collect(),
        }
    }

    /// Decides a request by this policy alone.
    pub fn decide(&self, request: &Request) -> Decision {
        let mut decision = Decision::ImplicitlyDenied;
        for statement in self.statements.iter().filter(|statement| statement.applies_to(request)) {
            match statement.effect {
                Effect::Deny => return Decision::ExplicitlyDenied,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
        decision
    }
}

impl Statement {
    fn applies_to(&self, request: &Request) -> bool {
        let action = request.action.to_ascii_lowercase();
        self.principal.as_ref().is_none_or(is_everybody)
            && self.action.0.iter().any(|pattern| is_like(&pattern.to_ascii_lowercase(), &action))
            && self.resource.0.iter().any(|pattern| is_like(pattern, &request.resource))
            && self.condition.iter().all(|(operator, keys)| {
                keys.iter().all(|(key, wanted)| holds(operator, &wanted.0, values(request, key)))
            })
    }
}

/// Returns true if a statement's principal is everybody, with or without an account. No policy of `infra` that is
/// simulated names single callers.
fn is_everybody(principal: &Value) -> bool {
    principal == "*" || principal["AWS"] == "*"
}

fn values<'r>(request: &'r Request, key: &str) -> &'r [String] {
    request
        .context
        .get(key)
        .unwrap_or_else(|| panic!("the simulator gives no {key} to requests for {}", request.action))
}

/// A comparison of a string in a policy with one in a request.
type Comparison = fn(&str, &str) -> bool;

/// Returns true if a condition holds for the values of its context key in a request.
fn holds(operator: &str, wanted: &BTreeSet<String>, found: &[String]) -> bool {
    if operator == "Null" {
        return wanted.iter().any(|wanted| (wanted == "true") == found.is_empty());
    }
    let for_all_values = operator.strip_prefix("ForAllValues:");
    let compare: Comparison = match for_all_values.unwrap_or(operator) {
        "StringEquals" => is_equal,
        "StringLike" => is_like,
        "Bool" => is_same_bool,
        _ => panic!("the simulator does not know the operator {operator}"),
    };
    // Without a set operator, the documentation leaves open which of several values counts.
    assert!(for_all_values.is_some() || found.len() < 2, "{operator} for several values: {found:?}");
    let is_met = |found: &String| wanted.iter().any(|wanted| compare(wanted, found));
    (for_all_values.is_some() || !found.is_empty()) && found.iter().all(is_met)
}

fn is_equal(wanted: &str, found: &str) -> bool {
    wanted == found
}

fn is_same_bool(wanted: &str, found: &str) -> bool {
    wanted.eq_ignore_ascii_case(found)
}

/// Returns true if a pattern with wildcards matches a string: `*` any characters, `?` one of them.
fn is_like(pattern: &str, string: &str) -> bool {
    assert!(!pattern.contains("${"), "the simulator does not know variables of policies: {pattern}");
    matches_bytes(pattern.as_bytes(), string.as_bytes())
}

fn matches_bytes(pattern: &[u8], string: &[u8]) -> bool {
    match (pattern, string) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            matches_bytes(rest, string)
                || string.split_first().is_some_and(|(_, later)| matches_bytes(pattern, later))
        }
        ([b'?', rest @ ..], [_, later @ ..]) => matches_bytes(rest, later),
        ([wanted, rest @ ..], [found, later @ ..]) => wanted == found && matches_bytes(rest, later),
        _ => false,
    }
}

/// The examples and rules of the vendor's documentation: the IAM User Guide, and the DynamoDB Developer Guide where said.
#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{Allowed, ExplicitlyDenied, ImplicitlyDenied};
    use serde_json::json;

    fn policy(statements: Value) -> Policy {
        Policy::parse(json!({ "Version": "2012-10-17", "Statement": statements }))
    }

    /// A policy that allows everything under a condition.
    fn allowed_if(condition: Value) -> Policy {
        policy(json!([{ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }]))
    }

    /// The decision on a request whose context is one key.
    fn decided(policy: &Policy, key: &'static str, values: &[&str]) -> Decision {
        policy.decide(&Request::new("iam:GetUser", "arn:aws:iam::123456789012:user/ann").with(key, values))
    }

    /// "IAM JSON policy elements: Condition operators", String condition operators: exact matching, case sensitive; a
    /// key that is not present does not match.
    #[test]
    fn string_equals_compares_exactly_and_needs_the_key() {
        const KEY: &str = "aws:PrincipalTag/job-category";
        let policy = allowed_if(json!({ "StringEquals": { KEY: "iamuser-admin" } }));
        assert_eq!(decided(&policy, KEY, &["iamuser-admin"]), Allowed);
        assert_eq!(decided(&policy, KEY, &["IAMuser-admin"]), ImplicitlyDenied);
        assert_eq!(decided(&policy, KEY, &["iamuser-administrator"]), ImplicitlyDenied);
        assert_eq!(decided(&policy, KEY, &[]), ImplicitlyDenied);
        // A wildcard is a character like others.
        let policy = allowed_if(json!({ "StringEquals": { KEY: "iamuser-*" } }));
        assert_eq!(decided(&policy, KEY, &["iamuser-admin"]), ImplicitlyDenied);
    }

    /// "IAM JSON policy elements: Condition operators", String condition operators: multi-character and
    /// single-character wildcards anywhere in the string, case sensitive; several values are alternatives.
    #[test]
    fn string_like_knows_both_wildcards() {
        const KEY: &str = "s3:prefix";
        let policy = allowed_if(json!({ "StringLike": { KEY: ["", "home/", "home/ann/*", "log-??/*.gz"] } }));
        for prefix in ["", "home/", "home/ann/", "home/ann/a/b", "log-07/a.gz", "log-07/.gz"] {
            assert_eq!(decided(&policy, KEY, &[prefix]), Allowed, "{prefix}");
        }
        for prefix in ["home", "home/ann", "home/bob/", "Home/", "log-7/a.gz", "log-07/a.gz.old", "a/home/"] {
            assert_eq!(decided(&policy, KEY, &[prefix]), ImplicitlyDenied, "{prefix}");
        }
        assert_eq!(decided(&policy, KEY, &[]), ImplicitlyDenied);
    }

    /// "IAM JSON policy elements: Condition operators", Boolean condition operators.
    #[test]
    fn bool_compares_true_and_false() {
        const KEY: &str = "aws:SecureTransport";
        let policy = policy(json!([
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": { "Bool": { KEY: "false" } } },
        ]));
        assert_eq!(decided(&policy, KEY, &["false"]), ExplicitlyDenied);
        assert_eq!(decided(&policy, KEY, &["true"]), Allowed);
        assert_eq!(decided(&policy, KEY, &[]), Allowed);
    }

    /// "IAM JSON policy elements: Condition operators", Condition operator to check existence of condition keys: `true`
    /// if the key is not present, `false` if it exists and its value is not null.
    #[test]
    fn null_checks_that_a_key_exists() {
        const KEY: &str = "aws:TokenIssueTime";
        let without = allowed_if(json!({ "Null": { KEY: "true" } }));
        assert_eq!(decided(&without, KEY, &[]), Allowed);
        assert_eq!(decided(&without, KEY, &["2026-01-01T00:00:01Z"]), ImplicitlyDenied);
        let with = allowed_if(json!({ "Null": { KEY: "false" } }));
        assert_eq!(decided(&with, KEY, &[]), ImplicitlyDenied);
        assert_eq!(decided(&with, KEY, &["2026-01-01T00:00:01Z"]), Allowed);
    }

    /// "Creating a condition that tests multiple key values (set operations)", with its example of DynamoDB attributes:
    /// every value in the request must match one in the policy.
    #[test]
    fn for_all_values_wants_every_value_of_the_request() {
        const KEY: &str = "dynamodb:requestedAttributes";
        let values = ["PostDateTime", "Message", "Tags"];
        let policy = allowed_if(json!({ "ForAllValues:StringLike": { KEY: values } }));
        assert_eq!(decided(&policy, KEY, &["PostDateTime", "Message"]), Allowed);
        assert_eq!(decided(&policy, KEY, &["PostDateTime", "UserName"]), ImplicitlyDenied);
        assert_eq!(decided(&policy, KEY, &["ID"]), ImplicitlyDenied);
    }

    /// "Multivalued context key examples": ForAllValues also returns true if there are no context keys in the request; a
    /// Null condition with the value false prevents that.
    #[test]
    fn for_all_values_holds_for_no_value_unless_null_prevents_it() {
        const KEY: &str = "aws:TagKeys";
        let set = json!({ "ForAllValues:StringEquals": { KEY: ["environment", "cost-center"] } });
        assert_eq!(decided(&allowed_if(set.clone()), KEY, &[]), Allowed);
        let mut checked = set;
        checked["Null"] = json!({ KEY: "false" });
        let checked = allowed_if(checked);
        assert_eq!(decided(&checked, KEY, &[]), ImplicitlyDenied);
        assert_eq!(decided(&checked, KEY, &["environment"]), Allowed);
        assert_eq!(decided(&checked, KEY, &["environment", "owner"]), ImplicitlyDenied);
    }

    /// "Conditions with multiple context keys or values": operators, and the keys of one operator, are joined by AND;
    /// the values of a key by OR.
    #[test]
    fn conditions_are_joined_by_and_and_values_by_or() {
        let policy = allowed_if(json!({
            "StringEquals": { "aws:PrincipalTag/team": ["blue", "red"], "aws:PrincipalTag/site": "north" },
            "Bool": { "aws:MultiFactorAuthPresent": "true" },
        }));
        let decided = |team: &str, site: &str, is_present: &str| {
            let request = Request::new("s3:GetObject", "arn:aws:s3:::bucket/key")
                .with("aws:PrincipalTag/team", &[team])
                .with("aws:PrincipalTag/site", &[site])
                .with("aws:MultiFactorAuthPresent", &[is_present]);
            policy.decide(&request)
        };
        assert_eq!(decided("blue", "north", "true"), Allowed);
        assert_eq!(decided("red", "north", "true"), Allowed);
        for (team, site, is_present) in
            [("green", "north", "true"), ("red", "south", "true"), ("red", "north", "false")]
        {
            assert_eq!(decided(team, site, is_present), ImplicitlyDenied);
        }
    }

    /// "The difference between explicit and implicit denies", with its example: allowed lists, denied reports, and
    /// everything else denied by default.
    #[test]
    fn an_explicit_deny_overrides_and_nothing_is_allowed_by_default() {
        let policy = policy(json!([
            { "Sid": "AllowGetList", "Effect": "Allow", "Action": ["iam:Get*", "iam:List*"], "Resource": "*" },
            { "Sid": "DenyReports", "Effect": "Deny", "Action": "iam:*Report", "Resource": "*" },
        ]));
        let decide =
            |action: &str| policy.decide(&Request::new(action, "arn:aws:iam::123456789012:user/ann"));
        assert_eq!(decide("iam:GetUser"), Allowed);
        assert_eq!(decide("iam:ListUsers"), Allowed);
        assert_eq!(decide("iam:GetOrganizationsAccessReport"), ExplicitlyDenied);
        assert_eq!(decide("iam:GenerateCredentialReport"), ExplicitlyDenied);
        assert_eq!(decide("iam:CreatePolicy"), ImplicitlyDenied);
    }

    /// "IAM JSON policy elements: Action" (prefixes and names are not case sensitive) and "IAM JSON policy elements:
    /// Resource" (wildcards; a resource is compared as it is written).
    #[test]
    fn actions_ignore_case_and_resources_do_not() {
        let policy = policy(json!([{
            "Effect": "Allow",
            "Action": "s3:getobject",
            "Resource": ["arn:aws:s3:::bucket/home/*", "arn:aws:s3:::bucket/readme"],
        }]));
        let decide = |action: &str, resource: &str| policy.decide(&Request::new(action, resource));
        assert_eq!(decide("s3:GetObject", "arn:aws:s3:::bucket/home/a/b"), Allowed);
        assert_eq!(decide("S3:GETOBJECT", "arn:aws:s3:::bucket/readme"), Allowed);
        for resource in ["arn:aws:s3:::bucket/Home/a", "arn:aws:s3:::bucket/readme2", "arn:aws:s3:::bucket"] {
            assert_eq!(decide("s3:GetObject", resource), ImplicitlyDenied, "{resource}");
        }
        assert_eq!(decide("s3:GetObjectAcl", "arn:aws:s3:::bucket/readme"), ImplicitlyDenied);
    }

    /// "AWS JSON policy elements: Principal": `"*"` and `{"AWS": "*"}` are everybody, anonymous callers included; a
    /// service is not.
    #[test]
    fn a_policy_of_a_resource_applies_to_its_principals() {
        let decide = |principal: Value| {
            let statement =
                json!({ "Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*" });
            policy(json!([statement])).decide(&Request::new("lambda:InvokeFunction", "arn:aws:lambda:x"))
        };
        assert_eq!(decide(json!("*")), Allowed);
        assert_eq!(decide(json!({ "AWS": "*" })), Allowed);
        assert_eq!(decide(json!({ "Service": "scheduler.amazonaws.com" })), ImplicitlyDenied);
    }

    /// The simulator's own rule: it would be wrong in silence otherwise.
    #[test]
    fn anything_unknown_is_a_panic() {
        let panics = |condition: Value| {
            std::panic::catch_unwind(|| decided(&allowed_if(condition), "aws:TagKeys", &["a", "b"])).is_err()
        };
        assert!(panics(json!({ "StringNotEquals": { "aws:TagKeys": "a" } })));
        assert!(panics(json!({ "StringEquals": { "aws:TagKeys": "a" } })), "a set without a set operator");
        assert!(panics(json!({ "ForAllValues:StringLike": { "aws:TagKeys": "${aws:username}" } })));
        assert!(panics(json!({ "Null": { "aws:SourceIp": "true" } })), "a key that the request cannot have");
        let statement = json!({ "Effect": "Allow", "NotAction": "a:*", "Action": "*", "Resource": "*" });
        assert!(std::panic::catch_unwind(|| policy(json!([statement]))).is_err());
    }
}
