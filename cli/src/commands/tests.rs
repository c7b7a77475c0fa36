use super::*;

fn parsed(words: &[&str]) -> Result<Cli, clap::Error> {
    parse(words.iter().map(OsString::from))
}

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

#[test]
fn a_canary_is_also_started_by_its_required_name() {
    let cli = parsed(&["cutover", "--json", START_CANARY, "reviews_read", "--reason", "why"]).unwrap();
    let is_run = matches!(cli.command, Command::Canary { command: canary::Command::Run(_) });
    assert!(is_run && cli.json, "{cli:?}");
}

#[test]
fn an_ab_test_is_created_by_its_required_words() {
    for words in [
        &["cutover", "create-ab-test", "checkout", "A new button"][..],
        &["cutover", "create-ab-test", "checkout", "A new button", "20.0"],
        &["cutover", "create-ab-test", "checkout", "A new button", "--traffic-percentage", "20"],
    ] {
        let cli = parsed(words).unwrap();
        assert!(matches!(cli.command, Command::Remote(RemoteCommand::CreateAbTest(_))), "{cli:?}");
    }
    assert!(parsed(&["cutover", "create-ab-test", "checkout"]).is_err(), "the description is missing");
    let twice = ["cutover", "create-ab-test", "checkout", "A new button", "20", "--traffic-percentage", "20"];
    assert!(parsed(&twice).is_err(), "the percentage is given twice");
}

#[test]
fn a_command_of_another_name_is_refused_with_the_one_to_use() {
    for (words, expected) in [
        (&["cutover", "rollback", "f"][..], "cutover canary rollback FLAG"),
        (&["cutover", "--json", "canary", "abort", "f"], "cutover canary rollback FLAG"),
        (&["cutover", "changes", "reject", "8c3f"], "cutover changes withdraw ID"),
    ] {
        let refused = parsed(words).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        let refused = refused.to_string();
        assert!(refused.contains(expected) && !refused.contains("rollout"), "{words:?}: {refused}");
    }
}

#[test]
fn a_number_that_is_none_is_refused_in_words() {
    for (words, expected) in [
        (&["audit", "--limit", "x"][..], "it is not a whole number"),
        (&["apply", "-f", "f", "--if-revision", "abc"], "it is not a whole number"),
        (&["canary", "runs", "f", "--limit", "1.5"], "it is not a whole number"),
        (&["canary", "plan", "f", "--error-rate", "often"], "use a fraction from 0 to 1"),
        (&["canary", "simulate", "f", "--requests-per-second", "many"], "it is not a number"),
        (&["canary", "promote", "f", "--to", "150"], "a percentage is 0 to 100"),
        (&["canary", "promote", "f", "--to", "half"], "it is not a percentage"),
    ] {
        let refused = parsed(&[&["cutover"], words].concat()).unwrap_err().to_string();
        assert!(refused.contains(expected) && !refused.contains("invalid digit"), "{words:?}: {refused}");
    }
    for words in
        [&["canary", "promote", "f", "--to", "50%"][..], &["canary", "plan", "f", "--error-rate", "1%"]]
    {
        assert!(parsed(&[&["cutover"], words].concat()).is_ok(), "{words:?}");
    }
}

#[test]
fn tables_are_printed_without_headings_by_any_command() {
    for words in [&["cutover", "list", "--no-headers"][..], &["cutover", "--no-headers", "token", "list"]] {
        assert!(parsed(words).unwrap().no_headers, "{words:?}");
    }
}

#[test]
fn documents_have_an_encoding_and_init_keeps_its_short_option() {
    for (words, expected) in [
        (&["cutover", "list"][..], None),
        (&["cutover", "list", "--json"], Some(Encoding::Json)),
        (&["cutover", "-o", "json", "list"], Some(Encoding::Json)),
        (&["cutover", "canary", "list", "-o", "yaml"], Some(Encoding::Yaml)),
        (&["cutover", "flag", "list", "--format", "name"], Some(Encoding::Name)),
        (&["cutover", "init", "--legacy", "l", "--new", "n", "-o", "json"], None),
        (&["cutover", "init", "--legacy", "l", "--new", "n", "--format", "json"], Some(Encoding::Json)),
    ] {
        let cli = parsed(words).unwrap();
        assert_eq!(cli.encoding(), expected, "{words:?}");
        assert_eq!(cli.has_json_errors(), ![None, Some(Encoding::Name)].contains(&expected), "{words:?}");
    }
    let refused = parsed(&["cutover", "list", "-o", "toml"]).unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    assert!(refused.to_string().contains("json, yaml, name"), "{refused}");
}

#[test]
fn the_legend_of_reasons_needs_no_management_api() {
    run(parsed(&["cutover", "explain", "--reasons"]).unwrap()).unwrap();
    for wrong in [&["cutover", "explain"][..], &["cutover", "explain", "f", "--reasons"]] {
        assert!(parsed(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn hidden_options_are_still_read() {
    let cli = parsed(&["cutover", "list", "--reason", "why", "--url", "http://127.0.0.1:9"]).unwrap();
    assert_eq!(cli.connection.url_option(), Some("http://127.0.0.1:9"));
    assert!(format!("{:?}", cli.connection).contains("why"));
}
#[test]
fn commands_in_documents_can_be_typed() {
    let mut found = 0;
    for document in ["docs/ci.md", "docs/upgrading.md"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        let blocks = text.split("```").skip(1).step_by(2);
        for line in blocks.flat_map(str::lines).map(|line| line.trim().trim_start_matches("run: ")) {
            let line = line.split(" #").next().unwrap_or_default();
            if line.starts_with("cutover ") {
                let is_of_command = |word: &&str| ![">", "|", "||", "&&"].contains(word);
                let words = line.split_whitespace().take_while(is_of_command);
                // A variable of the shell stands for a number.
                let words: Vec<&str> =
                    words.map(|word| if word.starts_with("\"$") { "1" } else { word }).collect();
                assert!(parsed(&words).is_ok(), "{document}: {line}: {:?}", parsed(&words).err());
                found += 1;
            }
        }
    }
    assert!(found > 8, "only {found} commands were found");
}
