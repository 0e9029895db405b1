//! Takes the debug sections out of the object: four fifths of it; the kernel reads BTF instead. The lines of BTF go too:
//! only the verifier's log shows them.

use anyhow::Context;
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The object without its debug sections and without `.BTF.ext`.
pub fn strip(object: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        let name = section.name.to_string();
        section.delete = [".debug_", ".rel.debug_", ".BTF.ext", ".rel.BTF.ext"]
            .iter()
            .any(|start| name.starts_with(start));
    }
    builder.delete_orphans();
    // LLVM keeps the names of sections and of symbols in one table; the builder wants two.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = SHT_STRTAB;
        names.data = SectionData::SectionString;
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("the stripped object")?;
    Ok(stripped)
}
