//! docs/DEPLOY.md, walked as a new user would: its blocks are run in their order, against emulators of AWS, with nothing
//! assumed; the functions are then started with exactly what Terraform gave them, and looked at from outside.

mod break_glass;
mod careful;
mod cloudflare;
mod fakes;
mod made;
mod rollback;
mod shares;
mod walk;

use crate::permissions::deployed::Deployed;
use cutover_tests::{
    kv_server::KvServer,
    lambda::Lambda,
    paths,
    process::free_port,
    terraform::run,
    workerd::{Worker, Workerd},
};
use serde_json::Value;
use std::sync::Arc;
use walk::{Walk, blocks, last_lines, set_out, with_archives};

/// `cargo xtask deploy` as far as AWS goes. There is no account at Cloudflare here, so it breaks off at the Worker, says what to
/// do, and begins again without doing anything twice.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "two applications of Terraform; `cargo xtask test --deep` runs it, and the walk below plans one"]
async fn deploy_breaks_off_and_goes_on_where_it_was() {
    let Some((_scratch, _moto, mut walk)) = set_out("cargo xtask deploy was not run").await else { return };
    let (heading, block) = blocks().into_iter().find(|(heading, _)| heading.starts_with("2.")).unwrap();
    walk.run_block(&heading, &block).await;
    let deploy = async |walk: &Walk| {
        let mut command = walk.command(paths::root().join("target/debug/xtask").to_str().unwrap());
        command.args(["deploy", "--env", "staging", "--infra"]).arg(walk.folder.join("infra"));
        with_archives(&mut command, &walk.folder);
        // Whoever runs the test may be signed in at Cloudflare: nothing must get there.
        command.env("CLOUDFLARE_API_TOKEN", "none").env("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:9");
        tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
    };
    // Without the Cloudflare token nothing can be published: it says how to make one.
    let token = walk.environment.remove("CUTOVER_KV_TOKEN").unwrap();
    let (done, printed) = deploy(&walk).await;
    assert!(!done && printed.contains("Apply complete!"), "{printed}");
    assert!(
        printed.contains("cutover-staging/kv has no value yet") && printed.contains("CUTOVER_KV_TOKEN"),
        "{printed}"
    );
    let made =
        ["ingest", "edge", "root"].map(|name| secret(&walk, name).unwrap_or_else(|| panic!("no {name}")));
    assert!(made.iter().all(|value| value.len() == 64), "{made:?}");
    assert!(!made.iter().any(|value| printed.contains(value)), "a secret was printed");
    walk.environment.insert("CUTOVER_KV_TOKEN".to_owned(), token.clone());
    let (done, printed) = deploy(&walk).await;
    assert!(!done && printed.contains("0 added, 0 changed, 0 destroyed"), "{printed}");
    assert!(printed.contains("sign in with `npx wrangler login` or CLOUDFLARE_API_TOKEN"), "{printed}");
    assert_eq!(secret(&walk, "kv"), Some(token));
    assert_eq!(["ingest", "edge", "root"].map(|name| secret(&walk, name).unwrap()), made, "made twice");
    println!("{}", last_lines(&printed, 6));
    // While secrets cannot be looked up, none is taken for one without a value and replaced.
    let path = walk.environment["PATH"].clone();
    let denying = format!(
        "case \"$*\" in *get-secret-value*)\n\
         echo 'An error occurred (AccessDeniedException) when calling the GetSecretValue operation: denied' >&2\n\
         exit 254 ;; esac\nexport PATH='{path}'\nexec aws \"$@\"\n"
    );
    let folder = walk.folder.join("denying");
    fakes::program(&folder, "aws", &denying);
    walk.environment.insert("PATH".to_owned(), format!("{}:{path}", folder.display()));
    let (done, printed) = deploy(&walk).await;
    walk.environment.insert("PATH".to_owned(), path);
    assert!(!done && printed.contains("cutover-staging/ingest could not be looked up"), "{printed}");
    assert_eq!(["ingest", "edge", "root"].map(|name| secret(&walk, name).unwrap()), made, "made again");
}

