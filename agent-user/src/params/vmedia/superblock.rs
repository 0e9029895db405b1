//! File system and label, from the first bytes of a block device. Pure: the caller reads.
//!
//! Layouts: FAT (Microsoft's "FAT32 File System Specification" 1.03), ISO 9660 (ECMA-119, 8.4), ext2 to ext4
//! (fs/ext4/ext4.h, `struct ext4_super_block`).

use text::labels;

/// The largest part of a FAT root directory that is looked through for the label, in bytes.
const ROOT_DIRECTORY_MAX: u64 = 64 * 1024;

/// Where ISO 9660 has its volume descriptors (sector 16), and how large each is, in bytes.
const ISO_DESCRIPTORS: u64 = 16 * ISO_SECTOR;
const ISO_SECTOR: u64 = 2048;

labels! {
    /// A file system that virtual media come with.
    pub enum FileSystem {
        /// FAT12, FAT16 or FAT32.
        Vfat = "vfat",
        /// CD-ROM.
        Iso9660 = "iso9660",
        /// ext2, ext3 or ext4.
        Ext4 = "ext4",
    }
}

/// What a block device holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// The file system.
    pub file_system: FileSystem,
    /// Its label without padding; empty where it has none.
    pub label: String,
}

/// Tells what is on a device. `read` takes an offset and a length in bytes and gives at most that much.
pub fn identify(mut read: impl FnMut(u64, u64) -> Vec<u8>) -> Option<Superblock> {
    let (file_system, label) = if let Some(label) = iso9660(&mut read) {
        (FileSystem::Iso9660, label)
    } else if let Some(label) = fat(&mut read) {
        (FileSystem::Vfat, label)
    } else {
        (FileSystem::Ext4, ext(&mut read)?)
    };
    Some(Superblock { file_system, label })
}

fn iso9660(read: &mut impl FnMut(u64, u64) -> Vec<u8>) -> Option<String> {
    const PRIMARY: u8 = 1;
    let descriptor = read(ISO_DESCRIPTORS, ISO_SECTOR);
    if descriptor.first() != Some(&PRIMARY) || descriptor.get(1..6)? != b"CD001" {
        return None;
    }
    Some(label(descriptor.get(40..72)?))
}

fn ext(read: &mut impl FnMut(u64, u64) -> Vec<u8>) -> Option<String> {
    const MAGIC: u16 = 0xef53;
    let superblock = read(1024, 1024);
    if u16_at(&superblock, 56)? != MAGIC {
        return None;
    }
    Some(label(superblock.get(120..136)?))
}

/// The label of the root directory, else the one of the boot sector, as blkid has them.
fn fat(read: &mut impl FnMut(u64, u64) -> Vec<u8>) -> Option<String> {
    let boot = read(0, 512);
    let sector = u64::from(u16_at(&boot, 11)?);
    let cluster = u64::from(*boot.get(13)?);
    let reserved = u64::from(u16_at(&boot, 14)?);
    let copies = u64::from(*boot.get(16)?);
    let sound = matches!(boot.first(), Some(0xeb | 0xe9))
        && boot.get(510..512)? == [0x55, 0xaa]
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && cluster.is_power_of_two()
        && reserved > 0
        && (1..=2).contains(&copies);
    if !sound {
        return None;
    }
    let small_table = u64::from(u16_at(&boot, 22)?);
    let is_fat32 = small_table == 0;
    let table = if is_fat32 { u64::from(u32_at(&boot, 36)?) } else { small_table };
    let behind_tables = reserved.checked_add(copies.checked_mul(table)?)?.checked_mul(sector)?;
    let (root, length, extended) = if is_fat32 {
        let first = u64::from(u32_at(&boot, 44)?).checked_sub(2)?;
        let cluster = cluster.checked_mul(sector)?;
        (behind_tables.checked_add(first.checked_mul(cluster)?)?, cluster, 64)
    } else {
        (behind_tables, u64::from(u16_at(&boot, 17)?).checked_mul(32)?, 36)
    };
    if let Some(found) = root_label(&read(root, length.min(ROOT_DIRECTORY_MAX))) {
        return Some(found);
    }
    // Signature, serial number, label: the extended boot record begins with the drive number.
    let record = boot.get(extended..)?;
    let has_label = record.get(2) == Some(&0x29) && record.get(7..18)? != b"NO NAME    ";
    Some(if has_label { label(record.get(7..18)?) } else { String::new() })
}

