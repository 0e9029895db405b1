//! The real Keystone: users, roles, scopes and a catalog, against which tokens of every kind are tried.
//!
//! One process with sqlite inside a network namespace; it leaves neither a process nor a file behind.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cache;
use crate::guardian::{Guardian, fresh_directory};
use crate::http::Http;
use crate::netns::Netns;
use crate::venv::{self, Package, Step};

/// The version from PyPI.
pub const VERSION: &str = "30.0.0";
/// The password of its user `admin`.
pub const PASSWORD: &str = "testbed-admin";
/// Where it listens, in a namespace of its own.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);
/// How long it may take to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const REGION: &str = "R1";

static PACKAGE: Package = Package {
    name: "keystone",
    version: VERSION,
    python: None,
    besides: &[],
    constraints: include_str!("constraints.txt"),
};

/// A running Keystone.
#[derive(Debug)]
pub struct RealKeystone {
    guardian: Guardian,
    http: Http,
}

/// What a token is to be good for.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// The whole system.
    System,
    /// A project of the default domain.
    Project(&'a str),
}

impl RealKeystone {
    /// Installs it into the [cache] unless it is there. `progress` gets a line for each step.
    ///
    /// # Errors
    /// Without Python 3.11 or without PyPI.
    pub fn install(progress: &mut dyn FnMut(&str)) -> io::Result<PathBuf> {
        venv::install(PACKAGE, progress, make_template)
    }

    /// Starts one inside the namespace, on port 5000 of its loopback; installs it first where it is missing.
    ///
    /// # Errors
    /// Where it cannot be installed or does not come up.
    pub fn start(netns: &Arc<Netns>) -> io::Result<Self> {
        let installation = Self::install(&mut |line| eprintln!("keystone: {line}"))?;
        let directory = fresh_directory("keystone")?;
        copy_tree(&installation.join("template"), &directory)?;
        let config = write_config(&directory)?;
        fs::write(directory.join("server.py"), include_str!("server.py"))?;
        let output = fs::File::create(directory.join("output"))?;
        let program = [
            PathBuf::from("env"),
            format!("OS_KEYSTONE_CONFIG_DIR={}", directory.display()).into(),
            format!("OS_KEYSTONE_CONFIG_FILES={}", config.display()).into(),
            installation.join("venv/bin/python"),
            directory.join("server.py"),
            ADDRESS.ip().to_string().into(),
            ADDRESS.port().to_string().into(),
        ];
        let guardian = Guardian::spawn(Some(netns), &directory, output, &program)?;
        let keystone = Self { guardian, http: Http::inside(netns, ADDRESS) };
        keystone.wait_until_it_answers()?;
        Ok(keystone)
    }

