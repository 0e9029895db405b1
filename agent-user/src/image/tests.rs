//! The units of real images, below a root of their own.

use testbed::site::Directory;

use super::place::Reads;
use super::*;

/// ironic-python-agent-builder, element ironic-python-agent-ramdisk.
const BUILDER: &str = "[Unit]\nDescription=Ironic Python Agent\nAfter=network-online.target\n\n[Service]\n\
    ConditionPathExists=!/etc/.rescued\nExecStartPre=/sbin/modprobe vfat\n\
    ExecStart=/usr/local/bin/ironic-python-agent --config-dir /etc/ironic-python-agent.d/\n\
    Restart=always\nRestartSec=30s\n\n[Install]\nWantedBy=multi-user.target\n\n";

/// RDO's package openstack-ironic-python-agent.
const RDO: &str = "[Unit]\nDescription=Ironic Python Agent\nWants=network-online.target\nAfter=network-online.target\n\
    [Service]\nExecStart=/usr/bin/ironic-python-agent --use-journal --use-stderr\nRestart=always\nRestartSec=30s\n\
    StandardOutput=tty\nStandardError=inherit\n[Install]\nWantedBy=multi-user.target\n";

/// OpenShift's and Metal3's image-customization-controller, with what its template takes; `%ARGUMENTS%` ends the command.
const COREOS: &str = "[Unit]\nDescription=Ironic Agent\nAfter=network-online.target\nWants=network-online.target\n\
    [Service]\nEnvironment=\"HTTP_PROXY=http://proxy.example:3128\"\nEnvironment=\"HTTPS_PROXY=\"\n\
    Environment=\"NO_PROXY=.example,10.0.0.0/8\"\nTimeoutStartSec=0\nRestart=on-failure\nType=notify\n\
    ExecStartPre=/bin/rm -f %t/%n.ctr-id\n\
    ExecStart=/bin/podman run --detach --cgroups=no-conmon --sdnotify=conmon --rm --cidfile=%t/%n.ctr-id --privileged \
    --network host --mount type=bind,src=/etc/ironic-python-agent.conf,dst=/etc/ironic-python-agent/ignition.conf \
    --mount type=bind,src=/dev,dst=/dev --mount type=bind,src=/sys,dst=/sys \
    --mount type=bind,src=/run/dbus/system_bus_socket,dst=/run/dbus/system_bus_socket \
    --mount type=bind,src=/,dst=/mnt/coreos --mount type=bind,src=/run/udev,dst=/run/udev --ipc=host --uts=host \
    --env \"IPA_COREOS_IP_OPTIONS=ip=dhcp\" --env IPA_COREOS_COPY_NETWORK=false --env \"IPA_DEFAULT_HOSTNAME=\"  \
    --tls-verify=false --authfile=/etc/authfile.json --name ironic-agent quay.io/x/ironic-agent:1%ARGUMENTS%\n\
    ExecStop=/usr/bin/podman stop --ignore --cidfile=%t/%n.ctr-id\n[Install]\nWantedBy=multi-user.target\n";

fn root(name: &str, unit: &str, text: &str) -> Directory {
    let root = Directory::new(name);
    root.write(&format!("usr/lib/systemd/system/{unit}"), text);
    root
}

/// The directory below the root, where it comes from, whether it is read, and why not.
fn placed(root: &Directory, given: Option<&str>) -> (String, KnownBy, Reads, String) {
    let place = Image::of(root.path(), None).place(given.map(Path::new));
    let prefix = root.path().to_str().unwrap();
    let directory = place.directory.to_str().unwrap().replacen(prefix, "", 1);
    (directory, place.known_by, place.reads_it, place.why.unwrap_or_default().replace(prefix, ""))
}

#[test]
fn the_directory_is_that_of_the_images_unit() {
    let builder = root("place-builder", "ironic-python-agent.service", BUILDER);
    let expected = ("/etc/ironic-python-agent.d".to_owned(), KnownBy::Unit, Reads::Yes, String::new());
    assert_eq!(placed(&builder, None), expected);
    let rdo = root("place-rdo", "openstack-ironic-python-agent.service", RDO);
    let expected = ("/etc/ironic-python-agent.conf.d".to_owned(), KnownBy::Unit, Reads::Yes, String::new());
    assert_eq!(placed(&rdo, None), expected);
    let nothing = Directory::new("place-nothing");
    let (directory, known_by, reads, why) = placed(&nothing, None);
    assert_eq!(
        (directory.as_str(), known_by, reads),
        ("/etc/ironic-python-agent.d", KnownBy::Default, Reads::Unknown)
    );
    assert!(why.contains("neither a unit nor a process"), "{why}");
}

