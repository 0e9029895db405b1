//! The pages of `run` in a real browser, with scripts and without, on a desk and on a phone.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use testbed::browser::Browser;
use testbed::netns::Netns;
use testbed::root_test;

use crate::fake::{Fake, node, uuid};
use crate::running::Running;

const PAGE: &str = "http://127.0.0.1:10100/";
/// What others can put in front of us: it must stay text.
const HOSTILE: &str = "https://<img src=x onerror=document.title='owned'>\u{202e}:9999";

/// Opens a page in every way, and checks what must hold in each.
fn check(browser: &mut Browser, url: &str, words: &[&str]) {
    for (width, height, scripts, scheme) in [
        (1000, 800, true, "light"),
        (360, 740, true, "dark"),
        (320, 600, false, "light"),
        (1000, 800, false, "dark"),
    ] {
        browser.look(width, height, scripts, scheme);
        browser.open(url);
        let dom = browser.dom();
        for word in words {
            assert!(dom.contains(word), "{url} at {width}: {word:?} is missing in {dom}");
        }
        assert!(!dom.contains("<img"), "{dom}");
        let (content, window) = browser.widths();
        assert!(content <= window, "{url}: {content} pixels wide in a window of {window}");
        let requests = browser.requests();
        // A browser looks for an icon by itself.
        let others = requests.iter().filter(|one| *one != url && !one.ends_with("/favicon.ico"));
        assert_eq!(others.count(), 0, "{requests:?}");
        assert!(browser.complaints().is_empty(), "{:#?}", browser.complaints());
        let title = browser.evaluate("document.title");
        assert!(title.as_str().unwrap().ends_with(" - ipa-fleet"), "{title}");
        if let Some(directory) = std::env::var_os("IPA_SIDECAR_PAGE_PICTURES").map(PathBuf::from) {
            let page = if url == PAGE { "fleet" } else { "fleet-node" };
            browser.picture(1000.0, &directory.join(format!("page-{page}-{width}-{scheme}.png")));
        }
    }
}

#[test]
fn the_pages_are_whole_on_a_desk_and_on_a_phone() {
    root_test!("chromium");
    let netns = Arc::new(Netns::new().unwrap());
    let mut hostile = node(1, "clean wait", Some(HOSTILE));
    hostile["name"] = json!(format!("{HOSTILE}{}", "x".repeat(190)));
    let nodes = vec![
        hostile,
        node(2, "clean wait", Some("http://172.25.134.128%20uid%200:9999")),
        node(3, "deploying", Some("http://10.0.0.5:9999")),
        node(4, "clean failed", None),
    ];
    let fake = netns.enter(|| Fake::with_nodes(nodes)).unwrap();
    let _fleet = Running::inside(&netns, &fake.url()).ready();
    let mut browser = Browser::start(&netns);
    check(&mut browser, PAGE, &["2 of 3 ramdisks have an agent_url that cannot work", "Meant to be"]);
    check(&mut browser, &format!("{PAGE}nodes/{}", uuid(1)), &["&lt;img src=x", "State since"]);
    // A click leads to the node.
    browser.look(1000, 800, true, "light");
    browser.open(PAGE);
    browser.events.clear();
    browser.evaluate(&format!("document.querySelector('a[href=\"/nodes/{}\"]').click()", uuid(2)));
    browser.wait_loaded(1);
    assert!(browser.dom().contains("172.25.134.128%20uid%200"));
}
