//! Every variable that the Compose file asks for has a value: an undefined one would silently be empty.

use yaml_serde::Value;

use crate::compose::variables;
use crate::config::{Resolved, nearest};
use crate::error::Result;

use super::EnvFile;

/// Set by estiba itself on the server.
const OWN: [&str; 2] = ["ESTIBA_RELEASE", "ESTIBA_IMAGE"];

/// Refuses a Compose file that needs a variable the env file does not have.
pub(super) fn check(resolved: &Resolved, env: &EnvFile) -> Result<()> {
    let known = env.environment();
    for key in ["services", "volumes", "networks", "secrets", "configs"] {
        let Some(section) = resolved.compose.root.get(key) else { continue };
        let mut missing = None;
        strings(section, &mut |text| {
            for variable in variables(text) {
                if variable.is_required() && !known.contains_key(&variable.name) && !OWN.contains(&variable.name.as_str()) {
                    missing.get_or_insert((variable.name, text.to_owned()));
                }
            }
        });
        if let Some((name, text)) = missing {
            let source = resolved.compose.source();
            let needle = [format!("${{{name}"), format!("${name}"), text].into_iter().find(|needle| source.text.contains(needle));
            let message = match &resolved.target.env_file.value {
                Some(file) => format!("`{name}` is not set: {file} does not define it"),
                None => format!("`{name}` is not set: target `{}` has no env file", resolved.target.name),
            };
            let error = source.error_near(needle.as_deref().unwrap_or("services"), message);
            let near = nearest(&name, known.keys().map(String::as_str)).map(str::to_owned);
            let error = match near {
                Some(near) => error.hint(format!("`{near}` is defined; was that meant?")),
                None => error,
            };
            return Err(error.hint(format!("add {name}=… to the env file, or give a default: ${{{name}:-value}}")));
        }
    }
    Ok(())
}

fn strings(value: &Value, see: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Sequence(list) => list.iter().for_each(|item| strings(item, see)),
        Value::Mapping(map) => map.iter().for_each(|(_, item)| strings(item, see)),
        Value::Tagged(tagged) => strings(&tagged.value, see),
        _ => {}
    }
}
