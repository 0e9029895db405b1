//! `cargo xtask dist`: what a ramdisk builder gets: one static binary with the probes, its unit, its diskimage-builder
//! element and its initramfs script, in one archive; and what a conductor gets, in another one: `ipa-fleet` and its units.
//! Both also as .deb and .rpm.

pub mod archive;
mod components;
mod cross;
mod hardening;
pub mod image;
pub mod package;
pub mod product;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use testbed::architecture::Architecture;

use crate::bpf::Object;
use crate::prerequisites::{self, Purpose};
use crate::process;
use crate::workspace::{self, target_directory};
use package::Content;
use product::{BESIDE_THE_CONDUCTOR, Product, SIDECAR};

/// The version of all of it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The most that the binary may take in a ramdisk, in bytes.
const SIZE_LIMIT: u64 = 5 * 1024 * 1024;

/// A script for the linker.
const WITHOUT_UNWIND_TABLES: &str = "xtask/src/dist/without-unwind-tables.ld";

/// Both architectures that a release is for.
pub const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Build it again from nothing, and compare the bytes
    #[arg(long)]
    twice: bool,
    /// The target that it is for
    #[arg(long, value_name = "TRIPLE", default_value_t = default_target())]
    target: String,
}

/// Builds archives and packages; with `--twice` a second time from nothing, and compares.
///
/// # Errors
/// Where something is missing, the build fails, the binary is too large or not hardened, or two builds differ.
pub fn run(Flags { twice, target }: &Flags) -> anyhow::Result<()> {
    all(target, *twice).map(drop)
}

/// As [`run`], for a target; gives what was built.
///
/// # Errors
/// As [`run`].
pub fn all(target: &str, twice: bool) -> anyhow::Result<Vec<Release>> {
    prerequisites::ensure(Purpose::Build)?;
    let mut releases = Vec::new();
    for product in [&SIDECAR, &BESIDE_THE_CONDUCTOR] {
        let mut release = release_of(product, target)?;
        release.packages = package::both(&release.content(), Path::new("dist"))?;
        if twice {
            build_again(&release)?;
            let again = package::both(&release.content(), Path::new("target/packages-again"))?;
            release.packages.iter().zip(&again).try_for_each(|(one, other)| compare(one, other))?;
            println!("a second build from nothing gave the same bytes, and so did the packages");
        }
        release.report()?;
        releases.push(release);
    }
    Ok(releases)
}

/// Builds its binary again from nothing.
///
/// # Errors
/// Where it fails, or the bytes are others.
fn build_again(release: &Release) -> anyhow::Result<()> {
    let directory = Path::new("target/dist-again");
    let again = build(release.product, &release.target, directory)?;
    compare(&release.binary, &again)?;
    Ok(std::fs::remove_dir_all(directory)?)
}

/// As [`all`], for this machine's architecture.
///
/// # Errors
/// As [`run`].
pub fn all_here() -> anyhow::Result<Vec<Release>> {
    all(&default_target(), false)
}

/// A built release.
pub struct Release {
    product: &'static Product,
    target: String,
    /// The static binary.
    pub binary: PathBuf,
    /// The unpacked archive.
    pub directory: PathBuf,
    /// The archive.
    pub archive: PathBuf,
    /// The .deb and the .rpm.
    pub packages: Vec<PathBuf>,
    components: usize,
}

/// Builds the sidecar's release for this machine's architecture.
///
/// # Errors
/// As [`run`].
pub fn release_here() -> anyhow::Result<Release> {
    release_of(&SIDECAR, &default_target())
}

/// The same for a target.
///
/// # Errors
/// As [`run`].
pub fn release_for(target: &str) -> anyhow::Result<Release> {
    release_of(&SIDECAR, target)
}

/// The sidecar's binary as released, but with its symbols, in a directory of its own: to see what takes its bytes.
///
/// # Errors
/// As [`run`].
pub fn with_symbols_here() -> anyhow::Result<PathBuf> {
    let directory = target_directory().join("dist-symbols");
    build_with(&SIDECAR, &default_target(), &directory, &[("CARGO_PROFILE_DIST_STRIP", "none")])
}

