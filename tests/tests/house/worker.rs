//! The contract of `wrangler.toml`.

use cutover_tests::paths;

/// A cache in front of the default entrypoint would answer before a flag has decided, with a response of either backend.
#[test]
fn the_default_entrypoint_is_never_cached() {
    let text = std::fs::read_to_string(paths::root().join("wrangler.toml")).unwrap();
    assert_eq!(cached_by_default(&text), [] as [&str; 0]);
    let planted =
        "[cache]\nenabled = true\n[env.staging]\ncache = { enabled = true }\nexports = { Answers = {} }\n";
    assert_eq!(cached_by_default(planted), ["the top", "[env.staging]"]);
}

/// Returns the environments in which a cache is switched on, and not off for the default entrypoint.
fn cached_by_default(text: &str) -> Vec<&str> {
    let starts = text.match_indices("\n[env.").map(|(start, _)| start + 1);
    let mut bounds: Vec<usize> = std::iter::once(0).chain(starts).collect();
    bounds.push(text.len());
    let environments = bounds.windows(2).map(|bounds| &text[bounds[0]..bounds[1]]);
    let is_on = |environment: &&str| {
        let environment = format!("\n{environment}");
        let plain = environment.replace("[cache]\nenabled = true", "cache = { enabled = true");
        let is_cached = plain.contains("\ncache = { enabled = true");
        let off = "[exports.default]\ntype = \"worker\"\ncache = { enabled = false }";
        let off_inline = "exports = { default = { type = \"worker\", cache = { enabled = false } }";
        is_cached && !environment.contains(off) && !environment.contains(off_inline)
    };
    let name = |environment: &str| -> &str {
        if std::ptr::eq(environment.as_ptr(), text.as_ptr()) {
            "the top"
        } else {
            &text[text.find(environment).unwrap_or_default()..][..environment.find('\n').unwrap_or_default()]
        }
    };
    environments.filter(is_on).map(name).collect()
}
