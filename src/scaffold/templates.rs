//! The files, made of the example and of this repository's own workflows, which are tested.

use super::Found;
use super::found::ENV_FILE;

/// The files of a stack for a Django site that has none.
const STACK: [(&str, &str); 7] = [
    (".dockerignore", include_str!("../../examples/django/.dockerignore")),
    (".env.example", include_str!("../../examples/django/.env.example")),
    (".env.production", ENV_FILE),
    ("Dockerfile", include_str!("../../examples/django/Dockerfile")),
    ("compose.yml", include_str!("../../examples/django/compose.yml")),
    ("gunicorn.conf.py", include_str!("../../examples/django/gunicorn.conf.py")),
    ("nginx/site.conf", include_str!("../../examples/django/nginx/site.conf")),
];

const WORKFLOWS: [(&str, &str); 3] = [
    (".github/workflows/deploy.yml", include_str!("../../.github/workflows/deploy.yml")),
    (".github/workflows/preview.yml", include_str!("../../.github/workflows/preview.yml")),
    (".github/workflows/rollback.yml", include_str!("../../.github/workflows/rollback.yml")),
];

/// The action, by the commit that this binary was built from: the release workflow tells it.
pub const ACTION: Option<&str> = option_env!("ESTIBA_ACTION");

/// What stands in the workflows where nobody has said which action it is.
const UNKNOWN_ACTION: &str = concat!("OWNER/estiba@v", env!("CARGO_PKG_VERSION"));

/// The files for that project, by their paths, in the order of their paths, with that action in the workflows.
pub fn files(found: &Found, action: Option<&str>) -> Vec<(String, String)> {
    let action = action.unwrap_or(UNKNOWN_ACTION);
    let mut files = vec![("deploy.toml".to_owned(), deploy_toml(found))];
    files.extend(WORKFLOWS.iter().map(|(path, text)| ((*path).to_owned(), workflow(text, found, action))));
    if let (true, Some(wsgi)) = (found.compose.is_empty(), &found.django) {
        files.extend(STACK.iter().map(|(path, text)| ((*path).to_owned(), stack(text, &found.name, wsgi))));
    }
    files.sort();
    files
}

/// The example's names are the project's.
fn stack(text: &str, name: &str, wsgi: &str) -> String {
    let database = name.replace('-', "_");
    text.replace("certificados_", &format!("{database}_")).replace("certificados", name).replace("sitio.wsgi", wsgi)
}

fn deploy_toml(found: &Found) -> String {
    let target = |target: &str, host: &str| {
        let env_file = found.env_file.as_deref().or(found.compose.is_empty().then_some(".env.production"));
        let env_file = env_file.map(|file| format!("env-file = \"{file}\"\n")).unwrap_or_default();
        format!(
            "\n[target.{target}]\nhosts = [\"deploy@{host}\"]                        # the server, and who may use Docker there\n\
             host-keys = [\"SHA256:replace-me\"]                 # ssh-keyscan HOST | ssh-keygen -lf -\n{env_file}"
        )
    };
    let usual = |name: &str| ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"].contains(&name);
    let stack = match found.compose.as_slice() {
        [] => String::new(),
        [one] if usual(one) => String::new(),
        [one] => format!("\n[stack]\ncompose = \"{one}\"\n"),
        several => {
            let names: Vec<String> = several.iter().map(|name| format!("\"{name}\"")).collect();
            format!("\n[stack]\ncompose = [{}]\n", names.join(", "))
        }
    };
    // Where there is a stack already, what its services say of themselves decides.
    let django = if found.django.is_some() && found.compose.is_empty() {
        "\n[app]\nmigrate = \"python manage.py migrate --noinput\"\ncollect-static = \"python manage.py collectstatic --noinput\"\n"
    } else {
        ""
    };
    format!(
        "# Everything else is read from the Compose file; `estiba config show` prints it with where it came from.\n\
         [project]\nname = \"{}\"\n{}{}{stack}{django}",
        found.name,
        target("staging", "203.0.113.20"),
        target("production", "203.0.113.10")
    )
}

