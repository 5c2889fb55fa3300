//! Servers in this process, as many as are wanted: they speak SSH and give the answers of a server whose Engine has the
//! image and whose every step goes well. They stand for a fleet that no test machine can hold; what a server really does
//! is tested with real ones.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;

const STEPS: &str = "preflight image stack pending fence backup migrate static start check switch observe confirm";

/// The servers of one fleet, until it is dropped.
pub struct Scripted {
    pub ports: Vec<u16>,
    pub fingerprint: String,
    _runtime: tokio::runtime::Runtime,
}

/// How a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a server does.
    Good,
    /// The first answer never ends.
    Endless,
    /// Standard error never ends.
    Complains,
    /// A run tells of steps without end.
    Restless,
    /// Whatever it says is more than it seems.
    Dressed,
    /// The same, and of this fact too, which many commands go no further than.
    Tells(&'static str),
}

/// What a terminal, a workflow or a reader of Markdown could take for something else.
const DRESS: &str =
    "\u{1b}]52;c;aGk=\u{7}\u{1b}[2J<img src=x>[l](https://evil.example)`|\r::set-output name=outcome::deployed##[error]\u{202e}";

/// What a server of the fleet says.
struct Script {
    manner: Manner,
    /// Its answer to what images there are.
    image: String,
    /// The step at which the run fails, if it does.
    fails: Option<&'static str>,
    /// The client's word: what came for `confirm.sh`, and whether a run waits for it at all.
    word: watch::Sender<Option<String>>,
    waits: watch::Sender<bool>,
}

impl Scripted {
    /// That many servers which have this image; the last one fails at that step.
    pub fn start(count: usize, image: &str, fails: Option<&'static str>) -> Self {
        Self::in_a_manner(count, image, fails, Manner::Good)
    }

    /// The same with servers that are not what they should be.
    pub fn in_a_manner(count: usize, image: &str, fails: Option<&'static str>, manner: Manner) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let config =
            Arc::new(Config { keys: vec![key], nodelay: true, auth_rejection_time: Duration::ZERO, ..Config::default() });
        let mut ports = Vec::new();
        for at in 0..count {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            ports.push(listener.local_addr().unwrap().port());
            let script = Arc::new(Script {
                manner,
                image: image.to_owned(),
                fails: fails.filter(|_| at + 1 == count),
                word: watch::Sender::new(None),
                waits: watch::Sender::new(false),
            });
            let config = config.clone();
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (config, client) = (config.clone(), Client(script.clone()));
                    tokio::spawn(async move {
                        if let Ok(session) = russh::server::run_stream(config, stream, client).await {
                            let _ = session.await;
                        }
                    });
                }
            });
        }
        Self { ports, fingerprint, _runtime: runtime }
    }

    /// Writes an image of one small layer where an archive is wanted; what a server that has it says of it.
    pub fn archive(path: &std::path::Path) -> String {
        let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let layer = tar::Builder::new(Vec::new()).into_inner().unwrap();
        let layers = serde_json::json!([format!("sha256:{}", digest(&layer))]);
        let config =
            serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": layers}});
        let config = config.to_string();
        let id = digest(config.as_bytes());
        let manifest = serde_json::json!([{"Config": format!("{id}.json"), "RepoTags": [], "Layers": ["layer.tar"]}]).to_string();
        let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
        for (name, bytes) in [
            (format!("{id}.json"), config.as_bytes()),
            ("layer.tar".to_owned(), &layer),
            ("manifest.json".to_owned(), manifest.as_bytes()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, bytes).unwrap();
        }
        archive.finish().unwrap();
        format!("sha256:{id} {layers}")
    }

    /// A deploy.toml for the first so many of them.
    pub fn deploy_toml(&self, name: &str, count: usize) -> String {
        let hosts: Vec<String> = self.ports[..count].iter().map(|port| format!("\"root@127.0.0.1:{port}\"")).collect();
        format!(
            "[project]\nname = \"{name}\"\n[target.production]\nhosts = [{}]\nhost-keys = [\"{}\"]\nroot = \"/srv/shop\"\n\
             [image]\nsource = \"archive\"\narchive = \"image.tar\"\n[rollout]\nobserve = \"0s\"\n",
            hosts.join(", "),
            self.fingerprint
        )
    }
}

