//! Lists of objects in the body of a request: each item is read by a variable of its own.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use cutover_core::{
    Timestamp,
    adapter::{
        Adapter, Answer, ClientRequest, Exchange, Kind, Literal, Next, Request, Source, Upstream, Variable,
    },
    config::{Config, Problem},
    json::Json,
    snapshot::Snapshot,
    vocabulary::revision::Revision,
};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

const SCHEMA: &str = "type Query { a: Int } type Mutation { order(input: OrderInput!, ids: [ID!], extra: JSON): Int! } \
                      input OrderInput { customer: ID! lines: [Line!]! } \
                      input Line { productId: ID! quantity: Int! size: Size price: Float gift: Boolean note: String \
                      options: [Option!] } \
                      input Option { id: ID! } enum Size { SMALL LARGE } scalar JSON";

const OPERATIONS: &str = "mutation Order($input: OrderInput!, $ids: [ID!], $extra: JSON) { \
                          order(input: $input, ids: $ids, extra: $extra) }";

/// The variable with the lines of an order, from line 12 of the file on.
const LINES: &str = r"              lines:
                from: body.items
                min: 1
                each:
                  fields:
                    productId: product_id
                    quantity: { from: qty, min: 1, max: 9, default: 1 }
                    size: { from: size, map: { s: SMALL, l: LARGE }, invalid: default }
                    note: { from: text.note, empty: absent, max: 5 }
                    gift: gift
                    price: { from: price, clamp: true, min: 0.5 }
                    options: { from: options, each: { fields: { id: . } } }
";

/// Writes the file of an adapter for orders. `lines` are the lines of the variable `input.lines`, and `more`
/// further variables.
fn file(lines: &str, more: &str) -> String {
    format!(
        "adapters:\n  a:\n    schema: \"{SCHEMA}\"\n    operations: \"{OPERATIONS}\"\n    routes:\n      \
         - match: {{ method: POST, path: /orders }}\n        operation: Order\n        variables:\n          \
         input:\n            fields:\n              customer: body.customer_id\n{lines}{more}        \
         root: order\n"
    )
}

fn adapter(lines: &str, more: &str) -> Arc<Adapter> {
    let config = Config::from_yaml(&file(lines, more)).unwrap();
    let program = Arc::clone(config.adapters.values().next().unwrap().program());
    Arc::new(Adapter::new(program).unwrap())
}

fn begin(adapter: &Arc<Adapter>, body: &str) -> (Exchange, Next) {
    let sent =
        ClientRequest { method: "POST", path: "/orders", body: body.as_bytes(), ..ClientRequest::default() };
    adapter.begin(sent, Timestamp::from_millis(0)).unwrap()
}

/// Returns the variables that are sent for a body, or the answer to the client.
fn sent(adapter: &Arc<Adapter>, body: &str) -> Result<String, Answer> {
    match begin(adapter, body).1 {
        Next::Ask(Upstream { body, .. }) => {
            let body = body.unwrap();
            let (_, variables) = body.split_once("\"variables\":").unwrap();
            Ok(variables.strip_suffix('}').unwrap().to_owned())
        }
        Next::Answer(answer) => Err(answer),
    }
}

