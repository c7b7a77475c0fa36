//! Settings from the Worker's environment variables. A value that cannot be read counts as unset,
//! because a typing mistake in a variable must not take the API down; `/_cutover/health` lists the
//! variables that were not understood.

/// The settings of an isolate, read once when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Milliseconds after which a held snapshot is refreshed behind the request that noticed.
    pub soft_ttl_ms: i64,
    /// Milliseconds after which a held snapshot is marked stale. It is still served.
    pub hard_ttl_ms: i64,
    /// Milliseconds that the first requests of an isolate wait for a snapshot before they go to
    /// legacy.
    pub boot_wait_ms: i64,
    /// True if outcomes are reported, which they are if a URL to report them to is set.
    pub reports: bool,
    /// Milliseconds between two reports, in place of those that the control plane sets.
    pub report_interval_ms: Option<i64>,
    /// Milliseconds of silence of the control plane after which no request goes to the new arm
    /// before a question was sent. 0 disables this.
    pub lease_ms: i64,
    /// Milliseconds of silence of the control plane after which it counts as lost, see
    /// [`Flag::on_control_loss`](cutover_core::Flag::on_control_loss).
    pub control_loss_ms: i64,
    /// Milliseconds for which a request waits for the limiter.
    pub limiter_patience_ms: i64,
    /// Decision headers that responses carry.
    pub headers: DecisionHeaders,
    /// True if all requests go to legacy, whatever the snapshot says: the last resort of an operator who has lost the
    /// control plane.
    pub force_legacy: bool,
    /// Names of variables that were not understood.
    pub not_understood: Vec<&'static str>,
}

/// Decision headers that responses carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecisionHeaders {
    /// Sets `x-cutover-arm` on responses.
    pub arm: bool,
    /// Sets `x-cutover-reason` on responses.
    pub reason: bool,
    /// Sets `x-cutover-revision` on responses.
    pub revision: bool,
}

impl DecisionHeaders {
    /// Returns one bit per header: arm 1, reason 2, revision 4. The order is shared with
    /// `js/wire.js`.
    pub fn bits(self) -> u32 {
        u32::from(self.arm) | u32::from(self.reason) << 1 | u32::from(self.revision) << 2
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            soft_ttl_ms: 5_000,
            hard_ttl_ms: 300_000,
            boot_wait_ms: 1_000,
            reports: false,
            report_interval_ms: None,
            lease_ms: 6_000,
            control_loss_ms: 60_000,
            limiter_patience_ms: 25,
            headers: DecisionHeaders::default(),
            force_legacy: false,
            not_understood: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads the settings through a function that returns the value of a variable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut settings = Self::default();
        let mut not_understood = Vec::new();
        settings.reports = variable("INGEST_URL").is_some_and(|url| !url.trim().is_empty());
        let mut duration = |name: &'static str, least: i64, target: &mut i64| match variable(name)
            .map(|text| text.parse())
        {
            Some(Ok(ms)) if (least..=86_400_000).contains(&ms) => *target = ms,
            Some(_) => not_understood.push(name),
            None => {}
        };
        duration("SNAPSHOT_SOFT_TTL_MS", 1, &mut settings.soft_ttl_ms);
        duration("SNAPSHOT_HARD_TTL_MS", 1, &mut settings.hard_ttl_ms);
        duration("SNAPSHOT_BOOT_WAIT_MS", 1, &mut settings.boot_wait_ms);
        let mut interval = 0;
        duration("REPORT_INTERVAL_MS", 50, &mut interval);
        settings.report_interval_ms = Some(interval).filter(|ms| *ms > 0);
        duration("CONTROL_LEASE_MS", 0, &mut settings.lease_ms);
        duration("CONTROL_LOSS_MS", 1, &mut settings.control_loss_ms);
        duration("LIMITER_PATIENCE_MS", 1, &mut settings.limiter_patience_ms);
        match variable("FORCE_LEGACY").unwrap_or_default().trim() {
            "" | "false" => {}
            "true" => settings.force_legacy = true,
            // Whoever sets it wants legacy, and has no time for a typing mistake.
            _ => {
                settings.force_legacy = true;
                not_understood.push("FORCE_LEGACY");
            }
        }
        let is_url = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if variable("LEGACY_ORIGIN").is_some_and(|url| !url.is_empty() && !is_url(&url)) {
            not_understood.push("LEGACY_ORIGIN");
        }
        let routes = variable("LEGACY_ROUTES").unwrap_or_default();
        let is_route = |route: &str| {
            route.split_once('=').is_some_and(|(prefix, origin)| prefix.starts_with('/') && is_url(origin))
        };
        if !routes.split_whitespace().all(is_route) {
            not_understood.push("LEGACY_ROUTES");
        }
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        if is_set("JWT_JWKS_URL") {
            let missing = ["JWT_ISSUER", "JWT_AUDIENCE"].into_iter().filter(|name| !is_set(name));
            not_understood.extend(missing);
        }
        for word in variable("DECISION_HEADERS").unwrap_or_default().split(',').map(str::trim) {
            match word {
                "arm" => settings.headers.arm = true,
                "reason" => settings.headers.reason = true,
                "revision" => settings.headers.revision = true,
                "" => {}
                _ => not_understood.push("DECISION_HEADERS"),
            }
        }
        settings.not_understood = not_understood;
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_right_and_names_what_is_not() {
        let settings = Settings::read(|name| match name {
            "SNAPSHOT_SOFT_TTL_MS" => Some("250".into()),
            "SNAPSHOT_HARD_TTL_MS" => Some("never".into()),
            "DECISION_HEADERS" => Some("arm, revision,colour".into()),
            "FORCE_LEGACY" => Some("yes".into()),
            "LEGACY_ORIGIN" => Some("legacy.internal".into()),
            "LEGACY_ROUTES" => Some("/a=http://a /b=b".into()),
            "JWT_JWKS_URL" => Some("https://id.example/keys".into()),
            "JWT_ISSUER" => Some("https://id.example".into()),
            _ => None,
        });
        assert_eq!(settings.soft_ttl_ms, 250);
        assert_eq!(settings.hard_ttl_ms, Settings::default().hard_ttl_ms);
        assert_eq!(settings.headers.bits(), 0b101);
        assert!(settings.force_legacy);
        let expected = [
            "SNAPSHOT_HARD_TTL_MS",
            "FORCE_LEGACY",
            "LEGACY_ORIGIN",
            "LEGACY_ROUTES",
            "JWT_AUDIENCE",
            "DECISION_HEADERS",
        ];
        assert_eq!(settings.not_understood, expected);
        assert!(Settings::read(|_| None).not_understood.is_empty());
    }
}
