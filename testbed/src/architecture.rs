//! The architectures of programs.

/// The architecture of a program, a package or a guest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Architecture {
    /// That of a Rust target such as `aarch64-unknown-linux-gnu`; `None`: of neither.
    pub fn of_target(target: &str) -> Option<Self> {
        match target.split('-').next()? {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// The name that Rust, the kernel and QEMU have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Debian's name for it.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Whether this machine's programs are of it.
    pub fn is_here(self) -> bool {
        self.as_str() == std::env::consts::ARCH
    }

    /// QEMU's machine and processor.
    pub(crate) fn machine(self) -> [&'static str; 4] {
        match self {
            Self::X86_64 => ["-M", "pc", "-cpu", "qemu64"],
            Self::Aarch64 => ["-M", "virt", "-cpu", "cortex-a57"],
        }
    }

    /// The serial port that `-serial` is.
    pub(crate) fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 => "ttyAMA0",
        }
    }
}
