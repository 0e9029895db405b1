//! Whether the conductor reaches the agent at the URL that Ironic holds.

use std::time::{Duration, Instant};

use testbed::netns::Netns;

use super::hall::Enrolled;
use super::outcome::Class;

/// Ironic answers 202 before it has written the URL down, and a wire may just come back.
const PATIENCE: Duration = Duration::from_secs(4);

/// Looks, and gives what Ironic holds and why it is no better.
///
/// # Errors
/// Where Ironic does not answer.
pub fn look(enrolled: &Enrolled<'_>, conductor: &Netns) -> anyhow::Result<(Class, Option<String>, String)> {
    let start = Instant::now();
    loop {
        let url = enrolled.internal("agent_url")?;
        let said = match &url {
            None => Err("Ironic recorded nothing".to_owned()),
            Some(url) => ask(enrolled, conductor, url)?,
        };
        match said {
            Ok(()) => return Ok((Class::Right, url, String::new())),
            Err(why) if start.elapsed() > PATIENCE => {
                let class = if url.is_some() { Class::Wrong } else { Class::Missing };
                return Ok((class, url, why));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

/// As Ironic's conductor calls it: with the certificate that came with the heartbeat, and no other one.
fn ask(enrolled: &Enrolled<'_>, conductor: &Netns, url: &str) -> anyhow::Result<Result<(), String>> {
    let mut command = conductor.command("curl");
    command.args(["-sS", "--max-time", "3", "--noproxy", "*"]);
    if let Some(certificate) = enrolled.internal("agent_verify_ca")? {
        command.args(["--cacert", &certificate]);
    }
    let output = command.arg(format!("{url}/v1/status")).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && text.contains(testbed::ipa::VERSION) {
        return Ok(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(Err(format!("{} {}", said.trim(), text.trim())))
}
