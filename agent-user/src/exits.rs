//! What each command's exit status means: the last section of its help and of its man page.

/// Below the list of commands.
pub const EVERY: &str =
    "Exit status: 64 is wrong usage for every command; the help of each lists the others.";

const USAGE: &str = "64  a flag, a variable or the configuration file is wrong";
const SOFTWARE: &str = "70  a defect, or standard output cannot be written";

/// The section of one command.
pub fn section(command: &str) -> String {
    let own: &[&str] = match command {
        "run" => &[" 0  after SIGTERM, SIGINT or SIGHUP, or once the node is rescued", "69  it cannot start"],
        "status" => &[" 0  the daemon is ready", " 1  the daemon is not ready", "69  no daemon answers"],
        "explain" => {
            &[" 0  an address is found", " 1  no address is found", "69  the kernel cannot be asked"]
        }
        "check-url" => {
            &[" 0  all URLs are good", " 1  a URL is bad", "69  the kernel cannot be asked (--local)"]
        }
        "params" => &[" 0  every value can be used", "65  a value cannot be used"],
        "doctor" => &[" 0  the mode can work here", " 1  the mode cannot work here"],
        _ => &[],
    };
    let mut lines: Vec<&str> = own.iter().copied().chain([USAGE, SOFTWARE]).collect();
    lines.sort_unstable();
    format!("Exit status:\n  {}", lines.join("\n  "))
}
