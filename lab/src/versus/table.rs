//! The table of all rows, for a terminal and as Markdown.

use std::fmt::Write;

use super::outcome::{Beside, Outcome, Verdict, compare};
use super::schedule::{Schedule, Setting};

/// One schedule in one setting.
pub struct Row {
    /// What happened.
    pub schedule: Schedule,
    /// With which Ironic.
    pub setting: Setting,
    /// The runs, bare first.
    pub runs: Vec<Runs>,
}

/// The runs of one mode.
pub struct Runs {
    /// Beside what IPA ran.
    pub beside: Beside,
    /// Those of a first round in which the row looked worse.
    pub before: Vec<Outcome>,
    /// Those that count.
    pub outcomes: Vec<Outcome>,
}

impl Runs {
    fn cell(&self, verdict: Option<Verdict>, exception: Option<&str>) -> String {
        let words = |outcomes: &[Outcome]| {
            let words: Vec<_> = outcomes.iter().map(ToString::to_string).collect();
            words.join(", ")
        };
        let before = match self.before.as_slice() {
            [] => String::new(),
            before => format!("({}) ", words(before)),
        };
        let verdict = match verdict {
            Some(Verdict::Worse) => " **worse**".to_owned(),
            Some(Verdict::Excepted) => format!(" **worse: {}**", exception.unwrap_or_default()),
            Some(Verdict::Once) => " *worse once*".to_owned(),
            Some(Verdict::Better) => " *better*".to_owned(),
            Some(Verdict::Same) | None => String::new(),
        };
        format!(" {before}{}{verdict} |", words(&self.outcomes))
    }
}

impl Row {
    /// How each mode stands beside bare.
    pub fn verdicts(&self) -> impl Iterator<Item = (Beside, Verdict)> {
        let bare = self.runs.iter().find(|runs| runs.beside == Beside::Nothing);
        let ours = self.runs.iter().filter(|runs| runs.beside != Beside::Nothing);
        ours.filter_map(move |runs| {
            let (bare, beside) = (bare?, runs.beside);
            let excepted = self.schedule.exception(beside, self.setting).is_some();
            let verdict = match compare(&bare.outcomes, &runs.outcomes) {
                Verdict::Worse if excepted => Verdict::Excepted,
                Verdict::Worse => Verdict::Worse,
                _ if compare(&bare.before, &runs.before) == Verdict::Worse => Verdict::Once,
                verdict => verdict,
            };
            Some((beside, verdict))
        })
    }

    /// Whether some mode is worse than bare.
    pub fn is_worse(&self) -> bool {
        self.verdicts().any(|(_, verdict)| verdict == Verdict::Worse)
    }

    /// Its line of the table.
    pub fn line(&self) -> String {
        let Setting { https, require_tls, auto_tls } = self.setting;
        let (scheme, on) = (if https { "https" } else { "http" }, |on| if on { "on" } else { "off" });
        let mut line =
            format!("| {} | {scheme} | {} | {} |", self.schedule.name, on(require_tls), on(auto_tls));
        for runs in &self.runs {
            let verdict = self.verdicts().find(|(beside, _)| *beside == runs.beside);
            let exception = self.schedule.exception(runs.beside, self.setting);
            line.push_str(&runs.cell(verdict.map(|(_, verdict)| verdict), exception));
        }
        line
    }
}

/// The table, what the schedules are, and a last line that counts.
pub fn text(rows: &[Row]) -> String {
    let mut text = "| schedule | API | require_tls | auto TLS |".to_owned();
    let modes = rows.first().map(|row| row.runs.as_slice()).unwrap_or_default();
    for Runs { beside, .. } in modes {
        let _ = write!(text, " {} |", beside.name());
    }
    let _ = write!(text, "\n|{}\n", "---|".repeat(4 + modes.len()));
    for row in rows {
        let _ = writeln!(text, "{}", row.line());
    }
    let _ = write!(text, "\n| schedule | what happens |\n|---|---|\n");
    let mut last = "";
    for row in rows {
        if row.schedule.name != last {
            let _ = writeln!(text, "| {} | {} |", row.schedule.name, row.schedule);
        }
        last = &row.schedule.name;
    }
    text
}

/// The last line.
pub fn count(rows: &[Row]) -> String {
    let all = || rows.iter().flat_map(Row::verdicts);
    let of = |wanted| all().filter(|(_, verdict)| *verdict == wanted).count();
    let (worse, better, excepted) = (of(Verdict::Worse), of(Verdict::Better), of(Verdict::Excepted));
    let (rows, all) = (rows.len(), all().count());
    format!(
        "{rows} rows, {all} comparisons: {worse} worse than bare, {excepted} named exceptions, {better} better"
    )
}

/// What stands above the table in the file.
const HEAD: &str = "# Versus

The real ironic-python-agent and the real Ironic, bare and with ipa-sidecar beside, through the same trouble. Written by
`cargo lab versus --write`.

- **right**: Ironic holds a URL at which IPA answers the conductor, with the certificate that Ironic was given.
- **lost**: the same, but no later heartbeat was accepted.
- **none**: Ironic holds no URL after 60 s, or IPA has given up.
- **wrong**: Ironic holds a URL at which IPA does not answer.

Behind it stand the seconds from IPA's start to the first heartbeat that Ironic accepted, and those from boot. Each cell
has all its runs. Runs are compared sorted: the worst with the worst bare one, and so on. A row that looks worse is run
again twice as often; those runs count, and the first ones stand in parentheses. *Worse once* is what did not happen again:
both draw lots, and a step may or may not meet a request on its way.

IPA's own times are shorter, and nothing else of it changes: 8 s for a request, 1 s between two looks for its address. systemd
starts it again after 5 s. The daemon's times are shorter too: 12 s of `--advertise.wait`, a watchdog of 10 s.
";

/// Writes the file.
///
/// # Errors
/// Where it cannot be written.
pub fn write(path: &std::path::Path, text: &str, count: &str) -> anyhow::Result<()> {
    std::fs::write(path, format!("{HEAD}\n{count}.\n\n{text}"))?;
    Ok(())
}
