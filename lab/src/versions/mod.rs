//! `cargo lab versions`: real ironic-python-agents and real Ironics of many versions, with the daemon beside. What Ironic
//! records must be the decided URL, and the conductor must be able to call it.

mod pair;
mod table;

use std::path::PathBuf;

use anyhow::{bail, ensure};
use testbed::ironic::{OLDER_VERSIONS, VERSION};
use xtask::build;
use xtask::prerequisites::{self, Purpose};

use pair::{MODES, Pair};

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Only this pair; may be repeated. Without it every IPA with every Ironic
    #[arg(long, num_args = 2, value_names = ["IPA", "IRONIC"])]
    pair: Vec<String>,
    /// Write the table into docs/compatibility.md: all pairs, or the lines of these
    #[arg(long)]
    write: bool,
    /// This daemon; without it the release is built
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

impl Flags {
    fn pairs(&self) -> anyhow::Result<Vec<Pair>> {
        let (ipas, ironics) = (testbed::ipa::versions(), [&[VERSION], OLDER_VERSIONS.as_slice()].concat());
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

/// Runs them one after the other; prints a line for each.
///
/// # Errors
/// Where Ironic records another URL than the decided one or the conductor cannot call it, and where a pair cannot be run.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let pairs = flags.pairs()?;
    prerequisites::ensure(Purpose::Test)?;
    prerequisites::ensure_root("versions")?;
    let binary = match &flags.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => build::release()?,
    };
    let (mut lines, mut bad) = (Vec::new(), 0);
    for pair in &pairs {
        for mode in MODES {
            let found = pair.run(mode, &binary);
            bad += usize::from(!found.as_ref().is_ok_and(|found| found.is_good()));
            let line = table::line(pair, mode, &found);
            println!("{line}");
            lines.push(line);
        }
    }
    if flags.write {
        table::write(lines)?;
    }
    if bad > 0 {
        bail!("{bad} of {} runs did not end as they should", pairs.len() * MODES.len());
    }
    println!("{} runs, each as it should be", pairs.len() * MODES.len());
    Ok(())
}
