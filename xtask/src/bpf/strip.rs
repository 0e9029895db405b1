//! Takes the debug sections out of the object: four fifths of it, of no use to the kernel, which reads BTF.

use anyhow::Context;
use object::build::elf::Builder;

/// The object without its debug sections.
pub fn strip(object: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        let name = section.name.to_string();
        section.delete = [".debug_", ".rel.debug_"].iter().any(|start| name.starts_with(start));
    }
    builder.delete_orphans();
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("the stripped object")?;
    Ok(stripped)
}
