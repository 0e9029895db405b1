//! Where a system keeps what is read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::image::Image;

use super::spec::ENVIRONMENT_PREFIX;

/// Where a system keeps what is read; tests have their own.
#[derive(Debug, Clone)]
pub struct Places {
    /// The daemon's variables.
    pub environment: BTreeMap<String, OsString>,
    /// `/etc`: IPA's configuration that has no parameter of its own.
    pub etc: PathBuf,
    /// `/sys/class/block`: the block devices.
    pub sys_class_block: PathBuf,
    /// `/dev`: their nodes.
    pub dev: PathBuf,
    /// What the image says of its IPA.
    pub image: Image,
}

impl Places {
    /// Those of this system and process.
    pub fn system(image: Image) -> Self {
        let ours = |(name, value): (OsString, OsString)| {
            let name = name.into_string().ok()?;
            name.starts_with(ENVIRONMENT_PREFIX).then_some((name, value))
        };
        Self {
            environment: std::env::vars_os().filter_map(ours).collect(),
            etc: PathBuf::from("/etc"),
            sys_class_block: PathBuf::from("/sys/class/block"),
            dev: PathBuf::from("/dev"),
            image,
        }
    }
}
