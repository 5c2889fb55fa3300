//! A stack that runs from plain `docker compose up` is taken over, with its data.

use std::process::Command;
use std::time::Duration;

use estiba::demo::Load;

use crate::support::{Site, docker, wait_for};

#[test]
fn a_running_stack_is_taken_over_without_losing_a_row() {
    let site = Site::new("takeover", "[rollout]\nobserve = \"3s\"\n");
    // The stack as its team runs it: its own folder, its own env file, its own project name.
    let old = site.folder.join("old");
    assert!(Command::new("cp").arg("-r").arg(site.app("")).arg(&old).status().unwrap().success());
    std::fs::write(old.join("nginx/upstream.conf"), "upstream web { server web:8000; }\n").unwrap();
    let env = format!(
        "DJANGO_SECRET_KEY=a-long-secret-key-of-this-test\nDJANGO_ALLOWED_HOSTS=*\nPOSTGRES_DB=certificados_prod\n\
         POSTGRES_USER=certificados_user\nPOSTGRES_PASSWORD=plain-password\nHTTP_PORT=127.0.0.1:{}\n",
        site.address.port()
    );
    std::fs::write(old.join(".env"), env).unwrap();
    for folder in ["media", "staticfiles"] {
        std::fs::create_dir_all(old.join(folder)).unwrap();
    }
    std::fs::write(old.join("media/kept.txt"), "a file that somebody uploaded").unwrap();
    assert!(
        Command::new("chown")
            .args(["-R", "1000:1000"])
            .arg(old.join("media"))
            .arg(old.join("staticfiles"))
            .status()
            .unwrap()
            .success()
    );
    let compose = |arguments: &[&str]| {
        let output =
            Command::new("docker").args(["compose", "-p", &site.name]).args(arguments).current_dir(&old).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    docker(&["build", "-q", "-t", "certificados", old.to_str().unwrap()]);
    compose(&["up", "-d", "--no-build", "--wait", "db", "cache", "web", "nginx"]);
    compose(&["exec", "-T", "web", "python", "manage.py", "migrate", "--noinput"]);
    wait_for("the old stack", Duration::from_secs(30), || site.get("/health/").0 == 200);
    for row in 0..20 {
        let form = format!("holder=row-{row}");
        let url = format!("http://{}/certificados/", site.address);
        assert!(Command::new("curl").args(["-sf", "-d", &form, &url]).output().unwrap().status.success());
    }
    let database = |containers: &[String]| containers.iter().find(|line| line.contains("-db-1 ")).cloned();
    let before = site.containers();

    // A release that fails goes back to the old containers and the old proxy, as they were.
    let plain = |arguments: &[&str]| {
        let child = site.command(arguments).env("POSTGRES_PASSWORD", "plain-password").spawn().unwrap();
        Site::ended(child)
    };
    let kept = site.keep();
    site.append("sitio/urls.py", "\nimport sys\nprint('I stop here')\nsys.exit(3)\n");
    plain(&["deploy", "--json"]).expect(3, "rolled-back");
    assert_eq!(site.get("/health/").0, 200);
    assert_eq!(site.containers(), before);
    kept.restore();

    // The same when it fails after the proxy was replaced.
    site.append(
        "certificados/views.py",
        "\nimport threading\nthreading.Timer(1.5, lambda: os.kill(1, 9) or os.kill(os.getppid(), 15)).start()\n",
    );
    plain(&["deploy", "--json"]).expect(3, "rolled-back");
    wait_for("the old proxy", Duration::from_secs(10), || site.get("/health/").0 == 200);
    assert_eq!(site.get("/media/kept.txt").1, "a file that somebody uploaded");
    kept.restore();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let load = runtime.block_on(async {
        Load {
            address: site.address,
            path: "/certificados/".into(),
            clients: 4,
            body: None,
            keep_alive: false,
            pause: Duration::from_millis(20),
            patience: Duration::from_secs(20),
        }
        .start()
    });
    plain(&["deploy", "--json"]).expect(0, "deployed");
    let tally = runtime.block_on(load.stop());
    assert!(tally.outage <= Duration::from_secs(5), "outage {:?}: {:#?}", tally.outage, tally.failures);

    let after = site.containers();
    assert_eq!(database(&after), database(&before), "the database was not touched");
    assert!(
        after.iter().any(|line| line.contains("-web-blue-1 ")) && !after.iter().any(|line| line.contains("-web-1 ")),
        "{after:?}"
    );
    let (status, body) = site.get("/certificados/");
    assert_eq!(status, 200);
    assert!(body.contains("\"count\": 20"), "{body}");
    assert_eq!(site.get("/media/kept.txt").1, "a file that somebody uploaded");

    // And from here on it is a target like any other.
    site.append("templates/home.html", "<!-- next -->\n");
    plain(&["deploy", "--json"]).expect(0, "deployed");
    assert_eq!(database(&site.containers()), database(&before));
}
