//! Finds the route of a request: by its method and path, and then by the conditions on parameters of
//! the routes that share both.

use crate::{
    adapter::program::{AdaptedRoute, ParameterForm},
    routing::{
        pattern::Pattern,
        table::{InvalidRoute, Parameters, RouteTable},
    },
};
use std::collections::BTreeMap;

/// The routes of a program.
#[derive(Debug)]
pub(super) struct Routes {
    /// Finds positions in `groups`.
    table: RouteTable,
    /// The routes of each method and pattern, in the order in which they are tried.
    groups: Vec<Vec<Candidate>>,
}

/// A route that may share its method and pattern with others.
#[derive(Debug)]
struct Candidate {
    /// Position of the route in the program.
    route: usize,
    /// Names of the parameters, in the order of the pattern.
    names: Vec<String>,
    /// Positions of parameters, and the forms that these must have.
    conditions: Vec<(usize, ParameterForm)>,
}

/// The route that was found for a request.
pub(super) struct FoundRoute<'r> {
    candidate: &'r Candidate,
    parameters: Parameters<'r, 'r>,
}

impl FoundRoute<'_> {
    /// Returns the position of the route in the program.
    pub(super) fn position(&self) -> usize {
        self.candidate.route
    }

    /// Returns the parameters by the names that the route gives them, still percent-encoded.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let names = self.candidate.names.iter().cloned();
        names.zip(self.parameters.values().map(str::to_owned)).collect()
    }
}

impl Candidate {
    fn new(position: usize, route: &AdaptedRoute, names: &[&str]) -> Self {
        // A parameter that the path does not have is beyond all positions, and fits no form.
        let position_of = |name: &String| names.iter().position(|held| held == name).unwrap_or(names.len());
        let conditions = route.conditions.iter();
        Self {
            route: position,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            conditions: conditions.map(|held| (position_of(&held.parameter), held.form.clone())).collect(),
        }
    }

    fn fits(&self, parameters: &Parameters<'_, '_>) -> bool {
        self.conditions
            .iter()
            .all(|(position, form)| parameters.values().nth(*position).is_some_and(|value| form.fits(value)))
    }
}

impl Routes {
    /// Builds the table of a program's routes.
    ///
    /// # Errors
    ///
    /// Fails if a path is not a valid pattern, or if two routes without conditions claim the same
    /// requests.
    pub(super) fn new(routes: &[AdaptedRoute]) -> Result<Self, InvalidRoute> {
        let mut positions: BTreeMap<(&[String], String), usize> = BTreeMap::new();
        let mut matchers = Vec::new();
        let mut groups: Vec<Vec<Candidate>> = Vec::new();
        for (position, route) in routes.iter().enumerate() {
            let pattern = Pattern::new(&route.matcher.path);
            let candidate = Candidate::new(position, route, &pattern.names);
            let group = *positions
                .entry((route.matcher.methods.as_slice(), pattern.skeleton))
                .or_insert(groups.len());
            match groups.get_mut(group) {
                Some(group) => group.push(candidate),
                None => {
                    matchers.push(&route.matcher);
                    groups.push(vec![candidate]);
                }
            }
        }
        let table = RouteTable::new(&matchers).map_err(|(_, error)| error)?;
        for group in &mut groups {
            let (last, mut first): (Vec<_>, Vec<_>) =
                std::mem::take(group).into_iter().partition(|candidate| candidate.conditions.is_empty());
            first.extend(last);
            *group = first;
            if let [.., first, second] = &group[..]
                && first.conditions.is_empty()
            {
                let path = |route: usize| {
                    routes.get(route).map(|route| route.matcher.path.clone()).unwrap_or_default()
                };
                return Err(InvalidRoute::Conflict { path: path(second.route), with: path(first.route) });
            }
        }
        Ok(Self { table, groups })
    }

