use std::collections::BTreeMap;

use serde_json::Value;

use super::{Site, docker};

/// All that a site has and says, held against what an outcome claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The release that answers.
    pub release: String,
    /// The columns of the database.
    pub schema: String,
    /// What was uploaded, by its digest.
    pub uploads: BTreeMap<String, String>,
    /// The style sheet as it is served.
    pub sheet: (u16, String),
    /// Statuses of the front page, the health path and the list of rows.
    pub answers: Vec<u16>,
}

impl Picture {
    /// Of the example's site, as it is now; `columns` asks the database for those of its tables.
    pub fn of(site: &Site, columns: impl FnOnce(&Site) -> String) -> Self {
        let in_app = format!("{}-web-{}-1", site.name, site.slot());
        let files = docker(&["exec", &in_app, "sh", "-c", "cd /app/media && find . -type f -exec sha256sum {} +"]);
        let split = |line: &str| line.split_once("  ").map(|(sum, path)| (path.to_owned(), sum.to_owned()));
        let body: Value = serde_json::from_str(&site.get("/health/").1).unwrap_or_default();
        Self {
            release: body["release"].as_str().unwrap_or_default().to_owned(),
            schema: columns(site),
            uploads: files.lines().filter_map(split).collect(),
            sheet: site.get("/static/certificados/site.css"),
            answers: ["/", "/health/", "/certificados/"].map(|path| site.get(path).0).to_vec(),
        }
    }

    /// The style sheet of the release that serves, as its container has it.
    pub fn own_sheet(site: &Site) -> String {
        docker(&["exec", &format!("{}-web-{}-1", site.name, site.slot()), "cat", "/app/staticfiles/certificados/site.css"])
    }
}
