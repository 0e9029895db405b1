//! Whether a return probe leaves a process alive that may make hardly any system call.
//!
//! Since Linux 6.11 a probed function returns by a system call of its own, `uretprobe` (arch/x86/kernel/uprobes.c). Where
//! seccomp does not let that pass, a filter that knows nothing of it kills the process (kernel/seccomp.c exempts it since
//! 6.14 and in later 6.12).

use std::fs;
use std::path::Path;

use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeLink};

use super::load::attached;
use crate::probes::load::classified;
use crate::probes::{Reason, Unavailable};
use crate::system;

/// What is probed.
#[inline(never)]
extern "C" fn probed(value: u64) -> u64 {
    std::hint::black_box(value).wrapping_mul(3)
}

/// Probes the return of a function of this program.
///
/// # Errors
/// Where the kernel refuses.
pub fn attach(program: &mut UProbe) -> Result<UProbeLink, Unavailable> {
    let maps = fs::read_to_string("/proc/self/maps").map_err(|error| unknown(error.to_string()))?;
    let offset = offset_in_file(&maps, probed as *const () as u64)
        .ok_or_else(|| unknown("its own function is in no file".to_owned()))?;
    let location = UProbeAttachLocation::AbsoluteOffset(offset);
    attached(program, location, Path::new("/proc/self/exe")).map_err(|error| classified(&error))
}

/// Has a child call the probed function under a filter.
///
/// # Errors
/// Where the child did not survive it, or this could not be tried.
pub fn survived() -> Result<(), Unavailable> {
    match system::survives_without_system_calls(probed) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unknown(
            "on this kernel a return probe ends processes that have a strict seccomp filter; answers are not seen"
                .to_owned(),
        )),
        Err(error) => Err(unknown(format!("a child to try it on: {error}"))),
    }
}

fn unknown(why: String) -> Unavailable {
    Unavailable::new(Reason::ReturnProbe, why)
}

/// Where an address lies in the file that is mapped there (proc_pid_maps(5)).
fn offset_in_file(maps: &str, address: u64) -> Option<u64> {
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    maps.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (start, end) = (number(start)?, number(end)?);
        let offset = number(words.nth(1)?)?;
        (start..end).contains(&address).then(|| address - start + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_its_file() {
        let maps = "55d0c0a00000-55d0c0a20000 r--p 00000000 fe:01 42 /usr/bin/x\n\
                    55d0c0a20000-55d0c0b00000 r-xp 0001f000 fe:01 42 /usr/bin/x\n";
        assert_eq!(offset_in_file(maps, 0x55d0_c0a2_0010), Some(0x1f010));
        assert_eq!(offset_in_file(maps, 0x55d0_c0b0_0000), None);
        assert_eq!(offset_in_file("", 0), None);
    }

    #[test]
    fn a_child_survives_its_own_function_and_no_system_call() {
        assert!(system::survives_without_system_calls(probed).unwrap());
        extern "C" fn forbidden(_: u64) -> u64 {
            u64::from(rustix::process::getppid().is_some())
        }
        assert!(!system::survives_without_system_calls(forbidden).unwrap());
    }
}
