//! Charts as SVG: lines and words, colors that follow the reader's preference.

use super::Chart;
use super::draw::{Anchor, Canvas, HEIGHT, Ink, WIDTH, draw};

/// Lines differ in color and in dashes, so that they can be told apart without colors.
const STYLE: &str = "\
.weir-plot text{font:12px system-ui,sans-serif;fill:#3a3f45}.weir-plot .t{font-size:15px;font-weight:600}\
.weir-plot polyline{fill:none;stroke-width:2;stroke-linejoin:round}\
.weir-plot .a{stroke:#6b7178;stroke-width:1}.weir-plot .g{stroke:#dfe2e5;stroke-width:1}\
.weir-plot .s0{stroke:#0b6bcb}.weir-plot .s1{stroke:#0b6bcb;stroke-dasharray:6 4}\
.weir-plot .s2{stroke:#c2410c}.weir-plot .s3{stroke:#c2410c;stroke-dasharray:6 4}\
.weir-plot .s4{stroke:#6b7178}.weir-plot .s5{stroke:#6b7178;stroke-dasharray:2 4}\
@media (prefers-color-scheme:dark){.weir-plot text{fill:#d3d7db}.weir-plot .g{stroke:#2f3338}\
.weir-plot .s0,.weir-plot .s1{stroke:#6cb2ff}.weir-plot .s2,.weir-plot .s3{stroke:#ff9b5e}\
.weir-plot .a,.weir-plot .s4,.weir-plot .s5{stroke:#9aa1a9}}";
const KINDS: usize = 6;

/// Writes the charts, one below another.
pub(super) fn render(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len() as f64;
    let mut svg = format!(
        "<svg class=\"weir-plot\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" \
         width=\"{WIDTH:.0}\" height=\"{height:.0}\" role=\"img\"><style>{STYLE}</style>\n"
    );
    for (number, chart) in charts.iter().enumerate() {
        let mut pen = Pen { text: String::new() };
        draw(chart, &mut pen);
        let down = HEIGHT * number as f64;
        svg.push_str(&format!("<g transform=\"translate(0 {down:.0})\">\n{}</g>\n", pen.text));
    }
    svg.push_str("</svg>\n");
    svg
}

struct Pen {
    text: String,
}

impl Canvas for Pen {
    fn line(&mut self, points: &[(f64, f64)], ink: Ink) {
        let class = match ink {
            Ink::Axis => "a".to_owned(),
            Ink::Grid => "g".to_owned(),
            Ink::Series(number) => format!("s{}", number % KINDS),
        };
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.text
            .push_str(&format!("<polyline class=\"{class}\" points=\"{}\"/>\n", points.join(" ")));
    }

    fn word(&mut self, (x, y): (f64, f64), text: &str, anchor: Anchor) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.text.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ));
    }

    fn title(&mut self, (x, y): (f64, f64), text: &str) {
        let text = escape(text);
        self.text.push_str(&format!("<text class=\"t\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n"));
    }
}

/// Writes text so that it is nothing but text in HTML and in XML, in and out of attributes. Characters that XML does
/// not have are replaced.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            char => escaped.push(char),
        }
    }
    escaped
}
