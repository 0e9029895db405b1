//! What the fleet reads: nodes and failures of Ironic, a conductor's log, clouds.yaml.

use ipa_fleet::inside::{Node, Page, cloud, events, explain, line, printed, settings};

/// The answer to a listing, to a node, to its history: what is read is sound, and no complaint quotes the document.
pub fn fleet_nodes(data: &[u8]) {
    match Page::parse(data) {
        Ok(page) => assert!(page.nodes.iter().all(|node| node.uuid.len() == 36)),
        Err(problem) => assert!(is_plain(&problem), "{problem:?}"),
    }
    if let Err(problem) = Node::parse(data) {
        assert!(is_plain(&problem), "{problem:?}");
    }
    if let Err(problem) = events(data) {
        assert!(is_plain(&problem), "{problem:?}");
    }
}

/// The text of a failure: its explanation is short and plain, and a suggestion is a URL as IPA writes it.
pub fn fleet_history(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let found = explain(&text, None);
    assert!(found.url.is_some() || found.reasons.is_empty());
    if let Some(url) = &found.url {
        assert!(line(url, 2000).chars().count() <= 16 * 2003);
        assert!(is_plain(&line(url, 2000)));
    }
    if let Some(suggestion) = &found.suggestion {
        assert!(suggestion.starts_with("http") && is_plain(suggestion), "{suggestion:?}");
    }
}

/// A log: nothing that a terminal would act on comes out of it.
pub fn fleet_log(data: &[u8]) {
    let shown = printed(data);
    assert!(!shown.chars().any(|character| character.is_control() && character != '\n'), "{shown:?}");
    assert!(shown.ends_with(".\n"));
}

/// clouds.yaml and secure.yaml: what is taken has an address and a secret, and no complaint shows the secret.
pub fn clouds_yaml(data: &[u8]) {
    const SECRET: &str = "n0body-sh0ws-this";
    let text = String::from_utf8_lossy(data);
    let secure = format!("clouds: {{lab: {{auth: {{password: {SECRET}}}}}}}");
    let found = settings(("clouds.yaml", &text), ("secure.yaml", &secure), "lab");
    let read = match found {
        Ok(None) => return,
        Ok(Some(found)) => cloud(&found),
        Err(error) => Err(error),
    };
    match read {
        Ok((cloud, warnings)) => {
            assert!(!cloud.identity.secret().expose().is_empty());
            assert!(warnings.iter().all(|warning| is_plain(warning) && !warning.contains(SECRET)));
        }
        Err(error) => {
            let error = error.to_string();
            assert!(is_plain(&error) && !error.contains(SECRET), "{error:?}");
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
