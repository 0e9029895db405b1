//! `cargo xtask bench`: what the daemon costs and how fast it is, each figure beside what a user would have instead,
//! from the same run. No figure is a failure.

mod change;
mod guard;
mod http;
mod idle;
mod kernel;
mod pages;
mod probes;
mod question;
mod report;
mod samples;
mod site;
mod size;
mod start;
mod storm;
mod usage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use report::Figure;

use crate::{Missing, WrongUsage, build, prerequisites, process};

/// How long anything here may take to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Measure = fn(&Bench) -> anyhow::Result<Figure>;

/// Every figure, in the order of the report.
const FIGURES: [(&str, Measure); 9] = [
    ("question", question::measure),
    ("change", change::measure),
    ("storm", storm::measure),
    ("idle", idle::measure),
    ("start", start::measure),
    ("pages", pages::measure),
    ("guard", guard::measure),
    ("probes", probes::measure),
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

/// Measures the named figures, or all; writes `docs/benchmarks.md` where all were measured in full, or with `--write`.
///
/// # Errors
/// A name that is none, without root, or where something cannot be measured.
pub fn run(words: &[String]) -> anyhow::Result<()> {
    let (flags, names): (Vec<&str>, Vec<&str>) =
        words.iter().map(String::as_str).partition(|word| word.starts_with('-'));
    let known = |name: &&str| FIGURES.iter().any(|(known, _)| known == name);
    let unknown_flag = flags.iter().find(|flag| !["--quick", "--write"].contains(flag));
    if let Some(word) = unknown_flag.or_else(|| names.iter().find(|name| !known(name))) {
        let all = FIGURES.map(|(name, _)| name).join(", ");
        let text = format!("bench takes --quick, --write and names of figures ({all}), and got {word:?}");
        return Err(WrongUsage(text).into());
    }
    if !testbed::is_root() {
        return Err(Missing("bench makes network namespaces, which needs root".to_owned()).into());
    }
    let busy = report::load()?; // Before our own build makes it so.
    prerequisites::ensure_to_build()?;
    process::run(&mut build::command()?)?;
    let quick = flags.contains(&"--quick");
    let bench = Bench { binary: std::path::absolute(build::binary())?, quick };
    let mut figures = Vec::new();
    for (name, measure) in FIGURES {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        println!("\n==> {name}");
        let started = Instant::now();
        let figure = measure(&bench)?;
        print!("{}", figure.text());
        println!("measured in {:.0} s", started.elapsed().as_secs_f64());
        figures.push(figure);
    }
    if flags.contains(&"--write") || (names.is_empty() && !quick) {
        report::write(&figures, &busy)?;
    }
    Ok(())
}
