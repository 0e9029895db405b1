//! `cargo xtask ironic`: a real Ironic to play with.

use std::time::Duration;

use anyhow::{Context, bail};
use testbed::ironic::{Options, RealIronic};

use crate::WrongUsage;

/// Runs it until Ctrl-C, or until it ends by itself.
pub fn run(flags: &[String]) -> anyhow::Result<()> {
    let options = options(flags)?;
    RealIronic::install(&mut |line| println!("{line}"))?;
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

fn options(flags: &[String]) -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut words = flags.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = || {
            let value = value.clone().or_else(|| words.next().cloned());
            value.ok_or_else(|| WrongUsage(format!("{name} wants a value")))
        };
        match name {
            "--bind" => options.bind = parse(name, &value()?, "an IP address")?,
            "--port" => options.port = parse(name, &value()?, "a port from 0 to 65535")?,
            "--fast-track" => options.fast_track = parse(name, &value()?, "true or false")?,
            "--no-require-tls" if word == name => options.require_tls = false,
            _ => return Err(WrongUsage(format!("ironic does not know {word:?}")).into()),
        }
    }
    Ok(options)
}

fn parse<T: std::str::FromStr>(name: &str, value: &str, wanted: &str) -> Result<T, WrongUsage> {
    value.parse().map_err(|_| WrongUsage(format!("{name} is {value:?} and must be {wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> anyhow::Result<Options> {
        options(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_with_and_without_the_equals_sign() {
        let options = parsed("--bind ::1 --port=0 --no-require-tls --fast-track=false").unwrap();
        assert_eq!(options.bind.to_string(), "::1");
        assert_eq!((options.port, options.require_tls, options.fast_track), (0, false, false));
        let default = parsed("").unwrap();
        assert_eq!((default.port, default.require_tls, default.fast_track), (6385, true, true));
    }

    #[test]
    fn wrong_flags_are_named() {
        for (words, said) in [
            ("--bind host", "--bind is \"host\" and must be an IP address"),
            ("--port 65536", "65536"),
            ("--port", "--port wants a value"),
            ("--fast-track=yes", "true or false"),
            ("--no-require-tls=1", "--no-require-tls=1"),
            ("extra", "extra"),
        ] {
            let error = parsed(words).unwrap_err();
            assert!(error.is::<WrongUsage>() && error.to_string().contains(said), "{words}: {error}");
        }
    }
}
