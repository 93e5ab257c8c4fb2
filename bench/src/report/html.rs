//! How does a report look in a browser?
//!
//! One page: no script, no font, no picture from elsewhere. Colors follow what the reader prefers, dark or light.

use super::svg::{self, escape};
use super::{Report, Table};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;padding:0 1rem;max-width:62rem;background:#fff;color:#1c1e21}\
h1{font-size:1.3rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:2rem 0 .4rem}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}\
.wide{overflow-x:auto}th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid #d5d8dc}\
th{color:#5a6068;font-weight:500}th:first-child,td:first-child{text-align:left}\
.warning{border-left:4px solid #c77700;padding:.3rem .8rem;margin:.5rem 0;background:#fff5e5}\
svg{max-width:100%;height:auto}ul{padding-left:1.2rem;color:#5a6068;font-size:.9rem}\
@media (prefers-color-scheme:dark){body{background:#15171a;color:#e4e6e9}th,td{border-color:#34383d}\
th,ul{color:#9aa1a9}.warning{background:#33270f}}";

/// Writes it.
pub(super) fn render(report: &Report) -> String {
    let title = escape(&report.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    for line in &report.answer {
        page.push_str(&format!("<p>{}</p>\n", escape(line)));
    }
    for warning in &report.warnings {
        page.push_str(&format!("<p class=\"warning\">{}</p>\n", escape(warning)));
    }
    for chart in &report.charts {
        page.push_str(&svg::render(std::slice::from_ref(chart)));
    }
    for table in &report.tables {
        page.push_str(&render_table(table));
    }
    page.push_str("<h2>Notes</h2>\n<ul>\n");
    for note in &report.notes {
        page.push_str(&format!("<li>{}</li>\n", escape(note)));
    }
    page.push_str("</ul>\n</body></html>\n");
    page
}

fn render_table(table: &Table) -> String {
    let cells = |tag: &str, row: &[String]| {
        let cells = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let rows = table.rows.iter().map(|row| cells("td", row) + "\n");
    format!(
        "<h2>{}</h2>\n<div class=\"wide\"><table><thead>{}</thead><tbody>\n{}</tbody></table></div>\n",
        escape(&table.title),
        cells("th", &table.head),
        rows.collect::<String>()
    )
}
