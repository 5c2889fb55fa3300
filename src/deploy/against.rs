//! What differs between the servers of two targets.

use std::collections::BTreeMap;

use crate::config::{Project, Resolved};
use crate::error::{Error, Result};
use crate::plan::{Against, Side, against};

use super::connect::Session;

/// Holds what a target's server has against what another's has. Of a fleet the first host is looked at. Nothing is changed on either.
pub async fn plan_against(project: &Project, here: &Resolved, there: &Resolved) -> Result<Against> {
    let (ours, theirs) = tokio::join!(first(project, here), first(project, there));
    let (ours, mut theirs) = (ours?, theirs?);
    // Digests of one salt can be compared.
    theirs.salt.clone_from(&ours.salt);
    theirs.refresh().await?;
    let (mine, other) = tokio::join!(shown(&ours), shown(&theirs));
    let (mine, other) = (mine?, other?);
    let side = |session: &Session<'_>| session.resolved.target.name.clone();
    let (name, other_name) = (side(&ours), side(&theirs));
    Ok(against(
        Side { name: &name, facts: &ours.facts, contents: &mine },
        Side { name: &other_name, facts: &theirs.facts, contents: &other },
    ))
}

async fn first<'a>(project: &'a Project, resolved: &'a Resolved) -> Result<Session<'a>> {
    let session = Session::open_first(project, resolved).await?;
    session.facts.check()?;
    Ok(session)
}

/// The files of the release that serves which may be shown, as far as they are text of a common size.
async fn shown(session: &Session<'_>) -> Result<BTreeMap<String, Vec<u8>>> {
    let name = &session.resolved.target.name;
    let Some(current) = session.facts.current() else {
        return Err(
            Error::failed(format!("{name} serves no release that could be compared")).hint(format!("estiba deploy {name}"))
        );
    };
    let folder = format!("releases/{current}");
    let list = session.server().read(&folder, &["public"]).await?;
    let list = list.get("public").map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    let paths: Vec<&str> = list.lines().filter(|path| session.facts.files.contains_key(*path)).collect();
    session.server().read(&folder, &paths).await
}
