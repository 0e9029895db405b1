//! `docs/benchmarks.md`, which is written whole, from one run on a quiet machine.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use xtask::dist::VERSION;
use xtask::process;

use super::earlier::{self, Earlier};
use super::report::Figure;

const FILE: &str = "docs/benchmarks.md";
const HEAD: &str = include_str!("head.md");
/// The load average above which others take the processors too.
const QUIET: f64 = 0.5;

/// Where it goes, before anything is measured.
pub struct File {
    load: String,
}

impl File {
    /// Reads how busy the machine is: the runnable processes of the last minute.
    ///
    /// # Errors
    /// Where it is too busy for figures that stay.
    pub fn of_a_quiet_machine() -> anyhow::Result<Self> {
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split(' ').next().unwrap_or_default().to_owned();
        ensure!(
            load.parse::<f64>().is_ok_and(|load| load <= QUIET),
            "the load average of the last minute is {load}; {FILE} takes figures of a machine at {QUIET} or less (name \
             what to measure, or give --quick, to only print)"
        );
        Ok(Self { load })
    }

    /// Writes the report.
    ///
    /// # Errors
    /// Where the machine cannot be asked or the file not be written.
    pub fn write(self, figures: &[Figure]) -> anyhow::Result<()> {
        let before = fs::read_to_string(FILE).with_context(|| FILE.to_owned())?;
        let earlier = Earlier::of(&before, VERSION);
        let aims: String = figures.iter().map(Figure::aims).collect();
        let mut text = format!(
            "{HEAD}\n{}\n\n{}\n\n## Aims\n\n| | measured | aim |\n|---|---|---|\n{aims}",
            earlier::names(VERSION),
            machine(&self.load)?
        );
        text.extend(figures.iter().map(|figure| figure.text_beside(Some(&earlier))));
        fs::write(FILE, text).with_context(|| FILE.to_owned())?;
        println!("\n{FILE} is written");
        Ok(())
    }
}

fn machine(load: &str) -> anyhow::Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "an unnamed processor".to_owned());
    let count = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    let gibibytes = kilobytes.unwrap_or_default() / (1024 * 1024);
    Ok(format!(
        "Machine: {count} processors of {model}, {gibibytes} GiB, Linux {}, {}, {}. Its load average was {load} when this \
         began.",
        kernel.trim(),
        first_line(Command::new("ip").arg("-V"))?,
        first_line(Command::new("rustc").arg("-V"))?,
    ))
}

fn first_line(command: &mut Command) -> anyhow::Result<String> {
    let text = process::output(command)?;
    Ok(text.lines().next().unwrap_or_default().trim_end_matches(',').to_owned())
}
