//! A question to the person at the terminal.

use std::io::Write;

/// Shows a question on standard error and leaves the cursor behind it.
pub fn ask(question: &str) {
    anstream::eprint!("{question}");
    let _ = std::io::stderr().flush();
}
