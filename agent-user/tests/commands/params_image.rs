//! What the image of the machine says: which of IPA's files are read, its version, its scheme, its certificates.

use std::path::Path;

use ipa_sidecar::inside::{Image, Loaded, ParamsError, ProblemKind};
use testbed::site::assert_names;

use crate::machine::{Machine, entry};

/// RDO's unit names no directory.
const UNIT: &str = "usr/lib/systemd/system/openstack-ironic-python-agent.service";
const RDO: &str = "[Service]\nExecStart=/usr/bin/ironic-python-agent\n";
const PACKAGES: &str = "opt/ironic-python-agent/lib/python3.12/site-packages";
const URL: &str = "--ironic.api-url=https://192.0.2.1:6385";

fn machine(unit: &str) -> Machine {
    let machine = Machine::new();
    machine.write(UNIT, unit);
    machine
}

fn install(machine: &Machine, version: &str) {
    machine.write(&format!("{PACKAGES}/ironic_python_agent-{version}.dist-info/METADATA"), "");
}

impl Machine {
    /// Loads with what its image says, and no directory given.
    fn load_of_image(&mut self, arguments: &[&str]) -> Result<Loaded, ParamsError> {
        self.image = Image::of(self.root.path(), None);
        self.load_as_given(arguments)
    }
}

#[test]
fn the_files_are_those_that_ipas_unit_reads() {
    let mut machine = machine(RDO);
    machine.write("etc/ironic-python-agent.conf", "[DEFAULT]\nadvertise_port = 1\nlookup_timeout = 1\n");
    machine.write("etc/ironic-python-agent.conf.d/a.conf", "[DEFAULT]\nadvertise_port = 2\n");
    machine.write(
        "etc/ironic-python-agent.conf.d/zz-ipa-sidecar.conf",
        "[DEFAULT]\nadvertise_host = 192.0.2.9\n",
    );
    machine.drop_in("x.conf", "[DEFAULT]\nadvertise_port = 3\n");
    machine.write("etc/ironic-python-agent/y.conf", "[DEFAULT]\nadvertise_port = 4\n");
    let loaded = machine.load_of_image(&[]).unwrap();
    assert_eq!(loaded.problems, []);
    let advertise = &loaded.parameters.advertise;
    assert_eq!((advertise.port, &advertise.host), (2, &None));
    let (directory, source, detail) = entry(&loaded, "ipa.config-dir");
    assert_eq!(directory, format!("{:?}", machine.root.file("etc/ironic-python-agent.conf.d")));
    assert_eq!(
        (source, detail.as_str()),
        ("ipa-config", "openstack-ironic-python-agent.service: what it reads")
    );
    assert_eq!(entry(&loaded, "lookup.timeout").0, "1");
}

#[test]
fn a_place_that_is_read_later_overrides_and_that_is_reported() {
    let mut machine = machine(
        "[Service]\nExecStart=/x/ironic-python-agent --config-dir /etc/a.d --config-dir /etc/b.d --config-file /etc/c\n",
    );
    machine.write("etc/a.d/zzz.conf", "[DEFAULT]\nadvertise_host = 192.0.2.1\n");
    machine.write("etc/b.d/yy.conf", "[DEFAULT]\nadvertise_host = 192.0.2.2\n");
    machine.write("etc/c", "[DEFAULT]\nadvertise_host = 192.0.2.3\n");
    let loaded = machine.load_of_image(&[]).unwrap();
    assert_eq!(loaded.parameters.ipa.config_dir, machine.root.file("etc/b.d"));
    let said: Vec<_> = loaded.problems.iter().map(|problem| (problem.kind, problem.value.as_str())).collect();
    assert_eq!(said, [(ProblemKind::Conflict, "192.0.2.3")]);
    assert_names(loaded.problems[0].to_string(), &["/etc/c", "after zz-ipa-sidecar.conf"]);
    // The operator's directory comes last, and is read as well.
    let given = format!("--ipa.config-dir={}", machine.path("etc/mine"));
    machine.write("etc/mine/zz-ipa-sidecar.conf", "[DEFAULT]\nadvertise_host = 192.0.2.9\n");
    machine.write("etc/mine/x.conf", "[DEFAULT]\nadvertise_port = 7\n");
    let loaded = machine.load_of_image(&[&given]).unwrap();
    assert_eq!((loaded.parameters.advertise.port, loaded.problems.len()), (7, 0));
    assert_eq!(entry(&loaded, "ipa.config-dir").1, "flag");
}

