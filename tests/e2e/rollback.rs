//! Back to the previous release, with its own files, environment and image.

use crate::support::{Site, docker};

#[test]
fn a_rollback_brings_files_environment_and_image_back() {
    let site = Site::new("rollback", "[rollout]\nobserve = \"0s\"\nkeep-releases = 3\n");
    let first = site.deployed();
    site.edit("templates/home.html", "<h1>Certificados</h1>", "<h1>Edición dos</h1>");
    site.append("nginx/site.conf", "server { listen 8081; location / { return 204; } }\n");
    site.append(".env.production", "GREETING=hola\n");
    let second = site.deployed();
    assert!(site.get("/").1.contains("Edición dos"));

    // Back and forth, five times, also after a prune.
    docker(&["image", "prune", "-f"]);
    let app_variable = |name: &str| {
        let status = site.status();
        let container = format!("{}-web-{}-1", site.name, status["slot"].as_str().unwrap());
        docker(&["exec", &container, "sh", "-c", &format!("echo ${{{name}:-unset}}")]).trim().to_owned()
    };
    for turn in 0..5 {
        let outcome = site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
        let (to, title, greeting) =
            if turn % 2 == 0 { (&first, "<h1>Certificados</h1>", "unset") } else { (&second, "<h1>Edición dos</h1>", "hola") };
        assert_eq!(outcome["release"], to["release"]);
        assert_eq!(site.serving(), to["release"].as_str().unwrap());
        assert!(site.get("/").1.contains(title));
        assert_eq!(app_variable("GREETING"), greeting);
        let edge = std::fs::read_to_string(site.root.join("stack/nginx/site.conf")).unwrap();
        assert_eq!(edge.contains("8081"), turn % 2 == 1);
        assert_eq!(site.status()["image"], to["image"]);
    }

    // Two more releases push the first out; it is refused by name, and those that can be had are listed.
    for update in ["three", "four", "five"] {
        site.append("templates/home.html", &format!("<!-- {update} -->\n"));
        site.deployed();
    }
    let gone = first["release"].as_str().unwrap();
    let refused = site.estiba(&["rollback", "production", gone]);
    refused.says(1, &[gone, "releases to go back to: 20", "nothing was changed"]);
    site.estiba(&["rollback", gone]).says(1, &[gone]);
    assert!(site.lock_is_free());
}