fn release_of(product: &'static Product, target: &str) -> anyhow::Result<Release> {
    let package = product.package;
    let built = build(product, target, &target_directory().join("dist-build"))?;
    hardening::check(&built)?;
    let size = std::fs::metadata(&built)?.len();
    if size > SIZE_LIMIT {
        bail!("{} has {size} bytes, more than {SIZE_LIMIT}", built.display());
    }
    if target == default_target() {
        // A start-up code that cannot read these relocations shows at once.
        process::output(Command::new(&built).arg("--version"))?;
    }
    let architecture = target.split('-').next().unwrap_or(target);
    let name = format!("{package}-{VERSION}-{architecture}");
    let directory = Path::new("dist").join(&name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    let binary = directory.join("bin").join(package);
    archive::copy(&built, &binary)?;
    for (from, to) in product.files {
        archive::copy(Path::new(from), &directory.join(to))?;
    }
    for (from, to) in product.directories {
        archive::copy_tree(Path::new(from), &directory.join(to))?;
    }
    if product.has_documents {
        for document in workspace::files(Path::new("docs"), &["md"])? {
            archive::copy(&document, &directory.join(&document))?;
        }
    }
    manual(package, &directory)?;
    let components = components::of_binary(package, product.has_probes, target)?;
    std::fs::write(directory.join("sbom.cdx.json"), components::sbom(&components, package, VERSION)?)?;
    std::fs::write(directory.join("THIRD-PARTY-LICENSES.txt"), components::licences(&components, package)?)?;
    let archive = archive::pack(&directory)?;
    let components = components.len();
    let target = target.to_owned();
    Ok(Release { product, target, binary, directory, archive, packages: Vec::new(), components })
}

impl Release {
    /// What its binary runs on; `None` where no guest does.
    pub fn architecture(&self) -> Option<Architecture> {
        Architecture::of_target(&self.target)
    }

    /// Whether the image has its binary.
    pub fn is_in_the_image(&self) -> bool {
        self.product.package == BESIDE_THE_CONDUCTOR.package
    }

    /// What its packages are made of.
    pub fn content(&self) -> Content<'_> {
        let Self { product, directory, target, .. } = self;
        Content { product, directory, version: VERSION, target }
    }

    /// The files of the archive, by their paths in it.
    ///
    /// # Errors
    /// Where a directory cannot be read.
    pub fn files(&self) -> anyhow::Result<Vec<String>> {
        Ok(package::files(&self.directory)?.into_iter().map(|(inside, _)| inside).collect())
    }

    fn report(&self) -> anyhow::Result<()> {
        let size = |path: &Path| Ok::<_, std::io::Error>(std::fs::metadata(path)?.len());
        println!(
            "{}: {} bytes, {} dependencies in it",
            self.binary.display(),
            size(&self.binary)?,
            self.components
        );
        println!("  position-independent, full RELRO, no executable stack, static");
        println!("{}: {} bytes", self.archive.display(), size(&self.archive)?);
        process::run(Command::new("sha256sum").args([&self.binary, &self.archive]).args(&self.packages))
    }
}

/// Puts man pages and completions into a release. A program of its own writes them: it has both command lines in it.
fn manual(package: &str, directory: &Path) -> anyhow::Result<()> {
    let made = target_directory().join("manual");
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--package", "manual", "--"]).arg(&made);
    process::run(&mut command)?;
    for kind in ["man", "completions"] {
        archive::copy_tree(&made.join(package).join(kind), &directory.join(kind))?;
    }
    Ok(())
}

/// Builds the static binary in a target directory of its own: other flags would make cargo build all else again.
fn build(product: &Product, target: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    build_with(product, target, directory, &[])
}

/// The same, with variables for cargo.
fn build_with(
    product: &Product,
    target: &str,
    directory: &Path,
    variables: &[(&str, &str)],
) -> anyhow::Result<PathBuf> {
    let compiler = cross::compiler(target)?;
    let mut command = process::cargo();
    command.envs(variables.iter().copied()).envs(compiler.variables);
    command.args(["build", "--profile", "dist", "--package", product.package, "--target", target]);
    command.arg("--target-dir").arg(directory);
    // With --target these flags are for the binary alone; a build script or macro could not be static.
    let flags = [flags()?, compiler.flags].concat();
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    if product.has_probes {
        Object::build_for(target.split('-').next().unwrap_or(target))?.embed(&mut command);
    }
    process::run(&mut command)?;
    Ok(directory.join(target).join("dist").join(product.package))
}

/// Static, and without the paths of this machine: the same source gives the same bytes everywhere.
fn flags() -> anyhow::Result<Vec<String>> {
    let root = std::env::current_dir()?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    Ok(vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("-Clink-arg=-Wl,--no-eh-frame-hdr,-T,{}", root.join(WITHOUT_UNWIND_TABLES).display()),
        // Relative relocations take a fiftieth in this form (glibc 2.36 and later); equal functions stand once.
        "-Clink-arg=-Wl,-z,pack-relative-relocs,--icf=all".to_owned(),
        format!("--remap-path-prefix={}=/cargo", home.display()),
        format!("--remap-path-prefix={}=/ipa-sidecar", root.display()),
    ])
}

fn compare(one: &Path, other: &Path) -> anyhow::Result<()> {
    if std::fs::read(one)? == std::fs::read(other)? {
        return Ok(());
    }
    bail!("{} and {} differ", one.display(), other.display())
}

fn default_target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}
