//! How does a report look in a terminal?

use super::{Report, Table};

/// Writes it. Control characters, which a log's name or lines could bring, are replaced.
pub(super) fn render(report: &Report) -> String {
    let mut text = format!("{}\n\n", printable(&report.title));
    for line in &report.answer {
        text.push_str(&printable(line));
        text.push('\n');
    }
    for warning in &report.warnings {
        text.push_str(&format!("\nwarning: {}\n", printable(warning)));
    }
    for table in &report.tables {
        text.push('\n');
        text.push_str(&render_table(table));
    }
    text.push_str("\nNotes\n");
    for note in &report.notes {
        text.push_str(&format!("- {}\n", printable(note)));
    }
    text
}

fn render_table(table: &Table) -> String {
    let mut widths: Vec<usize> = table.head.iter().map(|cell| cell.chars().count()).collect();
    for row in &table.rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("{}\n", printable(&table.title));
    for row in std::iter::once(&table.head).chain(&table.rows) {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Names stand left, figures right.
            let cell = printable(cell);
            let cell =
                if at == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
