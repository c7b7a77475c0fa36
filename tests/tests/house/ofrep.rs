//! docs/ofrep.openapi.json promises what the published description of OFREP demands. `ofrep/published.json` has the facts
//! of that description: paths, statuses, fields, types and enumerations, with the version that they were taken from.

mod facts;

use self::facts::{Facts, Fields, Operation, document, published};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Differences that are meant, and why.
const MEANT: [(&str, &str); 18] = [
    // There are no event streams, whose notifications would be handed on in these. They are ignored, as any parameter is.
    ("POST /ofrep/v1/evaluate/flags: query flagConfigEtag is not described", "no event streams"),
    ("POST /ofrep/v1/evaluate/flags: query flagConfigLastModified is not described", "no event streams"),
    ("POST /ofrep/v1/evaluate/flags: 403 is missing", "flags that the token may not evaluate are left out"),
    ("POST /ofrep/v1/evaluate/flags: 405 is not of OFREP", "what HTTP says of other methods"),
    ("POST /ofrep/v1/evaluate/flags: 413 is not of OFREP", "bodies have a limit"),
    ("POST /ofrep/v1/evaluate/flags/{key}: 405 is not of OFREP", "what HTTP says of other methods"),
    ("POST /ofrep/v1/evaluate/flags/{key}: 413 is not of OFREP", "bodies have a limit"),
    // OpenFeature's own list of reasons has DEFAULT, and clients take any reason.
    (
        "POST /ofrep/v1/evaluate/flags 200: Values: flags: Value: reason DEFAULT is not of OFREP",
        "no rule matched",
    ),
    (
        "POST /ofrep/v1/evaluate/flags/{key} 200: Evaluation: reason DEFAULT is not of OFREP",
        "no rule matched",
    ),
    (
        "POST /ofrep/v1/evaluate/flags 200: Values: flags: Value: reason UNKNOWN is missing",
        "each value has a reason",
    ),
    (
        "POST /ofrep/v1/evaluate/flags/{key} 200: Evaluation: reason UNKNOWN is missing",
        "each value has a reason",
    ),
    // The description has a date here and seconds for all flags, and says of both that seconds are allowed.
    ("POST /ofrep/v1/evaluate/flags/{key} 429: Retry-After may be integer", "seconds"),
    // The endpoints were closed after the request was decided: no flag was looked for.
    ("POST /ofrep/v1/evaluate/flags/{key} 404: Details: errorCode is not required", "endpoints just closed"),
    ("POST /ofrep/v1/evaluate/flags/{key} 404: Details: key is not required", "endpoints just closed"),
    // Clients that send less than OFREP demands are answered, as far as no flag needs a user.
    ("POST /ofrep/v1/evaluate/flags: body: Request: context is optional", "flags without a split need none"),
    ("POST /ofrep/v1/evaluate/flags: body: Request: context: Context: targetingKey is optional", "the same"),
    ("POST /ofrep/v1/evaluate/flags/{key}: body: Request: context is optional", "the same"),
    (
        "POST /ofrep/v1/evaluate/flags/{key}: body: Request: context: Context: targetingKey is optional",
        "the same",
    ),
];

/// The published description and ours.
struct Comparison<'f> {
    theirs: &'f Facts,
    ours: &'f Facts,
}

/// Returns the types that a value may have and the other side does not know. An integer is a number.
fn strange(found: &BTreeSet<String>, known: &BTreeSet<String>) -> Vec<String> {
    let fits = |kind: &String| known.contains(kind) || (kind == "integer" && known.contains("number"));
    found.iter().filter(|kind| !fits(kind)).cloned().collect()
}

