//! A plan that was made is what runs, or nothing does.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{Site, docker};

/// Every file below a folder, with its mode and the digest of what it holds.
fn tree(folder: &Path) -> BTreeSet<String> {
    let script = "find . -printf '%p %m %l\\n'; find . -type f -exec sha256sum {} +";
    let listed = std::process::Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(listed.status.success());
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_plan_is_executed_as_it_was_made_or_refused_with_what_moved() {
    let site = Site::new("plan", "[rollout]\nobserve = \"0s\"\n");
    site.deployed();
    let before = site.containers();
    let nothing = site.estiba(&["plan", "--detailed-exitcode"]);
    assert!(nothing.code == 0 && nothing.stdout.contains("no changes"), "{nothing:?}");

    // One line of the proxy's configuration, and a migration.
    site.edit("nginx/site.conf", "server {", "# one line\nserver {");
    let migration = "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    dependencies = [('certificados', '0001_initial')]\n    \
         operations = [migrations.AddField('certificate', 'note', models.CharField(max_length=20, null=True))]\n";
    site.write("certificados/migrations/0002_note.py", migration);
    let server = || (tree(&site.root), site.containers(), docker(&["image", "ls", "-q", "--no-trunc", &site.name]));
    let untouched = server();
    let made = site.estiba(&["plan", "--out", "../plan.json", "--detailed-exitcode"]);
    assert_eq!(made.code, 10, "{}", made.stderr);
    let lines = |sign: char| {
        made.stdout.lines().filter(|line| line.starts_with(sign) && !line.starts_with("+++") && !line.starts_with("---")).count()
    };
    assert!(made.stdout.contains("+# one line") && made.stdout.contains("+ certificados 0002_note"), "{}", made.stdout);
    assert_eq!((lines('+'), lines('-')), (2, 0), "{}", made.stdout);
    for words in ["Image: to be built", "serves now", "a failure in them leads to"] {
        assert!(made.stdout.contains(words), "no `{words}` in {}", made.stdout);
    }
    assert_eq!(server(), untouched, "a plan changes nothing on the server");

    // Not a plan; of another target; a file edited on the server; another variable there.
    std::fs::write(site.folder.join("no.json"), "{\"target\": 3}\n").unwrap();
    site.estiba(&["deploy", "--plan", "../no.json"]).says(2, &["no.json:1:", "this is no plan"]);
    let refused = |words: &[&str]| {
        let run = site.estiba(&["deploy", "--plan", "../plan.json", "--json"]);
        run.says(6, words);
        assert_eq!(site.containers(), before);
    };
    let edited = site.root.join("stack/nginx/site.conf");
    let text = std::fs::read_to_string(&edited).unwrap();
    std::fs::write(&edited, format!("{text}# by hand\n")).unwrap();
    refused(&["the stack's file nginx/site.conf was edited"]);
    std::fs::write(&edited, &text).unwrap();
    let variables = site.root.join("current/files/.env.production");
    let text = std::fs::read_to_string(&variables).unwrap();
    std::fs::write(&variables, format!("{text}EXTRA=1\n")).unwrap();
    refused(&["the variable EXTRA"]);
    std::fs::write(&variables, &text).unwrap();
    // The project itself is another.
    site.append("templates/home.html", "<!-- since -->\n");
    refused(&["not those that the plan was made from"]);
    site.edit("templates/home.html", "<!-- since -->\n", "");

    site.estiba(&["deploy", "--plan", "../plan.json", "--json"]).expect(0, "deployed");
    let serving = site.serving();
    // Somebody deployed since.
    let run = site.estiba(&["deploy", "--plan", "../plan.json", "--json"]);
    run.says(6, &["the server serves", "missing pending migration: certificados 0002_note"]);
    assert_eq!(site.serving(), serving);
}

#[test]
fn a_plan_without_a_server_needs_no_secrets_and_no_server() {
    let site = Site::new("offline", "");
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=estibador", "-c", "user.email=estibador@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(site.app(""))
            .output()
            .unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    site.edit("deploy.toml", "127.0.0.1", "${HOST_OF_NOBODY}");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    site.edit("nginx/site.conf", "server {", "# one line\nserver {");
    site.append(".env.production", "NEW=1\n");
    site.write("certificados/migrations/0002_note.py", "");
    let offline = |more: &[&str]| {
        let mut command = site.command(&[&["plan", "--offline"], more].concat());
        for secret in ["DJANGO_SECRET_KEY", "POSTGRES_PASSWORD", "ESTIBA_SSH_KEY"] {
            command.env_remove(secret);
        }
        Site::ended(command.spawn().unwrap())
    };
    let made = offline(&[]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    for words in ["+# one line", "+ NEW", "+ certificados 0002_note", "without a server"] {
        assert!(made.stdout.contains(words), "{}", made.stdout);
    }
    assert!(!made.stdout.contains("DJANGO_SECRET_KEY"), "{}", made.stdout);
    offline(&["--against", "nowhere"]).says(2, &["git does not know"]);
}
