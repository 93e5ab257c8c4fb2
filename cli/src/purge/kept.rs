//! `weir purge list` and `weir purge show`: what has become of earlier purges.

use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use super::receipt::{Receipt, State, Summary};
use super::{Shown, one};
use crate::admin::{Client, Place};
use crate::failure::{Failure, usage};
use crate::output;
use crate::progress::Progress;

/// Lists the newest purges, the newest first.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Print the receipts as the admin API wrote them: one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Shows the receipt of one purge.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArguments {
    /// The id that `weir purge` and `weir purge list` print.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Deserialize)]
struct Kept {
    purges: Vec<Receipt>,
}

pub(super) async fn list(arguments: &ListArguments) -> Result<ExitCode, Failure> {
    let client = Client::new(&arguments.place)?;
    let text = client.get("/v1/purges", Duration::ZERO).await?;
    let kept: Kept = client.read(&text)?;
    output::out(&if arguments.json {
        format!("{}\n", text.trim_end())
    } else {
        table(&kept.purges)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn table(purges: &[Receipt]) -> String {
    if purges.is_empty() {
        return "no purges yet\n".to_owned();
    }
    purges.iter().map(row).collect()
}

/// One purge in one line.
fn row(receipt: &Receipt) -> String {
    let state = match receipt.state {
        State::Applied => "applied",
        State::AppliedWithFenced => "fenced",
        State::Applying => "applying",
    };
    let Receipt { seq, at, id, mode, .. } = receipt;
    let first = receipt.selectors.first().map(String::as_str).unwrap_or_default();
    let more = match receipt.selectors_total.saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    // Somebody else's words: they must not move the cursor.
    let reason: String = receipt.reason.chars().filter(|letter| !letter.is_control()).collect();
    let reason = if reason.is_empty() { reason } else { format!("  \"{reason}\"") };
    format!("{seq:>6}  {at}  {state:<8}  {mode:<10}  {id}  {first}{more}{reason}\n")
}

pub(super) async fn show(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let ShowArguments { id, shown, place } = arguments;
    if id.is_empty() || !id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') {
        return Err(usage(format!("{id:?} is no id of a purge; `weir purge list` shows them")));
    }
    let client = Client::new(place)?;
    let asked = one(&client, id, shown.wait.unwrap_or_default());
    let receipt = Progress::on_terminal().spin("waiting for every node", asked).await?;
    if shown.json {
        return super::report(std::slice::from_ref(&receipt), shown);
    }
    let state = receipt.state;
    let summary = Summary::of(std::slice::from_ref(&receipt));
    let words = summary.map(|all| all.lines() + &all.verdict(shown.wait)).unwrap_or_default();
    output::out(&format!("{}{words}", row(&receipt)))?;
    Ok(state.exit_code(shown.wait.is_some()))
}