#[test]
fn names_with_hyphens_count_for_the_versions_that_know_them() {
    for (version, expected) in [
        (Some("5.0.4"), Some("192.0.2.7")),
        (Some("6.0.0"), None),
        (Some("13.0.0"), None),
        (Some("0.0.1.dev1"), None),
        (None, None),
    ] {
        let mut machine = machine(RDO);
        if let Some(version) = version {
            install(&machine, version);
        }
        let hyphens = "[DEFAULT]\nadvertise-host = 192.0.2.7\nagent-token = geheim\nother-option = 1\n";
        machine.write("etc/ironic-python-agent.conf.d/a.conf", hyphens);
        let loaded = machine.load_of_image(&[]).unwrap();
        let host = loaded.parameters.advertise.host.as_ref().map(ToString::to_string);
        assert_eq!(host.as_deref(), expected, "{version:?}");
        let said: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), if expected.is_some() { 0 } else { 2 }, "{said:?}");
        for line in &said {
            assert!(line.contains("with an underscore") && !line.contains("geheim"), "{line}");
        }
    }
}

#[test]
fn the_scheme_is_the_one_that_this_ipa_will_use() {
    let option = |text: &'static str| Some(("etc/ironic-python-agent.conf.d/a.conf", text));
    for (version, file, flags, expected) in [
        (Some("13.0.0"), None, &[][..], "https"),
        (Some("6.4.0"), None, &[], "https"),
        (Some("6.3.0"), None, &[], "http"),
        (Some("0.0.1.dev1"), None, &[], "https"),
        (None, None, &[], "https"),
        (Some("13.0.0"), option("[DEFAULT]\nadvertise_protocol = http\n"), &[], "https"),
        (Some("13.0.0"), option("[DEFAULT]\nenable_auto_tls = False\n"), &[], "http"),
        (Some("13.0.0"), option("[DEFAULT]\nlisten_tls = True\n"), &[], "http"),
        (Some("13.0.0"), None, &["--advertise.protocol=http"], "http"),
        (Some("13.0.0"), None, &["--mode=agent"], "http"),
    ] {
        let mut machine = machine(RDO);
        if let Some(version) = version {
            install(&machine, version);
        }
        if let Some((name, content)) = file {
            machine.write(name, content);
        }
        let loaded = machine.load_of_image(flags).unwrap();
        let scheme = loaded.parameters.advertise.protocol;
        assert_eq!(scheme.as_str(), expected, "{version:?} {file:?} {flags:?}");
        assert_eq!(entry(&loaded, "advertise.protocol").0, format!("{expected:?}"));
    }
    let mut without = Machine::new();
    assert_eq!(
        without.load_of_image(&[]).unwrap().parameters.advertise.protocol.as_str(),
        "http",
        "no IPA is here"
    );
}

#[test]
fn ironic_is_trusted_as_ipa_trusts_it() {
    let mut machine = machine(RDO);
    install(&machine, "13.0.0");
    let bundle = format!("{PACKAGES}/certifi/cacert.pem");
    machine.write(&bundle, "no certificates");
    assert_eq!(
        machine.load_of_image(&[URL]).unwrap().parameters.ironic.cafile,
        None,
        "the system's are left"
    );
    machine.write(&bundle, "-----BEGIN CERTIFICATE-----\n");
    let loaded = machine.load_of_image(&[URL]).unwrap();
    assert_eq!(loaded.parameters.ironic.cafile, Some(machine.root.file(&bundle)));
    assert_names(&entry(&loaded, "ironic.cafile").2, &["certifi"]);
    machine.write("etc/site.pem", "-----BEGIN CERTIFICATE-----\n");
    machine.write(UNIT, format!("{RDO}Environment=REQUESTS_CA_BUNDLE=/etc/site.pem\n"));
    let loaded = machine.load_of_image(&[URL]).unwrap();
    assert_eq!(loaded.parameters.ironic.cafile, Some(machine.root.file("etc/site.pem")));
    assert_names(&entry(&loaded, "ironic.cafile").2, &["REQUESTS_CA_BUNDLE"]);
    let given = machine.load_of_image(&[URL, "--ironic.cafile=/given.pem"]).unwrap();
    assert_eq!(given.parameters.ironic.cafile.as_deref(), Some(Path::new("/given.pem")));
}
