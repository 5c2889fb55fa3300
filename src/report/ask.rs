//! A question to the person at the terminal.

use std::io::Write;

/// Shows a question on standard error and leaves the cursor behind it.
#[expect(clippy::disallowed_macros, reason = "report is the room that prints")]
pub fn ask(question: &str) {
    anstream::eprint!("{question}");
    let _ = std::io::stderr().flush();
}
