//! What each command's exit status means: the last section of its help and of its man page.

/// Below the list of commands.
pub const EVERY: &str =
    "Exit status: 64 is wrong usage for every command; the help of each lists the others.";

const USAGE: &str = "64  a flag, a variable or the configuration file is wrong";
const SOFTWARE: &str = "70  a defect, or standard output cannot be written";

/// The section of one command.
pub fn section(command: &str) -> String {
    let own: &[&str] = match command {
        "check" => &[
            " 0  every node is good",
            " 1  an agent URL is bad, or a node failed",
            " 2  no node can be seen: Ironic does not answer, or permits nothing",
        ],
        "run" => &[" 0  after SIGTERM or SIGINT", "69  it cannot start"],
        "explain-log" => {
            &[" 0  no node failed by its agent URL", " 1  a node did", " 2  the log cannot be read"]
        }
        _ => &[],
    };
    let mut lines: Vec<&str> = own.iter().copied().chain([USAGE, SOFTWARE]).collect();
    lines.sort_unstable();
    format!("Exit status:\n  {}", lines.join("\n  "))
}