    fn wait_until_it_answers(&self) -> io::Result<()> {
        let start = Instant::now();
        while !self.http.get("/v3", &[]).is_ok_and(|answer| answer.status == 200) {
            if start.elapsed() > START_TIMEOUT || self.guardian.ended().is_some() {
                let log = self.guardian.tail("output", 20);
                return Err(io::Error::other(format!("Keystone does not answer:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Its URL, with `/v3`.
    pub fn url(&self) -> String {
        format!("http://{ADDRESS}/v3")
    }

    /// A token of its user `admin`.
    ///
    /// # Errors
    /// Where it gives none.
    pub fn token(&self, scope: Scope<'_>) -> io::Result<String> {
        let domain = json!({"id": "default"});
        let scope = match scope {
            Scope::System => json!({"system": {"all": true}}),
            Scope::Project(name) => json!({"project": {"name": name, "domain": domain}}),
        };
        let user = json!({"name": "admin", "domain": domain, "password": PASSWORD});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let answer = self.http.post("/v3/auth/tokens", &[], &body)?;
        let token = answer.header("X-Subject-Token").map(str::to_owned);
        token.ok_or_else(|| io::Error::other(format!("no token ({}): {}", answer.status, answer.text())))
    }

    /// Makes a user of the default domain; gives its id.
    ///
    /// # Errors
    /// Where Keystone refuses, as in all that follows.
    pub fn create_user(&self, name: &str, password: &str) -> io::Result<String> {
        let body = json!({"user": {"name": name, "password": password, "domain_id": "default"}});
        self.create("/v3/users", &body, "/user/id")
    }

    /// Gives a user a role on the system.
    ///
    /// # Errors
    /// As above.
    pub fn grant_system(&self, user: &str, role: &str) -> io::Result<()> {
        let role = self.id_of("roles", role)?;
        self.put(&format!("/v3/system/users/{user}/roles/{role}"))
    }

    /// Gives a user a role on a project.
    ///
    /// # Errors
    /// As above.
    pub fn grant_project(&self, user: &str, project: &str, role: &str) -> io::Result<()> {
        let (project, role) = (self.id_of("projects", project)?, self.id_of("roles", role)?);
        self.put(&format!("/v3/projects/{project}/users/{user}/roles/{role}"))
    }

    /// Makes an application credential of `admin` for the project `admin`; gives its id and secret.
    ///
    /// # Errors
    /// As above.
    pub fn application_credential(&self, name: &str) -> io::Result<(String, String)> {
        let token = self.token(Scope::Project("admin"))?;
        let user = self.id_of("users", "admin")?;
        let path = format!("/v3/users/{user}/application_credentials");
        let body = json!({"application_credential": {"name": name}});
        let answer = self.http.post(&path, &[("X-Auth-Token", &token)], &body)?;
        let made = answer.json()?;
        let text = |key: &str| {
            let value = made.pointer(&format!("/application_credential/{key}"));
            value.and_then(Value::as_str).map(str::to_owned)
        };
        text("id").zip(text("secret")).ok_or_else(|| io::Error::other(answer.text()))
    }

    /// Puts an Ironic into the catalog.
    ///
    /// # Errors
    /// As above.
    pub fn register_ironic(&self, url: &str) -> io::Result<()> {
        let service = json!({"service": {"type": "baremetal", "name": "ironic"}});
        let service = self.create("/v3/services", &service, "/service/id")?;
        for interface in ["public", "internal"] {
            let endpoint =
                json!({"service_id": service, "interface": interface, "region_id": REGION, "url": url});
            self.create("/v3/endpoints", &json!({ "endpoint": endpoint }), "/endpoint/id")?;
        }
        Ok(())
    }

    /// The requests that it got, one on a line.
    pub fn requests(&self) -> String {
        self.guardian.tail("output", 10_000)
    }

    fn create(&self, path: &str, body: &Value, id: &str) -> io::Result<String> {
        let token = self.token(Scope::System)?;
        let answer = self.http.post(path, &[("X-Auth-Token", &token)], body)?;
        let id = answer.json()?.pointer(id).and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| io::Error::other(format!("POST {path} ({}): {}", answer.status, answer.text())))
    }

    fn id_of(&self, kind: &str, name: &str) -> io::Result<String> {
        let token = self.token(Scope::System)?;
        let answer = self.http.get(&format!("/v3/{kind}?name={name}"), &[("X-Auth-Token", &token)])?;
        let found = answer.json()?;
        let id = found.pointer(&format!("/{kind}/0/id")).and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| io::Error::other(format!("no {name} among {kind}: {found}")))
    }

    fn put(&self, path: &str) -> io::Result<()> {
        let token = self.token(Scope::System)?;
        let answer = self.http.put(path, &[("X-Auth-Token", &token)], &json!({}))?;
        match answer.status {
            204 => Ok(()),
            status => Err(io::Error::other(format!("PUT {path} ({status}): {}", answer.text()))),
        }
    }
}

/// A database with `admin` in it, and the keys: making them takes ten seconds, copying them none.
fn make_template(directory: &Path, step: Step<'_>) -> io::Result<()> {
    let template = directory.join("template");
    fs::create_dir_all(&template).map_err(|e| cache::at(&template, &e))?;
    for keys in ["fernet", "credentials", "receipts"] {
        fs::create_dir(template.join(keys))?;
        fs::set_permissions(template.join(keys), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    }
    let config = write_config(&template)?;
    let user = rustix::process::geteuid().as_raw().to_string();
    let url = format!("http://{ADDRESS}/v3/");
    let owner = ["--keystone-user", &user, "--keystone-group", &user];
    let steps: [(&str, Vec<&str>); 4] = [
        ("db_sync", Vec::new()),
        ("fernet_setup", owner.to_vec()),
        ("credential_setup", owner.to_vec()),
        (
            "bootstrap",
            ["--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION]
                .into_iter()
                .chain(["--bootstrap-admin-url", &url, "--bootstrap-internal-url", &url])
                .chain(["--bootstrap-public-url", &url])
                .collect(),
        ),
    ];
    for (name, arguments) in steps {
        step(name);
        let mut manage = Command::new(directory.join("venv/bin/keystone-manage"));
        venv::run(manage.arg("--config-file").arg(&config).arg(name).args(arguments), step)?;
    }
    Ok(())
}

fn write_config(directory: &Path) -> io::Result<PathBuf> {
    let file = directory.join("keystone.conf");
    let directory = directory.display();
    fs::write(
        &file,
        format!(
            "[DEFAULT]
log_file = {directory}/keystone.log
[database]
connection = sqlite:///{directory}/keystone.sqlite
[token]
provider = fernet
[fernet_tokens]
key_repository = {directory}/fernet
[credential]
key_repository = {directory}/credentials
[fernet_receipts]
key_repository = {directory}/receipts
[cache]
enabled = false
"
        ),
    )?;
    Ok(file)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from).map_err(|e| cache::at(from, &e))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            copy_tree(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
