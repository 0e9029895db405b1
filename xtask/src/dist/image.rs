//! The image of ipa-fleet: an OCI image layout (image-spec 1.0) for both architectures. The same binaries give the same
//! digest: times, owners and order are fixed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testbed::architecture::Architecture;

use super::product::BESIDE_THE_CONDUCTOR;
use super::{Release, TARGETS, VERSION, archive, build_again, compare, release_of};
use crate::prerequisites::{self, Purpose};
use crate::process;

/// User and group of the process, by number: Kubernetes demands that to see that it is not root.
const USER: &str = "65532:65532";
/// Not the time of a build: that would be another digest each time.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// What an image must carry besides the binary.
const LICENCES: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-LICENSES.txt"];

/// Where a runtime mounts something: the root may be read-only.
const MOUNT_POINTS: [&str; 5] = ["dev", "etc", "proc", "run", "sys"];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Build it again from nothing, and compare the digests
    #[arg(long)]
    twice: bool,
}

/// A written image.
pub struct Image {
    /// The layout: `oci-layout`, `index.json` and `blobs`.
    pub directory: PathBuf,
    /// The layout in one file.
    pub archive: PathBuf,
    /// The digest of the index of both architectures, by which a registry knows the image.
    pub digest: String,
}

/// Builds the binaries and writes the image into `dist`; with `--twice` a second time from nothing, and compares.
///
/// # Errors
/// Where something is missing, a build fails, or two builds differ.
pub fn run(Flags { twice }: &Flags) -> anyhow::Result<()> {
    prerequisites::ensure(Purpose::Build)?;
    let releases = releases()?;
    let image = write(&releases, Path::new("dist"))?;
    if *twice {
        releases.iter().try_for_each(build_again)?;
        image.written_again(&releases)?;
        println!("a second build from nothing gave the same digest");
    }
    println!("{}: {} bytes, {}", image.archive.display(), fs::metadata(&image.archive)?.len(), image.digest);
    Ok(())
}

/// Builds the binaries and writes the image into `dist`.
///
/// # Errors
/// As [`run`].
pub fn built() -> anyhow::Result<Image> {
    write(&releases()?, Path::new("dist"))
}

fn releases() -> anyhow::Result<Vec<Release>> {
    TARGETS.iter().map(|target| release_of(&BESIDE_THE_CONDUCTOR, target)).collect()
}

impl Image {
    /// Writes it once more, out of the same binaries.
    ///
    /// # Errors
    /// Where that fails, or is another image.
    fn written_again(&self, releases: &[Release]) -> anyhow::Result<()> {
        let again = write(releases, Path::new("target/image-again"))?;
        ensure!(
            again.digest == self.digest,
            "the second one is {}, the first one {}",
            again.digest,
            self.digest
        );
        compare(&self.archive, &again.archive)
    }
}

/// Writes the image of these releases, one for each architecture, below `output`.
///
/// # Errors
/// Where a file cannot be read or written, or `tar`, `gzip` or `sha256sum` fails.
pub fn write<'a>(releases: impl IntoIterator<Item = &'a Release>, output: &Path) -> anyhow::Result<Image> {
    let name = format!("{}-{VERSION}-oci", BESIDE_THE_CONDUCTOR.package);
    let directory = output.join(&name);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let layout = Layout { blobs: directory.join("blobs/sha256") };
    fs::create_dir_all(&layout.blobs)?;
    let manifests: anyhow::Result<Vec<_>> =
        releases.into_iter().map(|release| layout.manifest(release)).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests? });
    let index = layout.json(&index)?;
    // By this name tools that read a layout find the image in it.
    let reference = json!({ "org.opencontainers.image.ref.name": VERSION });
    let image =
        json!({ "mediaType": INDEX, "digest": index.digest, "size": index.size, "annotations": reference });
    let whole = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [image] });
    fs::write(directory.join("index.json"), serde_json::to_vec(&whole)?)?;
    fs::write(directory.join("oci-layout"), serde_json::to_vec(&json!({ "imageLayoutVersion": "1.0.0" }))?)?;
    let archive = output.join(format!("{name}.tar"));
    tar(&directory, &archive, &["blobs", "index.json", "oci-layout"])?;
    Ok(Image { directory, archive, digest: index.digest })
}

/// Where the blobs are; each is named by its SHA-256.
struct Layout {
    blobs: PathBuf,
}

