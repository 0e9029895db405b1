//! The fuzz targets over their corpus: what fuzzing once found stays mended, without a fuzzer.

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

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

#[test]
fn every_target_has_a_program_for_the_fuzzer() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let files = std::fs::read_dir(directory).unwrap();
    let mut programs: Vec<_> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    programs.sort();
    assert_eq!(programs, targets::TARGETS.map(|(name, _)| name));
}
