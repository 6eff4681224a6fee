//! Line charts as SVG.

use std::fmt::Write as _;

/// One chart; both axes start at zero and end at the number that stands with their label.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) x: (&'static str, f64),
    pub(crate) y: (&'static str, f64),
    pub(crate) series: Vec<Series>,
}

/// One line, and what it is called.
pub(crate) struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// Keeps some 200 of the points, which is what can be seen of them.
    pub(crate) fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        let every = points.len().div_ceil(200).max(1);
        Self {
            name: name.to_owned(),
            points: points.into_iter().step_by(every).collect(),
        }
    }
}

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 34.0;
const STEP: f64 = WIDTH + LEFT + 30.0;
const COLOURS: [&str; 3] = ["#c2410c", "#1d4ed8", "#15803d"];

/// The charts side by side.
pub(crate) fn svg(charts: &[Chart]) -> String {
    let width = STEP * charts.len() as f64;
    let height = TOP + HEIGHT + 46.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (chart, offset) in charts.iter().zip(0..) {
        let left = LEFT + STEP * f64::from(offset);
        let _ = writeln!(out, "<g transform=\"translate({left} {TOP})\">");
        axes(&mut out, chart);
        for (series, n) in chart.series.iter().zip(0..) {
            line(&mut out, chart, series, n);
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn axes(out: &mut String, chart: &Chart) {
    text(
        out,
        WIDTH / 2.0,
        -14.0,
        "middle\" font-weight=\"bold",
        chart.title,
    );
    text(out, WIDTH / 2.0, HEIGHT + 34.0, "middle", chart.x.0);
    let _ = write!(out, "<g transform=\"rotate(-90)\">");
    text(out, -HEIGHT / 2.0, -36.0, "middle", chart.y.0);
    out.push_str("</g>\n");
    for fifth in 0..=5 {
        let part = f64::from(fifth) / 5.0;
        let (x, y) = (part * WIDTH, HEIGHT - part * HEIGHT);
        let _ = writeln!(
            out,
            "<path d=\"M{x} 0V{HEIGHT}M0 {y}H{WIDTH}\" stroke=\"#ddd\" fill=\"none\"/>"
        );
        text(out, x, HEIGHT + 16.0, "middle", &tick(part * chart.x.1));
        text(out, -6.0, y + 4.0, "end", &tick(part * chart.y.1));
    }
}

fn tick(value: f64) -> String {
    // No more digits than there are.
    format!("{}", (value * 10.0).round() / 10.0)
}

fn line(out: &mut String, chart: &Chart, series: &Series, number: usize) {
    let colour = COLOURS[number % COLOURS.len()];
    let mut path = String::new();
    for (x, y) in &series.points {
        let x = x.min(chart.x.1) / chart.x.1 * WIDTH;
        let y = HEIGHT - y.min(chart.y.1) / chart.y.1 * HEIGHT;
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
    let _ = writeln!(
        out,
        "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"1.8\" fill=\"none\"/>"
    );
    let y = 16.0 + 16.0 * number as f64;
    let anchor = format!("start\" fill=\"{colour}");
    text(out, 10.0, y, &anchor, &series.name);
}

/// `anchor` may bring more attributes with it.
fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
