//! The file that `cutover init` writes.

use cutover_core::config::{Config, Problem};
use serde_json::Value;

/// The places of a first configuration that are filled in.
#[derive(Debug)]
pub(super) struct Draft<'d> {
    /// URL of the old backend.
    pub legacy: &'d str,
    /// URL of the new backend.
    pub new: &'d str,
    /// Path of the requests, without a slash at its end.
    pub path: &'d str,
    /// Name of the file.
    pub file: &'d str,
}

impl Draft<'_> {
    /// Returns the name of the flag: `api_v1_read` for `/api/v1`.
    pub fn flag(&self) -> String {
        let words: Vec<String> = words(self.path).map(|word| word.to_ascii_lowercase()).collect();
        let start = if words.is_empty() { "all".to_owned() } else { words.join("_") };
        format!("{start}_read")
    }

    /// Returns the text of the file.
    pub fn text(&self) -> String {
        let flag = self.flag();
        TEMPLATE
            .replace("ROUTE", &flag.replace('_', "."))
            .replace("FLAG", &flag)
            .replace("FILE", &self.file.replace(char::is_control, " "))
            .replace("LEGACY_URL", &quoted(self.legacy))
            .replace("NEW_URL", &quoted(self.new))
            .replace("PATTERN", &quoted(&format!("{}/{{*rest}}", self.path)))
    }

    /// Returns the text of the file, read by the rules of `cutover apply`.
    ///
    /// # Errors
    ///
    /// Returns the mistakes in the URLs and the path.
    pub fn checked(&self) -> Result<String, Vec<Problem>> {
        let text = self.text();
        Config::from_yaml(&text).map(|_| text)
    }
}

/// Returns the literal segments of a path, as far as a name can hold them.
fn words(path: &str) -> impl Iterator<Item = &str> {
    path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Returns a string as YAML, of which a JSON string is one.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

const TEMPLATE: &str = r#"# Written by cutover init. docs/configuration.md describes every setting.
#
#   cutover apply -f FILE --dry-run        shows the changes
#   cutover apply -f FILE                  makes them
#   cutover rollout FLAG 1                 moves one per cent of the users by hand
#   cutover canary start FLAG              moves them step by step, and back if a limit is broken

feature_flags:
  # Decides which users the new backend answers. A new flag begins at 0 %, which is nobody; without a percentage here the
  # flag stays where cutover rollout or its canary has left it.
  FLAG:
    enabled: true
    description: "Reads on the new backend"
    # Next: try the new backend yourself before anybody else does.
    # user_whitelist: ["your-user-id"]

canary_deployments:
  # Next: put the limits that your old backend keeps today under success_criteria. Times are in milliseconds.
  # This command says how much traffic each step needs, if about one request of a thousand fails on either backend:
  #   cutover canary plan FLAG -f FILE --error-rate 0.001
  FLAG:
    initial_percentage: 1
    promotion_steps: [1, 5, 25, 50, 100]
    step_duration_minutes: 30
    success_criteria: { max_error_rate: 0.01, max_response_time_p95: 500 }
    rollback_criteria: { max_error_rate: 0.05, max_response_time_p95: 1000 }

origins:
  legacy: { url: LEGACY_URL, timeout_ms: 5000 }
  new: { url: NEW_URL, timeout_ms: 5000 }

routes:
  # Reads only: no request that changes data goes to the new backend. Requests that no route matches go to legacy.
  # Next: give POST, PUT and DELETE a flag and a route of their own once both backends share their data.
  - id: ROUTE
    match: { methods: [GET], path: PATTERN }
    flag: FLAG
    legacy: legacy
    new: new
    # Next: name the header or the cookie that identifies your users. A user without one gets a cookie.
    identity: ["header:x-user-id", "anonymous"]
    # Next: compare the responses of both backends to one request of a hundred (docs/comparison.md).
    # compare: { sample: 1 }
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::canary::{Assumed, Forecast, Outlook};

    fn draft<'d>(legacy: &'d str, path: &'d str) -> Draft<'d> {
        Draft { legacy, new: "https://new.example", path, file: "cutover.yaml" }
    }

    #[test]
    fn the_file_is_a_configuration_at_zero_percent() {
        for (path, flag) in [
            ("/api", "api_read"),
            ("", "all_read"),
            ("/api/v1/{id}/A-b", "api_v1_id_a_b_read"),
            ("/FLAG", "flag_read"),
        ] {
            let draft = draft("https://old.example/base", path);
            assert_eq!(draft.flag(), flag);
            let text = draft.checked().unwrap_or_else(|problems| panic!("{path}: {problems:?}"));
            let config = Config::from_yaml(&text).unwrap();
            assert_eq!(
                (config.feature_flags.len(), config.canary_deployments.len(), config.routes.len()),
                (1, 1, 1)
            );
            assert_eq!(config.warnings(), Vec::<String>::new());
            assert!(text.contains("cutover apply -f cutover.yaml --dry-run"), "{text}");
            assert_eq!(
                serde_json::to_value(&config).unwrap()["feature_flags"][flag]["rollout_percentage"],
                0.0
            );
        }
    }

    #[test]
    fn the_hints_of_the_file_are_configuration_too() {
        let text = draft("https://old.example", "/api").text();
        let text = text.replace("# user_whitelist", "user_whitelist").replace("# compare", "compare");
        let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert!(config.routes.iter().all(|route| route.compare.is_some()));
    }

    /// At an error rate near the limit of the plan nothing is ever proven.
    #[test]
    fn the_forecast_that_the_file_suggests_lets_every_step_advance() {
        let text = draft("https://old.example", "/api").text();
        let suggested = text.lines().find(|line| line.contains("cutover canary plan")).unwrap();
        assert!(suggested.contains("api_read -f cutover.yaml"), "{suggested}");
        let (_, rate) = suggested.split_once("--error-rate ").unwrap();
        let config = Config::from_yaml(&text).unwrap();
        let plan = config.canary_deployments.values().next().unwrap();
        let forecast = Forecast::of(plan, &Assumed::alike(rate.trim().parse().unwrap(), 0.01));
        assert_eq!(forecast.len(), 5);
        assert!(forecast.iter().all(|step| step.outlook == Outlook::Advances), "{forecast:?}");
    }

    #[test]
    fn mistakes_are_those_of_the_configuration() {
        for (legacy, path) in [
            ("https://user:secret@old.example", "/api"),
            ("https://old.example/?a=b", "/api"),
            ("x", "/api"),
            ("https://old.example", "api"),
            ("https://old.example", "/{*all}"),
        ] {
            assert!(draft(legacy, path).checked().is_err(), "{legacy} {path}");
        }
    }
}
