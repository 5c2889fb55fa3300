//! `reference`: docs/reference.md, from the documentation of the code itself. Hidden: for estiba's own repository.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::CommandFactory;
use serde_json::Value;

use crate::config::schema;
use crate::error::Kind;
use crate::report::Event;
use crate::server::{Step, kinds, steps_of};

use super::super::Cli;
use super::super::context::Context;

pub(in crate::cli) fn run(context: &Context) -> ExitCode {
    context.reporter.tell(Event::Text(text()));
    ExitCode::SUCCESS
}

/// The whole page.
fn text() -> String {
    let mut page = String::from(
        "<!-- Made by `scripts/generate` from the documentation in src/. Change it there. -->\n\n# Reference\n\n## Commands\n",
    );
    let mut root = Cli::command();
    root.build();
    let globals: Vec<String> = root.get_arguments().filter(|argument| argument.is_global_set()).map(argument).collect();
    let _ = write!(page, "\nEvery command takes:\n\n{}", globals.concat());
    for command in root.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        describe(&mut page, "estiba", command, 3);
    }
    page.push_str("\n## Exit codes\n\n| code | means |\n| --- | --- |\n");
    for (code, meaning) in exit_codes() {
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
    page.push_str("\n## Steps\n\nWhat the server does in a run, in this order. A deadline is a sum of settings; `apps` is how many apps there are.\n");
    for kind in kinds() {
        let _ = write!(
            page,
            "\n### {kind}\n\n| step | what it does | deadline, in seconds | a failure |\n| --- | --- | --- | --- |\n"
        );
        for step in steps_of(kind).into_iter().filter_map(Step::named) {
            let what = step.what.replace('<', "&lt;");
            let _ = writeln!(page, "| `{}` | {what} | `{}` | {} |", step.name, step.deadline, step.failure);
        }
    }
    page.push_str("\n## deploy.toml\n\nKeys in kebab-case; an unknown key is an error. `${NAME}` in a target's values comes from the environment.\n");
    let schema = schema();
    section(&mut page, &schema, &schema, "");
    page
}

fn describe(page: &mut String, parent: &str, command: &clap::Command, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n{} `{name}`\n\n{about}\n", "#".repeat(level));
    let own: String =
        command.get_arguments().filter(|one| !one.is_global_set() && one.get_id() != "help").map(argument).collect();
    if !own.is_empty() {
        let _ = write!(page, "\n{own}");
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        describe(page, &name, inner, level + 1);
    }
}

fn argument(argument: &clap::Arg) -> String {
    let value = argument.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    let takes = argument.get_action().takes_values();
    let shown = match (argument.get_long(), argument.get_short()) {
        (Some(long), Some(short)) => format!("`--{long}`, `-{short}`"),
        (Some(long), None) if takes => format!("`--{long} {value}`"),
        (Some(long), None) => format!("`--{long}`"),
        (None, _) => format!("`{value}`"),
    };
    let values: Vec<String> = argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let values = if values.is_empty() || !takes { String::new() } else { format!(" One of {}.", values.join(", ")) };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = if help.ends_with(['.', '?']) || help.is_empty() { help } else { format!("{help}.") };
    format!("- {shown}: {help}{values}\n")
}

fn exit_codes() -> [(u8, &'static str); 9] {
    [
        (0, "done, or nothing to do"),
        (Kind::Failed.code(), "failed or refused; nothing on the server changed"),
        (Kind::Input.code(), "the command line, deploy.toml or a template is wrong; nothing was dialled"),
        (Kind::Undone.code(), "the new release failed and was undone: the previous one serves"),
        (
            Kind::NeedsPerson.code(),
            "needs a person: the undo did not finish, or the old release still runs after the commit point; the output says which",
        ),
        (Kind::Locked.code(), "another run holds the lock; the output says whose and since when"),
        (Kind::Moved.code(), "the server is no longer what the plan was made for"),
        (10, "`plan --detailed-exitcode`: there are changes"),
        (Kind::Interrupted.code(), "interrupted: undone, or left to the server to undo (the output says which)"),
    ]
}

/// The keys of one section, then the sections below it.
fn section(page: &mut String, schema: &Value, root: &Value, path: &str) {
    let resolved = follow(schema, root);
    let Some(keys) = resolved.get("properties").and_then(Value::as_object) else { return };
    let (sections, plain): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, value)| is_section(value, root));
    if !path.is_empty() {
        let _ = write!(page, "\n### [{path}]\n\n");
    }
    for (key, value) in plain {
        let text = value.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let _ = writeln!(page, "- `{key}`: {text}");
    }
    for (key, value) in sections {
        let key = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let resolved = follow(value, root);
        match resolved.get("additionalProperties").filter(|inner| inner.is_object()) {
            Some(inner) => section(page, inner, root, &format!("{key}.NAME")),
            None => section(page, value, root, &key),
        }
    }
}

fn is_section(value: &Value, root: &Value) -> bool {
    let value = follow(value, root);
    value.get("properties").is_some() || value.get("additionalProperties").is_some_and(Value::is_object)
}

fn follow<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => root.pointer(path.trim_start_matches('#')).unwrap_or(schema),
        None => schema,
    }
}