    /// Returns the route for a request.
    pub(super) fn find<'r>(&'r self, method: &str, path: &'r str) -> Option<FoundRoute<'r>> {
        let (group, parameters) = self.table.find_with_parameters(method, path)?;
        let candidate = self.groups.get(group)?.iter().find(|candidate| candidate.fits(&parameters))?;
        Some(FoundRoute { candidate, parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapter::program::{Backend, PathCondition},
        routing::matcher::Matcher,
    };

    fn route(method: &str, path: &str, conditions: &[(&str, ParameterForm)]) -> AdaptedRoute {
        let condition = |(parameter, form): &(&str, ParameterForm)| PathCondition {
            parameter: (*parameter).to_owned(),
            form: form.clone(),
        };
        AdaptedRoute {
            matcher: Matcher { methods: vec![method.to_owned()], path: path.to_owned() },
            conditions: conditions.iter().map(condition).collect(),
            backend: Backend::GraphQl(String::new(), String::new()),
            reads_body: false,
            variables: Vec::new(),
            pagination: None,
            root: Vec::new(),
            when_null: None,
            partial: false,
            status: 200,
            response: None,
            headers: Vec::new(),
        }
    }

    /// Returns the position of the route for a GET request, and its parameters.
    fn find(routes: &Routes, path: &str) -> Option<(usize, String)> {
        let found = routes.find("GET", path)?;
        let pairs = found.parameters().into_iter().map(|(name, value)| format!("{name}={value}"));
        Some((found.position(), pairs.collect::<Vec<_>>().join("&")))
    }

    #[test]
    fn routes_with_conditions_are_tried_in_order_and_before_the_one_without() {
        let routes = Routes::new(&[
            route("GET", "/x/{any}", &[]),
            route("GET", "/x/{ids}", &[("ids", ParameterForm::List)]),
            route("GET", "/x/{id}", &[("id", ParameterForm::Digits)]),
            route("GET", "/x/{name}", &[("name", ParameterForm::Contains("@".to_owned()))]),
            route("GET", "/x/latest", &[]),
            route("POST", "/x/{new}", &[]),
        ])
        .unwrap();
        let cases = [
            ("/x/7", 2, "id=7"),
            ("/x/7,8", 1, "ids=7,8"),
            ("/x/7%2C8", 1, "ids=7%2C8"),
            ("/x/ann@b", 3, "name=ann@b"),
            // Two conditions hold.
            ("/x/ann@b,c", 1, "ids=ann@b,c"),
            ("/x/seven", 0, "any=seven"),
            ("/x/latest", 4, ""),
        ];
        for (path, position, parameters) in cases {
            assert_eq!(find(&routes, path), Some((position, parameters.to_owned())), "{path}");
        }
        assert_eq!(routes.find("POST", "/x/7").map(|found| found.position()), Some(5));
    }

    #[test]
    fn a_request_for_which_no_condition_holds_has_no_route() {
        let both = [("a", ParameterForm::Digits), ("b", ParameterForm::List)];
        let routes =
            Routes::new(&[route("GET", "/x/{a}/{b}", &both), route("GET", "/{*rest}", &[])]).unwrap();
        assert_eq!(find(&routes, "/x/1/2,3"), Some((0, "a=1&b=2,3".to_owned())));
        // The less specific pattern is not tried.
        assert_eq!((find(&routes, "/x/1/2"), find(&routes, "/x/a/2,3")), (None, None));
        assert_eq!(find(&routes, "/y"), Some((1, "rest=y".to_owned())));
        let unknown = Routes::new(&[route("GET", "/x/{a}", &[("b", ParameterForm::Digits)])]).unwrap();
        assert_eq!(find(&unknown, "/x/1"), None);
        // The path of a catch-all parameter itself has no value that could fit.
        let rest = Routes::new(&[route("GET", "/x/{*rest}", &[("rest", ParameterForm::Digits)])]).unwrap();
        assert_eq!((find(&rest, "/x/"), find(&rest, "/x/1")), (None, Some((0, "rest=1".to_owned()))));
    }

    #[test]
    fn two_routes_without_conditions_are_refused() {
        let twice = [route("GET", "/x/{id}", &[]), route("GET", "/x/{ids}", &[])];
        let error = Routes::new(&twice).unwrap_err();
        assert_eq!(error.to_string(), r#""/x/{ids}" claims the same requests as "/x/{id}""#);
        let other = [route("GET", "/x/{id}", &[]), route("GET", "/x/{*rest}", &[])];
        assert!(Routes::new(&other).is_err(), "the two patterns match the same paths");
    }
}
