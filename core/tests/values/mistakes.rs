//! Mistakes in flags with values and in segments, each at its line.

use super::config;
use cutover_core::config::{Config, Problem};

/// Objects that flags can name. They take three lines.
const BEGIN: &str = "\
feature_flags: { checkout: { enabled: true } }
segments: { staff: { include: [ann] } }
flags:
";

/// Reads a file and returns its problems as `LINE FIELD: MESSAGE`.
fn problems(text: &str) -> Vec<String> {
    let problems = Config::from_yaml(text).map(|_| ()).unwrap_err();
    assert!(problems.iter().all(|problem| !problem.hint.is_empty()), "{problems:#?}");
    let told = |problem: &Problem| format!("{} {}: {}", problem.line, problem.field, problem.message);
    problems.iter().map(told).collect()
}

/// Checks the only problem of a boolean flag with the variants `on` and `off` and these other fields, which are in line 5.
fn check(fields: &str, expected: &str) {
    let text =
        format!("{BEGIN}  f: {{ type: boolean, variants: {{ on: true, off: false }},\n    {fields} }}\n");
    assert_eq!(problems(&text), [expected], "{fields}");
}

#[test]
fn each_mistake_of_a_flag_is_told_at_its_line() {
    const REST: &str = "default: on, off: off";
    for (fields, expected) in [
        ("default: onn, off: off", "5 flags.f.default: there is no variant \"onn\""),
        ("default: on, off: none", "5 flags.f.off: there is no variant \"none\""),
        ("off: off", "4 flags.f.default: default is missing"),
        ("default: on", "4 flags.f.off: off is missing"),
        (
            "off: off, default: { weights: { on: 50, off: 40 } }",
            "5 flags.f.default.weights: the weights add up to 90 percent",
        ),
        (
            "off: off, default: { weights: { on: 50, of: 50 } }",
            "5 flags.f.default.weights.of: there is no variant \"of\"",
        ),
        (
            "off: off, default: { variant: on, weights: { on: 100 } }",
            "5 flags.f.default: variant and weights exclude each other",
        ),
        ("off: off, default: {}", "5 flags.f.default: variant is missing, and so is weights"),
    ] {
        check(fields, expected);
    }
    for (fields, expected) in [
        (
            "rules: [{ segment: stuff, variant: on }]",
            "5 flags.f.rules[0].segment: there is no segment \"stuff\"",
        ),
        ("rules: [{ variant: on }]", "5 flags.f.rules[0]: this rule matches all users"),
        (
            "rules: [{ segment: staff, variant: none }]",
            "5 flags.f.rules[0].variant: there is no variant \"none\"",
        ),
        (
            "rules: [{ windows: [{ from: \"09:00\", to: \"25:00\" }], variant: on }]",
            "5 flags.f.rules[0].windows[0].to: \"25:00\" is not a time of day such as 09:30",
        ),
        (
            "rules: [{ windows: [{ days: [friday], from: \"09:00\", to: \"10:00\" }], variant: on }]",
            "5 flags.f.rules[0].windows[0].days[0]: \"friday\" is not a day of the week",
        ),
        (
            "prerequisites: [{ flag: chekout, variant: new }]",
            "5 flags.f.prerequisites[0].flag: there is no flag \"chekout\"",
        ),
        (
            "prerequisites: [{ flag: checkout, variant: on }]",
            "5 flags.f.prerequisites[0].variant: the flag checkout has no variant \"on\"",
        ),
        (
            "prerequisites: [{ flag: f, variant: on }]",
            "5 flags.f.prerequisites: the prerequisites go in a circle: f -> f",
        ),
        (
            "schedule: [{ at: \"2026-02-01T00:00:00Z\", set: { enabled: true } }, { at: \"2026-01-01T00:00:00Z\", set: { \
             enabled: false } }]",
            "5 flags.f.schedule[1].at: this is not after the change before, of 2026-02-01T00:00:00Z",
        ),
        (
            "schedule: [{ at: \"2026-02-01T00:00:00Z\", set: {} }]",
            "5 flags.f.schedule[0].set: this changes nothing",
        ),
        (
            "schedule: [{ at: \"2026-02-01T00:00:00Z\", set: { default: none } }]",
            "5 flags.f.schedule[0].set.default: there is no variant \"none\"",
        ),
        ("permanant: true", "5 flags.f.permanant: permanant is not a field of this object"),
    ] {
        check(&format!("{REST}, {fields}"), expected);
    }
}

