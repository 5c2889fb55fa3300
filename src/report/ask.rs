//! A question to the person at the terminal.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

/// Shows a question on standard error, and reads the answer. `None` where nobody is at a terminal, or nothing came.
#[expect(clippy::disallowed_macros, reason = "report is the room that prints")]
pub fn ask(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    anstream::eprint!("{question}");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer).ok()?;
    (read > 0).then(|| answer.trim().to_owned())
}

/// Does the person at the terminal say yes?
pub fn agreed(question: &str) -> bool {
    ask(question).is_some_and(|answer| matches!(answer.as_str(), "y" | "yes"))
}

type Question = dyn Fn(&str, bool) -> Option<String> + Send + Sync;

/// Whom to ask for what only a person knows: a passphrase, a second factor, whether a host key is the right one. Nobody, in a workflow.
#[derive(Clone, Default)]
pub struct Asker(Option<Arc<Question>>);

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_there() { "Asker(somebody)" } else { "Asker(nobody)" })
    }
}

impl Asker {
    /// Nobody is there.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// Whoever answers the question; `true` where the answer may be seen while it is typed. `None` is no answer.
    pub fn new(answer: impl Fn(&str, bool) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(answer)))
    }

    /// The person at the terminal.
    pub fn terminal() -> Self {
        Self::new(|question, is_seen| if is_seen { ask(question) } else { rpassword::prompt_password(question).ok() })
    }

    /// Is anybody there?
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, question: String, is_seen: bool) -> Option<String> {
        let answer = self.0.clone()?;
        // Several hosts may ask at once: each question stands alone until it has its answer.
        static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one = ONE.lock().await;
        tokio::task::spawn_blocking(move || answer(&question, is_seen)).await.ok().flatten()
    }
}
