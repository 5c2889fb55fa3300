//! An image's way to a server with an Engine of its own: only what is missing, whatever happens on the way.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::proxy::Proxy;
use crate::server::{Engine, Server, sh};
use crate::support::{Run, Site, docker, wait_for};

struct Shop {
    server: Server,
    site: Site,
    key: String,
}

impl Shop {
    /// A server without the app's image, and a project that goes there through this proxy.
    fn new(name: &str, engine: Engine) -> (Self, Proxy) {
        let server = Server::start(engine, false);
        let proxy = Proxy::start(server.ssh_port);
        let site = Site::new(name, "");
        let text = format!(
            "[project]\nname = \"{}\"\n[target.production]\nhosts = [\"root@127.0.0.1:{}\"]\nhost-keys = [\"{}\"]\nroot = \"/srv/shop\"\n\
             [rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"20s\"\n",
            site.name,
            proxy.port,
            server.fingerprint()
        );
        site.write("deploy.toml", &text);
        let key = std::fs::read_to_string(server.folder.join("key")).unwrap();
        (Self { server, site, key }, proxy)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        command.env("ESTIBA_SSH_KEY", &self.key).env("HTTP_PORT", "80");
        command
    }

    #[track_caller]
    fn deploy(&self, said: &[&str]) -> Run {
        let run = Site::ended(self.command(&["deploy", "--json"]).spawn().unwrap());
        run.says(0, said);
        // It runs, and is whole: the Engine can write all of it out again.
        let image = run.json()["image"].as_str().unwrap().to_owned();
        self.server.exec(&format!(
            "docker save -o /saved.tar {image} && tar -tf /saved.tar >/names && tar -xOf /saved.tar manifest.json | grep -oE '[0-9a-f]{{64}}(/layer.tar)?' | sort -u >/wanted \
             && [ $(wc -l </wanted) -gt 3 ] && for name in $(cat /wanted); do grep -q \"$name\" /names || exit 1; done; rm /saved.tar"
        ));
        self.server.exec("curl -sf http://127.0.0.1/health/");
        run
    }

    /// Ports that somebody listens on there.
    fn listening(&self) -> String {
        self.server.exec("awk '$4 == \"0A\" { print $2 }' /proc/net/tcp /proc/net/tcp6 | sed 's/.*://' | sort -u | xargs")
    }

    /// On a slow way, cut in the middle: what has arrived is not sent again.
    fn comes_through_a_cut(&self, proxy: &Proxy) {
        let before = proxy.passed();
        proxy.slow(Duration::from_millis(4));
        let run = self.command(&["deploy", "--json"]).spawn().unwrap();
        wait_for("half of the image", Duration::from_secs(120), || proxy.passed() > before + 30_000_000);
        proxy.cut();
        proxy.slow(Duration::ZERO);
        let run = Site::ended(run);
        run.says(0, &[]);
        let (whole, layers, all) = sent(&run);
        assert!(layers + 1 >= all, "a server without the image gets all of it, but what it has of another: {layers} of {all}");
        let passed = proxy.passed() - before;
        assert!(passed < whole + 20_000_000, "{passed} bytes went over the wire for {whole}");
    }

    /// The local Engine with a log of what it is asked to write out whole.
    fn watched(&self, command: &mut Command) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let (bin, log) = (self.site.folder.join("bin"), self.site.folder.join("saved"));
        std::fs::create_dir_all(&bin).unwrap();
        // Another client of the Engine might build another way, and share no cache.
        let path = std::env::var("PATH").unwrap();
        let real =
            path.split(':').map(|folder| format!("{folder}/docker")).find(|file| std::path::Path::new(file).exists()).unwrap();
        let text = format!("#!/bin/sh\n[ \"$1\" != save ] || echo \"$*\" >>'{}'\nexec {real} \"$@\"\n", log.display());
        std::fs::write(bin.join("docker"), text).unwrap();
        std::fs::set_permissions(bin.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
        command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
        log
    }

    fn gets_one_layer_or_none(&self, classic: bool) {
        // An Engine that never pushed these layers packs all of them once: until that is done the whole may be written out. On a
        // machine that is thrown away it is not done at all.
        self.one_line(classic, "github-hosted");
        let mut tries = 0;
        let changed = loop {
            let (changed, written_out) = self.one_line(classic, "self-hosted");
            if !classic || !written_out {
                break changed;
            }
            tries += 1;
            assert!(tries < 4, "the whole image is written out each time");
        };

        // The same image with other settings: nothing to send.
        self.site.append(".env.production", "MORE=1\n");
        let same = self.deploy(&[]);
        assert!(!same.stderr.contains("layers sent") || sent(&same).1 == 0, "{}", same.stderr);
        assert_eq!(same.json()["image"], changed.json()["image"]);
    }

