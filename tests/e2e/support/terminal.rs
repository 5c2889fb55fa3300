//! Commands that read what a person pipes in, or have a terminal.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// The command, with this on its standard input.
pub fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    })
}

/// The command in a terminal of that size.
pub fn in_a_terminal(command: &Command, rows: u16, columns: u16) -> Output {
    let words: Vec<String> =
        [command.get_program()].into_iter().chain(command.get_args()).map(|word| shlex(&word.to_string_lossy())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("stty rows {rows} cols {columns}; {}", words.join(" ")), "/dev/null"]);
    script
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(command.get_current_dir().unwrap());
    with_input(script, "")
}

/// A word of a shell.
fn shlex(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
