//! The adapters of a file, and the one that a request goes through.

use crate::{configuration, failure::Failure};
use clap::Args;
use cutover_core::{
    Route,
    adapter::Adapter,
    compare::Comparison,
    config::{Config, SentRequest},
    routing::{matcher::Matcher, table::RouteTable},
};
use std::{path::PathBuf, sync::Arc};

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
}

impl AdapterSource {
    /// Reads the adapters.
    ///
    /// # Errors
    ///
    /// Fails if no file is named, if it cannot be read or has mistakes, or if it has no such adapter.
    pub fn load(&self) -> Result<Adapters, Failure> {
        let (config, file) = match (&self.file, &self.adapter) {
            (Some(file), None) => (configuration::load(file)?.1, file),
            (None, Some(file)) => (configuration::load_adapter(file)?, file),
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
        Ok(Adapters { config, adapters })
    }
}

impl Adapters {
    /// Returns the adapter that a request goes through: the first whose version matches and that has
    /// a route for it, in the order of `adapt` if the configuration has a route for the request.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a request that no adapter serves.
    pub fn of_request(&self, request: &SentRequest) -> Result<&NamedAdapter, String> {
        let adapt = self.route(request).map(|route| route.adapt.as_slice()).unwrap_or_default();
        let named = adapt
            .iter()
            .filter_map(|name| self.adapters.iter().find(|adapter| adapter.name == name.as_str()));
        let mut ordered: Vec<&NamedAdapter> = named.collect();
        if ordered.is_empty() {
            ordered = self.adapters.iter().collect();
        }
        let names: Vec<&str> = ordered.iter().map(|adapter| adapter.name.as_str()).collect();
        let names = names.join(", ");
        ordered.retain(|adapter| adapter.has_version(request));
        let Some(first) = ordered.first() else {
            return Err(format!(
                "no version of {names} matches {}; it would reach the new backend unchanged\n  \
                 hint: add the header of the version, such as --header \"X-API-Version: 1\"",
                request.line
            ));
        };
        let serves =
            |adapter: &&NamedAdapter| adapter.adapter.has_route(&request.line.method, &request.line.path);
        ordered.iter().copied().find(serves).ok_or_else(|| {
            format!(
                "no route of {} matches {}; legacy would answer it, with the reason UNADAPTED\n  \
                 hint: correct the method or the path, or add a route to the adapter",
                first.name, request.line
            )
        })
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
        Adapters { config, adapters }
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
        // In the order of adapt, and of names where no route of the configuration matches.
        assert_eq!(chosen("GET /r/1", "1"), Ok("b"));
        assert_eq!(chosen("GET /s/1", "1"), Ok("b"));
        assert!(chosen("POST /s/1", "1").unwrap_err().contains("no route of a matches POST /s/1"));
        let one = adapters(&TWO.replace("[b, a]", "[a, b]"));
        assert_eq!(one.of_request(&request("GET /r/1", "1")).unwrap().name, "a");
        assert_eq!(one.of_request(&request("GET /r/2", "1")).unwrap().name, "b");
        assert_eq!(one.of_request(&request("GET /r/1", "2")).unwrap().name, "b");
        let only = adapters(&TWO.replace("[b, a]", "[a]"));
        assert!(only.of_request(&request("GET /r/1", "2")).unwrap_err().contains("no version of a matches"));
        assert_eq!(two.comparison(&request("GET /r/9", "")).unwrap().headers, ["link"]);
        assert_eq!(two.comparison(&request("GET /s/9", "")), None);
    }
}
