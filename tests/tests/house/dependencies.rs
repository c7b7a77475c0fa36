//! The dependency policy of deny.toml that Cargo.lock alone can show. `cargo xtask test --deep` runs cargo-deny, which also
//! knows licences.

use crate::sources::{read, root};

#[test]
fn every_dependency_comes_from_the_registry_and_none_is_banned() {
    let lock = read(&root().join("Cargo.lock"));
    let policy = read(&root().join("deny.toml"));
    let banned: Vec<&str> =
        policy.split("{ crate = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(!banned.is_empty(), "deny.toml bans nothing");
    let mut packages = 0;
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")));
            line.and_then(|value| value.strip_suffix('"'))
        };
        let name = field("name").unwrap();
        packages += 1;
        assert!(!banned.contains(&name), "{name} is banned by deny.toml");
        let source = field("source").unwrap_or("path");
        // `git+` would be a repository, which nobody publishes or yanks.
        assert!(source == "path" || source.starts_with("registry+"), "{name}: {source}");
        assert_eq!(
            source == "path",
            name.starts_with("cutover") || name == "xtask",
            "{name} comes from {source}"
        );
    }
    assert!(packages > 300, "{packages} packages");
}
