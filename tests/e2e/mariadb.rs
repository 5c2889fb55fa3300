//! The same promises with another engine: MariaDB behind the same steps, by one file of its own.

use std::process::Command;

use crate::support::{Site, docker};

/// A server of MySQL's family, by its image and its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    image: &'static str,
    /// What its variables begin with.
    variables: &'static str,
    client: &'static str,
    /// What Django speaks to it with.
    driver: &'static str,
}

pub const MARIADB: Family = Family { image: "mariadb:10.11", variables: "MARIADB", client: "mariadb", driver: "PyMySQL==1.1.1" };
const MYSQL: Family = Family { image: "mysql:9", variables: "MYSQL", client: "mysql", driver: "PyMySQL[rsa]==1.1.1" };

impl Family {
    /// The example with this server in PostgreSQL's place.
    pub fn moved_in(self, site: &Site) {
        site.edit("requirements.txt", "psycopg2-binary==2.9.10", self.driver);
        site.write(
            "sitio/__init__.py",
            "import pymysql\n\npymysql.version_info = (2, 2, 1, 'final', 0)\npymysql.install_as_MySQLdb()\n",
        );
        site.edit("sitio/settings.py", "django.db.backends.postgresql", "django.db.backends.mysql");
        site.edit("sitio/settings.py", ", \"tcp_user_timeout\": 3000", "");
        let compose = std::fs::read_to_string(site.app("compose.yml")).unwrap();
        let (head, rest) = compose.split_once("  db:\n    image").unwrap();
        let (_, tail) = rest.split_once("  cache:\n    image").unwrap();
        let Self { image, variables, client, .. } = self;
        let db = format!(
            "  db:\n    image: {image}\n    restart: unless-stopped\n    environment:\n      {variables}_DATABASE: ${{POSTGRES_DB}}\n      \
             {variables}_USER: ${{POSTGRES_USER}}\n      {variables}_PASSWORD: ${{POSTGRES_PASSWORD}}\n      {variables}_ROOT_PASSWORD: ${{POSTGRES_PASSWORD}}\n    \
             volumes:\n      - db-data:/var/lib/mysql\n    healthcheck:\n      test: [\"CMD-SHELL\", \"MYSQL_PWD=\\\"$${variables}_PASSWORD\\\" {client} -u$${variables}_USER -h127.0.0.1 -e 'SELECT 1' $${variables}_DATABASE\"]\n      \
             interval: 2s\n      timeout: 5s\n      retries: 60\n\n"
        );
        site.write("compose.yml", &format!("{head}{db}  cache:\n    image{tail}"));
    }

    pub fn sql(self, site: &Site, statement: &str) -> String {
        let script =
            format!("exec {} -N -B -uroot -p\"${}_ROOT_PASSWORD\" certificados_prod -e \"$1\"", self.client, self.variables);
        docker(&["exec", &format!("{}-db-1", site.name), "sh", "-c", &script, "sh", statement]).trim().to_owned()
    }
}

fn post(site: &Site) {
    let url = format!("http://{}/certificados/", site.address);
    assert!(Command::new("curl").args(["-sf", "-d", "holder=O'Neil \\ \n ñ", &url]).output().unwrap().status.success());
}

#[test]
fn mariadb_is_backed_up_verified_restored_and_a_failed_migration_undone() {
    backed_up_verified_restored_and_undone(MARIADB);
}

#[test]
#[ignore = "needs an image mysql:9, which Debian's stable releases have no package for"]
fn mysql_is_backed_up_verified_restored_and_a_failed_migration_undone() {
    backed_up_verified_restored_and_undone(MYSQL);
}

fn backed_up_verified_restored_and_undone(family: Family) {
    let site = Site::new(family.client, "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"10s\"\n");
    family.moved_in(&site);
    let sql = |site: &Site, statement: &str| family.sql(site, statement);
    site.append("deploy.toml", "[database]\nduring-migrations = \"read-only\"\n");
    site.estiba(&["config", "check"]).says(2, &["MySQL cannot refuse writes", "deploy.toml:"]);
    site.edit("deploy.toml", "[database]\nduring-migrations = \"read-only\"\n", "");
    site.deployed();
    for _ in 0..5 {
        post(&site);
    }
    // The app's own user may name a table whatever it likes: a name is never a command of the client, nor root's SQL.
    let hostile = "CREATE TABLE `x';\\! touch /tmp/ran; -- x` (id INT)";
    let script =
        format!("exec {} -u\"${1}_USER\" -p\"${1}_PASSWORD\" \"${1}_DATABASE\" -e \"$1\"", family.client, family.variables);
    docker(&["exec", &format!("{}-db-1", site.name), "sh", "-c", &script, "sh", hostile]);
    let rows = "SELECT GROUP_CONCAT(id, HEX(holder) ORDER BY id) FROM certificados_certificate";
    let before = sql(&site, rows);
    site.estiba(&["backup", "create", "--json"]).expect(0, "done");
    let listed = site.estiba(&["backup", "list", "--json"]).json();
    assert_eq!(listed["engine"], "mysql");
    let id = listed["id"].as_str().unwrap().to_owned();
    site.estiba(&["backup", "verify", &id]).says(0, &["is whole"]);

    // Written since, and gone by the restore; the replaced database has it.
    post(&site);
    let after = sql(&site, rows);
    site.estiba(&["backup", "restore", &id, "--yes", "--json"]).expect(0, "done");
    assert_eq!(sql(&site, rows), before);
    let away = sql(&site, "SELECT DISTINCT table_schema FROM information_schema.tables WHERE table_schema LIKE '%replaced%'");
    assert_eq!(
        sql(&site, &format!("SELECT GROUP_CONCAT(id, HEX(holder) ORDER BY id) FROM {away}.certificados_certificate")),
        after
    );
    assert_eq!(site.get("/health/").0, 200);
    post(&site);

    // A cut file is refused.
    let dump = site.root.join(format!("backups/{id}.dump"));
    let whole = std::fs::read(&dump).unwrap();
    std::fs::write(&dump, &whole[..whole.len() - 100]).unwrap();
    site.estiba(&["backup", "verify", &id]).says(1, &["is damaged: its SHA-256 differs"]);
    std::fs::write(&dump, &whole).unwrap();

    // Two migrations, the second fails: the site goes on, nothing is lost.
    let before = (sql(&site, rows), site.serving());
    for (name, after, operation) in [
        ("0002_a", "0001_initial", "migrations.AddField('certificate', 'note', models.CharField(max_length=20, null=True))"),
        ("0003_b", "0002_a", "migrations.RunSQL('SELECT no_such_column FROM certificados_certificate')"),
    ] {
        let text = format!(
            "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    dependencies = [('certificados', '{after}')]\n    operations = [{operation}]\n"
        );
        site.write(&format!("certificados/migrations/{name}.py"), &text);
    }
    let run = site.estiba(&["deploy", "--json"]);
    run.says(3, &["no_such_column", "the old release is healthy on it"]);
    assert_eq!((sql(&site, rows), site.serving()), before);
    assert_eq!(sql(&site, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE 'estiba%'"), "0");
    let ran = docker(&["exec", &format!("{}-db-1", site.name), "sh", "-c", "ls /tmp"]);
    assert!(!ran.contains("ran"), "a table's name was run as a command");
}