impl Comparison<'_> {
    fn differences(&self) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        let schemes = self.theirs.security.difference(&self.ours.security);
        found.extend(schemes.map(|scheme| format!("security: {scheme} is missing")));
        for (name, theirs) in &self.theirs.operations {
            match self.ours.operations.get(name) {
                Some(ours) => self.operation(name, theirs, ours, &mut found),
                None => {
                    found.insert(format!("{name} is missing"));
                }
            }
        }
        let others = self.ours.operations.keys().filter(|name| !self.theirs.operations.contains_key(*name));
        found.extend(others.map(|name| format!("{name} is not of OFREP")));
        found
    }

    fn operation(&self, name: &str, theirs: &Operation, ours: &Operation, found: &mut BTreeSet<String>) {
        let parameters = self.requested(&theirs.parameters, &ours.parameters);
        found.extend(parameters.into_iter().map(|difference| format!("{name}: {difference}")));
        for (sent, taken) in
            theirs.request.iter().flat_map(|sent| ours.request.iter().map(move |ours| (sent, ours)))
        {
            let body = self.requested(&self.theirs.objects[sent], &self.ours.objects[taken]);
            found.extend(body.into_iter().map(|difference| format!("{name}: body: {taken}: {difference}")));
        }
        if theirs.request.is_empty() != ours.request.is_empty() {
            found.insert(format!("{name}: only one side has a body"));
        }
        for (status, response) in &theirs.responses {
            let Some(own) = ours.responses.get(status) else {
                found.insert(format!("{name}: {status} is missing"));
                continue;
            };
            for (header, types) in &response.headers {
                let Some(own) = own.headers.get(header) else {
                    found.insert(format!("{name} {status}: {header} is missing"));
                    continue;
                };
                let strange = strange(own, types).into_iter();
                found.extend(strange.map(|kind| format!("{name} {status}: {header} may be {kind}")));
            }
            let bodies = self.answered(&response.body, &own.body);
            found.extend(bodies.into_iter().map(|difference| format!("{name} {status}: {difference}")));
        }
        let others = ours.responses.keys().filter(|status| !theirs.responses.contains_key(*status));
        found.extend(others.map(|status| format!("{name}: {status} is not of OFREP")));
    }

    /// Compares what clients of OFREP send with what is taken.
    fn requested(&self, theirs: &Fields, ours: &Fields) -> Vec<String> {
        let mut found = Vec::new();
        for (name, field) in theirs {
            let Some(own) = ours.get(name) else {
                found.push(format!("{name} is not described"));
                continue;
            };
            match (field.required, own.required) {
                (false, true) => found.push(format!("{name} is required")),
                (true, false) => found.push(format!("{name} is optional")),
                _ => {}
            }
            found.extend(
                strange(&field.types, &own.types).iter().map(|kind| format!("{name} cannot be {kind}")),
            );
            for (sent, taken) in
                field.objects.iter().flat_map(|sent| own.objects.iter().map(move |own| (sent, own)))
            {
                let inside = self.requested(&self.theirs.objects[sent], &self.ours.objects[taken]);
                found.extend(inside.into_iter().map(|difference| format!("{name}: {taken}: {difference}")));
            }
        }
        let others = ours.iter().filter(|(name, field)| field.required && !theirs.contains_key(*name));
        found.extend(others.map(|(name, _)| format!("{name} is required and not of OFREP")));
        found
    }

    /// Compares the objects of which an answer is one. Each of ours has to be one that clients of OFREP read, and each that
    /// OFREP has must come.
    fn answered(&self, theirs: &[String], ours: &[String]) -> Vec<String> {
        if theirs.is_empty() || ours.is_empty() {
            let differs = theirs.is_empty() != ours.is_empty();
            return differs.then(|| "only one side has a body".to_owned()).into_iter().collect();
        }
        let mut found = Vec::new();
        let mut matched: BTreeSet<&String> = BTreeSet::new();
        for own in ours {
            let compared = theirs.iter().map(|name| {
                let fields = &self.theirs.objects[name];
                let own = &self.ours.objects[own];
                let lacks = fields.iter().filter(|(name, field)| field.required && !own.contains_key(*name));
                (lacks.count(), self.given(fields, own), name)
            });
            let (_, differences, name) =
                compared.min_by_key(|(lacks, found, _)| (*lacks, found.len())).unwrap();
            matched.insert(name);
            found.extend(differences.into_iter().map(|difference| format!("{own}: {difference}")));
        }
        let others = theirs.iter().filter(|name| !matched.contains(name));
        found.extend(others.map(|name| format!("{name} is missing")));
        found
    }

    /// Compares an object that we answer with one that clients read.
    fn given(&self, theirs: &Fields, ours: &Fields) -> Vec<String> {
        let mut found = Vec::new();
        // An asterisk stands for every field.
        if let Some(every) = theirs.get("*") {
            for (name, own) in ours {
                found.extend(
                    strange(&own.types, &every.types).iter().map(|kind| format!("{name} may be {kind}")),
                );
            }
            return found;
        }
        for (name, field) in theirs {
            let own = ours.get(name);
            if field.required && !own.is_some_and(|own| own.required) {
                found.push(format!("{name} is not required"));
            }
            let Some(own) = own else { continue };
            found
                .extend(strange(&own.types, &field.types).iter().map(|kind| format!("{name} may be {kind}")));
            if !field.values.is_empty() {
                let others = own.values.difference(&field.values);
                found.extend(others.map(|value| format!("{name} {value} is not of OFREP")));
                let lacking = field.values.difference(&own.values);
                found.extend(lacking.map(|value| format!("{name} {value} is missing")));
            }
            let inside = self.answered(&field.objects, &own.objects);
            found.extend(inside.into_iter().map(|difference| format!("{name}: {difference}")));
        }
        found
    }
}

