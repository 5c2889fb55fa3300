//! What goes wrong, in one shape: a kind (which is the exit code), what was being done and what came
//! back, and hints on what to do next. Modules convert library errors here, where they know the context.

use std::fmt;
use std::process::ExitCode;

/// What a failure means for the server, and with it the exit code of the process. The graver one is the greater: what happened on
/// several hosts comes to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Exit 2: the command line, deploy.toml or a template is wrong; nothing was dialled.
    Input,
    /// Exit 6: the server is no longer what the plan was made for.
    Moved,
    /// Exit 5: another deploy holds the lock.
    Locked,
    /// Exit 1: failed or refused; nothing on the server changed.
    Failed,
    /// Exit 3: the new release failed and was undone; the previous one serves.
    Undone,
    /// Exit 130: interrupted.
    Interrupted,
    /// Exit 4: the undo itself did not finish; a person is needed.
    NeedsPerson,
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
    /// What was being done, to what, and what came back.
    pub message: String,
    /// Where in a file that somebody wrote.
    pub place: Option<Box<Place>>,
    /// What to do next, a line each.
    pub hints: Vec<String>,
    /// What else was found wrong at the same time; none of these has others of its own.
    pub others: Vec<Self>,
}

/// A place in a file that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's path as the user knows it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What that line holds.
    pub text: String,
    /// What stands below it: `^` under what is meant.
    pub mark: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, text, mark } = self;
        let gutter = " ".repeat(line.to_string().len());
        write!(f, "{gutter}--> {file}:{line}:{column}\n{gutter} |\n{line} | {text}\n{gutter} | {mark}")
    }
}

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What somebody else answered: what was asked for, or in their own words why it cannot be had.
pub type Answer<T> = std::result::Result<T, String>;

impl Error {
    /// An error of that kind, without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), place: None, hints: Vec::new(), others: Vec::new() }
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
    pub fn all(errors: Vec<Self>) -> Result<()> {
        let mut errors = errors.into_iter().flat_map(|mut error| {
            let others = std::mem::take(&mut error.others);
            std::iter::once(error).chain(others)
        });
        let Some(mut first) = errors.next() else { return Ok(()) };
        first.others = errors.collect();
        Err(first)
    }

    /// Each thing that is wrong.
    pub fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    /// What is wrong and where, without what can be done about the last of it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (at, error) in self.each().enumerate() {
            text += if at == 0 { "" } else { "\n" };
            text += &error.message;
            if let Some(place) = &error.place {
                text += &format!("\n{place}");
            }
            if at < self.others.len() {
                text.extend(error.hints.iter().map(|hint| format!("\n  hint: {hint}")));
            }
        }
        text
    }

    /// What can be done about the last of what is wrong.
    pub fn last_hints(&self) -> &[String] {
        &self.others.last().unwrap_or(self).hints
    }

    /// The same error with one more thing to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        match self.others.last_mut() {
            Some(last) => last.hints.push(hint.into()),
            None => self.hints.push(hint.into()),
        }
        self
    }

    /// The same error with this hint, where it has none yet.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.last_hints().is_empty() { self.hint(hint) } else { self }
    }

    /// The same error, found at that place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// The same error with each of its texts as this makes it.
    #[must_use]
    pub fn with_texts(self, made: &impl Fn(String) -> String) -> Self {
        let place = self.place.map(|place| {
            let Place { file, line, column, text, mark } = *place;
            Box::new(Place { file: made(file), line, column, text: made(text), mark: made(mark) })
        });
        let others = self.others.into_iter().map(|other| other.with_texts(made)).collect();
        Self { kind: self.kind, message: made(self.message), place, hints: self.hints.into_iter().map(made).collect(), others }
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
        f.write_str(&self.text())?;
        for hint in self.last_hints() {
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
    fn of_several_each_has_its_place_and_its_hints() {
        let place = |line| Place { file: "f".into(), line, column: 2, text: "abc".into(), mark: " ^".into() };
        let one = Error::input("one").at(place(1)).hint("do this");
        let two = Error::input("two").at(place(20));
        let all = Error::all(vec![one.clone(), Error::all(vec![two, Error::failed("three")]).unwrap_err()]).unwrap_err();
        assert_eq!(all.kind, Kind::Input);
        assert_eq!(all.each().map(|error| error.message.as_str()).collect::<Vec<_>>(), ["one", "two", "three"]);
        let all = all.or_hint("do that");
        assert_eq!(
            all.to_string(),
            "one\n --> f:1:2\n  |\n1 | abc\n  |  ^\n  hint: do this\ntwo\n  --> f:20:2\n   |\n20 | abc\n   |  ^\nthree\n  hint: do that"
        );
        assert_eq!(Error::all(vec![one.clone()]), Err(one));
        assert_eq!(Error::all(vec![]), Ok(()));
    }

    #[test]
    fn hints_follow_the_message() {
        let error = Error::input("no target `x`").hint("known targets: a, b").while_doing("reading deploy.toml");
        assert_eq!(error.to_string(), "reading deploy.toml: no target `x`\n  hint: known targets: a, b");
    }
}
