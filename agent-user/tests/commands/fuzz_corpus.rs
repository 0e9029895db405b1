//! The fuzz targets over their corpus: what fuzzing once found stays corrected, without a fuzzer.

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[test]
fn every_input_of_the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut inputs = 0;
        for file in std::fs::read_dir(corpus.join(name)).unwrap() {
            let path = file.unwrap().path();
            println!("{}", path.display()); // The last one that stands there is the one that broke it.
            let input = std::fs::read(&path).unwrap();
            target(&input);
            // Cut off anywhere, it is an input as well.
            for length in (0..input.len()).step_by(input.len() / 64 + 1) {
                target(&input[..length]);
            }
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}

/// How much a target gets: what a reader of foreign bytes takes at most, and less in a debug build, which is slow.
const LARGEST: usize = if cfg!(debug_assertions) { 1 << 17 } else { 1 << 20 };

/// Work that grows with the square of the input takes 16 times as long for 4 times as much.
#[test]
fn work_grows_with_the_input_and_not_faster() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut slow = Vec::new();
    for (name, target) in targets::TARGETS {
        for file in std::fs::read_dir(corpus.join(name)).unwrap() {
            let path = file.unwrap().path();
            let seed = std::fs::read(&path).unwrap();
            if seed.is_empty() {
                continue;
            }
            let time = |length: usize| {
                let input: Vec<u8> = seed.iter().copied().cycle().take(length).collect();
                let begun = clock_gettime(ClockId::ThreadCPUTime);
                target(&input);
                let ended = clock_gettime(ClockId::ThreadCPUTime);
                Duration::try_from(ended - begun).unwrap()
            };
            let whole = time(LARGEST);
            if whole < Duration::from_millis(20) {
                continue;
            }
            // The least of two: what the first one warms up is not counted for the second.
            let quarter = time(LARGEST / 4).min(time(LARGEST / 4));
            let whole = whole.min(time(LARGEST));
            let ratio = whole.as_secs_f64() / quarter.as_secs_f64();
            println!("{name} {}: {whole:?}, {ratio:.1} times that of a quarter", path.display());
            if ratio > 10.0 {
                slow.push(format!("{}: {whole:?}, {ratio:.1}", path.display()));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn every_target_has_a_program_for_the_fuzzer() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let files = std::fs::read_dir(directory).unwrap();
    let mut programs: Vec<_> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    programs.sort();
    assert_eq!(programs, targets::TARGETS.map(|(name, _)| name));
}
