//! The web server's configuration file.

use exporter::WebConfig;

/// `--web.config.file`: what is taken can be served, and an error names a line of the file, in plain words.
pub fn web_config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match WebConfig::parse(&text) {
        Ok(config) => {
            assert!(config.users.keys().all(|user| !user.contains(':')));
            assert!(config.users.values().all(|hash| hash.expose().starts_with("$2")));
        }
        Err(error) => {
            // YAML 1.1 has five ends of a line; what is missing at the end is reported after it.
            let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
            assert!((1..=lines + 1).contains(&error.line), "line {} of {lines}", error.line);
            assert!(!error.problem.chars().any(char::is_control), "{:?}", error.problem);
        }
    }
}
