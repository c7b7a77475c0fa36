//! The experiment that decides a flag, as far as confirmations speak of its users.

use crate::{client::Client, output};
use serde_json::Value;

/// Returns the flag that the variants of an experiment decide, if they name arms.
pub(super) fn decided_flag(experiment: &Value) -> Option<&str> {
    let has_arms = output::list(experiment, "variants").any(|variant| variant.get("arm").is_some());
    experiment.get("flag").and_then(Value::as_str).filter(|_| has_arms)
}

/// Returns the percentage of an experiment's users whose variant is on the new backend.
pub(super) fn on_new(experiment: &Value) -> f64 {
    let variants =
        output::list(experiment, "variants").filter(|variant| output::text(variant, "arm") == "new");
    variants.filter_map(|variant| variant.get("traffic_percentage").and_then(Value::as_f64)).sum()
}

/// Says whom the running experiment of a flag moves once the flag is enabled; `None` if no experiment runs on it. The
/// experiments are read once: a question is worth one read and no waiting.
pub fn moved_by_owner(flag: &str, client: &Client) -> Option<String> {
    let Ok(experiments) = client.clone().reading_once().all("/experiments", "experiments") else {
        return Some("it is unknown if an experiment decides it, and moves its users too".to_owned());
    };
    let is_owner = |experiment: &&Value| {
        output::text(experiment, "state") == "running" && decided_flag(experiment) == Some(flag)
    };
    let owner = experiments.iter().find(is_owner)?;
    let (name, share) = (output::text(owner, "experiment"), output::field(owner, "traffic_percentage"));
    let new = on_new(owner);
    Some(format!(
        "the experiment {name} decides it again for {share} percent of its users, and {new} percent of these go to the new backend"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;

    fn said(status: u16, body: &'static str) -> Option<String> {
        let (url, paths) = answering(status, body);
        let client = Client::new(&url, "t", None).unwrap();
        let said = moved_by_owner("f", &client);
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/experiments"], "one read");
        said
    }

    #[test]
    fn the_running_experiment_of_a_flag_is_named_with_its_users() {
        const LIST: &str = r#"{"experiments":[
            {"experiment":"over","state":"stopped","flag":"f","variants":[{"key":"a","arm":"new"}]},
            {"experiment":"words","state":"running","flag":null,"variants":[{"key":"a"}]},
            {"experiment":"e","state":"running","flag":"f","traffic_percentage":50.0,
             "variants":[{"key":"a","traffic_percentage":60.0,"arm":"legacy"},{"key":"b","traffic_percentage":40.0,"arm":"new"}]}]}"#;
        let expected = "the experiment e decides it again for 50.0 percent of its users, and 40 percent of these go to the new backend";
        assert_eq!(said(200, LIST).as_deref(), Some(expected));
        assert_eq!(said(200, r#"{"experiments":[]}"#), None);
        assert!(said(503, "").unwrap().contains("unknown if an experiment decides it"));
    }
}
