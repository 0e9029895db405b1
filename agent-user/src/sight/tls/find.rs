//! Which libssl IPA's interpreter links.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::elf;
use crate::image::unit;

/// Where ironic-python-agent-builder's images and packages have IPA's interpreter.
const INTERPRETERS: [&str; 3] =
    ["/opt/ironic-python-agent/bin/python3", "/usr/bin/python3", "/usr/local/bin/python3"];
/// Where libraries lie besides (ld.so(8)); /etc/ld.so.conf.d names those of an architecture.
const DIRECTORIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// The names of libssl that export what is probed: OpenSSL 3 and 1.1.
const NAMES: [&str; 2] = ["libssl.so.3", "libssl.so.1.1"];
/// Before this no interpreter of IPA's is looked at any more.
const MOST: usize = 4;

/// A libssl, and which of its functions IPA's interpreter calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The file.
    pub path: PathBuf,
    /// Their names; `None` where that is not known.
    pub called: Option<Vec<String>>,
    /// The interpreter that links it, without links.
    pub interpreter: Option<PathBuf>,
}

impl Library {
    /// Of which nothing else is known.
    pub fn at(path: PathBuf) -> Self {
        Self { path, called: None, interpreter: None }
    }

    /// Whether IPA's interpreter may call this function of it.
    pub fn calls(&self, function: &str) -> bool {
        self.called.as_ref().is_none_or(|all| all.iter().any(|one| one == function))
    }
}

/// The libssl of the first interpreter that links one, else the system's; each file once.
pub fn libraries() -> Vec<Library> {
    let system = system_directories(Path::new("/etc/ld.so.conf.d"));
    let interpreters = unit::commands().into_iter().filter_map(|command| interpreter(&command));
    for interpreter in interpreters.chain(INTERPRETERS.map(PathBuf::from)) {
        let linked = linked_by(&interpreter, &system);
        if !linked.is_empty() {
            return once(linked);
        }
    }
    let system = system.iter().flat_map(|directory| NAMES.map(|name| directory.join(name)));
    once(system.map(Library::at).collect())
}

/// What runs a command of a unit: the interpreter that the script names in its first line (execve(2)), or the command.
fn interpreter(command: &Path) -> Option<PathBuf> {
    let content = exporter::read_file(command).ok()?;
    let Some(line) = content.strip_prefix(b"#!") else {
        return Some(command.to_owned());
    };
    let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next()?).into_owned();
    Some(PathBuf::from(line.split_ascii_whitespace().next()?))
}

/// The libssl that an interpreter links itself, or that its module `_ssl` links.
fn linked_by(interpreter: &Path, system: &[PathBuf]) -> Vec<Library> {
    // Through the links of a virtual environment, to where the standard library is beside.
    let Ok(interpreter) = fs::canonicalize(interpreter) else {
        return Vec::new();
    };
    let library = |file: &PathBuf| {
        let needs = elf::needs(file)?;
        let name = needs.libraries.iter().find(|name| name.starts_with("libssl."))?;
        let origin = file.parent()?.to_str()?;
        let own = needs.directories.iter().map(|directory| {
            PathBuf::from(directory.replace("${ORIGIN}", origin).replace("$ORIGIN", origin))
        });
        let path = own
            .chain(system.iter().cloned())
            .map(|directory| directory.join(name))
            .find(|path| is_library(path))?;
        Some(Library { path, called: Some(needs.imports), interpreter: Some(interpreter.clone()) })
    };
    let found: Vec<_> = modules(&interpreter).iter().filter_map(library).collect();
    // Where there is no such module it is built in.
    if found.is_empty() { library(&interpreter).into_iter().collect() } else { found }
}

/// The libssl that a process has mapped, as a path that leads into its root. This wants CAP_SYS_PTRACE (proc_pid_root(5)).
pub fn mapped(pid: u32) -> Option<Library> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let maps = fs::read_to_string(process.join("maps")).ok()?;
    let file = |is_wanted: &dyn Fn(&str) -> bool| {
        let mut paths = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5)).map(Path::new);
        let found =
            paths.find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_wanted))?;
        Some(process.join("root").join(found.strip_prefix("/").ok()?))
    };
    let path = file(&|name| NAMES.contains(&name))?;
    let called = file(&|name| name.starts_with("_ssl.")).and_then(|module| elf::needs(&module));
    Some(Library { path, called: called.map(|needs| needs.imports), interpreter: None })
}

