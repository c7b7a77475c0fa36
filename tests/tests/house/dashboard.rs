//! docs/dashboard.svg draws the layout of the Grafana dashboard: where each panel is, its title and its series.

use crate::sources::{read, root};
use serde_json::Value;

/// Width of a column of the grid, in pixels.
const COLUMN: u64 = 50;

/// Height of a row of the grid, in pixels.
const ROW: u64 = 22;

/// Number of columns of the grid.
const COLUMNS: u64 = 24;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Returns the place of a panel as its left and upper edge, width and height, in pixels.
fn place(panel: &Value) -> [u64; 4] {
    let of = |name: &str| panel["gridPos"][name].as_u64().expect("a number of columns or rows");
    [of("x") * COLUMN, of("y") * ROW, of("w") * COLUMN, of("h") * ROW]
}

/// Returns the lines of a panel below its title: its series, and its description if there is room.
fn lines(panel: &Value) -> Vec<String> {
    let series = panel["targets"].as_array().expect("the series of a panel");
    let names = series.iter().map(|target| target["legendFormat"].as_str().expect("the name of a series"));
    let mut lines = vec![names.collect::<Vec<_>>().join(", ").replace("{{", "{").replace("}}", "}")];
    if panel["type"] == "timeseries" {
        lines.extend(panel["description"].as_str().map(str::to_owned).filter(|text| !text.is_empty()));
    }
    lines
}

fn picture(dashboard: &Value) -> String {
    let panels = dashboard["panels"].as_array().expect("the panels");
    let height = panels.iter().map(place).map(|[_, y, _, h]| y + h).max().expect("a panel");
    let width = COLUMNS * COLUMN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" \
         role=\"img\" aria-label=\"The panels of the dashboard\">\n  <rect width=\"{width}\" height=\"{height}\" fill=\"#f4f6f8\"/>\n"
    );
    for panel in panels {
        let [x, y, w, h] = place(panel);
        let (left, top, w, h) = (x + 4, y + 4, w - 8, h - 8);
        svg.push_str(&format!(
            "  <rect x=\"{left}\" y=\"{top}\" width=\"{w}\" height=\"{h}\" rx=\"3\" fill=\"#fff\" stroke=\"#9aa5b1\"/>\n"
        ));
        let (x, mut y) = (left + 8, top + 20);
        let title = escaped(panel["title"].as_str().expect("a title"));
        svg.push_str(&format!(
            "  <text x=\"{x}\" y=\"{y}\" font-size=\"12\" font-weight=\"600\">{title}</text>\n"
        ));
        for line in lines(panel) {
            y += 18;
            let line = escaped(&line);
            svg.push_str(&format!(
                "  <text x=\"{x}\" y=\"{y}\" font-size=\"11\" fill=\"#52606d\">{line}</text>\n"
            ));
        }
    }
    svg + "</svg>\n"
}

#[test]
fn the_picture_of_the_dashboard_is_that_of_its_panels() {
    let dashboard = read(&root().join("infra/observability/dashboard.json"));
    let drawn = picture(&serde_json::from_str(&dashboard).expect("the dashboard is JSON"));
    let path = root().join("docs/dashboard.svg");
    if std::env::var_os("CUTOVER_UPDATE").is_some() {
        std::fs::write(path, drawn).unwrap();
        return;
    }
    assert!(
        read(&path) == drawn,
        "docs/dashboard.svg is not the layout of the dashboard; CUTOVER_UPDATE=1 writes it anew"
    );
}
