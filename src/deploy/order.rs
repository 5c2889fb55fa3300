//! What an operator orders of the release that serves: a restart, a number of containers, maintenance, or the end. Each is a run on the
//! server, with its lock, its journal and its undo.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::report::Outcome;
use crate::server::{Fact, Facts, steps_of};

use super::conclude::Ending;
use super::connect::Session;
use super::follow::carry_out;
use super::inspect::wait_for_lock;
use super::launch::RunSettings;
use super::operation::Operation;
use super::signals::Signals;

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The containers of these services start again; none for all of the apps and workers.
    Restart(Vec<String>),
    /// A service has so many containers.
    Scale {
        /// The service.
        service: String,
        /// How many.
        count: u32,
    },
    /// The site is closed for maintenance, or open again.
    Maintenance(bool),
    /// Nothing runs any more.
    Down,
}

impl Order {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Restart(_) => "restart",
            Self::Scale { .. } => "scale",
            Self::Maintenance(_) => "maintenance",
            Self::Down => "down",
        }
    }

    /// The services that it is about, and what is asked for them.
    fn words(&self, facts: &Facts) -> Result<(Vec<String>, String)> {
        let (services, asked) = match self {
            Self::Restart(services) if services.is_empty() => {
                ([facts.current_words("APPS"), facts.current_words("WORKERS")].concat(), String::new())
            }
            Self::Restart(services) => (services.clone(), String::new()),
            Self::Scale { service, count } => (vec![service.clone()], count.to_string()),
            Self::Maintenance(on) => (Vec::new(), String::from(if *on { "on" } else { "off" })),
            Self::Down => (Vec::new(), String::new()),
        };
        let known = services_of(facts);
        match services.iter().find(|service| !known.contains(service)) {
            Some(unknown) => {
                Err(Error::input(format!("the release that serves has no service `{unknown}`; nothing was changed"))
                    .hint(format!("its services: {}", known.join(", "))))
            }
            None => Ok((services, asked)),
        }
    }
}

/// The services of the release that serves, as the team's Compose file calls them, jobs excepted.
pub fn services_of(facts: &Facts) -> Vec<String> {
    ["APPS", "WORKERS", "STACK_SERVICES", "STACK_AFTER_JOBS", "STACK_AFTER_APPS"].map(|key| facts.current_words(key)).concat()
}

/// The name that a service's containers have: that of an app or a worker says its slot too.
pub fn container_service(facts: &Facts, service: &str) -> String {
    let in_slot = ["APPS", "WORKERS"].iter().any(|key| facts.current_words(key).iter().any(|known| known == service));
    match facts.slot() {
        Some(slot) if in_slot => format!("{service}-{slot}"),
        _ => service.to_owned(),
    }
}

/// Has the target's server do it, and follows that to its end.
pub async fn order(operation: &Operation<'_>, order: Order) -> Result<Ending> {
    let resolved = operation.resolved;
    let mut signals = Signals::listen()?;
    let mut session = Session::open_only(operation.project, resolved).await?;
    session.facts.check()?;
    wait_for_lock(&mut session, operation).await?;
    let Some(current) = session.facts.current().map(str::to_owned) else {
        return Err(
            Error::failed(format!("{} serves nothing yet; nothing was changed", resolved.target.name)).hint("deploy first")
        );
    };
    let (services, asked) = order.words(&session.facts)?;
    let image = session.facts.get(Fact::CurrentImage).map(str::to_owned);
    let outcome = Outcome { previous: Some(current.clone()), image: image.clone(), ..operation.blank(None) };
    let settings = RunSettings {
        run: operation.actor.run_id(order.kind()),
        kind: order.kind(),
        release: current,
        image: image.unwrap_or_default(),
        steps: steps_of(order.kind()).into_iter().map(str::to_owned).collect(),
        services,
        asked,
        ..RunSettings::default()
    };
    let ending = carry_out(&session, &settings, BTreeMap::new(), operation, outcome, &mut signals).await?;
    Ok(operation.ended(ending))
}
