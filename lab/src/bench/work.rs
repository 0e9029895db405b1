//! What is done beside the daemon: in this process, or in a guest by this program there.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// Parts of a measurement in a guest, whose median counts, and what one has.
const PARTS: usize = 5;
const PART: u32 = 200;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// A connect that is refused.
    Failing,
    /// A connect, its accept, and both closed.
    Successful,
    /// A system call that has nothing to do with connects.
    Getppid,
}

impl Work {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing loopback connect",
            Self::Successful => "successful loopback connect",
            Self::Getppid => "any other system call (getppid)",
        }
    }

    /// As the command line has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Successful => "successful",
            Self::Getppid => "getppid",
        }
    }

    /// Does it so many times.
    ///
    /// # Errors
    /// Where it does not go as it should.
    pub fn times(self, count: u32) -> io::Result<()> {
        match self {
            Self::Failing => failing(count),
            Self::Successful => successful(count),
            Self::Getppid => {
                for _ in 0..count {
                    let _ = std::hint::black_box(rustix::process::getppid());
                }
                Ok(())
            }
        }
    }
}

/// Prints the nanoseconds that one takes: of a guest that counts instructions, these.
///
/// # Errors
/// As [`Work::times`].
pub fn print(work: Work) -> anyhow::Result<()> {
    work.times(PART)?; // Caches, port tables.
    let mut parts = [0.0; PARTS];
    for part in &mut parts {
        let started = Instant::now();
        work.times(PART)?;
        *part = started.elapsed().as_secs_f64() * 1e9 / f64::from(PART);
    }
    parts.sort_by(f64::total_cmp);
    println!("{:.1}", parts.get(PARTS / 2).copied().unwrap_or_default());
    Ok(())
}

fn failing(count: u32) -> io::Result<()> {
    for _ in 0..count {
        if TcpStream::connect("127.0.0.1:1").is_ok() {
            return Err(io::Error::other("something listens on port 1"));
        }
    }
    Ok(())
}

fn successful(count: u32) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..count {
        let stream = TcpStream::connect(address)?;
        let accepted = listener.accept()?;
        // This side closes first, and its port waits: the other's must not.
        drop(accepted);
        drop(stream);
    }
    Ok(())
}