struct Client(Arc<Script>);

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _user: &str, _key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        tokio::spawn(answer(self.0.clone(), channel));
        Ok(())
    }

    async fn exec_request(&mut self, channel: ChannelId, _command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }
}

/// Reads a command and its input, and answers as that script of the server's half does.
async fn answer(script: Arc<Script>, mut channel: Channel<Msg>) {
    let mut command = String::new();
    let mut input = Vec::new();
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Exec { command: bytes, .. } => {
                command = String::from_utf8_lossy(&bytes).into_owned();
                if command.contains("/start.sh") {
                    break;
                }
            }
            ChannelMsg::Data { data } => input.extend_from_slice(&data),
            ChannelMsg::Eof => break,
            _ => {}
        }
    }
    let text = String::from_utf8_lossy(&input);
    match script.manner {
        Manner::Endless => {
            while channel.data_bytes(vec![b'x'; 256 << 10]).await.is_ok() {}
            return;
        }
        Manner::Complains => {
            while channel.extended_data_bytes(1, vec![b'x'; 256 << 10]).await.is_ok() {}
            return;
        }
        Manner::Restless if command.contains("/start.sh") => {
            let _ = channel.data_bytes("estiba:journal\n").await;
            let lines = "1\tdone\tcheck\t\n1\tnote\tcompare\tanother\n1\tfailed\tcheck\twhy\n".repeat(4096);
            for _ in 0..40 {
                if channel.data_bytes(lines.clone().into_bytes()).await.is_err() {
                    return;
                }
            }
            let _ = channel.data_bytes("2\toutcome\tcheck\t3 rolled-back why\n").await;
            return end(&channel).await;
        }
        Manner::Dressed | Manner::Tells(_) if command.contains("/start.sh") => {
            let kinds = ["began", "out", "note", "done", "failed", "undoing", "undone", "undo-failed"];
            let lines: String = kinds.iter().map(|kind| format!("1\t{kind}\tcheck{DRESS}\t{DRESS}\n")).collect();
            let _ = channel.data_bytes(format!("estiba:journal\n{lines}2\toutcome\tcheck{DRESS}\t3 rolled-back {DRESS}\n")).await;
            return end(&channel).await;
        }
        _ => {}
    }
    let dress = if matches!(script.manner, Manner::Dressed | Manner::Tells(_)) { DRESS } else { "" };
    let said = if !dress.is_empty()
        && let Some(said) = dressed(&command, script.manner)
    {
        said
    } else if command.contains("estiba:facts") {
        "estiba:facts\nuser=root\narch=x86_64\ndocker=26.1.5\ncompose=2.26.1\nstore=overlay2\nfree_kb=100000000\nedge_image=sha256:edge\n".to_owned()
            + "current=\nestiba:end\n"
    } else if command.contains("estiba:image") {
        format!("estiba:image {}\n", script.image)
    } else if command.contains("estiba:received") {
        script.waits.send_replace(!text.contains("\nNONCE=''\n"));
        "estiba:received\n".into()
    } else if command.contains("/confirm.sh") && command.ends_with(" wait") {
        "estiba:taken\n".into()
    } else if command.contains("/confirm.sh") {
        let word = if command.ends_with(" yes") { String::new() } else { text.into_owned() };
        script.word.send_replace(Some(word));
        "estiba:taken\n".into()
    } else if command.contains("/start.sh") {
        return run(&script, &channel).await;
    } else {
        String::new()
    };
    let _ = channel.data_bytes(said.into_bytes()).await;
    end(&channel).await;
}

