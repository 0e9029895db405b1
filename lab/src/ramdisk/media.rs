//! Virtual media with `parameters.txt`, as a BMC plugs them in: in a CD drive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::process;

/// How the medium is formatted.
#[derive(Clone, Copy, Debug)]
pub enum Medium {
    /// FAT, as Ironic makes it for a floppy; with the sectors of a CD drive.
    Vfat,
    /// ISO 9660.
    Iso9660,
}

impl Medium {
    /// Its name in the kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vfat => "vfat",
            Self::Iso9660 => "iso9660",
        }
    }

    /// Makes the image in a directory.
    ///
    /// # Errors
    /// Where the tools fail.
    pub fn image(self, directory: &Path, parameters: &str) -> anyhow::Result<PathBuf> {
        let file = directory.join("parameters.txt");
        fs::write(&file, parameters)?;
        let image = directory.join(format!("{}.img", self.name()));
        match self {
            Self::Vfat => {
                let mut format = Command::new("mkfs.vfat");
                // A smaller sector than the drive's cannot be mounted.
                format.args(["-S", "2048", "-n", "IR-VFD-DEV", "-C"]).arg(&image).arg("4096");
                process::run(&mut format)?;
                process::run(Command::new("mcopy").arg("-i").arg(&image).arg(&file).arg("::parameters.txt"))?;
            }
            Self::Iso9660 => {
                let mut make = Command::new("genisoimage");
                process::run(make.args(["-quiet", "-R", "-V", "ir-vfd-dev", "-o"]).arg(&image).arg(&file))?;
            }
        }
        Ok(image)
    }
}
