//! What differs between the servers of two targets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::server::{Fact, Facts};
use crate::text::{code, fence, html};

use super::compare::{FileChange, OWN, SAID_ELSEWHERE, change, compare_environment, diff};

/// What one server has and the other has not. Environments are compared by salted digests, and of files only those that a key may
/// read that only looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Against {
    /// The target that was asked about.
    pub target: String,
    /// The one that it is held against.
    pub against: String,
    /// Is there no difference?
    pub same: bool,
    /// Commits, images, versions of programs.
    pub differ: Vec<Differing>,
    /// Files of the releases that serve. What the other one has and this one lacks is `added`.
    pub files: Vec<FileChange>,
    /// The environment's keys; never their values.
    pub environment: BTreeMap<String, super::Change>,
}

/// One thing that both have, each its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Differing {
    /// What it is.
    pub what: String,
    /// The target's.
    pub target: Option<String>,
    /// The other's.
    pub against: Option<String>,
}

/// A target's server: its facts, with environment digests of one salt for both, and what of its release's files was read.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The target's name.
    pub name: &'a str,
    /// What the server told.
    pub facts: &'a Facts,
    /// Contents of the files that may be shown.
    pub contents: &'a BTreeMap<String, Vec<u8>>,
}

impl Side<'_> {
    /// What is said in a word or two.
    fn facts(&self) -> BTreeMap<String, String> {
        let facts = self.facts;
        let of = |what: &str, fact: Fact| Some((what.to_owned(), facts.get(fact)?.to_owned()));
        let mut told: BTreeMap<String, String> = [
            of("Docker Engine", Fact::Docker),
            of("Docker Compose", Fact::Compose),
            of("machine", Fact::Machine),
            of("image of the edge", Fact::EdgeImage),
            facts.current_setting("COMMIT").map(|commit| ("commit".to_owned(), commit)),
        ]
        .into_iter()
        .flatten()
        .collect();
        told.extend(facts.own_images.iter().map(|(variable, id)| (format!("image {variable}"), id.clone())));
        told.extend(
            facts
                .containers
                .iter()
                .filter(|one| one.release.is_empty() && !one.is_edge)
                .map(|container| (format!("service {}", container.service), container.state.clone())),
        );
        told
    }
}

/// Compares them.
pub fn against(here: Side<'_>, there: Side<'_>) -> Against {
    let (ours, theirs) = (here.facts(), there.facts());
    let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    names.sort();
    names.dedup();
    let differ: Vec<Differing> = names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .map(|name| Differing { what: name.clone(), target: ours.get(name).cloned(), against: theirs.get(name).cloned() })
        .collect();
    let shown = |path: &str| !OWN.contains(&path) && !SAID_ELSEWHERE.contains(&path) && path != "public";
    let mut paths: Vec<&String> = here.facts.files.keys().chain(there.facts.files.keys()).collect();
    paths.sort();
    paths.dedup();
    let files: Vec<FileChange> = paths
        .into_iter()
        .filter(|path| shown(path))
        .filter_map(|path| {
            let change = change(here.facts.files.get(path), there.facts.files.get(path))?;
            let (one, other) = (here.contents.get(path), there.contents.get(path));
            let is_read = one.is_some() || other.is_some();
            let diff = is_read.then(|| diff(path, (here.name, one), (there.name, other.map(Vec::as_slice)))).flatten();
            Some(FileChange { path: path.clone(), change, diff })
        })
        .collect();
    let environment = compare_environment(&there.facts.environment, &here.facts.environment);
    Against {
        target: here.name.to_owned(),
        against: there.name.to_owned(),
        same: differ.is_empty() && files.is_empty() && environment.is_empty(),
        differ,
        files,
        environment,
    }
}

