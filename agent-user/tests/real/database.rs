//! What Ironic keeps in its database and shows in no answer: the token of the agent, and who holds the node.

use std::path::PathBuf;
use std::process::Command;

use testbed::cache;
use testbed::ironic::{self, RealIronic};

const TOKEN: &str = "import json, sqlite3, sys\n\
    database = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True, timeout=30)\n\
    text, = database.execute('select driver_internal_info from nodes').fetchone()\n\
    print(json.loads(text or '{}').get('agent_secret_token', ''))";

/// Waits for the end of the lookup, whose lock is the conductor's own.
const RESERVE: &str = "import json, sqlite3, sys, time\n\
    database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n\
    for _ in range(6000):\n\
    \x20   text, = database.execute('select driver_internal_info from nodes').fetchone()\n\
    \x20   if json.loads(text or '{}').get('agent_secret_token') and database.execute(\n\
    \x20           \"update nodes set reservation = 'another-conductor' where reservation is null\").rowcount:\n\
    \x20       sys.exit(0)\n\
    \x20   time.sleep(0.01)\n\
    sys.exit('no lookup')";

const RELEASE: &str = "import sqlite3, sys\n\
    database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n\
    database.execute('update nodes set reservation = null')";

/// The token that Ironic has given to IPA, as Ironic makes them.
pub fn token(ironic: &RealIronic) -> Option<String> {
    let token = run(ironic, TOKEN).trim().to_owned();
    assert!(token.is_empty() || token.len() == 43, "not as Ironic makes them");
    Some(token).filter(|token| !token.is_empty())
}

/// Locks the node as another conductor does, as soon as a lookup has its token.
pub fn reserve(ironic: &RealIronic) {
    run(ironic, RESERVE);
}

/// Ends that lock.
pub fn release(ironic: &RealIronic) {
    run(ironic, RELEASE);
}

/// Ironic's own Python.
pub fn python() -> PathBuf {
    cache::directory().unwrap().join(format!("ironic-{}/venv/bin/python", ironic::VERSION))
}

/// What a command says that must end well.
pub fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complained}");
    String::from_utf8(output.stdout).unwrap()
}

fn run(ironic: &RealIronic, script: &str) -> String {
    said(Command::new(python()).args(["-c", script]).arg(ironic.log_path().with_file_name("ironic.sqlite")))
}
