//! An inventory: a file of hosts, a line each, with labels behind it that choose some of them.

use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::error::{Error, Result};
use crate::text::{Source, read_limited};

use super::Project;
use super::shape::TargetSection;

/// A host as it is listed, with its labels, `key=value` each.
type Listed = (String, BTreeSet<String>);

/// The hosts of a target, in the order in which they are listed.
///
/// A host or label that is none, one that is listed twice, and labels that no host has are input errors with their place.
pub(super) fn hosts(project: &Project, name: &str, section: &TargetSection) -> Result<Vec<String>> {
    let own = project.loaded.source();
    let selection = &project.selection;
    let mut listed: Vec<Listed> = Vec::new();
    if let Some((name, text)) = &selection.inventory {
        listed = parse(Source { name, text })?;
    } else {
        for host in &section.hosts {
            check(host).map_err(|(why, hint)| own.error_near(host, why).hint(hint))?;
            listed.push((host.clone(), BTreeSet::new()));
        }
        if let Some(path) = &section.inventory {
            if !project.path(path).is_file() {
                return Err(own
                    .error_near(path, format!("the inventory {path} does not exist"))
                    .hint("it holds a host a line: user@host[:port], and labels behind it; `--inventory FILE` names another, `-` is standard input"));
            }
            if !project.holds(Utf8Path::new(path)) {
                return Err(own.place(project.leads_out(format_args!("the inventory {path}")), path));
            }
            let text = read_limited(&project.path(path))?;
            listed.extend(parse(Source { name: path, text: &text })?);
        }
    }
    if let Some((at, (twice, _))) =
        listed.iter().enumerate().find(|(at, (host, _))| listed[..*at].iter().any(|(one, _)| one == host))
    {
        let first = listed.iter().position(|(host, _)| host == twice).unwrap_or_default();
        return Err(own
            .error_near(twice, format!("`{twice}` is listed twice among the hosts of `{name}` ({} and {})", first + 1, at + 1)));
    }
    let labels: Vec<&String> = section.labels.iter().chain(&selection.labels).collect();
    if let Some(label) = labels.iter().find(|label| !is_label(label)) {
        return Err(Error::input(format!("`{label}` is not a label")).hint("a label is key=value: role=web"));
    }
    let chosen: Vec<String> =
        listed.iter().filter(|(_, has)| labels.iter().all(|label| has.contains(*label))).map(|(host, _)| host.clone()).collect();
    match (listed.is_empty(), chosen.is_empty()) {
        (true, _) => Err(own
            .error_near(&format!("[target.{name}]"), format!("target `{name}` has no host"))
            .hint("hosts = [\"user@host\"], or inventory = \"hosts.txt\"")),
        (_, true) => {
            let wanted = labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", ");
            let known: BTreeSet<&str> = listed.iter().flat_map(|(_, has)| has).map(String::as_str).collect();
            let error = Error::input(format!("no host of target `{name}` has the label {wanted}"));
            Err(if known.is_empty() {
                error.hint("its hosts have no labels: they stand behind a host in an inventory")
            } else {
                error.hint(format!("labels of its hosts: {}", known.into_iter().collect::<Vec<_>>().join(", ")))
            })
        }
        _ => Ok(chosen),
    }
}

/// Reads an inventory. `#` begins a comment.
fn parse(source: Source<'_>) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut errors = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(host) = words.next() else { continue };
        let mut place = |word: &str, why: &str, hint: &str| {
            let column = line.find(word).unwrap_or_default() + 1;
            errors.push(source.error_at(at + 1, column, word.len(), why).hint(hint));
        };
        if let Err((why, hint)) = check(host) {
            place(host, &why, hint);
        }
        let labels: BTreeSet<String> = words.map(str::to_owned).collect();
        for label in labels.iter().filter(|label| !is_label(label)) {
            place(label, &format!("`{label}` is not a label"), "a label is key=value: role=web");
        }
        listed.push((host.to_owned(), labels));
    }
    Error::all(errors)?;
    Ok(listed)
}