/// The workflow with the project's own secrets, and with the action where it is published.
fn workflow(text: &str, found: &Found, action: &str) -> String {
    let secrets: String = found.secrets.iter().map(|name| format!("          {name}: ${{{{ secrets.{name} }}}}\n")).collect();
    let ours = "          DJANGO_SECRET_KEY: ${{ secrets.DJANGO_SECRET_KEY }}\n          POSTGRES_PASSWORD: ${{ secrets.POSTGRES_PASSWORD }}\n";
    let text = if secrets.is_empty() { text.replace(&format!("        env:\n{ours}"), "") } else { text.replace(ours, &secrets) };
    let text = text.replace("uses: ./\n", &format!("uses: {action}\n"));
    if found.compose.is_empty() {
        return text;
    }
    // What tests a project of one's own knows only who has it.
    let check = "          docker run --rm --env-file .env.example \"$(cat \"$RUNNER_TEMP/image\")\" python manage.py check\n";
    text.replace(check, "          docker run --rm \"$(cat \"$RUNNER_TEMP/image\")\" true\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        Found {
            name: "mi-tienda".into(),
            django: Some("core.wsgi".into()),
            compose: Vec::new(),
            env_file: None,
            secrets: vec!["DJANGO_SECRET_KEY".into(), "POSTGRES_PASSWORD".into()],
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_django_site_gets_a_stack_with_its_own_names() {
        let files = files(&found(), None);
        let text = |path: &str| files.iter().find(|(known, _)| known == path).map(|(_, text)| text.as_str()).unwrap();
        assert!(text("compose.yml").contains("image: mi-tienda") && text("compose.yml").contains("mi_tienda_prod"));
        assert!(text("Dockerfile").contains("core.wsgi:application"));
        assert!(files.iter().all(|(_, text)| !text.contains("certificados") && !text.contains("uses: ./")), "{files:?}");
    }

    #[test]
    fn another_project_gets_its_own_secrets_and_keeps_its_stack() {
        let other = Found {
            django: None,
            compose: vec!["compose.yml".into()],
            env_file: Some(".env.production".into()),
            secrets: vec!["TOKEN".into()],
            ..found()
        };
        let made = files(&other, None);
        assert_eq!(made.len(), 4);
        let workflow = &made.iter().find(|(path, _)| path.ends_with("deploy.yml")).unwrap().1;
        assert!(
            workflow.contains("TOKEN: ${{ secrets.TOKEN }}") && !workflow.contains("DJANGO") && !workflow.contains("manage.py")
        );
        let none = files(&Found { secrets: Vec::new(), ..other }, None);
        assert!(none.iter().all(|(_, text)| !text.contains("        env:\n")));
    }

    /// Whoever may push a branch runs the workflows that the branch holds.
    #[test]
    fn no_workflow_needs_a_key_that_deploys_outside_of_a_protected_environment() {
        let workflows: Vec<_> =
            files(&found(), None).into_iter().filter(|(path, _)| path.starts_with(".github/workflows/")).collect();
        assert!(workflows.iter().any(|(path, _)| path.ends_with("preview.yml")) && workflows.len() > 1);
        for (path, text) in workflows {
            if text.contains("pull_request:") {
                assert!(!text.contains("secrets.") && !text.contains("ssh-key"), "{path}:\n{text}");
            }
            let jobs = text.split_once("\njobs:\n").unwrap().1;
            let mut job = String::new();
            for line in jobs.lines().chain(["  end:"]) {
                if line.starts_with("  ") && !line.starts_with("   ") {
                    assert!(!job.contains("ssh-key") || job.contains("\n    environment:"), "{path}:\n{job}");
                    job.clear();
                }
                job += line;
                job.push('\n');
            }
        }
    }
}
