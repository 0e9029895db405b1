//! A real Keystone before the real Ironic: which tokens see nodes, and which words they get where they see none.

use std::sync::Arc;

use serde_json::json;
use testbed::ironic::{Auth, RealIronic};
use testbed::keystone::{PASSWORD, RealKeystone, Scope};
use testbed::netns::Netns;
use testbed::root_test;
use testbed::run::Run;
use testbed::site::Directory;

use crate::lab::{MEANT, SEED, fleet, ironic, seed_flow};

struct Lab {
    netns: Arc<Netns>,
    keystone: RealKeystone,
    ironic: RealIronic,
    directory: Directory,
}

impl Lab {
    fn start() -> Self {
        let netns = Arc::new(Netns::new().unwrap());
        let keystone = RealKeystone::start(&netns).unwrap();
        let token = keystone.token(Scope::System).unwrap();
        let auth = Auth::Keystone { url: keystone.url(), password: PASSWORD.to_owned(), token };
        let ironic = ironic(auth, &netns);
        keystone.register_ironic(&ironic.url()).unwrap();
        Self { netns, keystone, ironic, directory: Directory::new("fleet") }
    }

    /// `check` with a cloud of this `auth`, in YAML of one line.
    fn check(&self, auth: &str, secret: &str, words: &[&str]) -> Run {
        let url = self.keystone.url();
        let clouds = format!("clouds: {{lab: {{auth: {{auth_url: \"{url}\", {auth}}}, region_name: R1}}}}\n");
        self.directory.write("clouds.yaml", clouds);
        self.directory.write("secure.yaml", format!("clouds: {{lab: {{auth: {{{secret}}}}}}}\n"));
        let (clouds, secure) = (self.directory.file("clouds.yaml"), self.directory.file("secure.yaml"));
        let variables = [
            ("OS_CLIENT_CONFIG_FILE", clouds.to_str().unwrap()),
            ("OS_CLIENT_SECURE_FILE", secure.to_str().unwrap()),
        ];
        fleet(&self.netns, &[&["check", "--os-cloud=lab", "--json"], words].concat(), &variables)
    }
}

#[test]
fn a_reader_of_the_system_sees_the_seeds_failure() {
    root_test!();
    let lab = Lab::start();
    let user = lab.keystone.create_user("fleet", "s3cret").unwrap();
    lab.keystone.grant_system(&user, "reader").unwrap();
    seed_flow(&lab.ironic);

    let who = "username: fleet, user_domain_name: Default";
    let run = lab.check(&format!("{who}, system_scope: all"), "password: s3cret", &[]);
    println!("{}", run.out);
    assert_eq!((run.code, &run.json()["visible"]), (Some(1), &json!(1)), "{}{}", run.out, run.err);
    let failure = &run.json()["nodes"][0]["failure"];
    assert_eq!((&failure["class"], &failure["url"]), (&json!("name_resolution"), &json!(SEED)));
    assert_eq!(
        (&failure["reasons"], &failure["suggestion"]),
        (&json!(["percent_encoded_host"]), &json!(MEANT))
    );
    assert!(!run.out.contains("s3cret"));
}

#[test]
fn a_token_for_a_project_sees_nothing_and_the_role_is_named() {
    root_test!();
    let lab = Lab::start();
    let who = "username: admin, user_domain_id: default, project_name: admin, project_domain_id: default";
    let secret = format!("password: {PASSWORD}");
    let run = lab.check(who, &secret, &[]);
    println!("{}", run.out);
    assert_eq!((run.code, &run.json()["visible"]), (Some(2), &json!(0)), "{}{}", run.out, run.err);
    for words in ["the project admin", "reader on the system", "openstack role add", "system_scope: all"] {
        assert!(run.problems().contains(words), "{words}: {}", run.out);
    }

    let (id, secret) = lab.keystone.application_credential("fleet").unwrap();
    let credential = format!("application_credential_id: {id}");
    let run = lab.check(&credential, &format!("application_credential_secret: \"{secret}\""), &[]);
    assert_eq!(run.code, Some(2), "{}{}", run.out, run.err);
    assert!(run.problems().contains("reader on the system"), "{}", run.out);
    assert!(!run.out.contains(&secret) && !run.err.contains(&secret));

    // The variables alone, and a wrong password: asked for once.
    let url = lab.keystone.url();
    let variables = [
        ("OS_AUTH_URL", url.as_str()),
        ("OS_USERNAME", "admin"),
        ("OS_PASSWORD", "wr0ng"),
        ("OS_USER_DOMAIN_ID", "default"),
        ("OS_SYSTEM_SCOPE", "all"),
    ];
    let asked = || lab.keystone.requests().matches("POST /v3/auth/tokens").count();
    let before = asked();
    let run = fleet(&lab.netns, &["check", "--json"], &variables);
    assert_eq!(run.code, Some(2), "{}{}", run.out, run.err);
    assert!(run.problems().contains("Keystone does not accept"), "{}", run.out);
    assert!(!run.out.contains("wr0ng") && !run.err.contains("wr0ng"));
    assert_eq!(asked() - before, 1, "no hammering");
    let right = [&variables[..2], &[("OS_PASSWORD", PASSWORD)], &variables[3..]].concat();
    let run = fleet(&lab.netns, &["check", "--json"], &right);
    assert_eq!((run.code, &run.json()["visible"]), (Some(0), &json!(1)), "{}{}", run.out, run.err);
}
