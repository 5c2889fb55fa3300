//! minijinja, strict: an undefined name is an error with its place, and no template runs for ever.

use std::collections::BTreeMap;

use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use crate::error::{Error, Result};

use super::Source;

/// More steps than any honest template takes.
const FUEL: u64 = 200_000;
/// More than any honest template writes.
const SIZE: usize = 4 * 1024 * 1024;

/// Renders one template of the team's with these names and their values.
///
/// Wrong syntax, an undefined name or endless work is an input error with file and line.
pub fn render_template(source: Source<'_>, values: &[(&str, String)]) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let syntax = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(|error| Error::input(error.to_string()))?);
    environment.set_fuel(Some(FUEL));
    let context: BTreeMap<String, String> = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let rendered = environment.template_from_named_str(source.name, source.text).and_then(|template| template.render(context));
    let text = rendered.map_err(|error| {
        let message = match error.kind() {
            ErrorKind::UndefinedError => "a name in the template is not defined".to_owned(),
            ErrorKind::OutOfFuel => "the template never finishes".to_owned(),
            _ => format!("the template is wrong: {}", error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)),
        };
        let found = match (error.range().filter(|range| !range.is_empty()), error.line()) {
            (Some(range), _) => source.error(range, message),
            (None, Some(line)) => source.error_at(line, 1, usize::MAX, message),
            (None, None) => source.error_at(1, 1, 1, message),
        };
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        found.hint(format!("defined are: {}. Literal braces: {{% raw %}}…{{% endraw %}}", names.join(", ")))
    })?;
    if text.len() > SIZE {
        return Err(source
            .error_at(1, 1, 1, "the template's output exceeds 4 MiB")
            .hint("look for a loop that repeats too often"));
    }
    Ok(text)
}
