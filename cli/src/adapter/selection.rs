//! The adapters of a file, and the one that a request goes through.

use crate::{configuration, failure::Failure};
use clap::Args;
use cutover_core::{
    Route,
    adapter::Adapter,
    compare::Comparison,
    config::{Config, Node, SentRequest},
    routing::{matcher::Matcher, table::RouteTable},
    vocabulary::names::AdapterName,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Arguments that name adapters.
#[derive(Debug, Args)]
pub struct AdapterSource {
    /// Configuration file with the adapter; - for standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with = "adapter")]
    file: Option<PathBuf>,
    /// Adapter file alone.
    #[arg(long, value_name = "FILE")]
    adapter: Option<PathBuf>,
    /// Name of the adapter in the configuration [default: the first that serves the request].
    #[arg(long, requires = "file")]
    name: Option<String>,
}

/// An adapter that is ready to run.
#[derive(Debug)]
pub struct NamedAdapter {
    /// Its name in the configuration; the name of the file if it is alone.
    pub name: String,
    /// The adapter itself.
    pub adapter: Arc<Adapter>,
}

/// The adapters that a request may go through.
#[derive(Debug)]
pub struct Adapters {
    config: Config,
    adapters: Vec<NamedAdapter>,
    /// The configuration whose routes choose the adapter, as at the edge; `None` if an adapter was named.
    routed_by: Option<String>,
}

impl AdapterSource {
    /// Reads the adapters.
    ///
    /// # Errors
    ///
    /// Fails if no file is named, if it cannot be read or has mistakes, or if it has no such adapter.
    pub fn load(&self) -> Result<Adapters, Failure> {
        let (config, file) = match (&self.file, &self.adapter) {
            (Some(file), None) => {
                let loaded = configuration::load(file).map_err(|failure| exchanged(failure, file, true))?;
                (loaded.1, file)
            }
            (None, Some(file)) => {
                let loaded = configuration::load_adapter(file);
                (loaded.map_err(|failure| exchanged(failure, file, false))?, file)
            }
            _ => {
                let hint = "use -f cutover.yaml, or --adapter adapter.yaml for an adapter alone";
                return Err(Failure::Usage(format!("no adapter given\n  hint: {hint}")));
            }
        };
        let mut adapters = Vec::new();
        for (name, held) in &config.adapters {
            if self.name.as_deref().is_some_and(|wanted| wanted != name.as_str()) {
                continue;
            }
            let adapter = Adapter::new(Arc::clone(held.program()));
            let adapter = adapter.map_err(|error| Failure::Usage(format!("adapter {name}: {error}")))?;
            let name =
                if self.adapter.is_some() { file.display().to_string() } else { name.as_str().to_owned() };
            adapters.push(NamedAdapter { name, adapter: Arc::new(adapter) });
        }
        if adapters.is_empty() {
            let known: Vec<&str> = config.adapters.keys().map(|name| name.as_str()).collect();
            let message = match &self.name {
                Some(name) => format!("there is no adapter {name:?} in {}", file.display()),
                None => format!("there is no adapter in {}", file.display()),
            };
            let hint = if known.is_empty() {
                "add adapters: { NAME: adapter.yaml }".to_owned()
            } else {
                format!("use --name with one of: {}", known.join(", "))
            };
            return Err(Failure::Usage(format!("{message}\n  hint: {hint}")));
        }
        let is_routed = self.file.is_some() && self.name.is_none();
        Ok(Adapters { config, adapters, routed_by: is_routed.then(|| file.display().to_string()) })
    }
}

/// Replaces the mistakes of a file by one sentence if it is of the other kind: an adapter where a
/// configuration is wanted, or the reverse.
fn exchanged(failure: Failure, file: &Path, is_configuration_wanted: bool) -> Failure {
    if !matches!(failure, Failure::File { .. }) {
        return failure;
    }
    // Standard input cannot be read again; its mistakes are told as they are.
    let Ok(text) = std::fs::read_to_string(file) else { return failure };
    let file = file.display();
    match (Kind::of(&text), is_configuration_wanted) {
        (Some(Kind::Adapter), true) => {
            Failure::Usage(format!("{file} is an adapter, not a configuration\n  hint: use --adapter {file}"))
        }
        (Some(Kind::Configuration), false) => {
            Failure::Usage(format!("{file} is a configuration, not an adapter\n  hint: use -f {file}"))
        }
        _ => failure,
    }
}

/// The kind of a file, by the fields that only such files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Configuration,
    Adapter,
}

