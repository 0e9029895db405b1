//! Virtual media: found, mounted read-only, read, and nothing left behind.

use std::path::Path;

use ipa_sidecar::inside::{FileSystem, ProblemKind, Source, identify};
use testbed::root_test;

use super::machine::{LoopDevice, Machine, entry, tool};

/// A tiny ext4 with the content of a directory of the machine.
fn ext4_image(machine: &Machine, label: &str, content: &str) -> std::path::PathBuf {
    let image = machine.root.file(&format!("{label}.img"));
    let (path, content) = (image.to_str().unwrap(), machine.path(content));
    let arguments = ["-q", "-L", label, "-d", &content, path, "2M"];
    tool("mkfs.ext4", &arguments).expect("mkfs.ext4 is part of e2fsprogs");
    image
}

fn is_mounted(device: &LoopDevice) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let node = device.node.to_str().unwrap();
    mounts.lines().any(|line| line.split(' ').next() == Some(node))
}

/// Makes a labelled ext4 on a loop device show up as a CD-ROM of the machine.
fn insert(machine: &mut Machine, label: &str, content: &str) -> LoopDevice {
    let device = LoopDevice::new(&ext4_image(machine, label, content));
    machine.dev = "/dev".into();
    machine.device(device.name(), &[("size", "4096\n"), ("device/type", "5\n")]);
    device
}

#[test]
fn parameters_of_a_medium_go_between_ipas_files_and_the_command_line() {
    root_test!();
    let mut machine = Machine::new();
    machine.write(
        "medium/parameters.txt",
        "ipa-api-url=http://192.0.2.2:6385\nipa-advertise-port=2 ipa-agent-token=hunter2\tironic_api_url=http://192.0.2.7",
    );
    let device = insert(&mut machine, "IR-vfd-DEV", "medium");
    let cmdline =
        "boot_method=vmedia ipa-api-url=http://192.0.2.1:6385 ipa-advertise-port=1 ipa-lookup-timeout=1";
    machine.write("cmdline", cmdline);
    machine.drop_in("x.conf", "[DEFAULT]\nadvertise_port = 3");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.problems, []);
    assert_eq!(
        entry(&loaded, "ironic.api-url"),
        (
            "[\"http://192.0.2.2:6385\"]".to_owned(),
            "vmedia",
            format!("{} parameters.txt: ipa-api-url", device.node.display())
        )
    );
    assert_eq!(entry(&loaded, "advertise.port").1, "ipa-config");
    assert_eq!(entry(&loaded, "lookup.timeout").1, "cmdline");
    assert_eq!(loaded.parameters.ironic.agent_token.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!is_mounted(&device), "nothing stays mounted");

    for (cmdline, flags) in [
        (cmdline.replace("boot_method=vmedia", "boot_method=pxe"), vec![]),
        (cmdline.to_owned(), vec!["--no-vmedia"]),
    ] {
        machine.write("cmdline", cmdline);
        let loaded = machine.load(&flags).unwrap();
        assert_eq!(entry(&loaded, "ironic.api-url").1, "cmdline");
    }
    // The name of today beats the old one wherever it stands.
    machine.write("medium/parameters.txt", "ironic_api_url=http://192.0.2.7");
    // Its number may be another test's device at once.
    std::fs::remove_dir_all(machine.root.file("block").join(device.name())).unwrap();
    drop(device);
    let _device = insert(&mut machine, "ir-vfd-dev", "medium");
    machine.write("cmdline", cmdline);
    assert_eq!(entry(&machine.load(&[]).unwrap(), "ironic.api-url").1, "cmdline");
}

#[test]
fn configuration_on_a_medium_counts_as_if_it_lay_in_etc() {
    root_test!();
    for label in ["config-2", "vmedia_boot_iso"] {
        let mut machine = Machine::new();
        machine.write("cmdline", "boot_method=vmedia");
        machine.drop_in("10.conf", "[DEFAULT]\nadvertise_port=1\nlookup_timeout=1");
        machine.drop_in("20.conf", "[DEFAULT]\nlookup_interval=2");
        let below = |directory: &str, name: &str| format!("medium/etc/ironic-python-agent{directory}/{name}");
        machine.write(&below(".d", "10.conf"), "[DEFAULT]\nadvertise_port=2");
        machine.write(&below(".d", "zz-ipa-sidecar.conf"), "[DEFAULT]\nadvertise_host=192.0.2.6");
        machine.write(&below(".d", "zzz.conf"), "[DEFAULT]\nadvertise_host=192.0.2.7");
        machine.write(&below("", "a.conf"), "[DEFAULT]\nadvertise_port=3\nlisten_port=3");
        machine.write(&below("", "ironic.crt"), "no configuration");
        let device = insert(&mut machine, label, "medium");
        let loaded = machine.load(&[]).unwrap();
        assert_eq!(loaded.parameters.advertise.port, 2, "the medium's 10.conf replaces the own one");
        assert_eq!(entry(&loaded, "lookup.timeout").1, "default");
        assert_eq!(entry(&loaded, "lookup.interval").0, "2");
        assert_eq!(loaded.parameters.ipa_settings.listen_port, 3);
        let place = format!("{} etc/ironic-python-agent.d/10.conf: advertise_port", device.node.display());
        assert_eq!(entry(&loaded, "advertise.port").2, place);
        assert_eq!(loaded.parameters.advertise.host.unwrap().to_string(), "192.0.2.7");
        let kinds: Vec<ProblemKind> = loaded.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [ProblemKind::Conflict, ProblemKind::Conflict], "{:?}", loaded.problems);
        assert!(!is_mounted(&device));
    }
}

