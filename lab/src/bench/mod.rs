//! `cargo lab bench`: what the daemon costs and how fast it is, each figure beside what a user would have instead,
//! from the same run. No figure is a failure.

mod change;
mod crates;
mod earlier;
mod file;
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

use file::File;
use report::Figure;

/// How long anything here may take to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Measure = fn(&Bench) -> anyhow::Result<Figure>;

/// Every figure, in the order of the report.
const FIGURES: [(&str, Measure); 13] = [
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
    ("crates", crates::measure),
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
    /// Measure only these, and only print
    #[arg(value_parser = PossibleValuesParser::new(FIGURES.map(|(name, _)| name)))]
    names: Vec<String>,
}

/// Measures the named figures, or all; writes `docs/benchmarks.md` where all are measured in full.
///
/// # Errors
/// Without root, where something cannot be measured, or where the machine is too busy for the report.
pub fn run(Flags { quick, names }: &Flags) -> anyhow::Result<()> {
    prerequisites::ensure_root("bench")?;
    // Before the build makes the machine busy.
    let file = (names.is_empty() && !quick).then(File::of_a_quiet_machine).transpose()?;
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
    file.map_or(Ok(()), |file| file.write(&figures))
}