#[test]
fn a_drop_in_of_the_unit_changes_the_command() {
    let rdo = root("place-drop-in", "openstack-ironic-python-agent.service", RDO);
    let drop_in = |directory: &str, name: &str, text: &str| {
        rdo.write(
            &format!("{directory}/systemd/system/openstack-ironic-python-agent.service.d/{name}"),
            text,
        );
    };
    drop_in(
        "usr/lib",
        "10.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/ironic-python-agent --config-dir /a\n",
    );
    assert_eq!(placed(&rdo, None).0, "/a");
    drop_in("usr/lib", "20.conf", "[Service]\nExecStart=\nExecStart=/usr/bin/ironic-python-agent $OPTIONS\n");
    drop_in("usr/lib", "30.conf", "[Service]\nEnvironmentFile=-/etc/default/ipa\n");
    assert_eq!(placed(&rdo, None).0, "/etc/ironic-python-agent.conf.d");
    rdo.write("etc/default/ipa", "OPTIONS='--config-dir /b --config-dir /c'\n");
    assert_eq!(placed(&rdo, None).0, "/c", "the last one wins");
    drop_in("etc", "20.conf", "");
    assert_eq!(placed(&rdo, None).0, "/a", "one of the same name is replaced");
}

#[test]
fn the_operators_directory_goes_before_and_is_judged() {
    let rdo = root("place-given", "openstack-ironic-python-agent.service", RDO);
    let conf_d = rdo.file("etc/ironic-python-agent.conf.d");
    std::fs::create_dir_all(&conf_d).unwrap();
    std::os::unix::fs::symlink("ironic-python-agent.conf.d", rdo.file("etc/link")).unwrap();
    let given = rdo.file("etc/link").to_str().unwrap().to_owned();
    let (_, known_by, reads, _) = placed(&rdo, Some(&given));
    assert_eq!((known_by, reads), (KnownBy::Operator, Reads::Yes), "a link to what it reads");
    let (_, _, reads, why) = placed(&rdo, Some("/etc/ironic-python-agent.d"));
    assert_eq!(reads, Reads::No);
    assert_eq!(
        why,
        "it reads /etc/ironic-python-agent.conf, /etc/ironic-python-agent.conf.d and not /etc/ironic-python-agent.d"
    );
}

#[test]
fn the_container_of_coreos_reads_the_hosts_directories_only_where_an_argument_names_them() {
    let plain = root("place-coreos", "ironic-agent.service", &COREOS.replace("%ARGUMENTS%", ""));
    let (directory, known_by, reads, why) = placed(&plain, None);
    assert_eq!(
        (directory.as_str(), known_by, reads),
        ("/etc/ironic-python-agent.d", KnownBy::Default, Reads::No)
    );
    assert!(
        why.starts_with("it reads /etc/ironic-python-agent in its container, /etc/ironic-python-agent.conf"),
        "{why}"
    );
    let arguments = " --config-dir /mnt/coreos/etc/ironic-python-agent.d";
    let with = root("place-coreos-with", "ironic-agent.service", &COREOS.replace("%ARGUMENTS%", arguments));
    let expected = ("/etc/ironic-python-agent.d".to_owned(), KnownBy::Unit, Reads::Yes, String::new());
    assert_eq!(placed(&with, None), expected);
    let image = Image::of(with.path(), None);
    assert_eq!(image.environment.http_proxy.as_deref(), Some("http://proxy.example:3128"));
    assert_eq!(image.environment.https_proxy, None);
    assert_eq!(image.environment.no_proxy.as_deref(), Some(".example,10.0.0.0/8"));
    assert!(image.installation.packages.is_none() && image.has_ipa());
    // On the host itself its root is /: the advice is as the operator needs it.
    let inside = image.container.as_ref().unwrap().seen_within(Path::new("/etc/ironic-python-agent.d"));
    assert_eq!(inside, Some("/mnt/coreos/etc/ironic-python-agent.d".into()));
}

