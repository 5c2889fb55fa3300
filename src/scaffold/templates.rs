//! The files, made of the example and of this repository's own workflows, which are tested.

use crate::error::Result;

use super::found::{MONITORING_FILE, required};
use super::monitoring::{MONITORING_NOTE, SECTIONS, beside};
use super::stack::stack;
use super::write::Files;
use super::{Found, Wishes};

const WORKFLOWS: [(&str, &str); 3] = [
    (".github/workflows/deploy.yml", include_str!("../../.github/workflows/deploy.yml")),
    (".github/workflows/preview.yml", include_str!("../../.github/workflows/preview.yml")),
    (".github/workflows/rollback.yml", include_str!("../../.github/workflows/rollback.yml")),
];

/// The action, by the commit that this binary was built from: the release workflow tells it.
pub const ACTION: Option<&str> = option_env!("ESTIBA_ACTION");

/// What stands in the workflows where nobody has said which action it is.
const UNKNOWN_ACTION: &str = concat!("OWNER/estiba@v", env!("CARGO_PKG_VERSION"));

/// The files for that project, with that action in the workflows.
pub fn files(found: &Found, wishes: &Wishes, action: Option<&str>) -> Result<Files> {
    let action = action.unwrap_or(UNKNOWN_ACTION);
    let Files { mut files, notes, .. } = if found.compose.is_empty() {
        stack(found, wishes)?
    } else {
        let mut made = Files { files: vec![("deploy.toml".to_owned(), deploy_toml(found, wishes))], ..Files::default() };
        if !wishes.domains.is_empty() {
            made.notes.push("the project has a stack already: --domain and --tls change nothing about it".into());
        }
        if wishes.monitoring {
            made.files.extend(beside(found, wishes)?);
            made.notes.push(MONITORING_NOTE.into());
        }
        made
    };
    // Where there is no template of the environment yet, the one that is written counts.
    let made = files.iter().find(|(path, _)| path == ".env.production").map(|(_, text)| required(text));
    let secrets = made.filter(|_| found.secrets.is_empty()).unwrap_or_else(|| found.secrets.clone());
    let mut handed = secrets.clone();
    handed.extend(wishes.monitoring.then(|| "SLACK_WEBHOOK_URL".to_owned()));
    files.extend(WORKFLOWS.iter().map(|(path, text)| ((*path).to_owned(), workflow(text, found, &handed, action))));
    files.sort();
    Ok(Files { files, secrets, notes })
}

/// deploy.toml of a project that has a stack already: what its services say of themselves decides.
fn deploy_toml(found: &Found, wishes: &Wishes) -> String {
    let target = |target: &str, host: &str| {
        let env_file = found.env_file.as_deref().map(|file| format!("env-file = \"{file}\"\n")).unwrap_or_default();
        format!(
            "\n[target.{target}]\nhosts = [\"deploy@{host}\"]                        # the server, and who may use Docker there\n\
             host-keys = [\"SHA256:replace-me\"]                 # ssh-keyscan HOST | ssh-keygen -lf -\n{env_file}"
        )
    };
    let usual = |name: &str| ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"].contains(&name);
    let mut compose = found.compose.clone();
    compose.extend(wishes.monitoring.then(|| MONITORING_FILE.to_owned()));
    let stack = match compose.as_slice() {
        [] => String::new(),
        [one] if usual(one) => String::new(),
        [one] => format!("\n[stack]\ncompose = \"{one}\"\n"),
        several => {
            let names: Vec<String> = several.iter().map(|name| format!("\"{name}\"")).collect();
            format!("\n[stack]\ncompose = [{}]\n", names.join(", "))
        }
    };
    format!(
        "# Everything else is read from the Compose file; `estiba config show` prints it with where it came from.\n\
         [project]\nname = \"{}\"\n{}{}{stack}{}",
        found.name,
        target("staging", "203.0.113.20"),
        target("production", "203.0.113.10"),
        if wishes.monitoring { SECTIONS } else { "" }
    )
}

