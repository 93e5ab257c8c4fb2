//! `weir purge`: remove or invalidate what is stored, on every node, and learn when that holds.
//!
//! A purge is taken when it is safe in the log; with `--wait` the command ends when no node uses what
//! was purged. More than one call may name goes out in several calls; the log keeps their order, so the
//! last one is complete no earlier than the others.

mod kept;
mod named;
mod receipt;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use weir_node::config::{parse_duration, render_duration};

use self::named::Named;
use self::receipt::{Receipt, Summary};
use crate::admin::{Client, Place};
use crate::failure::Failure;
use crate::output;
use crate::progress::{Progress, bar};

/// The longest wait that the admin API takes.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// Purges by URL, prefix, host, tag, glob or everything.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  weir purge https://www.example.com/app.js --wait     one URL; done when it holds on every node
  weir purge --prefix www.example.com/img/ --wait 30s  all that lies below
  weir purge --tag sku-42 --tag news --soft            by tag; what is stored is validated, not lost
  weir purge --host www.example.com --reason 'new theme'
  weir purge --glob '*.example.com/*.js'               * stands for slashes and queries too
  weir purge --file urls.txt --wait                    one URL a line; --file - reads standard input
  weir purge --all --yes                               everything, of every site
  weir purge list                                      the newest purges
  weir purge show ID --wait                            how far one of them is

Kinds can be combined; what any of them names is purged. Without --wait the command ends when the
purge is safe in the log. With it, it ends when the purge holds: every node has applied it, or is
fenced, that is cut off and asking upstream before it uses anything stored.

Exit codes: 0 done, 1 failed, 2 wrong use (nothing was done), 3 it holds but some nodes are fenced,
4 still applying when the wait was over.

Environment: WEIR_ADMIN (admin address of any node), WEIR_ADMIN_TOKEN (its token)."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    named: Named,
    /// Keep what is stored, but ask the origin whether it still holds before it is used again.
    #[arg(long)]
    soft: bool,
    /// Why, for the receipt and the logs.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    place: Place,
}

/// How long to wait and how to report.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shown {
    /// Wait until the purge holds on every node, 10s when no time is given, 5m at most.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10s", value_parser = wait)]
    wait: Option<Duration>,
    /// Print the receipt as the admin API wrote it: one line of JSON a call.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the newest purges that somebody asked for.
    List(kept::ListArguments),
    /// Show how far one purge is.
    Show(kept::ShowArguments),
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = parse_duration(text)
        .map_err(|error| format!("it {error}; expected a time such as 10s or 2m"))?;
    if wait > WAIT_MAX {
        return Err(format!("expected at most {}", render_duration(WAIT_MAX)));
    }
    Ok(wait)
}

/// Purges, lists or shows.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    runtime.block_on(async {
        match &arguments.verb {
            Some(Verb::List(list)) => kept::list(list).await,
            Some(Verb::Show(show)) => kept::show(show).await,
            None => purge(arguments).await,
        }
    })
}

async fn purge(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let calls = arguments.named.read()?.calls();
    let asking = Asking {
        client: Client::new(&arguments.place)?,
        arguments,
        total: calls.iter().map(|(count, _)| count).sum(),
        several: calls.len() > 1,
    };
    let mut receipts = asking.all(calls).await?;
    if arguments.shown.wait.is_some() {
        asking.look_again(&mut receipts).await?;
    }
    report(&receipts, &arguments.shown)
}

/// One purge, in as many calls as it takes.
struct Asking<'a> {
    client: Client,
    arguments: &'a Arguments,
    total: usize,
    several: bool,
}

impl Asking<'_> {
    /// Makes every call; the last one waits.
    async fn all(&self, calls: Vec<(usize, Value)>) -> Result<Vec<Receipt>, Failure> {
        let mut receipts = Vec::with_capacity(calls.len());
        let mut done = 0;
        let last = calls.len().saturating_sub(1);
        for (index, (count, call)) in calls.into_iter().enumerate() {
            let wait = self.arguments.shown.wait.filter(|_| index == last).unwrap_or_default();
            let taken = self.one(call, wait, done).await;
            receipts.push(taken.map_err(|failure| self.stopped(failure, done))?);
            done += count;
        }
        Ok(receipts)
    }

    async fn one(&self, mut call: Value, wait: Duration, done: usize) -> Result<Receipt, Failure> {
        call["mode"] = json!(if self.arguments.soft { "invalidate" } else { "purge" });
        call["reason"] = json!(self.arguments.reason);
        let path = format!("/v1/purges{}", query(wait));
        let asked = self.client.post(&path, call.to_string(), wait);
        let text = Progress::on_terminal().spin(&self.doing(wait, done), asked).await?;
        read(&self.client, text)
    }

    /// What the user sees meanwhile.
    fn doing(&self, wait: Duration, done: usize) -> String {
        let what = if wait.is_zero() { "sending" } else { "waiting for every node" };
        if self.several { format!("{} {what}", bar(done, self.total)) } else { what.to_owned() }
    }

    /// Asks what has become of all calls but the last, since only that one has waited.
    async fn look_again(&self, receipts: &mut [Receipt]) -> Result<(), Failure> {
        let Some((_waited, earlier)) = receipts.split_last_mut() else { return Ok(()) };
        for receipt in earlier {
            *receipt = one(&self.client, &receipt.id, Duration::ZERO).await?;
        }
        Ok(())
    }

    /// A failure after some of the calls, which have taken effect.
    fn stopped(&self, failure: Failure, done: usize) -> Failure {
        if done == 0 {
            return failure;
        }
        let so_far = format!("stopped after {done} of {} things, which are purged", self.total);
        Failure::Failed(failure.into_error().context(so_far))
    }
}

/// Fetches the receipt of the purge `id`.
async fn one(client: &Client, id: &str, wait: Duration) -> Result<Receipt, Failure> {
    let text = client.get(&format!("/v1/purges/{id}{}", query(wait)), wait).await?;
    read(client, text)
}

fn query(wait: Duration) -> String {
    if wait.is_zero() { String::new() } else { format!("?wait={}", render_duration(wait)) }
}

fn read(client: &Client, text: String) -> Result<Receipt, Failure> {
    let receipt: Receipt = client.read(&text)?;
    Ok(Receipt { text, ..receipt })
}

/// Prints receipts and says with which exit code the command ends.
fn report(receipts: &[Receipt], shown: &Shown) -> Result<ExitCode, Failure> {
    let summary = Summary::of(receipts).context("there is no receipt")?;
    let text = match shown.json {
        true => receipts.iter().map(|receipt| format!("{}\n", receipt.text.trim_end())).collect(),
        false => summary.text(shown.wait),
    };
    output::out(&text)?;
    Ok(summary.state.exit_code(shown.wait.is_some()))
}
