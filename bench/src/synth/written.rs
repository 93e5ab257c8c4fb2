//! How is a made-up log written?
//!
//! As columns separated by tabs, which `trace` reads. Clients are called `r2-c17`, so that their region can be told.

use std::io::{self, Write};

use super::crowd::{Crowd, Drawn, What};

/// How many rows pass between two looks at the watch.
const WATCHED_EVERY: u64 = 16_384;
const HEADER: &str = "ts_ms\tclient\tmethod\thost\tpath\tstatus\tsize\tcache_control\n";

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows, purges among them.
    pub rows: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Time from the first row to the last one.
    pub span_ms: u64,
}

/// Writes all rows of `crowd`. `watch` is told every now and then how many there are.
///
/// # Errors
///
/// Those of `to`; what was written before stays.
pub fn write_rows(
    crowd: Crowd,
    to: &mut impl Write,
    watch: &mut dyn FnMut(u64),
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    to.write_all(HEADER.as_bytes())?;
    for drawn in crowd {
        write_row(&drawn, to)?;
        summary.rows += 1;
        summary.bytes = summary.bytes.saturating_add(drawn.bytes);
        summary.span_ms = drawn.at_ms;
        if summary.rows.is_multiple_of(WATCHED_EVERY) {
            watch(summary.rows);
        }
    }
    Ok(summary)
}

fn write_row(drawn: &Drawn, to: &mut impl Write) -> io::Result<()> {
    let Drawn { at_ms, region, client, bytes, max_age_secs, .. } = drawn;
    let (method, folder, number) = match drawn.what {
        What::Catalog(number) => ("GET", "o", number),
        What::Flash => ("GET", "flash", 0),
        What::Once(number) => ("GET", "once", number),
        What::Playlist(number) => ("GET", "live", number),
        What::Purge(number) => ("PURGE", "o", number),
        What::Scan(number) => ("GET", "scan", number),
    };
    writeln!(
        to,
        "{at_ms}\tr{region}-c{client}\t{method}\tsynth.example\t/{folder}/{number}\t200\t{bytes}\tmax-age={max_age_secs}"
    )
}
