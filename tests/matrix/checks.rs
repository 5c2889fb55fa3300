//! What must hold after every cell.

use serde_json::Value;

use super::client::Client;
use super::server::Server;

/// Everything that tells which release the server is on.
#[derive(Debug, Default)]
pub struct State {
    pub current: String,
    served: String,
    number_file: String,
    number_env: String,
    number_proxy: String,
    container_image: String,
    release_image: String,
    tag_image: String,
    slot: String,
    edge: String,
    worker: String,
    upload: String,
    sheet_served: String,
    sheet_own: String,
    pub schema: String,
}

impl State {
    pub fn look(server: &Server) -> Self {
        let script = r#"
cd /srv/shop
current=$(basename "$(readlink current)")
slot=; for s in blue green; do [ "$(basename "$(readlink slots/$s)")" != "$current" ] || slot=$s; done
echo "current $current"
echo "served $(curl -s --max-time 10 http://127.0.0.1/health/ | sed 's/.*"release": "\([^"]*\)".*/\1/')"
echo "number_file $(sed -n 's/^NUMBER=//p' releases/$current/files/.env.production)"
echo "number_env $(/usr/bin/docker exec shop-web-$slot-1 printenv NUMBER)"
echo "number_proxy $(sed -n 's/^# number //p' stack/nginx/site.conf)"
echo "container_image $(/usr/bin/docker inspect -f '{{.Image}}' shop-web-$slot-1)"
echo "release_image $(cat releases/$current/image)"
echo "tag_image $(/usr/bin/docker image inspect -f '{{.Id}}' shop:current)"
echo "slot $slot"
echo "edge $(cat edge/web/state/slot.map edge/web/state/fence.map | tr '\n' ' ')"
echo "worker $(/usr/bin/docker ps --filter label=com.docker.compose.project=shop --format '{{.Label "com.docker.compose.service"}} {{.Label "estiba.release"}}' | grep worker | sort | tr '\n' ' ')"
echo "upload $(curl -s --max-time 10 http://127.0.0.1/media/kept.txt)"
echo "sheet_served $(curl -s --max-time 10 http://127.0.0.1/static/certificados/site.css | sha256sum)"
echo "sheet_own $(/usr/bin/docker exec shop-web-$slot-1 cat /app/staticfiles/certificados/site.css | sha256sum)"
echo "schema $(/usr/bin/docker exec shop-db-1 psql -U certificados_user -d certificados_prod -Atc 'SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2' | sha256sum)"
"#;
        let told = server.exec(script);
        let get = |key: &str| told.lines().find_map(|line| line.strip_prefix(&format!("{key} "))).unwrap_or("").trim().to_owned();
        Self {
            current: get("current"),
            served: get("served"),
            number_file: get("number_file"),
            number_env: get("number_env"),
            number_proxy: get("number_proxy"),
            container_image: get("container_image"),
            release_image: get("release_image"),
            tag_image: get("tag_image"),
            slot: get("slot"),
            edge: get("edge"),
            worker: get("worker"),
            upload: get("upload"),
            sheet_served: get("sheet_served"),
            sheet_own: get("sheet_own"),
            schema: get("schema"),
        }
    }

    /// What does not agree.
    pub fn problems(&self) -> Vec<String> {
        let slot = &self.slot;
        let mut problems = Vec::new();
        let mut same = |what: &str, one: &str, other: &str| {
            if one != other || one.is_empty() {
                problems.push(format!("{what}: `{one}`, not `{other}`"));
            }
        };
        same("the release that answers", &self.served, &self.current);
        same("the environment of the container", &self.number_env, &self.number_file);
        same("the proxy's configuration", &self.number_proxy, &self.number_file);
        same("the image of the container", &self.container_image, &self.release_image);
        same("the image tag `current`", &self.tag_image, &self.release_image);
        same("the edge", &self.edge, &format!("slot {slot} fence off"));
        same("what was uploaded before the first fault", &self.upload, "kept");
        same("the style sheet", &self.sheet_served, &self.sheet_own);
        same("the workers", &self.worker, &format!("worker-{slot} {}", self.current));
        problems
    }
}

/// What `status` and `history` must tell once everything is settled. A step behind the commit that had no database, or no disk to
/// write to, is left to the next deploy, and `status` says so.
pub fn told(server: &Server, client: &Client, run: &str, state: &State, may_be_unfinished: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !server.try_exec("flock -n -s /srv/shop/state/lock true").status.success() {
        problems.push("the lock is held".into());
    }
    let status = client.run(&["status", "--json"]);
    match serde_json::from_str::<Value>(status.stdout.lines().last().unwrap_or("")) {
        Ok(status) => {
            let unfinished =
                |drift: &Value| drift.as_str().is_some_and(|text| text.starts_with("the last deploy was not finished"));
            let drift = status["drift"].as_array().is_none_or(|all| !all.iter().all(|one| may_be_unfinished && unfinished(one)));
            if status["release"] != state.current.as_str() || !status["running"].is_null() || drift {
                problems.push(format!("status: {status}"));
            }
        }
        Err(error) => problems.push(format!("status: {error}: {}", status.stderr)),
    }
    let history = server.exec(&format!("grep -F '\"run\":\"{run}\"' /srv/shop/history.jsonl || true"));
    let entries: Vec<Value> = history.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    match entries.as_slice() {
        [one] => {
            let deployed = one["outcome"] == "deployed";
            if one["kind"] == "deploy" && deployed != (one["release"] == state.current.as_str()) {
                problems.push(format!("history tells another end: {one}"));
            }
        }
        other => problems.push(format!("history has {} entries for {run}", other.len())),
    }
    problems
}

/// Rows that were acknowledged and are in no database: a restore keeps the one that it replaces.
pub fn lost_rows(server: &Server, acknowledged: &[u64]) -> usize {
    let mut rows = std::collections::BTreeSet::<u64>::new();
    for database in databases(server).iter().filter(|name| !name.starts_with("estiba_")) {
        rows.extend(
            sql(server, database, "SELECT id FROM certificados_certificate").lines().filter_map(|line| line.parse::<u64>().ok()),
        );
    }
    acknowledged.iter().filter(|id| !rows.contains(id)).count()
}

/// The app's database, those that it replaced, and what a run left.
pub fn databases(server: &Server) -> Vec<String> {
    let names = "SELECT datname FROM pg_database WHERE datname LIKE 'certificados_prod%' OR datname LIKE 'estiba%' ORDER BY 1";
    sql(server, "postgres", names).lines().map(str::to_owned).collect()
}

/// Takes the replaced databases away, so that the next cell counts its own.
pub fn forget_replaced(server: &Server) {
    for name in databases(server).iter().filter(|name| name.contains("_replaced_")) {
        sql(server, "postgres", &format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }
}

/// What a fence or a copy of the database would be left of.
pub fn left_in_the_database(server: &Server) -> Vec<String> {
    let mut left: Vec<String> = databases(server).into_iter().filter(|name| name.starts_with("estiba")).collect();
    if sql(server, "certificados_prod", "SHOW default_transaction_read_only") != "off" {
        left.push("the database takes no writes".into());
    }
    if !server.try_exec("grep -qx 'fence off' /srv/shop/edge/web/state/fence.map").status.success() {
        left.push("the edge refuses writes".into());
    }
    left
}

fn sql(server: &Server, database: &str, statement: &str) -> String {
    let quoted = statement.replace('\'', "'\\''");
    server.exec(&format!("/usr/bin/docker exec shop-db-1 psql -U certificados_user -d {database} -Atc '{quoted}'"))
}
