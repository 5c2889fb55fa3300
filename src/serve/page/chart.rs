//! A line over time as SVG, with the deploys marked.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::text::html;

/// The size of a chart in its own units; a page shows it as wide as there is room.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// A chart of these values; a vertical line at each deploy. Empty where there are fewer than two.
pub(super) fn chart(values: &[(Timestamp, f64)], deploys: &[(Timestamp, String)], name: &str) -> String {
    let (Some((first, _)), Some((last, _))) = (values.first(), values.last()) else { return String::new() };
    let span = last.as_second() - first.as_second();
    if span <= 0 {
        return String::new();
    }
    let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(0.001);
    let across = |at: &Timestamp| (at.as_second() - first.as_second()) as f64 / span as f64 * WIDTH;
    let mut points = String::new();
    for (at, value) in values {
        let _ = write!(points, "{:.1},{:.1} ", across(at), HEIGHT - value / most * (HEIGHT - 4.0) - 2.0);
    }
    let mut text =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">", html(name));
    for (at, what) in deploys.iter().filter(|(at, _)| at >= first && at <= last) {
        let x = across(at);
        let _ = write!(
            text,
            "<line class=\"deploy\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"><title>{}</title></line>",
            html(what)
        );
    }
    let _ = write!(text, "<polyline points=\"{}\"/></svg>", points.trim_end());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_line_and_the_deploys_within_its_time() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let values = [(at(0), 0.0), (at(50), 10.0), (at(100), 5.0)];
        let deploys = [(at(25), "<r1>".to_owned()), (at(200), "later".to_owned())];
        let text = chart(&values, &deploys, "requests");
        assert!(text.contains("points=\"0.0,118.0 300.0,2.0 600.0,60.0\""), "{text}");
        assert!(text.contains("x1=\"150.0\"") && text.contains("&lt;r1&gt;") && !text.contains("later"), "{text}");
        assert_eq!(chart(&values[..1], &[], "x"), "");
    }
}
