//! The images get to the servers that lack them: built here, or read from where they lie. Nothing that serves is touched.

mod images;
mod junit;
mod tests;

use crate::error::Kind;
use crate::report::{Event, Outcome, StepReport};

pub(super) use images::Ids;

use super::conclude::Stop;
use super::connect::Session;
use super::inspect::Inspected;
use super::operation::Operation;
use super::prepare::Candidate;

/// The hosts of a target, with the release's images.
pub(super) struct Shipped<'a> {
    /// Those that get the release, each with the ids that its Engine knows the images by.
    pub(super) to_do: Vec<(Session<'a>, Ids)>,
    /// Those that have it already, and run it.
    pub(super) unchanged: Vec<Session<'a>>,
    /// The client's steps so far.
    pub(super) steps: Vec<StepReport>,
    /// What the scan of the images found, a line each; `None` where there is no scan.
    pub(super) findings: Option<String>,
}

/// Brings the images to all hosts that get the release. A failure is told, and ends the deploy.
pub(super) async fn ship<'a>(
    inspected: Inspected<'a>,
    candidate: &Candidate<'_>,
    operation: &Operation<'_>,
) -> Result<Shipped<'a>, Stop> {
    let Inspected { to_do, unchanged } = inspected;
    let mut steps = candidate.before.clone();
    match images::bring(&to_do, &candidate.prepared, &candidate.id, operation, &mut steps).await {
        Ok((ids, findings)) => Ok(Shipped { to_do: to_do.into_iter().zip(ids).collect(), unchanged, steps, findings }),
        Err((step, error)) => {
            let reason = Some(error.text());
            operation.reporter.tell(Event::Error(error));
            let previous = to_do.first().and_then(|session| session.facts.current().map(str::to_owned));
            let failed_step = Some(step.to_owned());
            let outcome = Outcome { failed_step, reason, steps, previous, ..operation.blank(Some(&candidate.id)) };
            Err(Stop::Over(Box::new((outcome, Some(Kind::Failed)))))
        }
    }
}
