//! Building for 64-bit Arm, and for it elsewhere: the standard library, the C compiler and linker, and a static program that
//! is position-independent.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use testbed::architecture::Architecture;

use crate::prerequisites::{self, Purpose};
use crate::{Missing, process, rustc_web};

const ARM: &str = "aarch64-unknown-linux-gnu";
/// Debian's cross compiler, and the variable by which cargo takes another one.
const LINKER: &str = "aarch64-linux-gnu-gcc";
const LINKER_VARIABLE: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER";
/// What a static position-independent program starts and ends with (gcc's `-static-pie`).
const START_FILES: [&str; 5] = ["rcrt1.o", "crti.o", "crtbeginS.o", "crtendS.o", "crtn.o"];

/// What cargo has to be given for a target.
#[derive(Default)]
pub struct Compiler {
    /// Variables of cargo's.
    pub variables: Vec<(String, OsString)>,
    /// Flags of rustc's, for the binary alone.
    pub flags: Vec<String>,
}

/// Finds or prepares it. Another target than that of 64-bit Arm is left to cargo and to who calls it.
///
/// # Errors
/// [`Missing`], with the command that would help.
pub fn compiler(target: &str) -> anyhow::Result<Compiler> {
    let mut compiler = Compiler::default();
    if target != ARM {
        return Ok(compiler);
    }
    let configured = std::env::var_os(LINKER_VARIABLE);
    let is_here = Architecture::Aarch64.is_here();
    if !is_here && configured.is_none() {
        prerequisites::ensure(Purpose::Cross)?;
    }
    let linker = configured.unwrap_or_else(|| if is_here { "cc".into() } else { LINKER.into() });
    compiler.flags = [lld()?, static_and_position_independent(&linker)?].concat();
    compiler.variables.push((LINKER_VARIABLE.to_owned(), linker));
    if !has_standard_library() && !added_by_rustup() {
        let rustc = rustc_web::with_standard_library(Architecture::Aarch64)?.ok_or_else(|| {
            Missing(format!("no standard library for {ARM}; this gets it:\n  rustup target add {ARM}"))
        })?;
        let libraries = rustc_web::libraries(&rustc).context("a compiler has libraries")?;
        compiler.variables.push(("RUSTC".to_owned(), rustc.into()));
        compiler.variables.push(("LD_LIBRARY_PATH".to_owned(), libraries.into()));
    }
    Ok(compiler)
}

/// Rust's own lld, which it uses by itself on x86 only.
fn lld() -> anyhow::Result<Vec<String>> {
    let words = ["--print", "target-libdir"];
    let libraries = rustc_web::asked(Path::new("rustc"), &words).context("rustc does not answer")?;
    let programs = PathBuf::from(libraries).with_file_name("bin").join("gcc-ld");
    Ok(vec!["-Clink-arg=-fuse-ld=lld".to_owned(), format!("-Clink-arg=-B{}", programs.display())])
}

/// rustc knows for this target only static programs with a fixed address. It asks gcc for one of those: the linker gets
/// what `-static-pie` would have given it.
fn static_and_position_independent(linker: &OsString) -> anyhow::Result<Vec<String>> {
    let mut flags = vec!["-Clink-arg=-nostartfiles".to_owned()];
    for name in START_FILES {
        let place = process::output(Command::new(linker).arg(format!("-print-file-name={name}")))?;
        flags.push(format!("-Clink-arg={place}"));
    }
    flags.push("-Clink-arg=-Wl,-pie,--no-dynamic-linker,-z,text".to_owned());
    Ok(flags)
}

fn has_standard_library() -> bool {
    let directory = rustc_web::asked(Path::new("rustc"), &["--print", "target-libdir", "--target", ARM]);
    let files = directory.and_then(|directory| std::fs::read_dir(directory).ok());
    files
        .into_iter()
        .flatten()
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Where rustup is and reaches its server.
fn added_by_rustup() -> bool {
    process::output(Command::new("rustup").args(["target", "add", ARM])).is_ok() && has_standard_library()
}