/// Returns the value of a secret of staging; `None` if it has none.
fn secret(walk: &Walk, name: &str) -> Option<String> {
    let id = format!("cutover-staging/{name}");
    let arguments = ["secretsmanager", "get-secret-value", "--secret-id", &id, "--query", "SecretString"];
    let (there, value) = run(walk.command("aws").args(arguments).args(["--output", "text"]));
    there.then(|| value.trim().to_owned())
}

/// Runs a block of DEPLOY.md again, and checks that it leaves files and secrets as they are.
async fn run_again(walk: &mut Walk, heading: &str, block: &str) {
    let held = |walk: &Walk| {
        let files = ["wrangler.toml", "infra/environments/staging.tfvars"]
            .map(|name| std::fs::read_to_string(walk.folder.join(name)).unwrap());
        (files, ["ingest", "edge", "root", "kv"].map(|name| secret(walk, name)))
    };
    let before = held(walk);
    walk.run_block(heading, block).await;
    assert_eq!(held(walk), before, "{heading} changes something when it is run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_md_walked_from_its_beginning_to_its_end() {
    let Some((_scratch, _moto, mut walk)) = set_out("docs/DEPLOY.md was not walked").await else { return };
    let folder = walk.folder.clone();

    // The two backends and KV are there before; the rest comes as the page brings it.
    let data = Arc::new(cutover_origins::Data::default());
    let legacy = cutover_origins::Origin::start(cutover_origins::Backend::Legacy, Arc::clone(&data)).await;
    let new = cutover_origins::Origin::start(cutover_origins::Backend::New, data).await;
    let kv = KvServer::start().await;
    let kv_api = format!("http://127.0.0.1:{}", kv.port());
    let example = std::fs::read_to_string(paths::root().join("tests/dev.yaml")).unwrap();
    let example = example.replace("LEGACY_URL", &legacy.url()).replace("NEW_URL", &new.url());
    std::fs::write(folder.join("cutover.yaml"), example).unwrap();

    let (port, emergency_port) = (free_port(), free_port());
    let (mut functions, mut emergency, mut edge): (Option<Lambda>, Option<Lambda>, Option<Workerd>) =
        (None, None, None);
    for (heading, block) in blocks() {
        let number = heading.split('.').next().unwrap();
        if number == "8" {
            let worker = Worker::edge("edge", kv.port())
                .with("LEGACY_ORIGIN", legacy.url())
                .with("INGEST_URL", &walk.environment["CUTOVER_INGEST_URL"])
                .with("ASK_URL", &walk.environment["CUTOVER_ASK_URL"])
                .with("REPORT_INTERVAL_MS", "500")
                .with("SNAPSHOT_SOFT_TTL_MS", "500")
                .with("CUTOVER_INGEST_SECRET", &walk.environment["CUTOVER_INGEST_SECRET"])
                .with("CUTOVER_EDGE_TOKEN", &walk.environment["CUTOVER_EDGE_TOKEN"]);
            let workerd = Workerd::start(&[worker]);
            let url = format!("http://127.0.0.1:{}", workerd.port("edge"));
            walk.environment.insert("CUTOVER_EDGE_URL".to_owned(), url);
            edge = Some(workerd);
            for function in ["evaluate", "promote"] {
                functions.as_ref().unwrap().tick(function).await.unwrap();
            }
        }
        if heading == "Later" {
            // Before it is taken away: nothing is different from what is written.
            let variables = ["-var-file=environments/staging.tfvars", "-input=false"];
            let (same, printed) = walk.terraform(&["plan", "-detailed-exitcode", variables[0], variables[1]]);
            assert!(same, "a second apply would change something:\n{printed}");
            println!("--- a second plan\n{}", last_lines(&printed, 4));
        }
        match number {
            "4" => careful::no_secret_is_written_after_a_failure(&walk, &block).await,
            "6" => careful::root_stays_on_without_a_new_token(&walk, &block).await,
            _ => {}
        }
        let printed = walk.run_block(&heading, &block).await;
        match number {
            "2" => {
                run_again(&mut walk, &heading, &block).await;
                walk.in_a_hurry().await;
                walk.production_in_a_new_account().await;
            }
            "3" => {
                assert!(printed.contains("Apply complete!"), "{printed}");
                let made = walk.resources();
                made::every_url_has_both_statements(&made);
                made::functions_are_as_described(&made);
                made::alarms_call_somebody(&made);
                made::every_operation_on_a_table_is_watched(&made);
                made::the_table_alone_is_backed_up(&made);
                made::secrets_can_be_restored_for(&made, 0);
                made::aliases_are_at(&made, "1");
                walk.urls_are_open();
                walk.other_variables_are_refused();
                walk.a_restored_table_leaves_the_batches();
                walk.production_withstands_a_flood();
                let (valid, printed) = walk.terraform(&["validate"]);
                assert!(valid && printed.contains("is valid"), "{printed}");
                let resources = walk.resources();
                let deployed = Deployed::new(&resources);
                assert_eq!(deployed.faults_of_roles(), Vec::<String>::new());
                assert_eq!(deployed.faults_of_urls(), Vec::<String>::new());
            }
            "4" => run_again(&mut walk, &heading, &block).await,
            "5" => {
                // Where AWS would have put them.
                assert!(walk.environment["CUTOVER_URL"].starts_with("https://"));
                functions = Some(walk.start_functions(port, &kv_api).await);
                emergency = Some(walk.start_emergency(emergency_port, &kv_api).await);
                let lambda = functions.as_ref().unwrap();
                for (name, function) in [
                    ("CUTOVER_URL", "management"),
                    ("CUTOVER_INGEST_URL", "ingest"),
                    ("CUTOVER_ASK_URL", "ask"),
                ] {
                    walk.environment.insert(name.to_owned(), lambda.url(function));
                }
                let url = emergency.as_ref().unwrap().url("management");
                walk.environment.insert("CUTOVER_EMERGENCY_URL".to_owned(), url);
            }
            "6" => {
                assert!(printed.contains("ann"), "{printed}");
                assert_eq!(walk.environment["CUTOVER_CONTEXT"], "staging");
                // Functions get their new variables when Terraform changes them.
                let root = walk.resources();
                let value = |kind: &str| {
                    root.iter().find(|r| r["type"] == kind && r["index"] == "management").unwrap()["values"]
                        .clone()
                };
                let variables = value("aws_lambda_function")["environment"][0]["variables"].clone();
                assert_eq!(variables["CUTOVER_ROOT_TOKEN_ARN"], Value::Null, "the root token is still on");
                assert_eq!(Deployed::new(&root).faults_of_roles(), Vec::<String>::new());
                // Every function got a new version, those that did not change too.
                made::aliases_are_at(&root, "2");
                drop((functions.take(), emergency.take()));
                functions = Some(walk.start_functions(port, &kv_api).await);
                emergency = Some(walk.start_emergency(emergency_port, &kv_api).await);
            }
            "7" => assert!(printed.contains("Total Upload"), "{printed}"),
            "8" if block.contains("preflight") => {
                assert!(printed.contains("ok       edge and API agree"), "{printed}");
                assert!(!printed.contains("FAIL"), "{printed}");
            }
            _ => {}
        }
        if heading == "Later" {
            assert!(printed.contains("Destroy complete!"), "{printed}");
        }
    }
    let output = functions.as_ref().map(Lambda::output).unwrap_or_default();
    for name in ["CUTOVER_INGEST_SECRET", "CUTOVER_KV_TOKEN"] {
        assert!(!output.contains(&walk.environment[name]), "{name} is in a log");
    }
    assert!(!output.contains(&walk.token_of_context("staging")), "the token of the operator is in a log");
    drop(edge);
}
