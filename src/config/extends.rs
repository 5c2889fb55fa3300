//! `[target.NAME] extends`: a target that shares with another one what it does not name itself.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::text::{Source, nearest};

use super::shape::TargetSection;

/// Gives each target what it shares with the one that it extends.
pub(super) fn extend(source: Source<'_>, targets: &mut BTreeMap<String, TargetSection>) -> Result<()> {
    let written = targets.clone();
    for (name, target) in targets {
        let mut seen = vec![name.as_str()];
        let mut at = target.extends.clone();
        while let Some(wanted) = at.take() {
            let Some((base_name, base)) = written.get_key_value(&wanted) else {
                return Err(unknown(source, name, &wanted, &written));
            };
            if seen.contains(&base_name.as_str()) {
                seen.push(base_name);
                let error = source.error_near("extends", format!("target `{name}` extends itself: {}", seen.join(" → ")));
                return Err(error.hint("one of them has to stand by itself, without `extends`"));
            }
            seen.push(base_name);
            inherit(target, base);
            at.clone_from(&base.extends);
        }
    }
    Ok(())
}

fn unknown(source: Source<'_>, name: &str, base: &str, targets: &BTreeMap<String, TargetSection>) -> Error {
    let error = source.error_near(base, format!("target `{name}` extends `{base}`, which is no target"));
    let others: Vec<&str> = targets.keys().map(String::as_str).filter(|other| *other != name).collect();
    match nearest(base, others.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if others.is_empty() => error.hint("deploy.toml has no other target"),
        None => error.hint(format!("the other targets: {}", others.join(", "))),
    }
}

/// What says which server it is, and what has to hold before a deploy to it, is each target's own: `hosts`, `inventory`, `labels`, `host-keys`, `url`,
/// `require`. A new key of a target is shared or not here: the compiler asks for it.
fn inherit(target: &mut TargetSection, base: &TargetSection) {
    let TargetSection {
        hosts: _,
        inventory: _,
        labels: _,
        host_keys: _,
        url: _,
        require: _,
        extends: _,
        inherits_env_file: _,
        identity,
        jump,
        ssh_config,
        becomes,
        compose_project,
        root,
        url_contains,
        env_file,
        fleet,
        waves,
        wave_pause,
        max_failures,
    } = base;
    fn take<T: Clone>(own: &mut Option<T>, shared: &Option<T>) {
        if own.is_none() {
            own.clone_from(shared);
        }
    }
    if target.env_file.is_none() && env_file.is_some() {
        target.env_file.clone_from(env_file);
        target.inherits_env_file = true;
    }
    take(&mut target.identity, identity);
    take(&mut target.ssh_config, ssh_config);
    take(&mut target.becomes, becomes);
    take(&mut target.compose_project, compose_project);
    take(&mut target.root, root);
    take(&mut target.url_contains, url_contains);
    take(&mut target.fleet, fleet);
    take(&mut target.wave_pause, wave_pause);
    take(&mut target.max_failures, max_failures);
    if target.jump.is_empty() {
        target.jump.clone_from(jump);
    }
    if target.waves.is_empty() {
        target.waves.clone_from(waves);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use crate::text::{Environment, Source};

    fn read(text: &str) -> crate::error::Result<super::super::Config> {
        let text = format!("[project]\nname = \"shop\"\n{text}");
        parse(Source { name: "deploy.toml", text: &text }, &Environment::new())
    }

    const PRODUCTION: &str = "[target.production]\nhosts = [\"u@a\"]\nhost-keys = [\"SHA256:x\"]\nurl = \"https://a.example\"\n\
         root = \"/srv/site\"\nenv-file = \".env.production\"\nrequire = { promoted-from = \"staging\" }\n";

    #[test]
    fn a_target_shares_what_it_does_not_name() {
        let text = format!(
            "{PRODUCTION}[target.staging]\nextends = \"production\"\nhosts = [\"u@b\"]\n[target.local]\nextends = \"staging\"\nhosts = [\"u@c\"]\nroot = \"/srv/other\"\n"
        );
        let config = read(&text).unwrap();
        let staging = &config.target["staging"];
        assert_eq!(staging.root.as_deref(), Some("/srv/site"));
        assert_eq!((staging.env_file.as_deref(), staging.inherits_env_file), (Some(".env.production"), true));
        assert_eq!(staging.hosts, ["u@b"]);
        assert!(staging.url.is_none() && staging.host_keys.is_empty() && staging.require.is_none());
        let local = &config.target["local"];
        assert_eq!((local.root.as_deref(), local.env_file.as_deref()), (Some("/srv/other"), Some(".env.production")));
    }

    #[test]
    fn a_target_extends_another_one_that_is_there() {
        let text = format!("{PRODUCTION}[target.staging]\nextends = \"prodution\"\nhosts = [\"u@b\"]\n");
        insta::assert_snapshot!(read(&text).unwrap_err(), @r#"
        target `staging` extends `prodution`, which is no target
          --> deploy.toml:11:12
           |
        11 | extends = "prodution"
           |            ^^^^^^^^^
          hint: did you mean `production`?
        "#);
        let text = "[target.a]\nhosts = [\"u@a\"]\nextends = \"b\"\n[target.b]\nhosts = [\"u@b\"]\nextends = \"a\"\n";
        insta::assert_snapshot!(read(text).unwrap_err(), @r#"
        target `a` extends itself: a → b → a
         --> deploy.toml:5:1
          |
        5 | extends = "b"
          | ^^^^^^^
          hint: one of them has to stand by itself, without `extends`
        "#);
    }
}
