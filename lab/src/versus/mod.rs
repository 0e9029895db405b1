//! `cargo lab versus`: the real ironic-python-agent and the real Ironic, bare and with the daemon beside, through the
//! same trouble. The node with us must end no worse.

mod agent;
mod boot;
mod daemon;
mod door;
mod fixed;
mod hall;
mod message;
mod outcome;
mod ra;
mod random;
mod reach;
mod run;
mod schedule;
mod stage;
mod table;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::bail;
use clap::builder::{PossibleValue, PossibleValuesParser};
use xtask::build;
use xtask::prerequisites::{self, Purpose};

use hall::Hall;
use outcome::{Beside, Outcome};
use schedule::{SETTINGS, Schedule};
use table::{Row, Runs};

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Schedules that chance makes, from so many seeds, besides those with a name
    #[arg(long, value_name = "N", default_value_t = 8)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,
    /// Only this one: its name, or seed-N; may be repeated
    #[arg(long, value_name = "NAME")]
    schedule: Vec<String>,
    /// The few that CI runs
    #[arg(long, conflicts_with_all = ["schedule", "seeds"])]
    fixed: bool,
    /// Beside bare only this mode
    #[arg(long, value_name = "MODE", value_parser = ["bare", "configure", "guard"])]
    mode: Option<String>,
    /// Only this setting, as the lines name it: https+require+auto
    #[arg(long, value_name = "NAME", value_parser = names())]
    setting: Option<String>,
    /// Run each so often; 3, with --fixed 1
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..))]
    repeat: Option<u8>,
    /// So many runs at once: they mostly wait
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Write the table as Markdown
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Keep the logs of every run here
    #[arg(long, value_name = "DIRECTORY")]
    logs: Option<PathBuf>,
    /// This daemon; without it the release is built
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// One more flag for the daemon; may be repeated
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    daemon_flag: Vec<String>,
}

impl Flags {
    fn schedules(&self) -> anyhow::Result<Vec<Schedule>> {
        let mut named = fixed::named();
        if self.fixed {
            named.truncate(fixed::IN_CI);
            return Ok(named);
        }
        if self.schedule.is_empty() {
            named.extend((self.from..self.from + self.seeds).map(random::schedule));
            return Ok(named);
        }
        let find = |name: &String| {
            let seed = name.strip_prefix("seed-").and_then(|seed| seed.parse().ok());
            match seed.map(random::schedule).or_else(|| named.iter().find(|s| s.name == *name).cloned()) {
                Some(schedule) => Ok(schedule),
                None => bail!(
                    "no schedule {name:?}; there are seed-N and {}",
                    named.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>().join(", ")
                ),
            }
        };
        self.schedule.iter().map(find).collect()
    }

    fn modes(&self) -> Vec<Beside> {
        let all = [Beside::Nothing, Beside::Configure, Beside::Guard];
        let wanted = |beside: &Beside| {
            *beside == Beside::Nothing || self.mode.as_ref().is_none_or(|mode| beside.name() == mode)
        };
        all.into_iter().filter(wanted).collect()
    }
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SETTINGS.map(|setting| PossibleValue::new(setting.name())))
}

/// Runs them all; prints the table, and counts in its last line.
///
/// # Errors
/// Where a node with us ends worse than bare, and where something cannot be run.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    prerequisites::ensure(Purpose::Test)?;
    prerequisites::ensure_root("versus")?;
    let schedules = flags.schedules()?;
    let binary = match &flags.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => build::release()?,
    };
    if let Some(directory) = &flags.logs {
        std::fs::create_dir_all(directory)?;
    }
    let hall = Hall::new(&binary, &flags.daemon_flag)?;
    let mut rows: Vec<Row> = Vec::new();
    for (number, schedule) in schedules.iter().enumerate() {
        for (place, setting) in SETTINGS.iter().enumerate() {
            // In CI every schedule meets the first setting and one more: the guard is for an http API.
            let others = SETTINGS.len() - 1;
            let left = flags.fixed && place != 0 && place != 1 + number % others;
            if left || flags.setting.as_ref().is_some_and(|name| *name != setting.name()) {
                continue;
            }
            let runs = |beside| Runs { beside, before: Vec::new(), outcomes: Vec::new() };
            let runs = flags.modes().into_iter().map(runs).collect();
            rows.push(Row { schedule: schedule.clone(), setting: *setting, runs });
        }
    }
    let repeat = flags.repeat.unwrap_or(if flags.fixed { 1 } else { 3 });
    let all: Vec<_> = (0..rows.len()).collect();
    round(flags, &hall, &mut rows, &all, repeat)?;
    // IPA and the machine draw lots: what looks worse has to be so again.
    let doubtful: Vec<_> =
        rows.iter().enumerate().filter(|(_, row)| row.is_worse()).map(|(number, _)| number).collect();
    if !doubtful.is_empty() {
        println!("{} rows look worse; they run {} times more", doubtful.len(), 2 * repeat);
        let first: Vec<_> = doubtful.iter().filter_map(|number| rows.get(*number)).map(Row::line).collect();
        println!("{}", first.join("\n"));
        for number in doubtful.iter().copied() {
            for runs in rows.get_mut(number).into_iter().flat_map(|row| &mut row.runs) {
                runs.before = std::mem::take(&mut runs.outcomes);
            }
        }
        round(flags, &hall, &mut rows, &doubtful, 2 * repeat)?;
    }
    let text = table::text(&rows);
    println!("\n{text}");
    if let Some(path) = &flags.write {
        table::write(path, &text, &table::count(&rows))?;
    }
    let count = table::count(&rows);
    if rows.iter().any(Row::is_worse) {
        bail!("{count}");
    }
    println!("{count}");
    Ok(())
}

/// Runs these rows so often, several at once.
fn round(flags: &Flags, hall: &Hall, rows: &mut [Row], which: &[usize], repeat: u8) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for number in which {
        let Some(row) = rows.get(*number) else { continue };
        for time in 0..repeat {
            for (mode, runs) in row.runs.iter().enumerate() {
                // A second round numbers its logs on.
                tasks.push((*number, mode, runs.beside, runs.before.len() + usize::from(time)));
            }
        }
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || -> anyhow::Result<()> {
        while let Some((number, mode, beside, time)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(row) = rows.get(*number) else { continue };
            let outcome = one(flags, hall, row, *beside, *time)?;
            if let Ok(mut done) = done.lock() {
                done.push((*number, *mode, outcome));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..flags.jobs).map(|_| scope.spawn(worker)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.map(|end| end.unwrap_or_else(|_| bail!("a run panicked"))).collect::<anyhow::Result<Vec<()>>>()
    })?;
    for (number, mode, outcome) in done.into_inner().unwrap_or_default() {
        if let Some(runs) = rows.get_mut(number).and_then(|row| row.runs.get_mut(mode)) {
            runs.outcomes.push(outcome);
        }
    }
    Ok(())
}

/// One run, and a line about it.
fn one(flags: &Flags, hall: &Hall, row: &Row, beside: Beside, time: usize) -> anyhow::Result<Outcome> {
    let Row { schedule, setting, .. } = row;
    let (outcome, log) = run::run(hall, schedule, *setting, beside)?;
    let name = format!("{} {} {}", schedule.name, setting.name(), beside.name());
    println!("{name}: {outcome} {}", outcome.note.lines().next().unwrap_or_default());
    if let Some(directory) = &flags.logs {
        std::fs::write(directory.join(format!("{} {time}.log", name.replace(' ', "."))), log)?;
    }
    Ok(outcome)
}
