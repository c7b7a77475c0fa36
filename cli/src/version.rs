//! `cutover version`: the version of the command line. The management API does not tell its own.

use crate::output::{self, Format};
use serde_json::{Value, json};

/// Prints the version.
pub fn print(format: Format) {
    let version = version();
    output::show(format, &version, || println!("cutover {}", output::text(&version, "version")));
}

fn version() -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_option() {
        let option = crate::commands::command().render_version();
        assert_eq!(option.trim(), format!("cutover {}", output::text(&version(), "version")));
    }
}