#[test]
fn a_list_of_objects_becomes_one_of_input_objects() {
    let adapter = adapter(LINES, "");
    let cases = [
        (
            r#"{"items":[{"product_id":7,"qty":2,"size":"s","options":[1,"x"],"more":1},{"product_id":"p-8"}]}"#,
            r#"[{"productId":"7","quantity":2,"size":"SMALL","options":[{"id":"1"},{"id":"x"}]},{"productId":"p-8","quantity":1}]"#,
        ),
        // Digits are kept, and numbers are moved to their bounds.
        (
            r#"{"items":[{"product_id":9007199254740993,"gift":true,"price":1.50},{"product_id":1,"price":0.25}]}"#,
            r#"[{"productId":"9007199254740993","quantity":1,"gift":true,"price":1.50},{"productId":"1","quantity":1,"price":0.5}]"#,
        ),
        // What does not fit, is empty or is null counts as absent where the variable says so.
        (
            r#"{"items":[{"product_id":1,"size":"huge","text":{"note":""},"qty":null,"options":null}]}"#,
            r#"[{"productId":"1","quantity":1}]"#,
        ),
        // One object counts as a list of one, as in GraphQL.
        (r#"{"items":{"product_id":1,"options":[]}}"#, r#"[{"productId":"1","quantity":1,"options":[]}]"#),
    ];
    for (items, lines) in cases {
        let body = items.replacen('{', r#"{"customer_id":5,"#, 1);
        let expected = format!(r#"{{"input":{{"customer":"5","lines":{lines}}}}}"#);
        assert_eq!(sent(&adapter, &body), Ok(expected), "{body}");
    }
}

#[test]
fn items_may_be_read_whole_or_one_part_of_each() {
    let each = |each: &str, name: &str| {
        adapter(LINES, &format!("          {name}: {{ from: body.items, each: {each} }}\n"))
    };
    let body = r#"{"customer_id":5,"items":[{"product_id":7,"tags":["a",2]},{"product_id":8,"tags":[]}]}"#;
    let lines = r#""lines":[{"productId":"7","quantity":1},{"productId":"8","quantity":1}]"#;
    let cases = [
        ("ids", "product_id", r#"["7","8"]"#),
        ("ids", "{ from: product_id, map: { 7: x, 8: y } }", r#"["x","y"]"#),
        ("ids", "{ from: name, default: none }", r#"["none","none"]"#),
        ("extra", ".", r#"[{"product_id":7,"tags":["a",2]},{"product_id":8,"tags":[]}]"#),
        ("extra", "{ from: tags, each: { from: . } }", r#"[["a",2],[]]"#),
    ];
    for (name, variable, expected) in cases {
        let expected = format!(r#"{{"input":{{"customer":"5",{lines}}},"{name}":{expected}}}"#);
        assert_eq!(sent(&each(variable, name), body), Ok(expected), "{variable}");
    }
}

#[test]
fn a_value_of_an_item_that_does_not_fit_is_named_with_its_index() {
    let adapter = adapter(LINES, "");
    let cases = [
        ("", "items"),
        (r#","items":[]"#, "items"),
        (r#","items":[{"qty":1}]"#, "items.0.product_id"),
        (r#","items":[{"product_id":1},{"product_id":2,"qty":0}]"#, "items.1.qty"),
        (r#","items":[{"product_id":1,"qty":"2"}]"#, "items.0.qty"),
        (r#","items":[{"product_id":1,"qty":99999999999}]"#, "items.0.qty"),
        (r#","items":[{"product_id":1,"gift":1}]"#, "items.0.gift"),
        (r#","items":[{"product_id":1,"text":{"note":"123456"}}]"#, "items.0.text.note"),
        (r#","items":[{"product_id":1,"options":[1,null]}]"#, "items.0.options.1"),
        (r#","items":[{"product_id":1,"options":[{}]}]"#, "items.0.options.0"),
        (r#","items":[{"product_id":1},null]"#, "items.1"),
        (r#","items":[7]"#, "items.0"),
        (r#","items":"x""#, "items.0"),
        (r#","items":[{}]"#, "items.0.product_id"),
    ];
    for (items, field) in cases {
        let answer = sent(&adapter, &format!(r#"{{"customer_id":5{items}}}"#)).unwrap_err();
        let body = format!(r#"{{"code":"invalid","message":"{field} is missing or not valid"}}"#);
        assert_eq!((answer.status, answer.body), (400, Some(body)), "{items}");
    }
}

#[test]
fn the_response_to_an_item_is_that_of_its_value_or_else_that_of_the_list() {
    let lines = "              lines:\n                from: body.items\n                \
                 invalid: { status: 409, code: list, message: \"{field} of {body.shop}\" }\n                \
                 each:\n                  fields:\n                    productId: product_id\n                    \
                 quantity: { from: qty, invalid: { status: 422, code: qty, message: \"{body.hint}: {field}\" } }\n";
    let adapter = adapter(lines, "");
    let cases = [
        ("[{\"qty\":1}]", 409, "list", "items.0.product_id of s"),
        ("[{\"product_id\":1,\"qty\":[]}]", 422, "qty", "h: items.0.qty"),
    ];
    for (items, status, code, message) in cases {
        let body = format!(r#"{{"customer_id":5,"shop":"s","hint":"h","items":{items}}}"#);
        let answer = sent(&adapter, &body).unwrap_err();
        let expected = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
        assert_eq!((answer.status, answer.body), (status, Some(expected)), "{items}");
    }
    let lenient = "              lines: { from: body.items, invalid: default, default: [], each: { fields: \
                   { productId: product_id, quantity: { const: 1 } } } }\n";
    let expected = r#"{"input":{"customer":"5","lines":[]}}"#;
    let body = r#"{"customer_id":5,"items":[{"product_id":1},{}]}"#;
    assert_eq!(sent(&self::adapter(lenient, ""), body), Ok(expected.to_owned()));
}

/// Returns the body of an order with this many items.
fn order(item: &str, items: usize) -> String {
    format!(r#"{{"customer_id":5,"items":[{}]}}"#, vec![item; items].join(","))
}

#[test]
fn items_make_no_more_than_an_isolate_can_hold() {
    let lines = format!(
        "              lines: {{ from: body.items, each: {{ fields: {{ productId: {{ const: \"{}\" }}, \
         quantity: {{ const: 1 }} }} }} }}\n",
        "x".repeat(2_000)
    );
    let adapter = adapter(&lines, "");
    assert!(sent(&adapter, &order("{}", 1_000)).is_ok());
    let body = order("{}", 40_000);
    let mut answer = None;
    let info = allocation_counter::measure(|| answer = sent(&adapter, &body).err());
    assert_eq!(answer.unwrap().status, 413);
    assert!(info.bytes_max < 32_000_000, "{info:?}");
}

#[test]
fn the_largest_bodies_are_read_with_few_allocations() {
    let adapter = adapter(LINES, "");
    let items = 12_000;
    let body = order(r#"{"product_id":7,"qty":2,"size":"s","gift":false}"#, items);
    let mut begun = None;
    let info = allocation_counter::measure(|| begun = Some(begin(&adapter, &body)));
    let (exchange, next) = begun.unwrap();
    assert!(matches!(next, Next::Ask(_)));
    // The body is dropped as soon as it was read.
    assert!(exchange.heap_bytes() < 1_024);
    let of_item = info.count_total / u64::try_from(items).unwrap();
    assert!(of_item < 30, "{of_item} allocations for each item: {info:?}");
}

/// Returns the problems of a file, with their remedies.
fn problems(text: &str) -> Vec<String> {
    let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
    Config::from_yaml(text).err().unwrap_or_default().iter().map(told).collect()
}

#[test]
fn mistakes_in_each_are_told_at_their_lines_with_their_remedies() {
    let of_fields = |field: &str, line: usize, expected: &'static str| {
        let lines = LINES.lines().map(|held| {
            let name = |line: &str| line.trim_start().split(':').next().map(str::to_owned);
            let is_it = name(held) == name(field) && held.starts_with("                    ");
            if is_it { format!("                    {field}\n") } else { format!("{held}\n") }
        });
        (file(&lines.collect::<String>(), ""), line, expected)
    };
    let of_list = |list: &str, expected: &'static str| {
        (file(&format!("              lines: {{ {list} }}\n"), ""), 12, expected)
    };
    let of_more =
        |more: &str, expected: &'static str| (file(LINES, &format!("          {more}\n")), 24, expected);
    let fields = "fields: { productId: id, quantity: qty }";
    let each = format!("each: {{ {fields} }}");
    let cases = [
        of_fields(
            "productId: body.items.product_id",
            17,
            "body.items.product_id is a place in the request, and each reads the items of a list | write the path \
             inside the item, such as product_id",
        ),
        of_fields("productId: query.id", 17, "query.id is a place in the request"),
        of_fields(
            "productId: product..id",
            17,
            "\"product..id\" is not a path | write names with a dot between",
        ),
        of_fields(
            "quantity: { from: qty, min: 2, max: 1 }",
            18,
            "1, is below the smallest, 2 | correct min or max",
        ),
        of_fields("quantity: { form: qty }", 18, "form is not a field of this object | did you mean from?"),
        of_fields(
            "size: { from: size, map: { s: SMAL } }",
            19,
            "\"SMAL\" does not fit the enum | write one of SMALL",
        ),
        of_fields("gift: { from: gift, min: 1 }", 21, "Boolean has no min | only numbers, strings and lists"),
        of_fields(
            "options: { from: options, each: { fields: { id: ., name: . } } }",
            23,
            "declares no variable $name",
        ),
        of_fields("options: { each: { fields: { id: . } } }", 23, "the variable has no source | write from"),
        of_list(
            "from: body.items, each: { fields: { productId: id } }",
            "the input object needs the field quantity | add quantity: and where it is in an item, such as quantity",
        ),
        of_list(
            "from: body.items, each: { fields: { productId: id, quantity: qty, prize: 1 } }",
            "the input object declares no variable $prize | did you mean price?",
        ),
        of_list(
            &format!("from: query.items, {each}"),
            "each reads the items of a list in the body | write from: with the list",
        ),
        of_list(
            &format!("from: body.items, integer: true, {each}"),
            "integer has no effect beside each | write integer inside each",
        ),
        of_list(
            &format!("from: body.items, split: \",\", {each}"),
            "split has no effect beside each | write split inside each",
        ),
        of_list(
            &format!("default: [], {each}"),
            "default has no effect beside each | write from: with the place of the list",
        ),
        of_list("from: body.items, each: [id]", "expected a map, found a list"),
        of_more(
            "ids: { from: body.items, each: { from: id, invalid: default } }",
            "a value of the type ID! is required, and there is no default",
        ),
        of_more(
            "ids: { from: body.items, each: { fields: { id: id } } }",
            "ID! has no fields | write from instead of fields",
        ),
        of_more(
            "extra: { from: body.items, each: { from: id, type: int } }",
            "type has no effect: the operation declares it",
        ),
    ];
    for (text, line, expected) in cases {
        let told = problems(&text);
        let fits = |told: &String| told.starts_with(&format!("{line}:")) && told.contains(expected);
        assert!(told.len() == 1 && told.iter().all(fits), "{expected}: {told:#?}\n{text}");
    }
    let text = file(
        "              lines: { from: body.items }\n              custommer: { from: body.a, each: id }\n",
        "",
    );
    assert!(problems(&text).iter().any(|told| told.contains("declares no variable $custommer")), "{text}");
    let text =
        file(LINES, "").replace("customer: body.customer_id", "customer: { from: body.a, each: body.id }");
    let told = problems(&text);
    assert!(told.len() == 2, "{told:#?}");
    assert!(told[0].contains("ID is not a list | remove each, and read the value with from"), "{told:#?}");
    assert!(told[1].contains("body.id is a place in the request"), "{told:#?}");
}

#[test]
fn a_variable_with_each_is_stored_and_raises_the_schema_of_the_snapshot() {
    let document = |lines: &str| {
        let text = format!(
            "feature_flags: {{ f: {{ enabled: true }} }}\norigins: {{ o: {{ url: \"http://o\" }} }}\n{}\
             routes: [{{ id: r, match: {{ path: /orders }}, flag: f, legacy: o, new: o, adapt: [a] }}]\n",
            file(lines, "")
        );
        let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let stored = serde_json::to_value(&config).unwrap();
        assert!(Config::from_json(&stored).unwrap() == config);
        let snapshot = config.snapshot(Revision(1), None);
        let text = snapshot.encode().unwrap();
        assert!(Snapshot::decode(&text).unwrap() == snapshot);
        text
    };
    assert!(document("              lines: { from: body.items }\n").starts_with("{\"schema\":2,"));
    let text = document("              lines: { from: body.items, each: . }\n");
    assert!(text.starts_with("{\"schema\":3,"));
    assert!(text.contains(r#""kind":{"each":{"name":"","kind":{"object":["#), "{text}");
}

/// A variable, a value of its type, and what a body has at its place if it is to have that value.
#[derive(Debug, Clone)]
struct Mapped {
    variable: Variable,
    value: Json<'static>,
    sent: Json<'static>,
}

fn at(path: &[&str]) -> Option<Source> {
    Some(Source::Body(path.iter().map(|name| (*name).to_owned()).collect()))
}

/// Builds a variable of this kind together with a value that is made of a number.
fn leaf(kind: u8, number: i32) -> Mapped {
    let variable = |kind: Kind| Variable { required: true, from: at(&[]), ..Variable::new("", kind) };
    match kind {
        0 => {
            let value = Json::integer(number.into());
            Mapped { variable: variable(Kind::Int), value: value.clone(), sent: value }
        }
        1 => {
            let (value, sent) = (Json::text(number.to_string()), Json::integer(number.into()));
            Mapped { variable: variable(Kind::Id), value, sent }
        }
        _ => {
            let pair = |from: &str, to: &'static str| (from.to_owned(), Literal(Json::text(to)));
            let map = vec![pair("s", "SMALL"), pair("l", "LARGE")];
            let names = vec!["SMALL".to_owned(), "LARGE".to_owned()];
            let (value, sent) = if number % 2 == 0 { ("SMALL", "s") } else { ("LARGE", "l") };
            let variable = Variable { map, ..variable(Kind::Enum(names)) };
            Mapped { variable, value: Json::text(value), sent: Json::text(sent) }
        }
    }
}

/// Generates so many values of one variable.
fn mapped(count: usize) -> impl Strategy<Value = Vec<Mapped>> {
    let made = |(kind, numbers): (u8, Vec<i32>)| -> Vec<Mapped> {
        numbers.into_iter().map(|number| leaf(kind, number)).collect()
    };
    (0_u8..3, vec(any::<i32>(), count)).prop_map(made)
}

proptest! {
    /// The items that were made of a list have the values of its items, however their fields were named before.
    #[test]
    fn items_are_read_as_they_were_written(
        (first, second, inner) in (0_usize..5).prop_flat_map(|count| (mapped(count), mapped(count), mapped(3))),
    ) {
        // { old_a: first, in: { old_b: second }, list: [inner] } becomes { new_a, new_b, new_list: [inner] }.
        let kind = Kind::Each(Box::new(inner[0].variable.clone()));
        let list = Variable { from: at(&["list"]), ..Variable::new("new_list", kind) };
        let mut body = Vec::new();
        let mut expected = Vec::new();
        for (first, second) in first.iter().zip(&second) {
            let inside = Json::Object(vec![("old_b".into(), second.sent.clone())]);
            let sent = inner.iter().map(|held| held.sent.clone()).collect();
            body.push(Json::Object(vec![
                ("in".into(), inside),
                ("list".into(), Json::List(sent)),
                ("old_a".into(), first.sent.clone()),
                ("unread".into(), Json::Null),
            ]));
            let values = inner.iter().map(|held| held.value.clone()).collect();
            expected.push(Json::Object(vec![
                ("new_a".into(), first.value.clone()),
                ("new_b".into(), second.value.clone()),
                ("new_list".into(), Json::List(values)),
            ]));
        }
        let of = |held: &[Mapped], name: &str, path: &[&str]| {
            let variable = held.first().map_or_else(|| Variable::new("", Kind::Any), |held| held.variable.clone());
            Variable { name: name.to_owned(), from: at(path), ..variable }
        };
        let fields = vec![of(&first, "new_a", &["old_a"]), of(&second, "new_b", &["in", "old_b"]), list];
        let item = Variable { required: true, ..Variable::new("", Kind::Object(fields)) };
        let variable = Variable { from: at(&["items"]), ..Variable::new("items", Kind::Each(Box::new(item))) };
        let stored = serde_json::to_string(&variable).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Variable>(&stored).unwrap(), &variable);
        let request = Request {
            body: Json::Object(vec![("items".into(), Json::List(body))]),
            ..Request::default()
        };
        prop_assert_eq!(variable.value(&request), Ok(Some(Json::List(expected))));
    }
}
