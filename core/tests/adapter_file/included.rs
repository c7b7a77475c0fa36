//! Files that an adapter includes.

use super::*;

#[test]
fn an_included_shape_is_one_of_the_adapter() {
    let config = including(INCLUDING, INCLUDED).unwrap();
    let stored = serde_json::to_value(&config).unwrap();
    let source = &stored["adapters"]["a"];
    let mut names: Vec<&String> = source["shapes"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["place", "user"], "those that a route uses");
    assert!(source.get("include").is_none(), "{source}");
    assert!(Config::from_json(&stored).unwrap() == config, "it is read again without the file");
    let used = INCLUDED.replace("  unused: { nothing: here }\n", "");
    let in_one_file = including(&INCLUDING.replace("include: [shared/common.yaml]\n", &used), "").unwrap();
    let programs = [&config, &in_one_file].map(|config| config.adapters.values().next().unwrap().program());
    assert!(programs[0] == programs[1]);
}

#[test]
fn a_mistake_in_an_included_file_is_named_with_that_file() {
    let own = INCLUDING.replace("routes:", "shapes:\n  place: name\nroutes:");
    let with = |list: &str| INCLUDING.replace("[shared/common.yaml]", list);
    let cases = [
        (
            INCLUDING.to_owned(),
            INCLUDED.replace("home: {", "home: { form: x,"),
            "api/shared/common.yaml:2:",
            "form is not",
        ),
        (
            INCLUDING.to_owned(),
            INCLUDED.replace("{ name: name }", "name"),
            "api/shared/common.yaml:3:",
            "expected a map",
        ),
        (
            INCLUDING.to_owned(),
            format!("{INCLUDED}routes: []\n"),
            "api/shared/common.yaml:5:",
            "routes is not a field",
        ),
        (INCLUDING.to_owned(), "shapes: [".to_owned(), "api/shared/common.yaml:", "this is not YAML"),
        (
            own,
            INCLUDED.to_owned(),
            "api/a.yaml:3:3: ",
            "the shape place is already defined in api/shared/common.yaml",
        ),
        (
            with("[shared/common.yaml, other.yaml]"),
            INCLUDED.to_owned(),
            "api/other.yaml:2:3: ",
            "the shape place is already defined in api/shared/common.yaml",
        ),
        (
            with("[shared/common.yaml, shared/common.yaml]"),
            INCLUDED.to_owned(),
            "api/a.yaml:1:",
            "api/shared/common.yaml is included twice",
        ),
        (
            with("[shared/common.yaml, common.yaml]"),
            INCLUDED.to_owned(),
            "api/a.yaml:1:",
            "api/common.yaml: there is no such file",
        ),
    ];
    for (adapter, included, at, says) in cases {
        let told: Vec<String> =
            including(&adapter, &included).expect_err(says).iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.starts_with(at) && told.contains(says)), "{says}: {told:#?}");
    }
}