impl Kind {
    fn of(text: &str) -> Option<Self> {
        const CONFIGURATION: [&str; 11] = [
            "feature_flags",
            "canary_deployments",
            "experiments",
            "ab_tests",
            "holdouts",
            "flags",
            "segments",
            "ofrep",
            "limits",
            "origins",
            "adapters",
        ];
        const ADAPTER: [&str; 7] =
            ["schema", "operations", "endpoint", "shapes", "envelope", "errors", "forward_headers"];
        let content = Node::from_yaml(text).ok()?.to_json();
        let has = |names: &[&str]| names.iter().any(|name| content.get(name).is_some());
        let in_route = |name: &str| content.pointer(&format!("/routes/0/{name}")).is_some();
        if has(&CONFIGURATION) || in_route("flag") {
            Some(Self::Configuration)
        } else if has(&ADAPTER) || in_route("operation") || in_route("backend") {
            Some(Self::Adapter)
        } else {
            None
        }
    }
}

impl Adapters {
    /// Returns the adapter that a request goes through: the first whose version matches and that has
    /// a route for it. A configuration chooses by the `adapt` of the request's route, as the edge does.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a request that no adapter serves.
    pub fn of_request(&self, request: &SentRequest) -> Result<&NamedAdapter, String> {
        let mut ordered = self.candidates(request)?;
        let names = names_of(&ordered);
        ordered.retain(|adapter| adapter.has_version(request));
        if ordered.is_empty() {
            return Err(format!(
                "no version of {names} matches {}; it would reach the new backend unchanged\n  \
                 hint: add the header of the version, such as --header \"X-API-Version: 1\"",
                request.line
            ));
        }
        let serves =
            |adapter: &&NamedAdapter| adapter.adapter.has_route(&request.line.method, &request.line.path);
        ordered.iter().copied().find(serves).ok_or_else(|| {
            format!(
                "no route of {} matches {}; legacy would answer it, with the reason UNADAPTED\n  \
                 hint: correct the method or the path, or add a route to the adapter",
                names_of(&ordered),
                request.line
            )
        })
    }

    /// Returns the adapters that the request may go through, in their order.
    fn candidates(&self, request: &SentRequest) -> Result<Vec<&NamedAdapter>, String> {
        let Some(file) = &self.routed_by else { return Ok(self.adapters.iter().collect()) };
        let Some(route) = self.route(request) else {
            return Err(format!(
                "no route of {file} matches {}\n  \
                 hint: correct the method or the path, add a route, or name the adapter with --name",
                request.line
            ));
        };
        if route.adapt.is_empty() {
            return Err(format!(
                "route {} has no adapt: the request goes to the new backend as it is\n  \
                 hint: add adapt: [NAME] to the route, or name the adapter with --name",
                route.id
            ));
        }
        let held = |name: &AdapterName| self.adapters.iter().find(|adapter| adapter.name == name.as_str());
        Ok(route.adapt.iter().filter_map(held).collect())
    }

    /// Returns the comparison that the configuration has for a request.
    pub fn comparison(&self, request: &SentRequest) -> Option<&Comparison> {
        self.route(request)?.compare.as_ref()
    }

    fn route(&self, request: &SentRequest) -> Option<&Route> {
        let routes = &self.config.routes;
        let matchers: Vec<&Matcher> = routes.iter().map(|route| &route.matcher).collect();
        // The configuration was checked, so its routes make a table.
        let table = RouteTable::new(&matchers).ok()?;
        routes.get(table.find(&request.line.method, &request.line.path)?)
    }
}

