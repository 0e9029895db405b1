//! `cargo lab ironic`: a real Ironic to play with.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use testbed::ironic::{Options, RealIronic};

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 6385)]
    port: u16,
    /// Let callback URLs be http://
    #[arg(long)]
    no_require_tls: bool,
    /// Record heartbeats, never command the agent
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    fast_track: bool,
}

impl Flags {
    fn options(&self) -> Options {
        let Self { bind, port, no_require_tls, fast_track } = *self;
        Options { bind, port, require_tls: !no_require_tls, fast_track, ..Options::default() }
    }
}

/// Runs it until Ctrl-C, or until it ends by itself.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let options = flags.options();
    RealIronic::install(testbed::ironic::VERSION, &mut |line| println!("{line}"))?;
    println!("starting Ironic on {}, some three seconds...", options.bind);
    let ironic = RealIronic::start(&options).context("no Ironic")?;
    print!("{}", help(&ironic, &options));
    // Ctrl-C ends this process; the guardian of Ironic sees that, kills it and removes its files.
    loop {
        if let Some(code) = ironic.ended() {
            bail!("Ironic ended by itself with exit code {code}:\n{}", ironic.log_tail(20));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn help(ironic: &RealIronic, options: &Options) -> String {
    let (url, uuid, macs) = (ironic.url(), ironic.node_uuid(), options.macs.join(", "));
    let header = "-H 'X-OpenStack-Ironic-API-Version: 1.80' -H 'Content-Type: application/json'";
    format!(
        "
Ironic {version} runs: {url} (no credentials), until Ctrl-C
node  {uuid}, MAC {macs}, callback URLs must be https: {tls}, fast track: {fast_track}

look at the node:
  curl -s {header} '{url}/v1/nodes/{uuid}?fields=provision_state,power_state,driver_internal_info,last_error'
forget the agent's URL and token (power off, then on):
  curl -X PUT {header} {url}/v1/nodes/{uuid}/states/power -d '{{\"target\": \"rebooting\"}}'
its log:
  {log}
",
        version = testbed::ironic::VERSION,
        tls = options.require_tls,
        fast_track = options.fast_track,
        log = ironic.log_path().display(),
    )
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn parsed(words: &str) -> Options {
        let command = Flags::augment_args(clap::Command::new("ironic").no_binary_name(true));
        let matches = command.try_get_matches_from(words.split_whitespace()).unwrap();
        Flags::from_arg_matches(&matches).unwrap().options()
    }

    #[test]
    fn flags_with_and_without_the_equals_sign() {
        let options = parsed("--bind ::1 --port=0 --no-require-tls --fast-track=false");
        assert_eq!(options.bind.to_string(), "::1");
        assert_eq!((options.port, options.require_tls, options.fast_track), (0, false, false));
        let (given, default) = (parsed(""), Options::default());
        assert_eq!((given.bind, given.port), (default.bind, 6385));
        assert_eq!((given.require_tls, given.fast_track), (default.require_tls, default.fast_track));
        assert!(given.require_tls && given.fast_track);
    }
}
