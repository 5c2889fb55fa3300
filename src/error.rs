//! What goes wrong, in one shape: a kind (which is the exit code), what was being done and what came
//! back, and hints on what to do next. Modules convert library errors here, where they know the context.

use std::fmt;
use std::process::ExitCode;

/// What a failure means for the server, and with it the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Exit 1: failed or refused; nothing on the server changed.
    Failed,
    /// Exit 2: the command line, deploy.toml or a template is wrong; nothing was dialled.
    Input,
    /// Exit 3: the new release failed and was undone; the previous one serves.
    Undone,
    /// Exit 4: the undo itself did not finish; a person is needed.
    NeedsPerson,
    /// Exit 5: another deploy holds the lock.
    Locked,
    /// Exit 6: the server is no longer what the plan was made for.
    Moved,
    /// Exit 130: interrupted.
    Interrupted,
}

impl Kind {
    /// The number that the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Input => 2,
            Self::Undone => 3,
            Self::NeedsPerson => 4,
            Self::Locked => 5,
            Self::Moved => 6,
            Self::Interrupted => 130,
        }
    }

    /// The kind behind an exit code of the server's half; anything unknown needs a person.
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Failed,
            2 => Self::Input,
            3 => Self::Undone,
            5 => Self::Locked,
            6 => Self::Moved,
            130 => Self::Interrupted,
            _ => Self::NeedsPerson,
        }
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        Self::from(kind.code())
    }
}

/// An error that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// What was being done, to what, and what came back. May hold a source snippet in further lines.
    pub message: String,
    /// What to do next, a line each.
    pub hints: Vec<String>,
}

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of that kind, without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    /// Wrong input: exit 2.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// A failure that left the server as it was: exit 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// All of these as one, so that everything that is wrong is told at once; nothing where there is none.
    pub fn all(mut errors: Vec<Self>) -> Result<()> {
        if errors.is_empty() {
            return Ok(());
        }
        let mut first = errors.remove(0);
        for error in errors {
            // Each error's own hints stand below it.
            first.message = format!("{first}\n{}", error.message);
            first.hints = error.hints;
        }
        Err(first)
    }

    /// The same error with one more thing to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error with this hint, where it has none yet.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hints.is_empty() { self.hint(hint) } else { self }
    }

    /// The same error, told as a part of what was being done.
    #[must_use]
    pub fn while_doing(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for hint in &self.hints {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_server_is_a_kind_with_that_code() {
        for code in [1, 2, 3, 4, 5, 6, 130] {
            assert_eq!(Kind::from_code(code).code(), code);
        }
        assert_eq!(Kind::from_code(77), Kind::NeedsPerson);
    }

    #[test]
    fn hints_follow_the_message() {
        let error = Error::input("no target `x`").hint("known targets: a, b").while_doing("reading deploy.toml");
        assert_eq!(error.to_string(), "reading deploy.toml: no target `x`\n  hint: known targets: a, b");
    }
}