fn names_of(adapters: &[&NamedAdapter]) -> String {
    adapters.iter().map(|adapter| adapter.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl NamedAdapter {
    fn has_version(&self, request: &SentRequest) -> bool {
        let version = self.adapter.program.version.as_ref();
        version.is_none_or(|version| version.selects(request.header(&version.header)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters(text: &str) -> Adapters {
        let config = Config::from_yaml(text).unwrap();
        let adapters = config.adapters.iter().map(|(name, held)| NamedAdapter {
            name: name.as_str().to_owned(),
            adapter: Arc::new(Adapter::new(Arc::clone(held.program())).unwrap()),
        });
        let adapters = adapters.collect();
        Adapters { config, adapters, routed_by: Some("cutover.yaml".to_owned()) }
    }

    fn request(line: &str, version: &str) -> SentRequest {
        SentRequest {
            line: line.parse().unwrap(),
            headers: vec![("x-version".to_owned(), version.to_owned())],
            body: String::new(),
            claims: String::new(),
        }
    }

    const TWO: &str = r#"
feature_flags: { f: { enabled: true, rollout_percentage: 100 } }
origins: { o: { url: "https://o.example" } }
adapters:
  a:
    version: { header: X-Version, values: ["1"], absent: false }
    routes: [{ match: { method: GET, path: /r/1 }, backend: { method: GET, path: /a } }]
  b:
    routes:
      - { match: { method: GET, path: "/r/{id}" }, backend: { method: GET, path: /b } }
      - { match: { method: GET, path: "/s/{id}" }, backend: { method: GET, path: /b } }
routes:
  - { id: r, match: { path: "/r/{id}" }, flag: f, legacy: o, new: o, adapt: [b, a],
      compare: { sample: 1, headers: [link] } }
"#;

    #[test]
    fn the_first_adapter_with_version_and_route_is_chosen() {
        let two = adapters(TWO);
        let chosen =
            |line: &str, version: &str| two.of_request(&request(line, version)).map(|a| a.name.as_str());
        assert_eq!(chosen("GET /r/1", "1"), Ok("b"));
        let unadapted = chosen("POST /r/1", "1").unwrap_err();
        assert!(unadapted.contains("no route of b, a matches POST /r/1; legacy"), "{unadapted}");
        let one = adapters(&TWO.replace("[b, a]", "[a, b]"));
        assert_eq!(one.of_request(&request("GET /r/1", "1")).unwrap().name, "a");
        assert_eq!(one.of_request(&request("GET /r/2", "1")).unwrap().name, "b");
        assert_eq!(one.of_request(&request("GET /r/1", "2")).unwrap().name, "b");
        let only = adapters(&TWO.replace("[b, a]", "[a]"));
        assert!(only.of_request(&request("GET /r/1", "2")).unwrap_err().contains("no version of a matches"));
        assert_eq!(two.comparison(&request("GET /r/9", "")).unwrap().headers, ["link"]);
        assert_eq!(two.comparison(&request("GET /s/9", "")), None);
    }

    #[test]
    fn the_routes_of_a_configuration_decide_as_at_the_edge() {
        let mut two = adapters(TWO);
        let sent = request("GET /s/1", "1");
        let unrouted = two.of_request(&sent).unwrap_err();
        assert!(unrouted.starts_with("no route of cutover.yaml matches GET /s/1\n"), "{unrouted}");
        // An adapter that was named is tried whatever the routes say.
        two.routed_by = None;
        assert_eq!(two.of_request(&sent).unwrap().name, "b");
        let plain = adapters(&TWO.replace("adapt: [b, a],", ""));
        let refused = plain.of_request(&request("GET /r/1", "1")).unwrap_err();
        let expected = "route r has no adapt: the request goes to the new backend as it is\n";
        assert!(refused.starts_with(expected), "{refused}");
    }

    #[test]
    fn a_file_of_the_other_kind_is_recognized() {
        let cases = [
            ("origins: {}\nroutes: []\n", Some(Kind::Configuration)),
            ("adapters: { a: adapter.yaml }\n", Some(Kind::Configuration)),
            ("schema: schema.graphql\nroutes: []\n", Some(Kind::Adapter)),
            ("routes: [{ match: { method: GET, path: /a }, backend: {} }]\n", Some(Kind::Adapter)),
            ("pairs: []\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Kind::of(text), expected, "{text}");
        }
    }
}