#[test]
fn each_value_has_the_type_of_its_flag() {
    let cases = [
        (
            "boolean",
            "\"true\"",
            "expected true or false, because the flag has the type boolean, found a string",
        ),
        ("string", "1", "expected a string, because the flag has the type string, found a number"),
        ("number", "\"1\"", "expected a number, because the flag has the type number, found a string"),
        ("object", "[1]", "expected a map, because the flag has the type object, found a list"),
    ];
    for (kind, value, message) in cases {
        let text = format!(
            "flags:\n  f:\n    type: {kind}\n    variants:\n      a: {value}\n    default: a\n    off: a\n"
        );
        assert_eq!(problems(&text), [format!("5 flags.f.variants.a: {message}")]);
    }
    let listed = "flags: { f: { type: number, variants: [{ key: a, value: 1 }, { key: a, value: 2 }], default: a, off: a } }";
    assert_eq!(problems(listed), ["1 flags.f.variants: the variant a is there twice"]);
    let unknown = "flags: { f: { type: text, variants: { a: 1 }, default: a, off: a } }";
    assert_eq!(problems(unknown), ["1 flags.f.type: \"text\" is not a type that a flag can have"]);
}

#[test]
fn one_name_is_one_flag_and_a_segment_has_users() {
    let same = "feature_flags: { f: { enabled: true } }\nflags:\n  f: { type: number, variants: { a: 1 }, default: a, off: a }\n";
    assert_eq!(problems(same), ["3 flags.f: f is in flags and in feature_flags"]);
    let empty = "segments:\n  nobody: { exclude: [ann] }\n";
    assert_eq!(problems(empty), ["2 segments.nobody: no user belongs to this segment"]);
}

/// Returns a file of flags that each have one other as a prerequisite.
fn chain(links: &[(String, String)]) -> String {
    let flag = |(name, next): &(String, String)| {
        format!(
            "  {name}: {{ type: boolean, variants: {{ on: true }}, default: on, off: on,\n    prerequisites: [{{ flag: {next}, \
             variant: on }}] }}\n"
        )
    };
    format!("flags:\n{}", links.iter().map(flag).collect::<String>())
}

#[test]
fn circles_of_prerequisites_are_told_once_as_a_path() {
    let link = |name: &str, next: &str| (name.to_owned(), next.to_owned());
    let links = [link("c", "a"), link("a", "b"), link("b", "c"), link("into", "a")];
    assert_eq!(
        problems(&chain(&links)),
        ["5 flags.a.prerequisites: the prerequisites go in a circle: a -> b -> c -> a"]
    );
    // The last one has no prerequisites.
    let long = |count: usize| {
        let links: Vec<_> = (1..count).map(|n| link(&format!("f{n}"), &format!("f{}", n + 1))).collect();
        let last =
            format!("  f{count}: {{ type: boolean, variants: {{ on: true }}, default: on, off: on }}\n");
        chain(&links) + &last
    };
    config(&long(64));
    assert_eq!(
        problems(&long(65)),
        ["3 flags.f1.prerequisites: an evaluation of this flag looks at more than 64 flags"]
    );
}

#[test]
fn a_segment_that_no_rule_names_is_a_warning() {
    let file = config(
        "segments: { staff: { include: [ann] }, spare: { include: [bob] } }\nflags: { f: { type: number, variants: { a: 1, b: \
         2 }, default: a, off: a, rules: [{ segment: staff, variant: b }] } }",
    );
    assert_eq!(file.warnings(), ["segment spare: no rule of a flag names it, so it decides nothing"]);
}

#[test]
fn a_segment_holds_as_many_users_as_a_list_of_a_flag() {
    let of = |count: usize| {
        let users: Vec<String> = (0..count).map(|user| format!("user-{user}")).collect();
        format!("segments: {{ many: {{ include: [{}] }} }}", users.join(", "))
    };
    config(&of(5_000));
    assert_eq!(problems(&of(5_001)), ["1 segments.many.include: 5001 users are too many for a list"]);
}
