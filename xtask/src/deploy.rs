//! `cargo xtask deploy`: functions, infrastructure, secrets, Worker, in this order, each step shown. Every step is
//! idempotent, so a deployment that fails part-way is simply run again. docs/DEPLOY.md has the same steps by hand.

mod checks;
mod infrastructure;
mod options;
mod rollback;
mod secrets;
mod target;
mod worker;

use crate::{
    edge, functions,
    root::root,
    run::{Failure, run, step},
    tools::{self, Purpose},
};
use options::{Action, Options};
use rollback::Rollback;
use secrets::Secrets;
use target::{Settings, Target};

/// Deploys, shows the changes without making them (`--plan`), or returns to the versions before (`--rollback`).
///
/// # Errors
/// Fails at the first step that fails; running it again continues there.
pub fn deploy(arguments: &[&str]) -> Result<(), Failure> {
    let target = Target::new(Options::read(arguments)?)?;
    tools::install(Purpose::Deploy)?;
    target.prepare()?;
    let settings = target.settings()?;
    if target.options.action == Action::RollBack {
        return roll_back(&target, &settings);
    }
    checks::settings_agree(&target, &settings)?;
    checks::account_allows(&target, &settings)?;
    if target.options.archives.is_none() {
        functions::build()?;
    }
    edge::build()?;
    edge::size_gate()?;
    infrastructure::change(&target)?;
    if target.options.action == Action::Plan {
        step("the Worker, assembled but not uploaded");
        let out = root().join("target/wrangler").display().to_string();
        let fix = "read the messages above; wrangler checks wrangler.toml";
        run(&mut target.wrangler(&["deploy", "--dry-run", "--outdir", &out]), fix)?;
        step("nothing was changed; run it without --plan to make these changes");
        return Ok(());
    }
    let secrets = Secrets { target: &target, settings: &settings };
    secrets.fill()?;
    worker::deploy(&secrets)?;
    print_next_steps(&secrets)
}

fn roll_back(target: &Target, settings: &Settings) -> Result<(), Failure> {
    let rollback = Rollback::find(target, settings)?;
    if target.environment() == "production" && !target.options.is_confirmed {
        infrastructure::confirm(target.environment())?;
    }
    rollback.carry_out(target, settings)?;
    step("the versions before serve, with their settings; the next deployment brings back the newer ones");
    Ok(())
}

fn print_next_steps(secrets: &Secrets<'_>) -> Result<(), Failure> {
    let urls =
        ["management_url", "emergency_url", "ingest_url", "ask_url"].map(|name| secrets.target.output(name));
    let [management, emergency, ingest, ask] = urls;
    let root = secrets.full_name("root");
    step("deployed; from any machine:");
    println!("export CUTOVER_URL={}", management?);
    println!("export CUTOVER_EMERGENCY_URL={}", emergency?);
    println!("export CUTOVER_INGEST_URL={}", ingest?);
    println!("export CUTOVER_ASK_URL={}", ask?);
    println!(
        "export CUTOVER_TOKEN=$(aws secretsmanager get-secret-value --region {} --secret-id {root} \
         --query SecretString --output text)",
        secrets.settings.region
    );
    println!("cutover preflight --edge https://YOUR.API");
    Ok(())
}