#[test]
fn a_process_that_is_seen_judges_the_place_anew() {
    let builder = root("place-process", "ironic-python-agent.service", BUILDER);
    let process = |line: &str, its_mounts: &str| IpaProcess {
        arguments: words::split(line),
        mounts: Mounts::of("21 1 0:2 / / rw - rootfs rootfs rw\n".to_owned(), its_mounts.to_owned()),
        environment: None,
    };
    let image = Image::of(builder.path(), None);
    let place = image.place(None);
    let other = process("/opt/python3 /usr/bin/ironic-python-agent --config-dir /x", "");
    let seen = image.started(&place, &other).place;
    assert_eq!((seen.reads_it, seen.directory.clone()), (Reads::No, place.directory.clone()));
    let reads = |line: &str, mounts: &str| image.started(&seen, &process(line, mounts)).place.reads_it;
    assert_eq!(reads("ironic-python-agent --config-dir /etc/ironic-python-agent.d", ""), Reads::Yes);
    let file = "ironic-python-agent --config-file=/etc/ironic-python-agent.d/zz-ipa-sidecar.conf";
    assert_eq!(reads(file, ""), Reads::Yes);
    let overlay = "50 40 0:77 / / rw - overlay overlay rw\n51 50 0:2 / /mnt/coreos rw - rootfs rootfs rw\n";
    assert_eq!(reads("ironic-python-agent --config-dir /etc/ironic-python-agent.d", overlay), Reads::No);
    assert_eq!(
        reads("ironic-python-agent --config-dir /mnt/coreos/etc/ironic-python-agent.d", overlay),
        Reads::Yes
    );
    assert_eq!(reads("start-agent", ""), Reads::No, "its arguments show nothing: as before");
    // One that runs already goes before the unit.
    let place = Image::of(builder.path(), Some(&other)).place(None);
    assert_eq!((place.directory, place.known_by), (builder.file("x"), KnownBy::Process));
}

#[test]
fn an_argument_goes_before_the_environment_and_that_of_the_process_before_its_units() {
    let builder = root("place-overridden", "ironic-python-agent.service", BUILDER);
    let drop_in = "etc/systemd/system/ironic-python-agent.service.d/host.conf";
    builder.write(drop_in, "[Service]\nEnvironment=OS_DEFAULT__ADVERTISE_HOST=192.0.2.3\n");
    let image = Image::of(builder.path(), None);
    let started = |line: &str, environment: Option<&[u8]>| {
        let environment = environment.map(IpaEnvironment::of_process);
        let process = IpaProcess { arguments: words::split(line), mounts: Mounts::default(), environment };
        image.started(&image.place(None), &process)
    };
    let own = Some(&b"OS_DEFAULT__ADVERTISE_HOST=192.0.2.2\0"[..]);
    for (line, environment, expected) in [
        ("ironic-python-agent --advertise-host 192.0.2.1", own, Some(("--advertise-host", "192.0.2.1"))),
        ("ironic-python-agent", own, Some(("OS_DEFAULT__ADVERTISE_HOST", "192.0.2.2"))),
        ("ironic-python-agent", None, Some(("OS_DEFAULT__ADVERTISE_HOST", "192.0.2.3"))),
        ("ironic-python-agent", Some(&b"A=1"[..]), None),
    ] {
        let found = started(line, environment).overridden;
        assert_eq!(found.as_ref().map(|one| (one.by, one.host.as_str())), expected, "{line}");
    }
    let flagged = started("ironic-python-agent --standalone --advertise_host 192.0.2.1", None);
    assert!(flagged.is_standalone && flagged.place.why.unwrap().contains("--advertise_host 192.0.2.1"));
}

#[test]
fn certificates_are_those_of_the_unit_or_of_its_python() {
    let builder = root("place-certificates", "ironic-python-agent.service", BUILDER);
    let packages = "opt/ironic-python-agent/lib/python3.12/site-packages";
    builder.write(&format!("{packages}/ironic_python_agent-13.0.0.dist-info/METADATA"), "");
    assert_eq!(Image::of(builder.path(), None).certificates(), None);
    builder.write(&format!("{packages}/certifi/cacert.pem"), "");
    let certifi = builder.file(&format!("{packages}/certifi/cacert.pem"));
    assert_eq!(Image::of(builder.path(), None).certificates(), Some((certifi, "certifi")));
    let drop_in = "etc/systemd/system/ironic-python-agent.service.d/ca.conf";
    builder.write(drop_in, "[Service]\nEnvironment=REQUESTS_CA_BUNDLE=/etc/site.pem\n");
    assert_eq!(Image::of(builder.path(), None).certificates().unwrap().1, "certifi", "there is no such file");
    builder.write("etc/site.pem", "");
    let expected = Some((builder.file("etc/site.pem"), "REQUESTS_CA_BUNDLE"));
    assert_eq!(Image::of(builder.path(), None).certificates(), expected);
}
