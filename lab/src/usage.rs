//! What a running process uses, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::Context;

/// Processor time and sleeps of one thread.
#[derive(Clone, Copy, Default)]
struct Thread {
    nanoseconds: u64,
    sleeps: u64,
}

/// Counts what a process uses from now on. Look often enough: a thread that came and went between two looks is not
/// seen (tokio keeps an idle one for 10 s).
pub struct Usage {
    pid: u32,
    first: HashMap<u32, Thread>,
    last: HashMap<u32, Thread>,
}

impl Usage {
    /// Begins to count.
    ///
    /// # Errors
    /// Where there is no such process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let first = by_thread(pid)?;
        Ok(Self { pid, last: first.clone(), first })
    }

    /// Looks at it.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn look(&mut self) -> anyhow::Result<()> {
        self.last.extend(by_thread(self.pid)?);
        Ok(())
    }

    /// Processor time until the last look, in user space and in the kernel.
    pub fn processor(&self) -> Duration {
        Duration::from_nanos(self.sum(|thread| thread.nanoseconds))
    }

    /// How often one of its threads went to sleep until the last look, and so how often one was woken.
    pub fn sleeps(&self) -> u64 {
        self.sum(|thread| thread.sleeps)
    }

    fn sum(&self, count: impl Fn(&Thread) -> u64) -> u64 {
        let before = |id| self.first.get(id).map_or(0, &count);
        self.last.iter().map(|(id, thread)| count(thread).saturating_sub(before(id))).sum()
    }
}

fn by_thread(pid: u32) -> anyhow::Result<HashMap<u32, Thread>> {
    let mut threads = HashMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))? {
        let path = entry?.path();
        // A thread may end between the two.
        let (Ok(time), Ok(status)) =
            (fs::read_to_string(path.join("schedstat")), fs::read_to_string(path.join("status")))
        else {
            continue;
        };
        let id = path.file_name().and_then(|name| name.to_str()?.parse().ok()).context("no thread id")?;
        let nanoseconds =
            time.split(' ').next().and_then(|text| text.parse().ok()).context("no schedstat")?;
        threads.insert(id, Thread { nanoseconds, sleeps: field(&status, "voluntary_ctxt_switches")? });
    }
    Ok(threads)
}

/// Resident memory in KiB.
///
/// # Errors
/// Where there is no such process.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    field(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS")
}

/// The most that was ever resident, in KiB.
///
/// # Errors
/// Where there is no such process.
pub fn most_resident(pid: u32) -> anyhow::Result<u64> {
    field(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmHWM")
}

/// How many threads it has.
///
/// # Errors
/// Where there is no such process.
pub fn threads(pid: u32) -> anyhow::Result<u64> {
    field(&fs::read_to_string(format!("/proc/{pid}/status"))?, "Threads")
}

/// Open descriptors.
///
/// # Errors
/// Where there is no such process.
pub fn descriptors(pid: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The number behind a name in a file of /proc.
///
/// # Errors
/// Where it has no such line.
pub fn field(status: &str, name: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("no {name}"))
}

/// KiB as MiB.
pub fn mebibytes(kibibytes: f64) -> String {
    format!("{:.1} MiB", kibibytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_work_is_counted() {
        let pid = std::process::id();
        let mut usage = Usage::of(pid).unwrap();
        let end = std::time::Instant::now() + Duration::from_millis(50);
        while std::time::Instant::now() < end {}
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(1));
        }
        usage.look().unwrap();
        assert!(usage.processor() > Duration::from_millis(5), "{:?}", usage.processor());
        assert!(usage.sleeps() >= 5);
        assert!(resident(pid).unwrap() > 500 && descriptors(pid).unwrap() >= 3 && threads(pid).unwrap() >= 1);
        assert_eq!(mebibytes(1536.0), "1.5 MiB");
    }
}
