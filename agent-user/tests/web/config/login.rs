//! Who gets through the password.

use super::*;

/// bcrypt's least cost: the tests run without optimisation.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

pub fn users(users: &[(&str, &str)]) -> String {
    let lines: String =
        users.iter().map(|(user, password)| format!("  {user}: {}\n", hash(password))).collect();
    format!("basic_auth_users:\n{lines}")
}

#[test]
fn only_the_right_password_gets_an_answer() {
    root_test!();
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    let config = format!("{headers}{}", users(&[("anna", "s3cret:with colon"), ("bea", "other")]));
    let protected = Protected::new("web-login", &Authority::new(), &config);
    let status = |path: &str, login: &str| protected.http(&format!("GET {path}\n{login}")).unwrap().status;
    for path in ["/", "/metrics", "/state", "/-/healthy", "/-/ready"] {
        assert_eq!(status(path, ""), 401, "{path}");
        assert_eq!(status(path, &login("anna", "s3cret:with colon")), 200, "{path}");
    }
    assert_eq!(status("/nothing", ""), 401, "nobody learns what is there");
    for (user, password, wanted) in [
        ("bea", "other", 200),
        ("anna", "other", 401),
        ("anna", "", 401),
        ("Anna", "s3cret:with colon", 401),
        ("nobody", "s3cret:with colon", 401),
        ("", "", 401),
    ] {
        assert_eq!(status("/metrics", &login(user, password)), wanted, "{user}:{password}");
    }
    for header in ["Authorization: Bearer x", "Authorization: Basic", "Authorization: Basic %%%"] {
        assert_eq!(status("/metrics", header), 401, "{header}");
    }
    let refused = protected.http("GET /metrics").unwrap();
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic realm="), "{refused:?}");
    assert_eq!(refused.header("x-frame-options"), Some("deny"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert!(!refused.text().contains("ipa_sidecar"));
    let log = protected.daemon.log();
    assert!(!log.contains("s3cret") && !log.contains("$2b$"), "{log}");
}

#[test]
fn a_changed_password_counts_at_once_and_a_broken_file_lets_nobody_in() {
    root_test!();
    let protected = Protected::new("web-changed", &Authority::new(), &users(&[("anna", "old")]));
    let status = |password: &str| {
        protected.http(&format!("GET /metrics\n{}", login("anna", password))).unwrap().status
    };
    assert_eq!((status("old"), status("new")), (200, 401));
    protected.replace("web.yml", &users(&[("anna", "new")]));
    assert_eq!((status("old"), status("new")), (401, 200));

    protected.replace("web.yml", "basic_auth_users:\n  anna: new\n");
    assert_eq!(status("new"), 500);
    protected.daemon.wait_log("web.yml:2: the password of", SOON).unwrap();
    // An empty file, as in the middle of a rewrite, asks for no password: that must not open the door.
    for weaker in ["", "basic_auth_users: {}\n", "http_server_config: {http2: false}\n"] {
        protected.replace("web.yml", weaker);
        assert_eq!(status("new"), 500, "{weaker:?}");
    }
    protected.daemon.wait_log("no longer asks for a password", SOON).unwrap();
    std::fs::remove_file(protected.directory.file("web.yml")).unwrap();
    assert_eq!(status("new"), 500);
    protected.daemon.wait_log("cannot be read: No such file", SOON).unwrap();
    let reports = protected.daemon.log().matches("refuses every request").count();
    assert_eq!(status("new"), 500);
    assert_eq!(protected.daemon.log().matches("refuses every request").count(), reports, "reported once");

    protected.replace("web.yml", &users(&[("anna", "third")]));
    assert_eq!((status("new"), status("third")), (401, 200));
    protected.daemon.wait_log("usable again", SOON).unwrap();
}

#[test]
fn tls_can_be_added_while_it_runs_and_not_be_taken_away() {
    root_test!();
    let authority = Authority::new();
    let client = Client::trusting(&authority);
    let protected = Protected::new("web-added", &authority, "");
    assert_eq!(protected.http("GET /").unwrap().status, 200);
    protected.replace("web.yml", TLS);
    assert_eq!(protected.http("GET /").unwrap().status, 400);
    assert_eq!(protected.https(&client, "GET /").unwrap().status, 200);
    protected.replace("web.yml", "");
    protected.http("GET /").unwrap_err();
    protected.https(&client, "GET /").unwrap_err();
    protected.daemon.wait_log("no longer asks for TLS", SOON).unwrap();
}

#[test]
fn wrong_passwords_do_not_hold_up_who_was_right_before() {
    root_test!();
    let config = format!("basic_auth_users:\n  anna: {}\n", bcrypt::hash("right", 9).unwrap());
    let protected = Protected::new("web-flood", &Authority::new(), &config);
    let status = |password: &str| {
        protected.http(&format!("GET /metrics\n{}", login("anna", password))).unwrap().status
    };
    assert_eq!(status("right"), 200);
    std::thread::scope(|scope| {
        let wrong: Vec<_> = (0..12).map(|number| scope.spawn(move || status(&number.to_string()))).collect();
        // The first one is being hashed, the others wait for their turn.
        protected
            .daemon
            .wait("a refusal", LATER, || wrong.iter().any(|one| one.is_finished()).then_some(()))
            .unwrap();
        assert_eq!(status("right"), 200);
        assert!(wrong.iter().any(|one| !one.is_finished()), "it waited for all of them");
        for one in wrong {
            assert_eq!(one.join().unwrap(), 401);
        }
    });
}