/// The workflow with the project's own secrets, and with the action where it is published.
fn workflow(text: &str, found: &Found, secrets: &[String], action: &str) -> String {
    let secrets: String = secrets.iter().map(|name| format!("          {name}: ${{{{ secrets.{name} }}}}\n")).collect();
    let ours = "          DJANGO_SECRET_KEY: ${{ secrets.DJANGO_SECRET_KEY }}\n          POSTGRES_PASSWORD: ${{ secrets.POSTGRES_PASSWORD }}\n";
    let text = if secrets.is_empty() { text.replace(&format!("        env:\n{ours}"), "") } else { text.replace(ours, &secrets) };
    let text = text.replace("uses: ./\n", &format!("uses: {action}\n"));
    if found.compose.is_empty() && found.django.is_some() {
        return text;
    }
    // What tests a project of one's own knows only who has it.
    let check = "          docker run --rm --env-file .env.example \"$(cat \"$RUNNER_TEMP/image\")\" python manage.py check\n";
    text.replace(check, "          docker run --rm \"$(cat \"$RUNNER_TEMP/image\")\" true\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaffold::Tls;

    fn project(files: &[(&str, &str)]) -> Found {
        let (_guard, folder) = crate::scaffold::folder_with(files);
        crate::scaffold::look(&folder, Some("mi-tienda"), None).unwrap()
    }

    fn site() -> Found {
        project(&[("manage.py", ""), ("core/wsgi.py", ""), ("core/settings.py", ""), ("requirements.txt", "Django==4.2\n")])
    }

    fn wishes() -> Wishes {
        Wishes {
            domains: vec!["tienda.example".into()],
            tls: Tls::Letsencrypt,
            server: None,
            email: None,
            database: true,
            memory: 2048,
            monitoring: false,
        }
    }

    #[test]
    fn a_django_site_gets_a_stack_with_its_own_names() {
        let made = files(&site(), &wishes(), None).unwrap();
        let text = |path: &str| made.files.iter().find(|(known, _)| known == path).map(|(_, text)| text.as_str()).unwrap();
        assert!(text("compose.yml").contains("image: mi-tienda"), "{}", text("compose.yml"));
        assert!(text("Dockerfile").contains("core.wsgi:application") && text("Dockerfile").contains("gunicorn==23"));
        assert!(text(".env.production").contains("SITE_DOMAINS=tienda.example\n"));
        assert!(text(".env.staging").contains("SITE_DOMAINS=staging.tienda.example\n"));
        assert!(text("core/settings_deployed.py").contains("from core.settings import *"));
        assert_eq!(made.secrets, ["DJANGO_SECRET_KEY", "POSTGRES_PASSWORD"]);
        assert!(made.files.iter().all(|(_, text)| !text.contains("certificados") && !text.contains("uses: ./")));
    }

    #[test]
    fn a_second_time_the_same_is_written() {
        for packages in ["Django\n", "channels\nchannels-redis\n"] {
            for database in [true, false] {
                let wishes = Wishes { database, ..wishes() };
                let site = [
                    ("manage.py", ""),
                    ("core/wsgi.py", ""),
                    ("core/asgi.py", ""),
                    ("core/settings.py", ""),
                    ("requirements.txt", packages),
                ];
                let made = files(&project(&site), &wishes, None).unwrap();
                let written: Vec<(&str, &str)> = made.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
                let again = files(&project(&[&site, written.as_slice()].concat()), &wishes, None).unwrap();
                assert_eq!(again.files, made.files);
            }
        }
    }

    #[test]
    fn packages_are_installed_that_the_project_lacks_and_no_other_version_of_those_it_has() {
        let dockerfile = |files: &[(&str, &str)]| {
            let site = [("manage.py", ""), ("core/wsgi.py", ""), ("core/asgi.py", ""), ("core/settings.py", "")];
            let made = files_of(&[&site, files].concat());
            let text = |path: &str| made.files.iter().find(|(known, _)| known == path).map(|(_, text)| text.clone());
            (text("Dockerfile").unwrap(), text("core/asgi_deployed.py"))
        };
        let (channels, asgi) =
            dockerfile(&[("Pipfile", "[packages]\nchannels = \"*\"\nchannels-redis = \"*\"\n"), ("Pipfile.lock", "")]);
        assert!(channels.contains(" redis\n") && channels.contains("core.asgi_deployed:application\", \"--host"), "{channels}");
        assert!(!channels.contains("--workers") && asgi.unwrap().contains("django.setup()\n\nfrom core.asgi import application"));
        assert!(dockerfile(&[("requirements.txt", "channels\nuvicorn\n")]).0.contains("\"--workers\", \"1\""));
        let (psycopg, none) = dockerfile(&[("requirements.txt", "Django\npsycopg\n")]);
        assert!(psycopg.contains("libpq5") && !psycopg.contains("libpq-dev") && none.is_none(), "{psycopg}");
        assert!(dockerfile(&[("requirements.txt", "psycopg[c]\n")]).0.contains("libpq-dev"));
        assert!(!dockerfile(&[("requirements.txt", "psycopg[binary]\n")]).0.contains("libpq5"));
    }

    fn files_of(files: &[(&str, &str)]) -> Files {
        super::files(&project(files), &wishes(), None).unwrap()
    }

    /// Every choice gives texts in which no template's mark is left and no two blank lines follow each other.
    #[test]
    fn every_choice_gives_whole_texts() {
        let celery = project(&[
            ("backend/manage.py", ""),
            ("backend/core/wsgi.py", ""),
            ("backend/core/asgi.py", ""),
            ("backend/core/settings.py", "X = os.environ['DATABASE_URL']"),
            ("backend/core/celery.py", "beat_schedule"),
            ("backend/pyproject.toml", "[project]\ndependencies = ['celery', 'channels']"),
            ("backend/uv.lock", ""),
        ]);
        let other = project(&[("Dockerfile", "FROM scratch\nEXPOSE 8080\n")]);
        for found in [site(), celery, other] {
            for tls in [Tls::Letsencrypt, Tls::Files, Tls::Front, Tls::None] {
                for (database, monitoring) in [(true, true), (false, false), (false, true)] {
                    let made = files(&found, &Wishes { tls, database, monitoring, ..wishes() }, None).unwrap();
                    for (path, text) in made.files.iter().filter(|(path, _)| !path.starts_with(".github")) {
                        // Prometheus and its kin have marks of their own.
                        let is_whole = path.starts_with("monitoring/") || !text.contains("{{");
                        assert!(!text.contains("{%") && is_whole && text.ends_with('\n'), "{path}:\n{text}");
                        assert!(!text.contains("\n\n\n\n") && !text.starts_with('\n'), "{path}:\n{text}");
                        if path.ends_with(".yml") {
                            yaml_serde::from_str::<yaml_serde::Value>(text)
                                .unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn another_project_gets_its_own_secrets_and_keeps_its_stack() {
        let other = project(&[("compose.yml", "services:\n  web:\n    build: .\n"), (".env.production", "TOKEN=${TOKEN}\n")]);
        let made = files(&other, &wishes(), None).unwrap();
        assert_eq!(made.files.len(), 4);
        let workflow = &made.files.iter().find(|(path, _)| path.ends_with("deploy.yml")).unwrap().1;
        assert!(
            workflow.contains("TOKEN: ${{ secrets.TOKEN }}") && !workflow.contains("DJANGO") && !workflow.contains("manage.py")
        );
        let none = files(&Found { secrets: Vec::new(), ..other }, &wishes(), None).unwrap();
        assert!(none.files.iter().all(|(_, text)| !text.contains("        env:\n")));
    }

    /// Whoever may push a branch runs the workflows that the branch holds.
    #[test]
    fn no_workflow_needs_a_key_that_deploys_outside_of_a_protected_environment() {
        let workflows: Vec<_> = files(&site(), &wishes(), None)
            .unwrap()
            .files
            .into_iter()
            .filter(|(path, _)| path.starts_with(".github/workflows/"))
            .collect();
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
