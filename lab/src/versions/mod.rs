//! `cargo lab versions`: real ironic-python-agents and real Ironics of many versions, with the daemon beside. What Ironic
//! records must be the decided URL, and the conductor must be able to call it.

mod pair;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use testbed::ipa::{ONE_URL_VERSION, RealIpa};
use testbed::ironic::{OLDER_IN_CI, OLDER_VERSIONS, RealIronic, VERSION};
use xtask::build;
use xtask::prerequisites::{self, Purpose};

use pair::{MODES, Pair};

/// What CI runs: the newest pair, and an old one that the machine's own Python runs.
const IN_CI: [(&str, &str); 2] = [(testbed::ipa::VERSION, VERSION), (ONE_URL_VERSION, OLDER_IN_CI)];

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Only this pair; may be repeated. Without it every IPA with every Ironic
    #[arg(long, num_args = 2, value_names = ["IPA", "IRONIC"])]
    pair: Vec<String>,
    /// The two that CI runs
    #[arg(long, conflicts_with = "pair")]
    fixed: bool,
    /// Write the table into docs/compatibility.md: all pairs, or the lines of these
    #[arg(long)]
    write: bool,
    /// Only install the versions
    #[arg(long, conflicts_with = "write")]
    install: bool,
    /// So many runs at once: they mostly wait
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// This daemon; without it the release is built
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

impl Flags {
    fn pairs(&self) -> anyhow::Result<Vec<Pair>> {
        let (ipas, ironics) = (testbed::ipa::versions(), [&[VERSION], OLDER_VERSIONS.as_slice()].concat());
        if self.fixed {
            return Ok(IN_CI.map(|(ipa, ironic)| Pair::new(ipa, ironic)).into());
        }
        if self.pair.is_empty() {
            let all = ipas.iter().flat_map(|ipa| ironics.iter().map(move |ironic| Pair::new(ipa, ironic)));
            return Ok(all.collect());
        }
        let pairs = self.pair.chunks(2).filter_map(|words| Some(Pair::new(words.first()?, words.get(1)?)));
        let pairs: Vec<_> = pairs.collect();
        for Pair { ipa, ironic } in &pairs {
            ensure!(ipas.contains(&ipa.as_str()), "no IPA {ipa}: there are {}", ipas.join(", "));
            ensure!(
                ironics.contains(&ironic.as_str()),
                "no Ironic {ironic}: there are {}",
                ironics.join(", ")
            );
        }
        Ok(pairs)
    }
}

/// Installs the versions, one after the other, and runs the pairs, several at once; prints a line for each run.
///
/// # Errors
/// Where Ironic records another URL than the decided one, the conductor cannot call it, or the daemon sees another one; and
/// where a pair cannot be run.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let pairs = flags.pairs()?;
    prerequisites::ensure(Purpose::Test)?;
    prerequisites::ensure_root("versions")?;
    if flags.install {
        return install(&pairs);
    }
    let binary = match &flags.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => build::release()?,
    };
    if let Err(error) = install(&pairs) {
        eprintln!("{error:#}"); // It is the outcome of its runs too.
    }
    let runs: Vec<_> = pairs.iter().flat_map(|pair| MODES.map(|mode| (pair, mode))).collect();
    let (next, bad) = (AtomicUsize::new(0), Mutex::new(0));
    let worker = || -> anyhow::Result<()> {
        while let Some((pair, mode)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            one(flags, pair, mode, &binary, &bad)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..flags.jobs).map(|_| scope.spawn(worker)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.map(|end| end.unwrap_or_else(|_| bail!("a run panicked"))).collect::<anyhow::Result<Vec<()>>>()
    })?;
    let bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(bad == 0, "{bad} of {} runs did not end as they should", runs.len());
    println!("{} runs, each as it should be", runs.len());
    Ok(())
}

/// One after the other, and before the runs, whose waits a busy machine would end.
///
/// # Errors
/// The last one, after all were tried.
fn install(pairs: &[Pair]) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    for ironic in pairs.iter().map(|pair| &pair.ironic).collect::<BTreeSet<_>>() {
        let done = RealIronic::install(ironic, &mut |line| eprintln!("ironic: {line}"));
        outcome = done.map(|_| ()).with_context(|| format!("Ironic {ironic}")).and(outcome);
    }
    for ipa in pairs.iter().map(|pair| &pair.ipa).collect::<BTreeSet<_>>() {
        let done = RealIpa::install(ipa, &mut |line| eprintln!("ipa: {line}"));
        outcome = done.map(|_| ()).with_context(|| format!("ironic-python-agent {ipa}")).and(outcome);
    }
    outcome
}

/// One run; its line is printed, and written at once. `bad` counts those that did not end as they should.
fn one(flags: &Flags, pair: &Pair, mode: &str, binary: &Path, bad: &Mutex<usize>) -> anyhow::Result<()> {
    let found = pair.run(mode, binary);
    let line = table::line(pair, mode, &found);
    let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
    *bad += usize::from(!found.is_ok_and(|found| found.is_good(mode)));
    println!("{line}");
    if flags.write {
        table::write(vec![line])?;
    }
    Ok(())
}