#[test]
fn a_hostile_medium_gives_problems_and_nothing_else() {
    root_test!();
    let secret = Machine::new();
    secret.write("secret.conf", "[DEFAULT]\nadvertise_port=7");
    let mut machine = Machine::new();
    machine.write("cmdline", "boot_method=vmedia ipa-api-url=http://192.0.2.1:6385");
    machine.write("medium/etc/ironic-python-agent.d/good.conf", "[DEFAULT]\nlisten_port=8");
    let link = |name: &str| {
        std::os::unix::fs::symlink(secret.path("secret.conf"), machine.root.file("medium").join(name))
            .unwrap();
    };
    link("etc/ironic-python-agent.d/link.conf");
    std::os::unix::fs::symlink("/etc", machine.root.file("medium/etc/ironic-python-agent")).unwrap();
    let fifo = machine.path("medium/etc/ironic-python-agent.d/fifo.conf");
    tool("mkfifo", &[&fifo]).unwrap();
    let big = machine.root.file("medium/etc/ironic-python-agent.d/big.conf");
    std::fs::File::create(big).unwrap().set_len(1024 * 1024 + 1).unwrap();
    let config = insert(&mut machine, "config-2", "medium");
    std::fs::create_dir(machine.root.file("other")).unwrap();
    std::os::unix::fs::symlink(secret.path("secret.conf"), machine.root.file("other/parameters.txt"))
        .unwrap();
    let parameters = insert(&mut machine, "ir-vfd-dev", "other");

    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.ipa_settings.listen_port, 8);
    assert_eq!(entry(&loaded, "advertise.port").1, "default");
    assert_eq!(entry(&loaded, "ironic.api-url").1, "cmdline");
    let said: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 5, "{said:?}");
    for (place, reason) in [
        ("parameters.txt", "symbolic link"),
        ("etc/ironic-python-agent", "symbolic link"),
        ("link.conf", "symbolic link"),
        ("fifo.conf", "not a regular file"),
        ("big.conf", "larger than"),
    ] {
        let found = said
            .iter()
            .any(|line| line.contains(&format!("{place} cannot be read")) && line.contains(reason));
        assert!(found, "{place}: {said:?}");
    }
    assert!(loaded.problems.iter().all(|problem| problem.source == Source::Vmedia));
    assert!(!is_mounted(&config) && !is_mounted(&parameters));
}

#[test]
fn huge_and_binary_parameters_are_survived() {
    root_test!();
    let cmdline = "boot_method=vmedia ipa-api-url=http://192.0.2.1:6385";
    let mut machine = Machine::new();
    machine.write("cmdline", cmdline);
    machine.write("medium/parameters.txt", "");
    std::fs::File::create(machine.path("medium/parameters.txt")).unwrap().set_len(1024 * 1024 + 1).unwrap();
    let huge = insert(&mut machine, "ir-vfd-dev", "medium");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(entry(&loaded, "ironic.api-url").1, "cmdline");
    let said: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("larger than"), "{said:?}");
    drop(huge);

    // Every byte value, escape sequences, no end of line, and in between a value that is one.
    let mut machine = Machine::new();
    machine.write("cmdline", cmdline);
    let mut bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    bytes.extend_from_slice(
        b" ipa-advertise-port=\x1b[31m7 ipa-lookup-timeout=\xff\xfe ipa-advertise-host=192.0.2.9 =\0=",
    );
    machine.write("medium/parameters.txt", "");
    std::fs::write(machine.path("medium/parameters.txt"), bytes).unwrap();
    let _binary = insert(&mut machine, "ir-vfd-dev", "medium");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.advertise.host.as_ref().unwrap().to_string(), "192.0.2.9");
    assert_eq!(entry(&loaded, "advertise.port").1, "default");
    let said: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|line| !line.chars().any(char::is_control)), "{said:?}");
}

