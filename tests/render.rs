//! A Compose file with everything that real ones use, rendered by value, and read back by the real Compose.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set up their own world, and stop where it is not so")]

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use estiba::config::{Project, resolve};
use estiba::render::{Rendered, Renderer, render};
use estiba::text::Environment;
use serde_json::Value;

const SECRET: &str = "p'a$$w\"o\\rd ${X} `y` #z";

struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn new(compose: &str) -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        shop.write("compose.yml", compose);
        shop.write(
            "deploy.toml",
            "[project]\nname = \"shop\"\n[stack]\ntemplates = [\"nginx\"]\n[target.production]\nhosts = [\"u@h\"]\n[target.staging]\nhosts = [\"u@h\"]\nenv-file = \"staging.env\"\n",
        );
        shop.write(".env.production", "DB_USER=shop\nDB_PASSWORD=${DB_PASSWORD}\nTARGET={{ target }}\n");
        shop.write("staging.env", "DB_USER=shop-staging\nDB_PASSWORD=x\n");
        shop.write("Dockerfile", "FROM scratch\n");
        shop.write("base.yml", include_str!("render/base.yml"));
        shop.write("settings.ini", "[a]\n");
        shop.write("key.pem", "key");
        shop.write("redis.conf", "maxmemory 1gb\n");
        shop.write("init/one.sql", "SELECT 1;\n");
        shop.write("nginx/site.conf", "server { listen 80; server_name {{ target }}; location / { proxy_pass http://web; } }\n");
        shop.write("nginx/snippets/ssl.conf", "ssl_protocols TLSv1.2 TLSv1.3;\n");
        shop.write("nginx/htpasswd", "admin:x\n");
        shop
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn render(&self, target: &str) -> Rendered {
        self.render_with(target, &[])
    }

    fn render_with(&self, target: &str, more: &[(&str, &str)]) -> Rendered {
        let mut environment = Environment::from([("DB_PASSWORD".to_owned(), SECRET.to_owned())]);
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let project = Project::open(&self.path().join("deploy.toml"), environment).unwrap();
        let resolved = resolve(&project, Some(target)).unwrap_or_else(|error| panic!("{error}"));
        let renderer = Renderer::open(&project, &resolved).unwrap_or_else(|error| panic!("{error}"));
        render(&renderer).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Lays the release out as on a server and asks the real Compose what it reads.
    fn read_back(&self, rendered: &Rendered, slot: &str, env: &str) -> Value {
        let server = self.path().join("server");
        for (path, artefact) in &rendered.release {
            let full = server.join(path);
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(full, &artefact.bytes).unwrap();
        }
        std::fs::write(server.join("estiba.env"), "ESTIBA_RELEASE=r1\nESTIBA_IMAGE=sha256:abc\nESTIBA_EDGE_IMAGE=sha256:def\n")
            .unwrap();
        let files = server.join("files");
        let path = |name: &str| files.join(name).into_string();
        let output = Command::new("docker")
            .args(["compose", "-p", "shop", "--project-directory", files.as_str()])
            .args(["--env-file", &path(env), "--env-file", server.join("estiba.env").as_str()])
            .args(["-f", &path("stack.yml"), "-f", &path(&format!("slot-{slot}.yml"))])
            .args(["config", "--format", "json"])
            .env_remove("DB_PASSWORD")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // What Compose prints can be read by Compose again, so every dollar in it is doubled.
        serde_json::from_str(&String::from_utf8_lossy(&output.stdout).replace("$$", "$")).unwrap()
    }
}

fn text(rendered: &Rendered, path: &str) -> String {
    let artefact = rendered.release.get(path).unwrap_or_else(|| panic!("no {path}: {:?}", rendered.release.keys()));
    String::from_utf8(artefact.bytes.clone()).unwrap()
}

/// The digest of the edge's configuration says that it changed; what it is, another snapshot shows.
fn without_digest(stack: &str) -> String {
    const LABEL: &str = "estiba.edge.configuration: ";
    let (before, after) = stack.split_once(LABEL).expect("the edge has the digest of its configuration");
    let rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    assert_eq!(after.len() - rest.len(), 16, "{after}");
    format!("{before}{LABEL}DIGEST{rest}")
}

#[test]
fn everything_that_real_files_use_survives() {
    let shop = Shop::new(include_str!("render/full.yml"));
    let rendered = shop.render("production");
    insta::with_settings!({snapshot_path => "render", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("stack.yml", without_digest(&text(&rendered, "files/stack.yml")));
        insta::assert_snapshot!("slot-blue.yml", text(&rendered, "files/slot-blue.yml"));
        insta::assert_snapshot!("haproxy.cfg", text(&rendered, "edge/web/haproxy.cfg"));
        insta::assert_snapshot!("apps", text(&rendered, "apps"));
        insta::assert_snapshot!("settings.env", text(&rendered, "settings.env"));
        insta::assert_snapshot!("notes", rendered.notes.join("\n"));
    });
    let paths: Vec<&str> = rendered.release.keys().map(String::as_str).collect();
    for path in [
        "stack/nginx/site.conf",
        "stack/nginx/snippets/ssl.conf",
        "stack/nginx/htpasswd",
        "files/.env.production",
        "files/settings.ini",
        "manifest",
    ] {
        assert!(paths.contains(&path), "no {path}: {paths:?}");
    }
    assert!(text(&rendered, "stack/nginx/site.conf").contains("server_name production;"));
    assert_eq!(rendered.release["files/.env.production"].mode, 0o600);
    for (path, artefact) in rendered.release.iter().filter(|(_, artefact)| !artefact.secret) {
        assert!(!String::from_utf8_lossy(&artefact.bytes).contains(SECRET), "a secret in {path}");
    }
}

