//! The table that finds the route of a request.

use crate::routing::matcher::Matcher;

/// Error for a set of routes that no [`RouteTable`] can be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoute {
    /// The path is not a valid pattern.
    #[error("{path:?} is not a path pattern: {reason}")]
    Pattern {
        /// The rejected pattern.
        path: String,
        /// Description of the syntax error.
        reason: String,
    },
    /// Two routes claim the same requests.
    #[error("{path:?} claims the same requests as {with:?}")]
    Conflict {
        /// The rejected pattern.
        path: String,
        /// The pattern of the earlier route.
        with: String,
    },
}

/// The values of a pattern's parameters in a path.
pub struct Parameters<'t, 'p>(matchit::Params<'t, 'p>);

impl<'p> Parameters<'_, 'p> {
    /// Iterates over the values, in the order of the pattern and still percent-encoded. The path of
    /// `/a/{*rest}` itself, `/a`, has none.
    pub fn values(&self) -> impl Iterator<Item = &'p str> {
        self.0.iter().map(|(_, value)| value)
    }
}

/// Finds the route of a request. The most specific pattern among those for its method wins; the
/// cost does not depend on the number of routes.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// True if a route names HEAD. Otherwise its table would be that of GET, which is then used for both.
    has_head: bool,
    by_method: Vec<(Box<str>, matchit::Router<u32>)>,
    any_other: matchit::Router<u32>,
}

impl RouteTable {
    /// Builds the table. [`Self::find`] returns positions in `matchers`.
    ///
    /// # Errors
    ///
    /// Fails with the position of the first matcher whose path is not a valid pattern or claims the
    /// same requests as an earlier one.
    pub fn new(matchers: &[&Matcher]) -> Result<Self, (usize, InvalidRoute)> {
        let has_head = matchers.iter().any(|matcher| matcher.methods.iter().any(|method| method == "HEAD"));
        let mut table = Self { has_head, ..Self::default() };
        for method in matchers.iter().flat_map(|matcher| &matcher.methods) {
            for method in implied(method, has_head) {
                if table.router(method).is_none() {
                    table.by_method.push((method.into(), matchit::Router::new()));
                }
            }
        }
        for (position, matcher) in matchers.iter().enumerate() {
            // u32 keeps the tree nodes small; a snapshot cannot hold four billion routes.
            let value = u32::try_from(position).unwrap_or(u32::MAX);
            table
                .routers_for(matcher)
                .try_for_each(|router| router.insert(&matcher.path, value))
                .map_err(|error| (position, invalid(&matcher.path, error)))?;
        }
        // `/a/{*rest}` also matches `/a` and `/a/`, unless another route has that pattern.
        for (position, matcher) in matchers.iter().enumerate() {
            let value = u32::try_from(position).unwrap_or(u32::MAX);
            if let Some(base) = catch_all_base(&matcher.path) {
                for router in table.routers_for(matcher) {
                    if !base.is_empty() {
                        // A conflict means that another route is more specific, and it must win.
                        let _ = router.insert(base, value);
                    }
                    let _ = router.insert(format!("{base}/"), value);
                }
            }
        }
        Ok(table)
    }

    /// Returns the position of the route that matches the request.
    pub fn find(&self, method: &str, path: &str) -> Option<usize> {
        let router = self.router(method).unwrap_or(&self.any_other);
        router.at(path).ok().and_then(|found| usize::try_from(*found.value).ok())
    }

    /// Returns the position of the route that matches the request, with the parameters of its
    /// pattern.
    pub fn find_with_parameters<'t, 'p>(
        &'t self,
        method: &str,
        path: &'p str,
    ) -> Option<(usize, Parameters<'t, 'p>)> {
        let found = self.router(method).unwrap_or(&self.any_other).at(path).ok()?;
        Some((usize::try_from(*found.value).ok()?, Parameters(found.params)))
    }

    fn router(&self, method: &str) -> Option<&matchit::Router<u32>> {
        let method = if method == "HEAD" && !self.has_head { "GET" } else { method };
        self.by_method.iter().find(|(name, _)| **name == *method).map(|(_, router)| router)
    }

    fn routers_for<'t>(
        &'t mut self,
        matcher: &'t Matcher,
    ) -> impl Iterator<Item = &'t mut matchit::Router<u32>> {
        let any = matcher.methods.is_empty();
        let has_head = self.has_head;
        self.by_method
            .iter_mut()
            .filter(move |(name, _)| {
                any || matcher.methods.iter().any(|method| implied(method, has_head).any(|m| m == &**name))
            })
            .map(|(_, router)| router)
            .chain(any.then_some(&mut self.any_other))
    }
}