    /// One line of the source is another, and goes there alone; was the whole image written out for that?
    fn one_line(&self, classic: bool, runner: &str) -> (Run, bool) {
        self.site.append("templates/home.html", "<!-- one line -->\n");
        let mut command = self.command(&["deploy", "--json"]);
        command.env("RUNNER_ENVIRONMENT", runner);
        let log = self.watched(&mut command);
        let changed = Site::ended(command.spawn().unwrap());
        changed.says(0, &[]);
        if classic {
            let tags = docker(&["image", "ls", "--format", "{{.Repository}}"]);
            assert!(!tags.contains(&format!("estiba/{}", self.site.name)), "no tag of the way stays: {tags}");
        }
        let (bytes, layers, _) = sent(&changed);
        assert!(layers == 1 && bytes < 100_000, "{bytes} bytes in {layers} layers");
        (changed, std::fs::remove_file(log).is_ok())
    }
}

/// Bytes that a run says it has sent, and how many layers of how many.
fn sent(run: &Run) -> (u64, u64, u64) {
    let line = run.stderr.lines().find(|line| line.contains(" layers sent, ")).expect("a line on what was sent");
    let numbers: Vec<u64> = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [.., layers, all, kilobytes] = numbers.as_slice() else { panic!("{line}") };
    (kilobytes * 1000, *layers, *all)
}

