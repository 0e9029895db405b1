//! What is released: the files of each archive, and where the packages put them.

use crate::workspace::{FLEET, PACKAGE};

/// What goes into one archive and its packages.
pub struct Product {
    /// The package, its binary, and the archive's name.
    pub package: &'static str,
    /// The BPF programs are in it.
    pub has_probes: bool,
    /// One line for the packages.
    pub summary: &'static str,
    /// An SPDX expression for the binary.
    pub licence: &'static str,
    /// Besides the binary, the man pages and the completions: from the checkout, to its place in the archive.
    pub files: &'static [(&'static str, &'static str)],
    /// The same for whole directories.
    pub directories: &'static [(&'static str, &'static str)],
    /// The documents of `docs` are in it, without their pictures: a ramdisk lies in memory.
    pub has_documents: bool,
    /// The scripts of the packages: in `deb` and `rpm` below it.
    pub scripts: &'static str,
}

/// The daemon for ramdisks.
pub const SIDECAR: Product = Product {
    package: PACKAGE,
    has_probes: true,
    summary: "Keeps the advertise address of an Ironic deploy ramdisk right",
    licence: "(MIT OR Apache-2.0) AND GPL-2.0-only",
    files: &[
        ("README.md", "README.md"),
        ("CHANGELOG.md", "CHANGELOG.md"),
        ("LICENSE-APACHE", "LICENSE-APACHE"),
        ("LICENSE-MIT", "LICENSE-MIT"),
        ("agent-ebpf/LICENSE-GPL-2.0", "LICENSE-GPL-2.0-agent-ebpf"),
        ("ramdisk/ipa-sidecar.service", "systemd/ipa-sidecar.service"),
    ],
    directories: &[
        ("ramdisk/dib", "dib"),
        ("ramdisk/initramfs", "initramfs"),
        ("ramdisk/examples", "examples"),
    ],
    has_documents: true,
    scripts: "ramdisk/packages",
};

/// The program beside the conductor.
pub const BESIDE_THE_CONDUCTOR: Product = Product {
    package: FLEET,
    has_probes: false,
    summary: "The callback URLs and failures of all nodes of an Ironic",
    licence: "MIT OR Apache-2.0",
    files: &[
        ("docs/fleet.md", "fleet.md"),
        ("CHANGELOG.md", "CHANGELOG.md"),
        ("LICENSE-APACHE", "LICENSE-APACHE"),
        ("LICENSE-MIT", "LICENSE-MIT"),
    ],
    directories: &[("fleet/systemd", "systemd"), ("fleet/examples", "examples")],
    has_documents: false,
    scripts: "fleet/packages",
};

/// The two kinds of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For dpkg.
    Deb,
    /// For rpm.
    Rpm,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Deb, Self::Rpm];

    /// The end of the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }

    /// Where zsh of this distribution looks for completions of packages.
    fn zsh(self) -> &'static str {
        match self {
            Self::Deb => "usr/share/zsh/vendor-completions",
            Self::Rpm => "usr/share/zsh/site-functions",
        }
    }
}

/// Where a package puts a file of the archive. Every file of the archive has a place.
pub fn place(package: &str, kind: Kind, file: &str) -> String {
    let share = format!("usr/share/{package}");
    if let Some(name) = file.strip_prefix("completions/") {
        return match name {
            _ if name.starts_with('_') => format!("{}/{name}", kind.zsh()),
            _ if name.ends_with(".fish") => format!("usr/share/fish/vendor_completions.d/{name}"),
            // Bash looks for the name of the command.
            _ => format!("usr/share/bash-completion/completions/{package}"),
        };
    }
    let places = [
        ("bin/", "usr/bin"),
        ("systemd/", "usr/lib/systemd/system"),
        ("man/", "usr/share/man/man8"),
        ("dib/", &format!("{share}/dib")),
        ("initramfs/", &format!("{share}/initramfs")),
        ("", &format!("usr/share/doc/{package}")),
    ];
    let found = places.iter().find_map(|(start, to)| Some((file.strip_prefix(start)?, to)));
    found.map_or_else(|| file.to_owned(), |(name, to)| format!("{to}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_the_place_of_its_distribution() {
        let of = |kind, file| place("ipa-fleet", kind, file);
        assert_eq!(of(Kind::Deb, "bin/ipa-fleet"), "usr/bin/ipa-fleet");
        assert_eq!(of(Kind::Rpm, "systemd/a.service"), "usr/lib/systemd/system/a.service");
        assert_eq!(of(Kind::Deb, "man/ipa-fleet.8"), "usr/share/man/man8/ipa-fleet.8");
        assert_eq!(of(Kind::Deb, "dib/x/install.d/1"), "usr/share/ipa-fleet/dib/x/install.d/1");
        assert_eq!(of(Kind::Rpm, "LICENSE-MIT"), "usr/share/doc/ipa-fleet/LICENSE-MIT");
        assert_eq!(of(Kind::Rpm, "examples/a.env"), "usr/share/doc/ipa-fleet/examples/a.env");
        let bash = "usr/share/bash-completion/completions/ipa-fleet";
        assert_eq!(of(Kind::Deb, "completions/ipa-fleet.bash"), bash);
        assert_eq!(of(Kind::Deb, "completions/_ipa-fleet"), "usr/share/zsh/vendor-completions/_ipa-fleet");
        assert_eq!(of(Kind::Rpm, "completions/_ipa-fleet"), "usr/share/zsh/site-functions/_ipa-fleet");
        let fish = "usr/share/fish/vendor_completions.d/ipa-fleet.fish";
        assert_eq!(of(Kind::Rpm, "completions/ipa-fleet.fish"), fish);
    }
}
