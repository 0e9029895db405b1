//! What foreign bytes may cost: of 1 MiB at most 50 ms of processor time and 8 MiB of memory, whoever reads them and whatever
//! they are.
//!
//! `cargo xtask budget` runs this in an optimised build, where both numbers hold on the machine of docs/benchmarks.md. A slower
//! machine may take longer by as much as it is slower. A debug build is many times slower: there a smaller body is read, its
//! memory counts as it is, and its time by how it grows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

#[path = "../commands/machine.rs"]
#[allow(dead_code)] // Other tests use the rest.
mod machine;
mod readers;
mod shapes;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use testbed::counting::{Allocated, Counting, count};

use readers::{READERS, Reader};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whether this is an optimised build.
const IS_RELEASED: bool = !cfg!(debug_assertions);
/// How much is read.
const LENGTH: usize = if IS_RELEASED { 1 << 20 } else { 1 << 17 };
/// Each so many of the shapes is tried.
const STEP: usize = if IS_RELEASED { 1 } else { 5 };
/// The most processor time for that; in a debug build what is quicker is not looked at further.
const TIME: Duration = Duration::from_millis(50);
/// The most memory.
const MEMORY: usize = 8 * LENGTH;
/// Four times as much may take so many times as long. Work that grows with the square takes 16 times as long.
const GROWTH: f64 = 9.0;

struct Cost {
    shape: String,
    time: Duration,
    allocated: Allocated,
}

fn measure(reader: &Reader, shape: String, body: &[u8]) -> Cost {
    let begun = clock_gettime(ClockId::ThreadCPUTime);
    let ((), allocated) = count(|| (reader.read)(body));
    let time = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - begun).unwrap();
    Cost { shape, time, allocated }
}

/// The least of some: other programs disturb.
fn time_of(reader: &Reader, body: &[u8]) -> Duration {
    (0..3).map(|_| measure(reader, String::new(), body).time).min().unwrap()
}

/// How many times slower this machine is now than that of docs/benchmarks.md, which needs 2 to 3 ms for this work.
fn slowness() -> f64 {
    const REFERENCE: f64 = 0.003;
    let text = "{\"a\": [1, 2.5, \"b\\n\", null]}, ".repeat(1 << 15);
    let body = format!("[{}0]", text);
    let of = || {
        let begun = clock_gettime(ClockId::ThreadCPUTime);
        std::hint::black_box(
            serde_json::from_str::<serde::de::IgnoredAny>(std::hint::black_box(&body)).unwrap(),
        );
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime) - begun).unwrap()
    };
    let took = (0..5).map(|_| of()).min().unwrap().as_secs_f64();
    println!("the machine's own measure: {:.1} ms", took * 1e3);
    (took / REFERENCE).max(1.0)
}

#[test]
fn foreign_bytes_cost_little() {
    let mut broken = Vec::new();
    let most = if IS_RELEASED { TIME.mul_f64(slowness()) } else { TIME };
    println!("{:22} {:>9}  {:38} {:>9}  {:38} {:>9}", "reader", "worst ms", "", "worst KiB", "", "requests");
    for reader in READERS {
        let mut costs = Vec::new();
        for (before, after) in reader.around {
            let beginning: String = String::from_utf8_lossy(before).chars().rev().take(12).collect();
            let beginning: String = beginning.chars().rev().collect();
            for (name, body) in shapes::bodies(LENGTH, before, after).step_by(STEP) {
                let shape = format!("{beginning:?}.. {name}");
                let mut cost = measure(reader, shape, &body);
                if cost.time > most {
                    cost.time = time_of(reader, &body);
                }
                if !IS_RELEASED && cost.time > most {
                    let quarter =
                        shapes::bodies(LENGTH / 4, before, after).find(|(other, _)| *other == name).unwrap();
                    let growth = cost.time.as_secs_f64() / time_of(reader, &quarter.1).as_secs_f64();
                    if growth > GROWTH {
                        broken.push(format!(
                            "{}, {}: {:?}, {growth:.1} times that of a quarter",
                            reader.name, cost.shape, cost.time
                        ));
                    }
                }
                if IS_RELEASED && cost.time > most {
                    broken.push(format!("{}, {}: {:?}", reader.name, cost.shape, cost.time));
                }
                if cost.allocated.peak > MEMORY {
                    broken.push(format!(
                        "{}, {}: {} KiB",
                        reader.name,
                        cost.shape,
                        cost.allocated.peak >> 10
                    ));
                }
                costs.push(cost);
            }
        }
        let slowest = costs.iter().max_by_key(|cost| cost.time).unwrap();
        let largest = costs.iter().max_by_key(|cost| cost.allocated.peak).unwrap();
        let calls = costs.iter().map(|cost| cost.allocated.calls).max().unwrap();
        println!(
            "{:22} {:9.1}  {:38} {:9}  {:38} {:9}",
            reader.name,
            slowest.time.as_secs_f64() * 1e3,
            slowest.shape,
            largest.allocated.peak >> 10,
            largest.shape,
            calls
        );
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