fn differences(document: &Value) -> BTreeSet<String> {
    Comparison { theirs: &published(), ours: &Facts::of(document) }.differences()
}

#[test]
fn our_description_promises_what_the_published_one_demands() {
    let meant: BTreeSet<String> = MEANT.iter().map(|(difference, _)| (*difference).to_owned()).collect();
    let found = differences(&document());
    let unknown: Vec<_> = found.difference(&meant).collect();
    let gone: Vec<_> = meant.difference(&found).collect();
    assert!(unknown.is_empty() && gone.is_empty(), "not meant: {unknown:#?}; no longer there: {gone:#?}");
}

#[test]
fn a_planted_difference_is_found() {
    const ONE: &str = "POST /ofrep/v1/evaluate/flags/{key}";
    const ALL: &str = "POST /ofrep/v1/evaluate/flags";
    let document = document();
    let before = differences(&document);
    let remove = |pointer: &'static str, name: &'static str| {
        move |document: &mut Value| {
            let removed = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
            assert!(removed.is_some(), "{pointer} has no {name}");
        }
    };
    let set = |pointer: &'static str, value: Value| {
        move |document: &mut Value| *document.pointer_mut(pointer).unwrap() = value.clone()
    };
    type Plant = Box<dyn Fn(&mut Value)>;
    let cases: [(Plant, String); 9] = [
        (Box::new(remove("/paths", "/ofrep/v1/evaluate/flags")), format!("{ALL} is missing")),
        (
            Box::new(remove("/paths/~1ofrep~1v1~1evaluate~1flags~1{key}/post/responses", "401")),
            format!("{ONE}: 401 is missing"),
        ),
        (
            Box::new(remove("/paths/~1ofrep~1v1~1evaluate~1flags/post/responses/200/headers", "ETag")),
            format!("{ALL} 200: ETag is missing"),
        ),
        (
            Box::new(set("/components/schemas/FlagNotFound/required", json!(["errorCode"]))),
            format!("{ONE} 404: FlagNotFound: key is not required"),
        ),
        (
            Box::new(set("/components/schemas/Evaluation/properties/variant/type", "integer".into())),
            format!("{ONE} 200: Evaluation: variant may be integer"),
        ),
        (
            Box::new(set("/components/schemas/FlagFailure/properties/errorCode/enum/0", "NEW_CODE".into())),
            format!("{ALL} 200: Values: flags: FlagFailure: errorCode PARSE_ERROR is missing"),
        ),
        (
            Box::new(set("/components/schemas/Metadata/properties/revision/type", "array".into())),
            format!("{ONE} 200: Evaluation: metadata: Metadata: revision may be array"),
        ),
        (
            Box::new(set("/components/schemas/Context/properties/targetingKey/type", "integer".into())),
            format!("{ONE}: body: Request: context: Context: targetingKey cannot be string"),
        ),
        (
            Box::new(remove("/components/securitySchemes", "apiKey")),
            "security: apiKey header X-API-Key is missing".to_owned(),
        ),
    ];
    for (plant, expected) in cases {
        let mut planted = document.clone();
        plant(&mut planted);
        let found = differences(&planted);
        assert!(!before.contains(&expected) && found.contains(&expected), "{expected}: {found:#?}");
    }
}