/// The files of the module `_ssl` that belong to an interpreter such as /usr/bin/python3.11.
fn modules(interpreter: &Path) -> Vec<PathBuf> {
    let name = interpreter.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(prefix) = interpreter.parent().and_then(Path::parent) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for library in ["lib", "lib64"].map(|name| prefix.join(name)) {
        for version in entries(&library, |version| {
            version.starts_with("python3") && (name == version || !name.contains('.'))
        }) {
            found.extend(entries(&version.join("lib-dynload"), |name| {
                name.starts_with("_ssl.") && name.ends_with(".so")
            }));
        }
    }
    found
}

fn entries(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let wanted = entries.filter(|entry| entry.file_name().to_str().is_some_and(&is_wanted));
    let mut paths: Vec<_> = wanted.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The directories of an architecture, then those that all have.
fn system_directories(configured: &Path) -> Vec<PathBuf> {
    let files = entries(configured, |name| name.ends_with(".conf"));
    let texts = files.iter().filter_map(|file| exporter::read_file(file).ok());
    let mut directories = Vec::new();
    for text in texts {
        let text = String::from_utf8_lossy(&text).into_owned();
        directories
            .extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    directories.extend(DIRECTORIES.map(PathBuf::from));
    directories
}

fn is_library(path: &Path) -> bool {
    elf::needs(path).is_some()
}

/// Each file once, whatever its names; at most [`MOST`].
fn once(libraries: Vec<Library>) -> Vec<Library> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<_> = libraries
        .into_iter()
        .filter(|library| is_library(&library.path))
        .filter(|library| fs::metadata(&library.path).is_ok_and(|file| seen.insert((file.dev(), file.ino()))))
        .collect();
    kept.truncate(MOST);
    kept
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use testbed::site::Directory;

    use super::*;

    /// This machine's, as far as it has one: what is copied below.
    fn any_libssl() -> Option<PathBuf> {
        libraries().into_iter().next().map(|library| library.path)
    }

    #[test]
    fn the_interpreter_behind_a_virtual_environment_is_followed() {
        let Some((library, module)) = any_libssl()
            .zip(INTERPRETERS.iter().find_map(|path| modules(&fs::canonicalize(path).ok()?).pop()))
        else {
            return;
        };
        let name = elf::needs(&module).unwrap().libraries;
        let name = name.iter().find(|name| name.starts_with("libssl.")).unwrap().clone();
        let root = Directory::new("find-libssl");
        root.write("base/bin/python3.9", "");
        root.write("base/lib/python3.9/lib-dynload/x", "");
        root.write("base/lib/python3.8/lib-dynload/_ssl.so", "another version's");
        root.write("libs/x", "");
        fs::copy(&module, root.file("base/lib/python3.9/lib-dynload/_ssl.cpython-39.so")).unwrap();
        fs::copy(&library, root.file(&format!("libs/{name}"))).unwrap();
        root.write(
            "venv/bin/agent",
            format!("#!{} -s\nimport agent\n", root.file("venv/bin/python3").display()),
        );
        symlink(root.file("base/bin/python3.9"), root.file("venv/bin/python3")).unwrap();
        fs::set_permissions(root.file("venv/bin/agent"), fs::Permissions::from_mode(0o755)).unwrap();

        let interpreter = interpreter(&root.file("venv/bin/agent")).unwrap();
        assert_eq!(interpreter, root.file("venv/bin/python3"));
        let system = [root.file("nothing"), root.file("libs")];
        let found = linked_by(&interpreter, &system);
        assert_eq!(
            found.iter().map(|one| &one.path).collect::<Vec<_>>(),
            [&root.file(&format!("libs/{name}"))]
        );
        let called = found[0].called.as_ref().unwrap();
        assert!(called.iter().any(|name| name.starts_with("SSL_write")), "{called:?}");
        assert!(linked_by(&interpreter, &[]).is_empty());
        assert!(linked_by(Path::new("/nowhere/python3"), &system).is_empty());
    }

    #[test]
    fn directories_and_files_are_taken_once() {
        let root = Directory::new("find-conf");
        root.write("conf/a.conf", "# x\n/first\n");
        root.write("conf/b", "/not/this\n");
        let directories = system_directories(&root.file("conf"));
        assert_eq!(directories.first(), Some(&PathBuf::from("/first")));
        assert_eq!(directories.len(), 1 + DIRECTORIES.len());
        if let Some(library) = any_libssl() {
            symlink(&library, root.file("again")).unwrap();
            let paths = [library.clone(), root.file("again"), root.file("conf/b")];
            assert_eq!(once(paths.map(Library::at).to_vec()), [Library::at(library)]);
        }
    }
}