/// What each look gets from a server of which nothing can be believed; `None` where the others' answer will do.
fn dressed(command: &str, manner: Manner) -> Option<String> {
    // `: estiba SCRIPTS NAME aARGUMENT…;`, as a gate reads it.
    let request = command.split(';').next().unwrap_or_default();
    let arguments: Vec<&str> = request.split(' ').skip(4).map(|word| word.strip_prefix('a').unwrap_or(word)).collect();
    if command.contains("estiba:facts") {
        let mut facts: String = FACTS.replace("DRESS", DRESS);
        if let Manner::Tells(name) = manner {
            facts += &format!("{name}={DRESS}\n");
        }
        Some(format!("estiba:facts\n{facts}estiba:end\n"))
    } else if command.contains("estiba:file") {
        let history = [
            "run",
            "kind",
            "outcome",
            "release",
            "previous",
            "commit",
            "by",
            "from",
            "started",
            "finished",
            "failed_step",
            "reason",
        ];
        let history: serde_json::Map<_, _> = history.into_iter().map(|name| (name.to_owned(), DRESS.into())).collect();
        let history = format!("{}\n", serde_json::Value::Object(history));
        let files = arguments.iter().skip(1).map(|name| {
            let text = if *name == "history.jsonl" { history.as_str() } else { DRESS };
            format!("estiba:file {} {name}\n{text}", text.len())
        });
        Some(format!("{}estiba:end\n", files.collect::<String>()))
    } else if command.contains("estiba:compared") {
        Some(format!("estiba:compared\n{DRESS}\nestiba:end\n"))
    } else if command.contains("estiba:applied") {
        Some(format!("estiba:unknown {DRESS}\n"))
    } else if command.contains("backups.sh") {
        let backup = ["id", "created", "by", "reason", "engine", "name", "size", "verified", "offsite"];
        let backup: serde_json::Map<_, _> = backup.into_iter().map(|name| (name.to_owned(), DRESS.into())).collect();
        Some(format!("{}\n", serde_json::Value::Object(backup)))
    } else if command.contains("/abort.sh") {
        Some(format!("{DRESS}\n"))
    } else {
        None
    }
}

/// The facts of such a server: all that are free text.
const FACTS: &str = "user=DRESS\narch=x86_64\ndocker=DRESS\ncompose=2.26.1\nstore=overlay2\nfree_kb=100000000\nedge_image=sha256:edge\n\
    current=r1\nprevious=r0\nslot_blue=r1\ncurrent_since=DRESS\ncurrent_by=DRESS\ncurrent_image=sha256:a\nbackup=b1\n\
    last_backup={\"exit\":1,\"finished\":\"DRESS\"}\nlast_drill={\"exit\":1,\"finished\":\"DRESS\",\"reason\":\"DRESS\"}\nunfinished=DRESS\n\
    edge_moved=DRESS\nholder_stopped=DRESS\ndocker_root=DRESS\nedited=stack:DRESS\nenvironment_moved=DRESS\nopen_run=run1\n\
    container=webDRESS running 12 - r1 unhealthy\nslot_image=webDRESS DRESS r1\nedge=DRESS DRESS\ndeployed=DRESS DRESS\n\
    current_file=DRESS  DRESS\ncurrent_file=ab  files/stack.yml\ncurrent_env=DRESS DRESS\ncurrent_COMMIT='DRESS'\ncurrent_APPS='DRESS'\n\
    current_STACK_SERVICES='DRESS'\nrelease=r1 sha256:a present\nrelease=r0 sha256:b present\n";

/// Tells a run's journal, a record at a time.
async fn run(script: &Script, channel: &Channel<Msg>) {
    let mut ended = "0 deployed ".to_owned();
    let mut failed = "";
    let _ = channel.data_bytes("estiba:journal\n").await;
    for step in STEPS.split(' ') {
        let _ = channel.data_bytes(format!("10\tbegan\t{step}\t\n")).await;
        let mut why = (script.fails == Some(step)).then(|| String::from("it did not go well"));
        if step == "confirm" && *script.waits.borrow() {
            let mut word = script.word.subscribe();
            let word = word.wait_for(Option::is_some).await.ok().and_then(|word| word.clone());
            why = word.filter(|word| !word.is_empty());
        }
        if let Some(why) = why {
            let _ = channel.data_bytes(format!("11\tfailed\t{step}\t{why}\n")).await;
            (ended, failed) = (format!("3 rolled-back {why}"), step);
            break;
        }
        let _ = channel.data_bytes(format!("11\tdone\t{step}\t\n")).await;
    }
    let _ = channel.data_bytes(format!("12\toutcome\t{failed}\t{ended}\n")).await;
    end(channel).await;
}

async fn end(channel: &Channel<Msg>) {
    let _ = channel.exit_status(0).await;
    let _ = channel.eof().await;
    let _ = channel.close().await;
}