impl Against {
    fn summary(&self) -> String {
        let (target, against) = (&self.target, &self.against);
        if self.same { format!("{target} and {against} do not differ") } else { format!("{target} differs from {against}") }
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.summary());
        for one in &self.differ {
            let (here, there) = (none(one.target.as_deref()), none(one.against.as_deref()));
            let _ = write!(text, "\n{}\n  {}: {here}\n  {}: {there}\n", one.what, self.target, self.against);
        }
        for file in &self.files {
            match &file.diff {
                Some(diff) => drop(write!(text, "\n{diff}")),
                None => drop(write!(text, "\n{} {} (its content is not shown)\n", file.change.sign(), file.path)),
            }
        }
        if !self.environment.is_empty() {
            let _ = writeln!(
                text,
                "\nEnvironment (values are never shown): + {} alone has it, - {} alone",
                self.against, self.target
            );
            for (key, change) in &self.environment {
                let _ = writeln!(text, "{} {key}", change.sign());
            }
        }
        text
    }

    /// For a pull request or a summary.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("### {}\n", self.summary());
        if !self.differ.is_empty() {
            let _ = write!(text, "\n| what | {} | {} |\n| --- | --- | --- |\n", self.target, self.against);
            for one in &self.differ {
                let cell = |value: &Option<String>| code(none(value.as_deref()));
                let _ = writeln!(text, "| {} | {} | {} |", html(&one.what), cell(&one.target), cell(&one.against));
            }
        }
        for file in &self.files {
            let _ = write!(text, "\n<details><summary>{} <code>{}</code></summary>\n\n", file.change.sign(), html(&file.path));
            match &file.diff {
                Some(diff) => {
                    let fence = fence(diff);
                    let _ = write!(text, "{fence}diff\n{diff}{fence}\n");
                }
                None => text.push_str("Its content is not shown.\n"),
            }
            text.push_str("\n</details>\n");
        }
        if !self.environment.is_empty() {
            let _ = write!(
                text,
                "\n**Environment** (values are never shown; + {} alone has it, - {} alone)\n\n",
                self.against, self.target
            );
            for (key, change) in &self.environment {
                let _ = writeln!(text, "- {} {}", change.sign(), code(key));
            }
        }
        text
    }
}

fn none(value: Option<&str>) -> &str {
    value.unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(lines: &str) -> Facts {
        Facts::parse(&format!("estiba:facts\n{lines}estiba:end\n")).unwrap()
    }

    const PRODUCTION: &str = "current=r1\ncurrent_COMMIT=abc\ndocker=26.1\ncompose=2.26\nown_image=IMAGE sha256:a\n\
         current_file=aa  files/stack.yml\ncurrent_file=bb  files/.env.production\ncurrent_file=cc  manifest\n\
         current_env=DEBUG 00\ncurrent_env=SAME 11\ncurrent_env=OLD 22\ncontainer=db running 13 -  \n";
    const STAGING: &str = "current=r2\ncurrent_COMMIT=def\ndocker=26.1\ncompose=2.35\nown_image=IMAGE sha256:b\n\
         current_file=ab  files/stack.yml\ncurrent_file=bc  files/.env.staging\ncurrent_file=cd  manifest\n\
         current_env=DEBUG 01\ncurrent_env=SAME 11\ncurrent_env=NEW 33\ncontainer=db exited 13 -  \n";

    fn found() -> Against {
        let (one, other) = (facts(PRODUCTION), facts(STAGING));
        let content = |text: &str| BTreeMap::from([("files/stack.yml".to_owned(), text.as_bytes().to_vec())]);
        let (mine, theirs) = (content("a: 1\nb: 2\n"), content("a: 1\nb: 3\n"));
        let here = Side { name: "production", facts: &one, contents: &mine };
        assert!(against(here, here).same);
        against(here, Side { name: "staging", facts: &other, contents: &theirs })
    }

    #[test]
    fn two_servers_differ_by_what_they_have() {
        let found = found();
        insta::assert_snapshot!(found.to_text(), @r#"
        production differs from staging

        Docker Compose
          production: 2.26
          staging: 2.35

        commit
          production: abc
          staging: def

        image IMAGE
          production: sha256:a
          staging: sha256:b

        service db
          production: running
          staging: exited

        - files/.env.production (its content is not shown)

        + files/.env.staging (its content is not shown)

        --- production/stack.yml
        +++ staging/stack.yml
        @@ -1,2 +1,2 @@
         a: 1
        -b: 2
        +b: 3

        Environment (values are never shown): + staging alone has it, - production alone
        ~ DEBUG
        + NEW
        - OLD
        "#);
    }

    #[test]
    fn a_pull_request_has_the_same_in_markdown() {
        insta::assert_snapshot!(found().to_markdown(), @r#"
        ### production differs from staging

        | what | production | staging |
        | --- | --- | --- |
        | Docker Compose | `2.26` | `2.35` |
        | commit | `abc` | `def` |
        | image IMAGE | `sha256:a` | `sha256:b` |
        | service db | `running` | `exited` |

        <details><summary>- <code>files/.env.production</code></summary>

        Its content is not shown.

        </details>

        <details><summary>+ <code>files/.env.staging</code></summary>

        Its content is not shown.

        </details>

        <details><summary>~ <code>files/stack.yml</code></summary>

        ```diff
        --- production/stack.yml
        +++ staging/stack.yml
        @@ -1,2 +1,2 @@
         a: 1
        -b: 2
        +b: 3
        ```

        </details>

        **Environment** (values are never shown; + staging alone has it, - production alone)

        - ~ `DEBUG`
        - + `NEW`
        - - `OLD`
        "#);
    }
}
