//! The dependency policy of deny.toml that Cargo.lock alone can show, and the checksums of Terraform's provider.
//! `cargo xtask test --deep` runs cargo-deny, which also knows licences.

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

/// The provider is the one dependency of `infra`. A checksum with `zh:` is that of an archive as the registry publishes it, one
/// for each platform; one with `h1:` is of the machine that wrote the file, and lets no other platform in.
#[test]
fn the_provider_of_terraform_has_a_checksum_for_every_platform() {
    const PLATFORMS: usize = 10;
    let infra = |name: &str| read(&root().join("infra").join(name));
    let versions = infra("versions.tf");
    let mut lines = versions.lines().filter_map(|line| line.trim().strip_prefix("version = \""));
    let version = lines.next().and_then(|rest| rest.strip_suffix('"')).unwrap();
    assert!(version.chars().all(|c| c.is_ascii_digit() || c == '.'), "{version} is not one version");
    let lock = infra(".terraform.lock.hcl");
    let providers: Vec<&str> = lock.split("\nprovider ").skip(1).collect();
    let [provider] = providers.as_slice() else { panic!("one provider was expected: {providers:?}") };
    assert!(provider.starts_with("\"registry.terraform.io/hashicorp/aws\""), "{provider}");
    assert!(
        provider.contains(&format!("version     = \"{version}\"")),
        "the lock file is of another version"
    );
    let checksums = |kind: &str| provider.matches(&format!("\"{kind}:")).count();
    assert!(checksums("zh") >= PLATFORMS, "{} platforms", checksums("zh"));
    assert!(checksums("h1") >= 1, "no checksum of an unpacked provider");
}
