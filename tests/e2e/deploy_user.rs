//! A server that somebody without root's rights deploys to: in the group of Docker, and nothing more.

use crate::server::{Engine, Server};
use crate::support::Site;

struct Shop {
    server: Server,
    site: Site,
    key: String,
}

impl Shop {
    fn new() -> Self {
        let server = Server::start(Engine::Old, false);
        server.exec(
            "groupadd -f docker && useradd --create-home --groups docker deploy && chgrp docker /run/docker.sock && chmod 0660 /run/docker.sock \
             && install -d -o deploy -m 0755 /srv/shop && install -d -o deploy -m 0700 /home/deploy/.ssh \
             && install -o deploy -m 0600 /root/.ssh/authorized_keys /home/deploy/.ssh/authorized_keys",
        );
        let site = Site::new("user", "");
        let text = format!(
            "[project]\nname = \"{}\"\n[target.production]\nhosts = [\"deploy@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nroot = \"/srv/shop\"\n\
             [rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"20s\"\n",
            site.name,
            server.ssh_port,
            server.fingerprint()
        );
        site.write("deploy.toml", &text);
        let key = std::fs::read_to_string(server.folder.join("key")).unwrap();
        Self { server, site, key }
    }

    #[track_caller]
    fn estiba(&self, arguments: &[&str]) -> String {
        let mut command = self.site.command(arguments);
        command.env("ESTIBA_SSH_KEY", &self.key).env("HTTP_PORT", "80");
        let run = Site::ended(command.spawn().unwrap());
        assert_eq!(run.code, 0, "{arguments:?}: {}\n{}", run.stdout, run.stderr);
        run.stdout
    }

    /// Below the root, what another user reads.
    fn read_by_others(&self) -> Vec<String> {
        let found = self
            .server
            .exec("setpriv --reuid=65534 --regid=65534 --clear-groups find /srv/shop ! -type l -readable 2>/dev/null || true");
        found.lines().map(str::to_owned).collect()
    }
}

#[test]
fn who_deploys_needs_no_root_and_others_read_only_what_is_meant_for_them() {
    let shop = Shop::new();
    shop.site.write("nginx/key.pem", "-----BEGIN PRIVATE KEY-----\nof this test\n");
    shop.estiba(&["deploy", "--json"]);
    shop.site.append("templates/home.html", "<!-- two -->\n");
    shop.site.append(".env.production", "MORE=1\n");
    shop.estiba(&["deploy", "--json"]);
    shop.estiba(&["backup", "create"]);
    let listed = shop.estiba(&["backup", "list", "--json"]);
    let backup: serde_json::Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    shop.estiba(&["backup", "restore", backup["id"].as_str().unwrap(), "--yes"]);
    shop.estiba(&["rollback", "--yes"]);
    shop.server.exec("curl -sf http://127.0.0.1/health/");
    shop.server.exec("curl -sf http://127.0.0.1/static/certificados/site.css");
    // What is uploaded is the app's user's.
    let app = format!("/usr/bin/docker exec {}-web-blue-1", shop.site.name);
    shop.server.exec(&format!("{app} sh -c 'echo up >/app/media/up.txt' && curl -sf http://127.0.0.1/media/up.txt"));

    let found = shop.read_by_others();
    assert!(found.iter().any(|path| path == "/srv/shop/bin"), "{found:#?}");
    let places = ["/srv/shop/bin", "/srv/shop/static", "/srv/shop/shared"];
    let meant =
        |path: &str| path == "/srv/shop" || places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")));
    let others: Vec<&String> = found.iter().filter(|path| !meant(path)).collect();
    assert!(others.is_empty(), "others read {others:#?}");
    // What root wrote, a deploy user could neither change nor remove.
    let of_root = shop.server.exec("find /srv/shop -user root ! -path '/srv/shop/shared/*' ! -path '/srv/shop/static/*'");
    assert_eq!(of_root, "");
}