/// Yields the method, and `HEAD` after `GET`: the response to HEAD describes that to GET, so both
/// must go to the same arm.
fn implied(method: &str, has_head: bool) -> impl Iterator<Item = &str> {
    std::iter::once(method).chain((method == "GET" && has_head).then_some("HEAD"))
}

fn catch_all_base(path: &str) -> Option<&str> {
    let (base, parameter) = path.rsplit_once("/{*")?;
    parameter.strip_suffix('}').filter(|name| !name.contains('{')).map(|_| base)
}

fn invalid(path: &str, error: matchit::InsertError) -> InvalidRoute {
    match error {
        matchit::InsertError::Conflict { with } => InvalidRoute::Conflict { path: path.to_owned(), with },
        error => InvalidRoute::Pattern { path: path.to_owned(), reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(&[&str], &str)]) -> Result<RouteTable, (usize, InvalidRoute)> {
        let matchers: Vec<Matcher> = routes
            .iter()
            .map(|(methods, path)| Matcher {
                methods: methods.iter().map(|m| (*m).to_owned()).collect(),
                path: (*path).to_owned(),
            })
            .collect();
        RouteTable::new(&matchers.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_most_specific_pattern_of_the_method_wins() {
        let table = table(&[
            (&["GET"], "/api/v1/reviews/{*rest}"),
            (&["POST"], "/api/v1/reviews"),
            (&["GET"], "/api/v1/reviews/latest"),
            (&[], "/api/v1/offers/{id}/reviews"),
            (&["GET"], "/{*rest}"),
        ])
        .unwrap();
        let cases = [
            ("GET", "/api/v1/reviews", Some(0)),
            ("GET", "/api/v1/reviews/", Some(0)),
            ("HEAD", "/api/v1/reviews/17", Some(0)),
            ("GET", "/api/v1/reviews/17/votes", Some(0)),
            ("GET", "/api/v1/reviews/latest", Some(2)),
            ("POST", "/api/v1/reviews", Some(1)),
            ("POST", "/api/v1/reviews/17", None),
            ("POST", "/api/v1/offers/1/reviews", Some(3)),
            ("GET", "/api/v1/offers/1/reviews", Some(3)),
            ("PROPFIND", "/api/v1/offers/1/reviews", Some(3)),
            ("PROPFIND", "/api/v1/offers/1", None),
            ("GET", "/", Some(4)),
            ("GET", "/anything/else", Some(4)),
            ("get", "/", None),
            ("GET", "", None),
        ];
        for (method, path, expected) in cases {
            assert_eq!(table.find(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn head_goes_where_get_goes_unless_a_route_names_it() {
        let get = table(&[(&["GET"], "/a/{*rest}"), (&["POST"], "/b")]).unwrap();
        assert_eq!((get.find("HEAD", "/a/1"), get.find("HEAD", "/b")), (Some(0), None));
        let any = table(&[(&["POST"], "/a"), (&[], "/b")]).unwrap();
        assert_eq!((any.find("HEAD", "/a"), any.find("HEAD", "/b")), (None, Some(1)));
        let named = table(&[(&["GET"], "/a/{*rest}"), (&["HEAD"], "/a/1")]).unwrap();
        assert_eq!((named.find("HEAD", "/a/1"), named.find("GET", "/a/1")), (Some(1), Some(0)));
        assert_eq!(named.find("HEAD", "/a/2"), Some(0));
    }

    #[test]
    fn the_values_of_parameters_come_in_the_order_of_the_pattern() {
        let table = table(&[(&["GET"], "/a/{b}/{c}"), (&["GET"], "/d/{*rest}")]).unwrap();
        let found = |path: &str| {
            let (position, parameters) = table.find_with_parameters("GET", path)?;
            Some((position, parameters.values().map(str::to_owned).collect::<Vec<_>>().join(" ")))
        };
        assert_eq!(found("/a/1/%2F"), Some((0, "1 %2F".to_owned())));
        assert_eq!(found("/d/1/2"), Some((1, "1/2".to_owned())));
        assert_eq!(found("/d/"), Some((1, String::new())));
        assert_eq!(found("/e"), None);
    }

    #[test]
    fn routes_that_claim_the_same_requests_are_refused() {
        let clash = table(&[(&["GET"], "/a/{id}"), (&["GET"], "/a/{name}")]).unwrap_err();
        assert_eq!(clash.0, 1);
        assert!(matches!(clash.1, InvalidRoute::Conflict { .. }), "{clash:?}");
        assert!(table(&[(&["GET"], "/a/{id}"), (&["PUT"], "/a/{name}")]).is_ok());
        assert!(matches!(table(&[(&[], "/a/{")]).unwrap_err().1, InvalidRoute::Pattern { .. }));
    }
}
