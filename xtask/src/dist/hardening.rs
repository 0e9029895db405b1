//! Whether the binary is as hardened as it should be: static and position-independent, read-only relocations bound at
//! the start, no executable stack, stripped.

use std::path::Path;

use anyhow::{Context, ensure};
use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader, SectionHeader};

/// Checks a binary.
///
/// # Errors
/// What it lacks.
pub fn check(binary: &Path) -> anyhow::Result<()> {
    let data = std::fs::read(binary).with_context(|| binary.display().to_string())?;
    check_bytes(&data).with_context(|| binary.display().to_string())
}

fn check_bytes(data: &[u8]) -> anyhow::Result<()> {
    let file = ElfFile64::<Endianness>::parse(data)?;
    let (header, endian) = (file.elf_header(), file.endian());
    let segments = header.program_headers(endian, data)?;
    let of_kind = |kind| segments.iter().find(|segment| segment.p_type(endian) == kind);
    ensure!(header.e_type(endian) == elf::ET_DYN, "not position-independent");
    ensure!(of_kind(elf::PT_INTERP).is_none(), "not static: it names a program interpreter");
    ensure!(of_kind(elf::PT_GNU_RELRO).is_some(), "its relocations stay writable");
    let stack = of_kind(elf::PT_GNU_STACK).context("it does not say that its stack is not executable")?;
    ensure!(stack.p_flags(endian) & elf::PF_X == 0, "its stack is executable");
    let writable_code = segments.iter().any(|segment| {
        let flags = segment.p_flags(endian);
        segment.p_type(endian) == elf::PT_LOAD && flags & elf::PF_W != 0 && flags & elf::PF_X != 0
    });
    ensure!(!writable_code, "a segment is both writable and executable");
    let mut bound_at_start = false;
    for segment in segments {
        for entry in segment.dynamic(endian, data)?.unwrap_or_default() {
            let value = entry.d_val(endian);
            bound_at_start |= match entry.d_tag(endian) {
                elf::DT_FLAGS => value & u64::from(elf::DF_BIND_NOW) != 0,
                elf::DT_FLAGS_1 => value & u64::from(elf::DF_1_NOW) != 0,
                _ => false,
            };
        }
    }
    ensure!(bound_at_start, "its symbols are not bound at the start, so RELRO is only partial");
    let sections = header.sections(endian, data)?;
    ensure!(sections.iter().all(|section| section.sh_type(endian) != elf::SHT_SYMTAB), "it is not stripped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_refused_and_the_reason_named() {
        let error = check(Path::new("/bin/sh")).unwrap_err();
        assert!(format!("{error:#}").contains("not static"), "{error:#}");
        assert!(check_bytes(b"#!/bin/sh").is_err());
    }
}
