//! Limits of depth, which are those of the edge.

use super::*;

/// Writes a configuration with this many objects inside each other, each in a shape of its own.
fn nested(levels: usize) -> String {
    let shape =
        |level: usize| format!("      s{level}: {{ object: {{ a: {{ shape: s{} }} }} }}\n", level - 1);
    let shapes: String = (1..=levels).map(shape).collect();
    format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 1 }} }}\norigins: {{ o: {{ url: \"http://o\" }} }}\n\
         adapters:\n  deep:\n    shapes:\n      s0: {{ page_url: {{ base: \"/{{body.a.b}}\", page: a }} }}\n{shapes}    routes:\n      \
         - match: {{ method: GET, path: /r }}\n        backend: {{ method: GET, path: /r }}\n        \
         response: {{ shape: s{levels} }}\nroutes:\n  \
         - {{ id: r, match: {{ path: /r }}, flag: f, legacy: o, new: o, adapt: [deep] }}\n"
    )
}

#[test]
fn mappings_are_as_deep_as_the_edge_reads_them() {
    let mut deepest = 0;
    for levels in 1..60 {
        match Config::from_yaml(&nested(levels)) {
            Ok(config) => {
                deepest = levels;
                let text = config.clone().snapshot(Revision(1), None).encode().unwrap();
                assert!(Snapshot::decode(&text).is_ok(), "{levels} levels");
                let stored = serde_json::to_string(&config).unwrap();
                assert!(serde_json::from_str::<Config>(&stored).is_ok(), "{levels} levels");
            }
            Err(problems) => {
                let problem = &problems[0];
                assert!(problem.message.contains("more than 24 mappings are inside each other"), "{problem}");
                assert!(problem.line > 0 && problem.field.contains("shapes.s"), "{problem}");
            }
        }
    }
    assert_eq!(deepest, 23);
    // A chain of names without any level has an end too.
    let chain: String = (1..=5_000).map(|at| format!("      c{at}: {{ shape: c{} }}\n", at - 1)).collect();
    let text = nested(1)
        .replace("    routes:\n      - match", &format!("      c0: a\n{chain}    routes:\n      - match"));
    let told = problems(&text.replace("response: { shape: s1 }", "response: { shape: c5000 }"));
    assert!(told.iter().any(|problem| problem.contains("inside each other")), "{told:#?}");
}

#[test]
fn inverses_and_types_are_as_deep_as_the_edge_reads_them() {
    let path = vec!["a"; 40].join(".");
    let told = problems(&format!(
        "adapters:\n  a:\n    routes:\n      - match: {{ method: PUT, path: /r }}\n        \
         backend: {{ method: PUT, path: /r, body_inverse_of: {{ object: {{ b: {path} }} }} }}\n"
    ));
    assert!(told.iter().any(|told| told.contains("the inverse has more than 24 levels")), "{told:#?}");

    let deep = format!("{}Int{}", "[".repeat(30), "]".repeat(30));
    let told = problems(&format!(
        "adapters:\n  a:\n    schema: \"type Query {{ a(x: {deep}): Int! }}\"\n    \
         operations: \"query A($x: {deep}) {{ a(x: $x) }}\"\n    routes:\n      \
         - match: {{ method: POST, path: /r }}\n        operation: A\n        variables: {{ x: body.x }}\n"
    ));
    assert!(told.iter().any(|told| told.contains("more than 24 types inside each other")), "{told:#?}");
}