/// Is that a host? Else why not, and what it should be.
fn check(host: &str) -> std::result::Result<(), (String, &'static str)> {
    let (user, address) = host.split_once('@').unwrap_or(("", host));
    if host == super::resolved::LOCAL || !(user.is_empty() || address.is_empty() || host.contains(char::is_whitespace)) {
        return Ok(());
    }
    Err((
        format!("`{host}` is not user@host or user@host:port"),
        "the user must be one who may run docker on the server; `local` is this very machine, without SSH",
    ))
}

fn is_label(text: &str) -> bool {
    text.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Selection;

    fn project(target: &str, inventory: Option<&str>, labels: &[&str]) -> (tempfile::TempDir, Project) {
        let (kept, folder) = crate::private::folder().unwrap();
        let text = format!("[project]\nname = \"shop\"\n[target.production]\nhost-keys = [\"SHA256:x\"]\n{target}\n");
        std::fs::write(folder.join("deploy.toml"), text).unwrap();
        std::fs::write(
            folder.join("hosts.txt"),
            "# ours\nu@a role=web region=eu\n\nu@b role=db # the big one\n  local role=web\n",
        )
        .unwrap();
        let mut project = Project::open(&folder.join("deploy.toml"), Default::default()).unwrap();
        project.selection = Selection {
            inventory: inventory.map(|text| ("-".to_owned(), text.to_owned())),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        };
        (kept, project)
    }

    fn of(target: &str, inventory: Option<&str>, labels: &[&str]) -> Result<Vec<String>> {
        let (_kept, project) = project(target, inventory, labels);
        hosts(&project, "production", &project.loaded.config.target["production"])
    }

    #[test]
    fn labels_choose_hosts_of_an_inventory_in_its_order() {
        assert_eq!(of("inventory = \"hosts.txt\"", None, &[]).unwrap(), ["u@a", "u@b", "local"]);
        assert_eq!(of("inventory = \"hosts.txt\"\nlabels = [\"role=web\"]", None, &[]).unwrap(), ["u@a", "local"]);
        assert_eq!(of("inventory = \"hosts.txt\"\nlabels = [\"role=web\"]", None, &["region=eu"]).unwrap(), ["u@a"]);
        assert_eq!(of("hosts = [\"u@z\"]\ninventory = \"hosts.txt\"", None, &[]).unwrap(), ["u@z", "u@a", "u@b", "local"]);
        // What the command line gives takes the place of both.
        assert_eq!(of("hosts = [\"u@z\"]\ninventory = \"gone.txt\"", Some("u@c\n"), &[]).unwrap(), ["u@c"]);
        assert_eq!(of("hosts = [\"u@z\"]", None, &[]).unwrap(), ["u@z"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let said =
            |target: &str, inventory: Option<&str>, labels: &[&str]| of(target, inventory, labels).unwrap_err().to_string();
        assert!(said("", None, &[]).contains("target `production` has no host"));
        assert!(said("inventory = \"gone.txt\"", None, &[]).contains("the inventory gone.txt does not exist"));
        assert!(said("inventory = \"/etc/hostname\"", None, &[]).contains("is outside the project"));
        let wrong = said("", Some("u@a role\nnobody\n"), &[]);
        assert!(
            wrong.contains("`role` is not a label") && wrong.contains("`nobody` is not user@host") && wrong.contains("-:2:1"),
            "{wrong}"
        );
        assert!(said("", Some("u@a\nu@a x=y\n"), &[]).contains("`u@a` is listed twice"));
        let none = of("inventory = \"hosts.txt\"", None, &["role=cache"]).unwrap_err();
        assert!(none.to_string().contains("no host of target `production` has the label role=cache"));
        assert!(format!("{none:?}").contains("region=eu, role=db, role=web"), "{none:?}");
        assert!(said("hosts = [\"u@z\"]", None, &["role=web"]).contains("no host of target"));
        assert!(said("hosts = [\"u@z\"]", None, &["web"]).contains("`web` is not a label"));
    }
}