#[test]
fn only_missing_layers_are_sent_and_a_cut_a_prune_or_a_refusal_costs_no_image() {
    let (shop, proxy) = Shop::new("images", Engine::Old);
    shop.comes_through_a_cut(&proxy);
    assert_eq!(shop.server.exec("ls -d /srv/shop/state/image.* 2>/dev/null | wc -l"), "0", "nothing stays behind");
    shop.gets_one_layer_or_none(true);

    // In the very moment in which the layers are loaded on top of it, somebody prunes the base away.
    shop.server.exec(
        "cat >/usr/local/bin/docker <<'END'\n#!/bin/sh\nif [ \"$1\" = load ] && [ ! -e /pruned ]; then\n\
         /usr/bin/docker ps -aq --filter label=estiba.slot | xargs /usr/bin/docker rm -f >/pruned\n/usr/bin/docker image prune -af >>/pruned\nfi\n\
         exec /usr/bin/docker \"$@\"\nEND\nchmod 755 /usr/local/bin/docker",
    );
    shop.site.append("templates/home.html", "<!-- another -->\n");
    let whole = shop.deploy(&["all of the image is sent"]);
    let (_, layers, all) = sent(&whole);
    assert_eq!(layers, all);
    assert!(shop.server.exec("cat /pruned").contains("Deleted"), "the prune took the image");
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_newer_engine_with_a_classic_store_gets_only_what_it_lacks() {
    let (shop, _proxy) = Shop::new("images-new", Engine::New);
    shop.deploy(&[]);
    shop.gets_one_layer_or_none(true);

    // A server of another kind: said before anything is built or sent.
    shop.server.exec("printf '#!/bin/sh\\necho aarch64\\n' >/usr/local/bin/uname && chmod 755 /usr/local/bin/uname");
    shop.site.append("templates/home.html", "<!-- arm -->\n");
    let refused = Site::ended(shop.command(&["deploy", "--json"]).spawn().unwrap());
    refused.says(1, &["linux/arm64", "nothing was changed"]);
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_containerd_store_pulls_only_what_it_lacks_and_gets_all_where_no_port_is_forwarded() {
    let (shop, proxy) = Shop::new("images-containerd", Engine::Containerd);
    // sshd and the site's proxy.
    let before = "0016 0050";
    shop.comes_through_a_cut(&proxy);
    shop.gets_one_layer_or_none(false);
    assert_eq!(shop.listening(), before, "nothing of ours listens any more");

    for (settings, why) in [("GatewayPorts yes", "GatewayPorts"), ("AllowTcpForwarding no", "AllowTcpForwarding")] {
        shop.server.exec(&format!(
            "echo '{settings}' >/etc/ssh/sshd_config.d/test.conf && kill -HUP $(cat /run/sshd.pid) && sleep 0.2 && sshd -T | grep -qi '{settings}'"
        ));
        shop.site.append("templates/home.html", &format!("<!-- {why} -->\n"));
        let (_, layers, all) = sent(&shop.deploy(&[why, "all of the image is sent"]));
        assert_eq!(layers, all);
    }
}

#[test]
#[ignore = "a variant: make test-whole"]
fn an_engine_with_a_containerd_store_builds_for_a_server_with_a_classic_one() {
    let (shop, _proxy) = Shop::new("images-laptop", Engine::Old);
    let laptop = Server::start(Engine::Containerd, false);
    // It has nothing to download a base image from.
    let base = format!("{}:base", shop.site.name);
    docker(&["build", "-q", "-t", &base, shop.site.app("").to_str().unwrap()]);
    sh(&format!("docker save {base} | docker exec -i {} /usr/bin/docker load -q", laptop.name));
    docker(&["image", "rm", &base]);
    shop.site.write("Dockerfile", &format!("FROM {base}\nCOPY . .\n"));
    let address = docker(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &shop.server.name]);
    let proxied = shop.site.app("deploy.toml");
    let text = std::fs::read_to_string(&proxied).unwrap();
    let (before, rest) = text.split_once("root@").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    std::fs::write(&proxied, format!("{before}root@{}\"{after}", address.trim())).unwrap();
    docker(&["cp", shop.site.app("").to_str().unwrap(), &format!("{}:/app", laptop.name)]);
    docker(&["cp", env!("CARGO_BIN_EXE_estiba"), &format!("{}:/usr/bin/estiba", laptop.name)]);
    let log = "#!/bin/sh\n[ \"$1\" != save ] || echo \"$*\" >>/saved\nexec /usr/bin/docker \"$@\"\n";
    laptop.write("/usr/local/bin/docker", log, 755);
    let deploy = || {
        let there = shop.command(&[]);
        let mut command = Command::new("docker");
        command.args(["exec", "-w", "/app"]);
        for (name, value) in there.get_envs().filter(|(name, _)| *name != "PATH" && *name != "HOME") {
            command.arg("-e").arg(name).env(name, value.unwrap());
        }
        command.args([&laptop.name, "estiba", "deploy", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = Site::ended(command.spawn().unwrap());
        run.says(0, &[]);
        shop.server.exec("curl -sf http://127.0.0.1/health/");
        run
    };
    let first = deploy();
    assert!(laptop.exec("cat /saved").starts_with("save "), "most of it is missing there: the whole is written out");

    // One line, and only its layer comes out of the Engine.
    laptop.exec("rm /saved; echo '<!-- one line -->' >>/app/templates/home.html");
    let changed = deploy();
    let (bytes, layers, _) = sent(&changed);
    assert!(layers == 1 && bytes < 100_000, "{bytes} bytes in {layers} layers");
    assert_eq!(laptop.exec("cat /saved 2>/dev/null || echo none"), "none");
    assert_ne!(changed.json()["image"], first.json()["image"]);

    // The same image with other settings: nothing to send, though the two Engines name it otherwise.
    laptop.exec("echo MORE=1 >>/app/.env.production");
    let same = deploy();
    assert!(!same.stderr.contains("layers sent"), "what it is made of is what serves: {}", same.stderr);
    assert_eq!(same.json()["image"], changed.json()["image"]);
}

#[test]
fn an_engine_that_is_elsewhere_is_not_asked_to_push() {
    let site = Site::new("images-elsewhere", "[rollout]\nobserve = \"0s\"\n");
    let elsewhere = Server::start(Engine::Old, false);
    let base = format!("{}:base", site.name);
    docker(&["build", "-q", "-t", &base, site.app("").to_str().unwrap()]);
    sh(&format!("docker save {base} | docker exec -i {} /usr/bin/docker load -q", elsewhere.name));
    docker(&["image", "rm", &base]);
    site.write("Dockerfile", &format!("FROM {base}\nCOPY . .\n"));
    // Its socket is here, as a forwarded one or that of a virtual machine is; its loopback is not.
    let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &elsewhere.name]);
    let socket = format!("unix:///proc/{}/root/run/docker.sock", pid.trim());
    let (bin, log) = (site.folder.join("bin"), site.folder.join("asked"));
    std::fs::create_dir_all(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let real = path.split(':').map(|folder| format!("{folder}/docker")).find(|file| std::path::Path::new(file).exists()).unwrap();
    std::fs::write(bin.join("docker"), format!("#!/bin/sh\necho \"$*\" >>'{}'\nexec {real} \"$@\"\n", log.display())).unwrap();
    sh(&format!("chmod 755 {}", bin.join("docker").display()));
    for line in ["<!-- one -->\n", "<!-- two -->\n"] {
        site.append("templates/home.html", line);
        let mut command = site.command(&["deploy", "--json"]);
        // The one below is the deployed server's own.
        command.env("DOCKER_HOST", &socket).env("PATH", format!("{}:{path}", bin.display()));
        Site::ended(command.spawn().unwrap()).expect(0, "deployed");
    }
    let asked = std::fs::read_to_string(&log).unwrap();
    assert!(asked.lines().any(|line| line.starts_with("save ")), "{asked}");
    assert!(!asked.lines().any(|line| line.contains("push")), "{asked}");
}