impl Layout {
    /// Writes what one architecture runs; gives the descriptor of its manifest.
    fn manifest(&self, release: &Release) -> anyhow::Result<Value> {
        let architecture = release.architecture().context("an image needs an architecture")?;
        let (layer, uncompressed) = self.layer(release)?;
        let product = &BESIDE_THE_CONDUCTOR;
        let configuration = json!({
            "created": CREATED,
            "architecture": in_go(architecture),
            "os": "linux",
            "config": {
                "User": USER,
                "Entrypoint": [format!("/usr/bin/{}", product.package)],
                "Cmd": ["run"],
                "ExposedPorts": { "10100/tcp": {}, "10101/tcp": {} },
                "WorkingDir": "/",
                "Labels": {
                    "org.opencontainers.image.title": product.package,
                    "org.opencontainers.image.description": product.summary,
                    "org.opencontainers.image.version": VERSION,
                    "org.opencontainers.image.licenses": product.licence,
                },
            },
            "rootfs": { "type": "layers", "diff_ids": [uncompressed] },
        });
        let configuration = self.json(&configuration)?;
        let manifest = self.json(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": CONFIGURATION, "digest": configuration.digest, "size": configuration.size,
            },
            "layers": [{ "mediaType": LAYER, "digest": layer.digest, "size": layer.size }],
        }))?;
        Ok(json!({
            "mediaType": MANIFEST,
            "digest": manifest.digest,
            "size": manifest.size,
            "platform": { "architecture": in_go(architecture), "os": "linux" },
        }))
    }

    /// Writes the files of the image; gives the layer, and the digest of its uncompressed bytes.
    fn layer(&self, release: &Release) -> anyhow::Result<(Blob, String)> {
        let package = BESIDE_THE_CONDUCTOR.package;
        let work = self.blobs.join("layer");
        let root = work.join("root");
        archive::copy(&release.binary, &root.join("usr/bin").join(package))?;
        for name in LICENCES {
            let to = root.join("usr/share/doc").join(package).join(name);
            archive::copy(&release.directory.join(name), &to)?;
        }
        for name in MOUNT_POINTS {
            fs::create_dir_all(root.join(name))?;
        }
        let file = work.join("layer.tar");
        tar(&root, &file, &[&MOUNT_POINTS[..], &["usr"]].concat())?;
        let uncompressed = digest(&file)?;
        process::output(Command::new("gzip").args(["-9", "--no-name"]).arg(&file))?;
        let bytes = fs::read(file.with_extension("tar.gz"))?;
        fs::remove_dir_all(&work)?;
        Ok((self.blob(&bytes)?, uncompressed))
    }

    fn json(&self, content: &Value) -> anyhow::Result<Blob> {
        self.blob(&serde_json::to_vec(content)?)
    }

    fn blob(&self, content: &[u8]) -> anyhow::Result<Blob> {
        let unnamed = self.blobs.join("unnamed");
        fs::write(&unnamed, content)?;
        let digest = digest(&unnamed)?;
        fs::rename(&unnamed, self.blobs.join(digest.trim_start_matches("sha256:")))?;
        Ok(Blob { digest, size: content.len() })
    }
}

/// A written blob.
struct Blob {
    /// `sha256:` and its digits.
    digest: String,
    /// In bytes.
    size: usize,
}

/// What Go calls it, and so the specification.
fn in_go(architecture: Architecture) -> &'static str {
    architecture.debian()
}

fn digest(file: &Path) -> anyhow::Result<String> {
    let text = process::output(Command::new("sha256sum").arg("--binary").arg(file))?;
    let digest = text.split_whitespace().next().context("sha256sum printed nothing")?;
    Ok(format!("sha256:{}", digest.trim_start_matches('\\')))
}

fn tar(directory: &Path, file: &Path, names: &[&str]) -> anyhow::Result<()> {
    let file = std::path::absolute(file)?;
    let mut tar = Command::new("tar");
    tar.args(archive::REPRODUCIBLE).arg("-cf").arg(file).args(names).current_dir(directory);
    process::output(&mut tar).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(directory: &Path, target: &str) -> Release {
        let directory = directory.join(target);
        let binary = directory.join("bin/ipa-fleet");
        fs::create_dir_all(directory.join("bin")).unwrap();
        fs::write(&binary, target).unwrap();
        for name in LICENCES {
            fs::write(directory.join(name), name).unwrap();
        }
        let archive = PathBuf::new();
        let product = &BESIDE_THE_CONDUCTOR;
        Release {
            product,
            target: target.to_owned(),
            binary,
            directory,
            archive,
            packages: Vec::new(),
            components: 0,
        }
    }

    #[test]
    fn the_same_binaries_give_the_same_digest_and_each_blob_is_named_by_its_content() {
        let scratch = std::env::temp_dir().join(format!("ipa-sidecar-image-{}", std::process::id()));
        let releases = TARGETS.map(|target| release(&scratch, target));
        let image = write(&releases, &scratch).unwrap();
        let blobs: Vec<_> = fs::read_dir(image.directory.join("blobs/sha256")).unwrap().flatten().collect();
        // A layer, a configuration and a manifest for each architecture, and the index.
        assert_eq!(blobs.len(), 7);
        for blob in blobs {
            assert_eq!(digest(&blob.path()).unwrap(), format!("sha256:{}", blob.file_name().display()));
        }
        let index = fs::read_to_string(image.directory.join("index.json")).unwrap();
        assert!(index.contains(&image.digest), "{index}");
        let archive = fs::read(&image.archive).unwrap();
        fs::write(&releases[0].binary, TARGETS[0]).unwrap(); // Younger.
        assert_eq!(write(&releases, &scratch).unwrap().digest, image.digest);
        assert_eq!(fs::read(&image.archive).unwrap(), archive);
        fs::write(&releases[0].binary, "another").unwrap();
        assert_ne!(write(&releases, &scratch).unwrap().digest, image.digest);
        fs::remove_dir_all(&scratch).unwrap();
    }
}
