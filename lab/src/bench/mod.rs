//! `cargo lab bench`: what the daemon costs and how fast it is, each figure beside what a user would have instead,
//! from the same run. No figure is a failure.

mod change;
mod growth;
mod guard;
mod http;
mod idle;
mod kernel;
mod pages;
mod probes;
mod question;
mod report;
mod reports;
mod samples;
mod sight;
mod site;
mod size;
mod start;
mod storm;
pub mod work;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use xtask::{build, prerequisites};

use report::Figure;

/// How long anything here may take to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Measure = fn(&Bench) -> anyhow::Result<Figure>;

/// Every figure, in the order of the report.
const FIGURES: [(&str, Measure); 12] = [
    ("question", question::measure),
    ("change", change::measure),
    ("growth", growth::measure),
    ("storm", storm::measure),
    ("idle", idle::measure),
    ("start", start::measure),
    ("pages", pages::measure),
    ("guard", guard::measure),
    ("reports", reports::measure),
    ("probes", probes::measure),
    ("sight", sight::measure),
    ("size", size::measure),
];

/// What is measured, and how long.
struct Bench {
    /// The release binary with the probes.
    binary: PathBuf,
    quick: bool,
}

impl Bench {
    /// So many rounds, or a tenth of them with `--quick`.
    fn rounds(&self, rounds: usize) -> usize {
        if self.quick { (rounds / 10).max(3) } else { rounds }
    }
}

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Take a tenth of the rounds, and only print
    #[arg(long)]
    quick: bool,
    /// Write docs/benchmarks.md even so; with names, only their sections of it
    #[arg(long)]
    write: bool,
    /// Measure only these, and only print without --write
    #[arg(value_parser = PossibleValuesParser::new(FIGURES.map(|(name, _)| name)))]
    names: Vec<String>,
}

/// Measures the named figures, or all; writes `docs/benchmarks.md` where all were measured in full, or with `--write`; of named
/// ones their sections.
///
/// # Errors
/// Without root, or where something cannot be measured.
pub fn run(Flags { quick, write, names }: &Flags) -> anyhow::Result<()> {
    prerequisites::ensure_root("bench")?;
    let busy = report::load()?; // Before our own build makes it so.
    let bench = Bench { binary: build::release()?, quick: *quick };
    let mut figures = Vec::new();
    for (name, measure) in FIGURES {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n==> {name}");
        let started = Instant::now();
        let figure = measure(&bench)?;
        print!("{}", figure.text());
        println!("measured in {:.0} s", started.elapsed().as_secs_f64());
        figures.push(figure);
    }
    match (names.is_empty(), *write) {
        (true, true) => report::write(&figures, &busy)?,
        (true, false) if !quick => report::write(&figures, &busy)?,
        (false, true) => report::replace(&figures, &busy)?,
        _ => {}
    }
    Ok(())
}
