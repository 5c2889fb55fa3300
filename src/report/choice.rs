//! Which sink reads the events.

use super::github::{Files, Log, Workflow};
use super::json::Json;
use super::plain::Plain;
use super::terminal::Terminal;
use super::{Reporter, Sink};

/// Which sink, by what the user asked for and where output goes.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// JSON lines on standard output, people's text on standard error.
    pub json: bool,
    /// Is standard error a terminal whose cursor moves?
    pub terminal: bool,
    /// Also what commands print when all goes well, and each look at something.
    pub verbose: bool,
    /// Only what went wrong.
    pub quiet: bool,
    /// In GitHub Actions: where its files are.
    pub workflow: Option<Workflow>,
}

impl Reporter {
    /// The reporter of the command line.
    pub fn choose(choice: Choice) -> Self {
        let people: Box<dyn Sink> = match &choice {
            Choice { workflow: Some(_), .. } => Box::new(Log::new(choice.quiet)),
            Choice { terminal: true, quiet: false, json: false, .. } => Box::new(Terminal::new(choice.verbose)),
            _ => Box::new(Plain::new(choice.verbose, choice.quiet)),
        };
        let sink = if choice.json { Box::new(Json::new(people)) } else { people };
        Self::new(match choice.workflow {
            Some(workflow) => Box::new(Files::new(workflow, sink)),
            None => sink,
        })
    }
}
