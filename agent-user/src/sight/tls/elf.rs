//! What is read of a program or shared library: which others it needs, where it looks for them (ld.so(8)), and which of their
//! functions it calls.

use std::fs::File;
use std::path::Path;

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH};
use object::read::elf::ElfFile64;
use object::read::{ReadCache, ReadRef};
use object::{Object, ObjectSymbol};

/// What the dynamic section says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// File names.
    pub libraries: Vec<String>,
    /// Directories, with `$ORIGIN` as it is.
    pub directories: Vec<String>,
    /// The names that others have to define.
    pub imports: Vec<String>,
}

/// Reads it; `None` where the file is no ELF of 64 bits.
pub fn needs(path: &Path) -> Option<Needs> {
    // Only tables are read: the file may be larger than all the memory that the daemon may have.
    parse(&ReadCache::new(File::open(path).ok()?))
}

fn parse<'a>(content: impl ReadRef<'a>) -> Option<Needs> {
    let file = ElfFile64::<Endianness, _>::parse(content).ok()?;
    let dynamic = file.elf_dynamic_table().ok()?;
    let mut needs = Needs::default();
    for entry in &dynamic {
        let text = || Some(std::str::from_utf8(dynamic.string(entry).ok()?).ok()?.to_owned());
        if entry.tag == DT_NEEDED {
            needs.libraries.extend(text());
        } else if entry.tag == DT_RPATH || entry.tag == DT_RUNPATH {
            let text = text().unwrap_or_default();
            needs.directories.extend(text.split(':').filter(|part| !part.is_empty()).map(str::to_owned));
        }
    }
    let undefined = file.dynamic_symbols().filter(|symbol| symbol.is_undefined());
    needs.imports = undefined.filter_map(|symbol| Some(symbol.name().ok()?.to_owned())).collect();
    Some(needs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_needs_of_a_program_are_read() {
        let needs = needs(Path::new("/bin/sh")).unwrap();
        assert!(needs.libraries.iter().any(|name| name.starts_with("libc.")), "{needs:?}");
        assert!(needs.imports.iter().any(|name| name == "fork" || name == "execve"), "{needs:?}");
        assert_eq!(super::needs(Path::new("/etc/passwd")), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = parse(&bytes[..]);
            for (place, byte) in b"\x7fELF\x02\x01\x01".iter().enumerate() {
                if let Some(first) = bytes.get_mut(place) {
                    *first = *byte;
                }
            }
            let _ = parse(&bytes[..]);
        }
    }
}
