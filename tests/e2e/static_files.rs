//! Static files are those of the release that serves, after an update, an undo and a rollback.

use crate::support::Site;

const SETTINGS: &str = "[rollout]\nobserve = \"0s\"\n[health]\ntimeout = \"15s\"\n";
const SHEET: &str = "certificados/static/certificados/site.css";

impl Site {
    /// A release whose style sheet says so, with a file that no other release has.
    pub fn styled(&self, word: &str) {
        self.write(SHEET, &format!("/* {word} */\n"));
        self.write(&format!("certificados/static/certificados/{word}.css"), word);
    }

    #[track_caller]
    fn sheet_says(&self, word: &str) {
        assert_eq!(self.get("/static/certificados/site.css"), (200, format!("/* {word} */\n")));
        assert_eq!(self.get(&format!("/static/certificados/{word}.css")), (200, word.to_owned()));
        let image = format!("{}-web-{}-1", self.name, self.status()["slot"].as_str().unwrap());
        let own = crate::support::docker(&["exec", &image, "cat", "/app/staticfiles/certificados/site.css"]);
        assert_eq!(own, format!("/* {word} */\n"), "the app's own");
    }

    /// Releases b and d after a, a broken one between them, and a rollback from d.
    fn changes_style(&self) {
        self.styled("a");
        self.deployed();
        self.sheet_says("a");
        self.styled("b");
        self.deployed();
        self.sheet_says("b");
        let kept = self.keep();
        // One that is never healthy, and one that serves until it is looked at from outside.
        for word in ["c", "e"] {
            kept.restore();
            self.styled(word);
            match word {
                "c" => self.edit("certificados/views.py", "status=200 if healthy else 503", "status=500"),
                _ => {
                    let url =
                        format!("url = \"http://{}/\"\nurl-contains = \"what the page does not say\"\n[rollout]", self.address);
                    self.edit("deploy.toml", "[rollout]", &url);
                }
            }
            let run = self.estiba(&["deploy", "--json"]);
            assert_eq!(run.json()["failed_step"], if word == "c" { "check" } else { "confirm" });
            run.expect(3, "rolled-back");
            self.sheet_says("b");
            assert_eq!(self.get(&format!("/static/certificados/{word}.css")).0, 404, "a release that was undone leaves nothing");
        }
        kept.restore();
        self.styled("d");
        self.deployed();
        self.sheet_says("d");
        assert_eq!(self.get("/static/certificados/b.css").0, 200, "a page of the release before may still be open");
        self.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
        self.sheet_says("b");
    }
}

#[test]
#[ignore = "a variant: make test-whole"]
fn a_folder_that_the_release_collects_into() {
    let site = Site::new("static", SETTINGS);
    site.changes_style();
    // What no release has that is kept goes.
    site.edit("deploy.toml", "observe = \"0s\"", "observe = \"0s\"\nkeep-releases = 2");
    for word in ["f", "g"] {
        site.styled(word);
        site.edit("certificados/views.py", "\"local\")", "\"local\") ");
        std::fs::remove_file(site.app("certificados/static/certificados/a.css")).unwrap_or_default();
        site.deployed();
    }
    assert_eq!(site.get("/static/certificados/a.css").0, 404);
    assert_eq!(std::fs::read_dir(site.root.join("static")).unwrap().count(), 2);
    assert_eq!(site.status()["drift"], serde_json::json!([]));
    std::fs::write(site.root.join("shared/staticfiles/certificados/site.css"), "/* by hand */").unwrap();
    let drift = site.status()["drift"].to_string();
    assert!(drift.contains("the static file certificados/site.css of staticfiles is not that of the release"), "{drift}");
}

#[test]
fn a_volume_that_the_image_fills() {
    let site = Site::new("static-volume", SETTINGS);
    for line in ["./staticfiles:/app/staticfiles", "./staticfiles:/srv/staticfiles:ro"] {
        site.edit("compose.yml", line, &line.replace("./", ""));
    }
    site.append("compose.yml", "  staticfiles:\n");
    site.append("deploy.toml", "[app]\ncollect-static = \"\"\n");
    site.edit(
        "Dockerfile",
        "USER app",
        "USER app\nRUN DJANGO_SECRET_KEY=x POSTGRES_DB=x POSTGRES_USER=x POSTGRES_PASSWORD=x python manage.py collectstatic --noinput",
    );
    for word in ["a", "b"] {
        site.styled(word);
        site.deployed();
        site.sheet_says(word);
    }
    site.estiba(&["rollback", "--json"]).expect(0, "rolled-back");
    site.sheet_says("a");
}