#[test]
fn other_devices_are_left_alone() {
    root_test!();
    let mut machine = Machine::new();
    machine.write("cmdline", "boot_method=vmedia");
    machine.write("medium/parameters.txt", "ipa-advertise-port=7");
    let device = insert(&mut machine, "ir-vfd-dev", "medium");
    let name = device.name().to_owned();
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 7);
    machine.write(&format!("block/{name}/partition"), "1");
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 9999, "a partition");
    std::fs::remove_file(machine.root.file(&format!("block/{name}/partition"))).unwrap();
    machine.write(&format!("block/{name}/device/type"), "0");
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 9999, "a disk that is not on USB");

    // The same disk on a USB bus: sysfs names are links into the tree of devices.
    let disk = format!("devices/pci0000:00/usb1/1-1/block/{name}");
    for (sectors, port) in [("8388607", 7), ("8388608", 9999), ("0", 9999)] {
        let _ = std::fs::remove_dir_all(machine.root.file("block").join(&name));
        let _ = std::fs::remove_file(machine.root.file("block").join(&name));
        machine.write(&format!("{disk}/size"), sectors);
        std::os::unix::fs::symlink(machine.root.file(&disk), machine.root.file("block").join(&name)).unwrap();
        assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, port, "{sectors} sectors");
    }
}

#[test]
fn the_model_is_enough_where_no_label_is() {
    root_test!();
    let mut machine = Machine::new();
    machine.write("cmdline", "boot_method=vmedia");
    machine.write("medium/parameters.txt", "ipa-advertise-port=7");
    let device = insert(&mut machine, "other", "medium");
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 9999);
    machine.device(device.name(), &[("device/model", "Acme Virtual Media 2\n")]);
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 7);
    // Labelled, but without the file.
    std::fs::remove_file(machine.root.file("medium/parameters.txt")).unwrap();
    let _second = insert(&mut machine, "ir-vfd-dev", "medium");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.advertise.port, 9999, "the label goes before the model");
    assert!(loaded.problems[0].to_string().contains("no such file"), "{:?}", loaded.problems);
}

#[test]
fn a_device_that_cannot_be_read_is_a_problem_and_an_empty_drive_is_none() {
    let machine = Machine::new();
    machine.write("cmdline", "boot_method=vmedia");
    machine.device("sr0", &[("size", "4096")]);
    assert_eq!(machine.load(&[]).unwrap().problems, [], "no node: no medium");
    machine.write("dev/sr0", "no device");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.problems.len(), 1);
    assert!(loaded.problems[0].to_string().contains("not a block device"));
    machine.device("sr0", &[("size", "0")]);
    assert_eq!(machine.load(&[]).unwrap().problems, []);
}

fn identified(image: &Path) -> Option<(FileSystem, String)> {
    let content = std::fs::read(image).unwrap();
    let found = identify(|offset, length| {
        let bytes = content.iter().skip(offset as usize);
        bytes.take(length as usize).copied().collect()
    });
    found.map(|superblock| (superblock.file_system, superblock.label))
}

#[test]
fn labels_of_images_made_by_the_usual_tools() {
    let machine = Machine::new();
    machine.write("medium/parameters.txt", "a=b");
    let image = ext4_image(&machine, "ir-vfd-dev", "medium");
    assert_eq!(identified(&image), Some((FileSystem::Ext4, "ir-vfd-dev".to_owned())));
    for (bits, size) in [("12", 1_474_560), ("16", 16 << 20), ("32", 64 << 20)] {
        let image = machine.root.file(&format!("fat{bits}.img"));
        std::fs::File::create(&image).unwrap().set_len(size).unwrap();
        let arguments = ["-F", bits, "-n", "IR-VFD-DEV", image.to_str().unwrap()];
        if tool("mkfs.vfat", &arguments).is_none() {
            println!("SKIP: no mkfs.vfat; hand-made images are tested beside the code");
            break;
        }
        assert_eq!(identified(&image), Some((FileSystem::Vfat, "IR-VFD-DEV".to_owned())), "FAT{bits}");
    }
    let image = machine.root.file("cd.iso");
    let (path, content) = (image.to_str().unwrap(), machine.path("medium"));
    let arguments = ["-quiet", "-R", "-J", "-V", "vmedia_boot_iso", "-o", path, &content];
    match tool("genisoimage", &arguments) {
        Some(_) => assert_eq!(identified(&image), Some((FileSystem::Iso9660, "vmedia_boot_iso".to_owned()))),
        None => println!("SKIP: no genisoimage; hand-made images are tested beside the code"),
    }
}
