//! What a node boots with: its files, IPA's options, the daemon's flags.

use std::fs;
use std::path::PathBuf;

use testbed::ipa::IpaOptions;

use super::door;
use super::hall::{Enrolled, Hall};
use super::outcome::Beside;
use super::schedule::{Schedule, Setting};
use super::stage::{self, Stage};

/// IPA's time-outs and pauses, shorter than by default; nothing else of it is changed.
const QUICK: &str = "ipa-http-request-timeout=8 ipa-ip-lookup-timeout=1";
const HOSTS: &str = "127.0.0.1 localhost";

/// Where daemon and IPA find what they are given.
pub struct Boot {
    cmdline: String,
    cmdline_file: PathBuf,
    config: PathBuf,
}

impl Boot {
    /// Writes the files.
    ///
    /// # Errors
    /// Where one cannot be written.
    pub fn new(
        hall: &Hall,
        enrolled: &Enrolled<'_>,
        schedule: &Schedule,
        setting: Setting,
    ) -> std::io::Result<Self> {
        let scheme = if setting.https { "https" } else { "http" };
        let (host, port) = (stage::host(schedule.api), door::PORT);
        let cmdline = format!("BOOT_IMAGE=versus ipa-api-url={scheme}://{host}:{port} {QUICK} quiet");
        let directory = &enrolled.directory;
        let (config, etc, ca) = (directory.join("conf"), directory.join("etc"), directory.join("ca.pem"));
        for path in [&config, &etc, &directory.join("run")] {
            fs::create_dir_all(path)?;
        }
        let cmdline_file = directory.join("cmdline");
        fs::write(&cmdline_file, &cmdline)?;
        fs::write(etc.join("hosts"), HOSTS)?;
        fs::write(etc.join("resolv.conf"), stage::resolv_conf())?;
        fs::write(&ca, &hall.ca)?;
        let site = format!("[DEFAULT]\ncafile = {}\nenable_auto_tls = {}\n", ca.display(), setting.auto_tls);
        fs::write(config.join("10-site.conf"), site)?;
        Ok(Self { cmdline, cmdline_file, config })
    }

    /// IPA, caged.
    pub fn ipa(&self, schedule: &Schedule, stage: &Stage) -> IpaOptions {
        let mut options = IpaOptions::new(&stage.node, &self.config);
        options.cmdline.clone_from(&self.cmdline);
        options.hosts = Some(HOSTS.to_owned());
        options.resolv_conf = Some(stage::resolv_conf());
        if schedule.disks > 0 {
            let attempts = (schedule.disks + 1).to_string();
            let words = ["--disk_wait_attempts", &attempts, "--disk_wait_delay", "1"];
            options.extra_args = words.map(str::to_owned).into();
        }
        if schedule.proxy {
            let proxy = stage::proxy();
            options.environment = ["HTTP_PROXY", "http_proxy"].map(|name| format!("{name}={proxy}")).into();
        }
        options
    }

    /// The daemon, with what IPA has.
    pub fn flags(&self, beside: Beside) -> Vec<String> {
        vec![
            format!("--mode={}", beside.name()),
            format!("--cmdline.path={}", self.cmdline_file.display()),
            format!("--ipa.config-dir={}", self.config.display()),
        ]
    }
}
