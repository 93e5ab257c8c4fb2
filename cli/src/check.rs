//! `weir config check`: everything that is wrong with a configuration file, at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use weir_node::TlsProblems;
use weir_node::config::{self, ConfigErrors, TierDefaults};

use crate::failure::Failure;
use crate::output;

/// Checks a node's configuration file; exits 0 if it can be used, 1 if not.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The tier whose binary will read it; by default told by the file's name.
    #[arg(long, value_name = "TIER")]
    tier: Option<TierName>,
    /// Print the problems as one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TierName {
    Edge,
    Regional,
    Shield,
}

impl TierName {
    fn defaults(self) -> TierDefaults {
        match self {
            Self::Edge => weir_edge::defaults(),
            Self::Regional => weir_regional::defaults(),
            Self::Shield => weir_shield::defaults(),
        }
    }

    /// The tier that a file's name begins with; an edge otherwise.
    fn of_file(file: &Path) -> Self {
        let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if name.starts_with("regional") {
            Self::Regional
        } else if name.starts_with("shield") {
            Self::Shield
        } else {
            Self::Edge
        }
    }
}

/// Reads the file as the node would and reports.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let tier = arguments.tier.unwrap_or_else(|| TierName::of_file(&arguments.file));
    let checked = config::load(&arguments.file, &tier.defaults(), config::environment());
    // Files that the configuration names are looked at where it can be read.
    let files = match &checked {
        Ok(config) => weir_node::check_tls(&config.tls).err(),
        Err(_) => None,
    };
    let problems = checked.err();
    let fine = problems.is_none() && files.is_none();
    if arguments.json {
        let json = as_json(problems.as_ref(), files.as_ref(), &arguments.file);
        output::out(&format!("{json}\n"))?;
    } else if let Some(problems) = &problems {
        output::err(&format!("{problems}\n"));
    } else if let Some(files) = &files {
        output::err(&format!("{files}\n"));
    } else {
        output::out(&format!("{}: no problems\n", arguments.file.display()))?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_json(
    problems: Option<&ConfigErrors>,
    files: Option<&TlsProblems>,
    file: &Path,
) -> serde_json::Value {
    let of_files = files.map(TlsProblems::list).unwrap_or_default().iter().map(|problem| {
        json!({
            "file": file.display().to_string(),
            "line": 0,
            "column": 0,
            "key": "tls",
            "message": problem.to_string(),
            "nearest": null,
        })
    });
    let list: Vec<_> = problems
        .map(|errors| errors.problems())
        .unwrap_or_default()
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "key": problem.key,
                "message": problem.message,
                "nearest": problem.nearest,
            })
        })
        .chain(of_files)
        .collect();
    json!({"ok": list.is_empty(), "problems": list})
}
