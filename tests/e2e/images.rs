//! An image's way to a server with an Engine of its own: only what is missing, whatever happens on the way.

use std::time::Duration;

use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{Run, Site, wait_for};

struct Shop {
    server: Server,
    site: Site,
    key: String,
}

impl Shop {
    /// A server without the app's image, and a project that goes there through this proxy.
    fn new(name: &str) -> (Self, Proxy) {
        let server = Server::start(false);
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

    fn command(&self, arguments: &[&str]) -> std::process::Command {
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
        self.server.exec(&format!("docker save {image} | tar -tf - | grep -q layer"));
        self.server.exec("curl -sf http://127.0.0.1/health/");
        run
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
    let (shop, proxy) = Shop::new("images");
    // On a slow way, cut in the middle: what has arrived is not sent again.
    proxy.slow(Duration::from_millis(4));
    let first = shop.command(&["deploy", "--json"]).spawn().unwrap();
    let arrived = || shop.server.exec("cat /srv/shop/state/image.*/* 2>/dev/null | wc -c").parse::<u64>().unwrap();
    wait_for("half of the image", Duration::from_secs(120), || arrived() > 30_000_000);
    proxy.cut();
    proxy.slow(Duration::ZERO);
    let first = Site::ended(first);
    first.says(0, &[]);
    let (whole, layers, all) = sent(&first);
    assert!(layers + 1 >= all, "a server without the image gets all of it, but what it has of another: {layers} of {all}");
    let passed = proxy.passed();
    assert!(passed < whole + 20_000_000, "{passed} bytes went over the wire for {whole}");
    assert_eq!(shop.server.exec("ls -d /srv/shop/state/image.* 2>/dev/null | wc -l"), "0", "nothing stays behind");

    // One line of the source.
    shop.site.append("templates/home.html", "<!-- one line -->\n");
    let second = shop.deploy(&[]);
    let (bytes, layers, _) = sent(&second);
    assert!(layers == 1 && bytes < 100_000, "{bytes} bytes in {layers} layers");

    // The same image with other settings: nothing to send.
    shop.site.append(".env.production", "MORE=1\n");
    let third = shop.deploy(&[]);
    assert!(!third.stderr.contains("layers sent"), "{}", third.stderr);
    assert_eq!(third.json()["image"], second.json()["image"]);

    // The server does not take the part: a base that a prune took in this very moment looks like this.
    shop.server.exec(
        "cat >/usr/local/bin/docker <<'END'\n#!/bin/sh\nif [ \"$1\" = load ] && [ ! -e /refused ]; then : >/refused; cat >/dev/null; echo 'layer.tar: no such file or directory' >&2; exit 1; fi\nexec /usr/bin/docker \"$@\"\nEND\nchmod 755 /usr/local/bin/docker",
    );
    shop.site.append("templates/home.html", "<!-- another -->\n");
    let fourth = shop.deploy(&["no such file or directory", "all of it is sent"]);
    let (_, layers, all) = sent(&fourth);
    assert_eq!(layers, all);
}