#[test]
fn an_older_compose_renders_the_same_bytes() {
    let older = concat!(env!("CARGO_MANIFEST_DIR"), "/target/compose-2.35.1");
    assert!(Utf8Path::new(older).join("cli-plugins/docker-compose").exists(), "`scripts/setup test` installs it");
    let shop = Shop::new(include_str!("render/full.yml"));
    let (new, old) = (shop.render("production"), shop.render_with("production", &[("DOCKER_CONFIG", older)]));
    assert_eq!(new.release.keys().collect::<Vec<_>>(), old.release.keys().collect::<Vec<_>>());
    for (path, artefact) in &new.release {
        assert!(old.release[path].bytes == artefact.bytes, "{path} differs");
    }
}

#[test]
fn the_real_compose_reads_what_was_meant() {
    let shop = Shop::new(include_str!("render/full.yml"));
    let read = shop.read_back(&shop.render("production"), "green", ".env.production");
    let service = |name: &str| read["services"][name].clone();
    let web = service("web-green");
    assert_eq!(web["image"], "sha256:abc");
    assert_eq!(web["environment"]["ESTIBA_RELEASE"], "r1");
    assert_eq!(web["environment"]["ESTIBA_SLOT"], "green");
    assert_eq!(web["environment"]["DB_PASSWORD"], SECRET);
    assert_eq!(web["environment"]["TARGET"], "production");
    assert_eq!(web["environment"]["DATABASE_URL"], format!("postgres://shop:{SECRET}@db/shop"));
    assert_eq!(web["environment"]["DEBUG"], "no");
    assert!(web["container_name"].is_null() && web["ports"].is_null() && web["build"].is_null());
    assert_eq!(web["depends_on"]["db"]["condition"], "service_healthy");
    assert_eq!(web["secrets"][0]["mode"], "0440");
    assert_eq!(web["logging"]["options"]["tag"], "{{.Name}}");
    assert_eq!(web["deploy"]["resources"]["limits"]["memory"], "536870912");
    let worker = service("worker-green");
    assert_eq!(worker["stop_grace_period"], "1m0s");
    assert_eq!(worker["environment"]["CELERY"], "1");
    assert_eq!(worker["labels"]["role"], "worker");
    assert_eq!(worker["labels"]["estiba.slot"], "green");
    assert!(worker["depends_on"]["web-green"].is_object(), "{worker}");
    assert_eq!(worker["depends_on"]["redis"]["condition"], "service_healthy");
    assert_eq!(worker["init"], true);
    let mounts: BTreeMap<String, String> = web["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| (mount["target"].as_str().unwrap().into(), mount["source"].as_str().unwrap_or_default().into()))
        .collect();
    assert_eq!(mounts["/app/media"], "/srv/shop/shared/media");
    assert!(mounts["/app/settings.ini"].ends_with("server/files/settings.ini"), "{mounts:?}");
    assert_eq!(mounts["/app/cache"], "cache-dir");
    let db = service("db");
    assert_eq!(db["environment"]["POSTGRES_PASSWORD"], SECRET);
    assert_eq!(db["healthcheck"]["test"][1], "pg_isready -U ${POSTGRES_USER}");
    assert_eq!(db["volumes"][1]["source"], "/srv/shop/stack/init");
    assert!(service("manage-green").is_null(), "its profile is not asked for");
    let nginx = service("nginx");
    assert_eq!(nginx["volumes"][0]["source"], "/srv/shop/stack/nginx");
    assert_eq!(nginx["depends_on"]["web"]["condition"], "service_started");
    let edge = service("web");
    assert_eq!(edge["image"], "sha256:def");
    assert_eq!(edge["labels"]["estiba.edge"], "web");
    assert!(edge["depends_on"].is_null() && edge["healthcheck"].is_null() && edge["environment"].is_null(), "{edge}");
    assert_eq!(nginx["ports"][0]["published"], "80");
}

#[test]
fn the_env_file_is_the_targets_own() {
    let shop = Shop::new(include_str!("render/full.yml"));
    let read = shop.read_back(&shop.render("staging"), "blue", "staging.env");
    assert_eq!(read["services"]["web-blue"]["environment"]["DB_USER"], "shop-staging");
    assert_eq!(read["services"]["db"]["environment"]["POSTGRES_USER"], "shop-staging");
}

#[test]
fn a_stack_file_has_the_same_path_whatever_it_holds() {
    let shop = Shop::new(include_str!("render/full.yml"));
    let first = shop.render("production");
    assert_eq!(first, shop.render("production"), "rendering is pure");
    shop.write("settings.ini", "[b]\n");
    let app_changed = shop.render("production");
    assert_eq!(text(&first, "files/stack.yml"), text(&app_changed, "files/stack.yml"));
    assert_ne!(text(&first, "files/settings.ini"), text(&app_changed, "files/settings.ini"));
    shop.write("init/one.sql", "SELECT 2;\n");
    let stack_changed = shop.render("production");
    assert_eq!(text(&first, "files/stack.yml"), text(&stack_changed, "files/stack.yml"));
    assert_ne!(text(&first, "stack/init/one.sql"), text(&stack_changed, "stack/init/one.sql"));
}

#[test]
fn conventions_say_where_each_value_came_from() {
    let shop = Shop::new(include_str!("render/full.yml"));
    let output = Command::new(env!("CARGO_BIN_EXE_estiba"))
        .args(["config", "show", "production", "--config"])
        .arg(Utf8PathBuf::from(shop.path()).join("deploy.toml"))
        .env_remove("CI")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    insta::with_settings!({snapshot_path => "render", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("config-show", String::from_utf8_lossy(&output.stdout));
    });
}