/// The entry of a FAT root directory that is the volume label.
fn root_label(directory: &[u8]) -> Option<String> {
    const END: u8 = 0;
    const DELETED: u8 = 0xe5;
    const VOLUME: u8 = 0x08;
    const SUBDIRECTORY: u8 = 0x10;
    const LONG_NAME: u8 = 0x0f;
    for entry in directory.chunks_exact(32) {
        let (first, attributes) = (*entry.first()?, *entry.get(11)?);
        if first == END {
            return None;
        }
        let is_long_name = attributes & 0x3f == LONG_NAME;
        if first != DELETED && !is_long_name && attributes & (VOLUME | SUBDIRECTORY) == VOLUME {
            return Some(label(entry.get(..11)?));
        }
    }
    None
}

fn label(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).trim().to_owned()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let field = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_le_bytes(field.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &[u8]) -> Option<Superblock> {
        identify(|offset, length| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(image.len());
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            image[start..].iter().copied().take(length).collect()
        })
    }

    fn found(file_system: FileSystem, label: &str) -> Option<Superblock> {
        let label = label.to_owned();
        Some(Superblock { file_system, label })
    }

    fn put(image: &mut [u8], offset: usize, bytes: &[u8]) {
        image[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// A FAT volume of 512-byte sectors: one reserved, two tables of one sector each.
    fn fat_image(fat32: bool) -> Vec<u8> {
        let mut image = vec![0; 16 * 1024];
        put(&mut image, 0, &[0xeb, 0x3c, 0x90]);
        put(&mut image, 11, &[0, 2, 1, 1, 0, 2, 16, 0]);
        put(&mut image, 510, &[0x55, 0xaa]);
        if fat32 {
            put(&mut image, 17, &[0, 0]);
            put(&mut image, 36, &[1, 0, 0, 0]);
            put(&mut image, 44, &[3, 0, 0, 0]);
            put(&mut image, 66, b"\x29idnoBOOT-32    ");
        } else {
            put(&mut image, 22, &[1, 0]);
            put(&mut image, 38, b"\x29idnoBOOT-16    ");
        }
        image
    }

    #[test]
    fn fat_labels_of_root_directory_and_boot_sector() {
        for (fat32, root, boot_label) in [(false, 1536, "BOOT-16"), (true, 1536 + 512, "BOOT-32")] {
            let mut image = fat_image(fat32);
            assert_eq!(of(&image), found(FileSystem::Vfat, boot_label));
            put(&mut image, root, b"\xe5ELETED    \x08");
            put(&mut image, root + 32, b"Al.o.n.g. .\x0f");
            put(&mut image, root + 64, b"SUBDIR     \x18");
            put(&mut image, root + 96, b"IR-VFD-DEV \x28");
            assert_eq!(of(&image), found(FileSystem::Vfat, "IR-VFD-DEV"));
        }
        let mut unnamed = fat_image(false);
        put(&mut unnamed, 43, b"NO NAME    ");
        assert_eq!(of(&unnamed), found(FileSystem::Vfat, ""));
    }

    #[test]
    fn iso_and_ext_labels() {
        let mut iso = vec![0; 40 * 1024];
        put(&mut iso, 32768, b"\x01CD001\x01");
        put(&mut iso, 32768 + 40, b"vmedia_boot_iso                 ");
        assert_eq!(of(&iso), found(FileSystem::Iso9660, "vmedia_boot_iso"));
        let mut ext = vec![0; 4096];
        put(&mut ext, 1024 + 56, &[0x53, 0xef]);
        put(&mut ext, 1024 + 120, b"ir-vfd-dev\0garb");
        assert_eq!(of(&ext), found(FileSystem::Ext4, "ir-vfd-dev"));
        assert_eq!(of(&[0; 65536]), None);
        assert_eq!(of(&[]), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(noise: Vec<u8>, boot: [u8; 32], fat32: bool) {
            let _ = of(&noise);
            let mut image = fat_image(fat32);
            put(&mut image, 13, &boot);
            put(&mut image, 1536, &boot);
            let _ = of(&image);
        }
    }
}
