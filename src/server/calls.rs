//! What is asked of a server, over one connection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::artefact::Artefact;
use crate::config::Resolved;
use crate::error::{Answer, Error, Result};
use crate::logs::Line;
use crate::report::AlertTold;
use crate::ssh::{Connection, Output, Piece, Running, keep_the_end};
use crate::text::{printable, shell_words};

use super::first_answer::no_answer;
use super::gate::request;
use super::protocol::{Entry, marker};
use super::upload::upload;
use super::{Facts, Metrics, Record, Scripts};

/// A server and the root of one target on it.
#[derive(Debug)]
pub struct Server<'a> {
    connection: &'a Connection,
    root: &'a str,
}

/// Which lines of the containers' logs are asked for; empty where there is no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogsAsked {
    /// At most so many of each container.
    pub tail: String,
    /// None before this time, or older than this.
    pub since: String,
    /// None after this time.
    pub until: String,
}

/// The longest that a look at a server may take.
const LOOK: Duration = Duration::from_secs(300);

/// A run to start.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its id.
    pub run: String,
}

impl<'a> Server<'a> {
    /// The server behind this connection.
    pub fn new(connection: &'a Connection, root: &'a str) -> Self {
        Self { connection, root }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.connection
    }

    pub(super) fn root(&self) -> &str {
        self.root
    }

    /// A command that runs an embedded script's text: for the first questions, before any script is there.
    pub(super) fn inline(entry: Entry, arguments: &[&str]) -> String {
        let text = shell_words([Scripts::text(entry.name()), "estiba"]);
        format!("{}exec /bin/sh -c {text} {}", request(entry, arguments), shell_words(arguments.iter().copied()))
    }

    fn script(&self, entry: Entry, arguments: &[&str]) -> String {
        let path = format!("{}/bin/{}/{}", self.root, Scripts::digest(), entry.name());
        let arguments: Vec<&str> = std::iter::once(self.root).chain(arguments.iter().copied()).collect();
        let words = ["exec", "/bin/sh", path.as_str()].into_iter().chain(arguments.iter().copied());
        request(entry, &arguments) + &shell_words(words)
    }

    /// Runs a command that only looks, and so has its answer soon.
    pub(super) async fn look(&self, command: &str) -> Result<Output> {
        match timeout(LOOK, self.connection.run(command, Bytes::new())).await {
            Ok(output) => output,
            Err(_) => Err(Error::failed(format!(
                "{}: the server has not answered a question within {} minutes; nothing was changed",
                self.connection.address(),
                LOOK.as_secs() / 60
            ))
            .hint("look at its load and its Docker Engine, then try again")),
        }
    }

    /// All that must be known, in one round trip.
    pub async fn facts(&self, resolved: &Resolved, salt: &str) -> Result<Facts> {
        let arguments = [
            self.root,
            &resolved.image().name.value,
            salt,
            &resolved.compose_project.value,
            &Scripts::digest(),
            &resolved.edge.image.value,
        ];
        let output = self.look(&Self::inline(Entry::Facts, &arguments)).await?;
        Facts::parse(&output.text())
            .map_err(|error| no_answer(self.connection.address(), &output, marker::FACTS).unwrap_or(error))
    }

    /// Sends these files, by their paths below the root, and the scripts where it lacks them, in one stream that the server checks
    /// against its manifest before any of it is in place. Folders that exist there are left alone.
    pub async fn send(&self, id: &str, with_scripts: bool, files: BTreeMap<String, Artefact>) -> Result<()> {
        let pieces = upload(with_scripts, files)?;
        let (sender, input) = mpsc::channel(pieces.len());
        for piece in pieces {
            let _ = sender.try_send(piece);
        }
        drop(sender);
        let output = self.pipe(&Self::inline(Entry::TakeFiles, &[self.root, id]), input, |_| {}).await?;
        if output.text().lines().any(|line| line == marker::RECEIVED) {
            return Ok(());
        }
        let why = output.text().lines().find_map(|line| marker::behind(marker::ERROR, line).map(str::to_owned));
        let error = Error::failed(format!(
            "{}: the server rejected the upload: {}",
            self.connection.address(),
            why.unwrap_or_else(|| "no answer came".into())
        ));
        let said = output.complaint();
        Err(if said.is_empty() { error } else { error.hint(format!("the server said: {said}")) })
    }

    /// Every image that it has: its id and the digests of its layers, lowest first.
    pub async fn images(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let output = self.look(&Self::inline(Entry::Images, &[])).await?;
        let image = |line: &str| {
            let (id, layers) = marker::behind(marker::IMAGE, line)?.split_once(' ')?;
            Some((id.to_owned(), serde_json::from_str(layers).ok()?))
        };
        Ok(output.text().lines().filter_map(image).collect())
    }

    /// A command that does nothing: how long its answer takes is a round trip and a process.
    pub async fn nothing(&self) -> Result<()> {
        self.connection.run(&(request(Entry::Nothing, &[]) + "exec true"), Bytes::new()).await.map(|_| ())
    }

    /// Sends a command's input piece by piece.
    pub(super) async fn pipe(&self, command: &str, input: mpsc::Receiver<Bytes>, sent: impl FnMut(u64) + Send) -> Result<Output> {
        self.connection.upload(command, input, sent).await
    }

    /// Takes files of a build context, packed, into the run's folder.
    pub async fn take_context(&self, run: &str, input: mpsc::Receiver<Bytes>, sent: impl FnMut(u64) + Send) -> Result<Output> {
        self.pipe(&Self::inline(Entry::TakeContext, &[self.root, run]), input, sent).await
    }

    /// Files below a folder of the root; those that do not exist are left out.
    pub async fn read(&self, folder: &str, paths: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        let folder = format!("{}/{folder}", self.root);
        let arguments: Vec<&str> = [folder.as_str()].into_iter().chain(paths.iter().copied()).collect();
        let output = self.look(&Self::inline(Entry::Cat, &arguments)).await?;
        unpack(&output.stdout)
            .ok_or_else(|| Error::failed(format!("{}: reading {folder} was cut short", self.connection.address())))
    }

    /// Starts a run, and hands each record of its journal to `see` until its outcome. `Ok(None)` when the
    /// server ended without one.
    pub async fn start(&self, start: &Start, see: impl FnMut(Record)) -> Result<Followed> {
        self.followed(&self.script(Entry::Start, &[&start.run]), see).await
    }

    /// Follows a run's journal from this byte on.
    pub async fn follow(&self, run: &str, offset: u64, see: impl FnMut(Record)) -> Result<Followed> {
        self.followed(&self.script(Entry::Follow, &[run, &offset.to_string()]), see).await
    }

    async fn followed(&self, command: &str, mut see: impl FnMut(Record)) -> Result<Followed> {
        let mut running = self.connection.start(command).await?;
        let mut followed = Followed::default();
        let mut buffer: Vec<u8> = Vec::new();
        let mut complaint: Vec<u8> = Vec::new();
        // Of the line that is coming: bytes that were let go.
        let mut let_go = 0;
        let mut begun = false;
        while let Some(piece) = running.next().await {
            match piece {
                Piece::Out(bytes) => buffer.extend_from_slice(&bytes),
                Piece::Err(bytes) => keep_the_end(&mut complaint, &bytes),
                Piece::Exit(status) => followed.exit = Some(status),
            }
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line[..end]).into_owned();
                if !begun {
                    begun = text.ends_with(marker::JOURNAL);
                    continue;
                }
                followed.bytes += line.len() as u64 + std::mem::take(&mut let_go);
                if let Some(record) = Record::parse(&text) {
                    followed.over |= record.kind == super::RecordKind::Outcome;
                    see(record);
                }
            }
            if followed.over {
                break;
            }
            if buffer.len() > LONGEST_LINE {
                let_go += (buffer.len() - LONGEST_LINE) as u64;
                buffer.truncate(LONGEST_LINE);
            }
        }
        followed.complaint = String::from_utf8_lossy(&complaint).into_owned();
        Ok(followed)
    }

    /// Gives the client's word on a run: its nonce, or why not.
    pub async fn confirm(&self, run: &str, word: std::result::Result<&str, &str>) -> Result<()> {
        let (yes, text) = match word {
            Ok(nonce) => ("yes", nonce),
            Err(why) => ("no", why),
        };
        let output = self.connection.run(&self.script(Entry::Confirm, &[run, yes]), format!("{text}\n")).await?;
        if output.text().contains(marker::TAKEN) {
            return Ok(());
        }
        Err(Error::failed(format!("the server did not accept this client's word on the run {run}: {}", output.complaint())))
    }

    /// Has a run that waits for the client's word wait as long again.
    pub async fn hold(&self, run: &str) -> Result<()> {
        self.connection.run(&self.script(Entry::Confirm, &[run, "wait"]), String::new()).await.map(drop)
    }

    /// Gives the client's word on a step of the team's that ran on its machine.
    pub async fn word(&self, run: &str, step: &str, verb: &str, word: &str) -> Result<()> {
        let output = self.connection.run(&self.script(Entry::Word, &[run, step, verb]), word.to_owned()).await?;
        if output.text().contains(marker::TAKEN) {
            return Ok(());
        }
        Err(Error::failed(format!("the server did not accept this client's word on the step {step}: {}", output.complaint())))
    }

    /// Orders the canary that runs; its run and its share, where there is one.
    pub async fn order_canary(&self, order: &str) -> Result<Option<(String, String)>> {
        let output = self.connection.run(&self.script(Entry::Canary, &[order]), Bytes::new()).await?;
        let text = output.text();
        let told = text.lines().find_map(|line| marker::behind(marker::CANARY, line)?.split_once(' '));
        Ok(told.map(|(run, share)| (run.to_owned(), share.to_owned())))
    }

    /// The logs of a project's containers, `look` or `follow`; hands each line to `see`. The server's time when it was asked.
    pub async fn logs(&self, project: &str, way: &str, asked: &LogsAsked, see: &mut impl FnMut(Line)) -> Result<Option<String>> {
        let command = Self::inline(Entry::Logs, &[project, way, &asked.tail, &asked.since, &asked.until]);
        let mut running = self.connection.start(&command).await?;
        let (mut buffer, mut complaint, mut began, mut exit) = (Vec::new(), Vec::new(), None, None);
        while let Some(piece) = running.next().await {
            match piece {
                Piece::Out(bytes) => buffer.extend_from_slice(&bytes),
                Piece::Err(bytes) => keep_the_end(&mut complaint, &bytes),
                Piece::Exit(status) => exit = Some(status),
            }
            let mut start = 0;
            while let Some(end) = buffer[start..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&buffer[start..start + end]);
                start += end + 1;
                match marker::behind(marker::LOGS, &line) {
                    Some(time) if began.is_none() => began = Some(time.to_owned()),
                    _ => Line::parse(line.trim_end_matches('\r')).into_iter().for_each(&mut *see),
                }
            }
            buffer.drain(..start);
            if buffer.len() > LONGEST_LINE {
                buffer.truncate(LONGEST_LINE);
            }
        }
        let complaint = String::from_utf8_lossy(&complaint).into_owned();
        match exit {
            Some(0) => Ok(began),
            Some(status) => Err(Error::failed(format!(
                "{}: docker compose logs ended with {status}: {}",
                self.connection.address(),
                complaint.trim()
            ))),
            None => Err(Error::failed(format!("{}: the connection was lost", self.connection.address()))),
        }
    }

    /// The command that runs these words in a container of its own, of the release that serves.
    pub fn one_off(&self, service: &str, terminal: Option<&str>, words: &[String]) -> String {
        let arguments = [service, terminal.unwrap_or("-")].into_iter().chain(words.iter().map(String::as_str));
        self.script(Entry::Use, &arguments.collect::<Vec<_>>())
    }

    /// The command that runs these words in that container.
    pub fn inside(container: &str, terminal: Option<&str>, words: &[String]) -> String {
        let with_terminal = terminal.map(|kind| ["-t".to_owned(), "-e".to_owned(), format!("TERM={kind}")]);
        let options = with_terminal.into_iter().flatten();
        let command =
            ["exec", "docker", "exec", "-i"].map(str::to_owned).into_iter().chain(options).chain([container.to_owned()]);
        shell_words(command.chain(words.iter().cloned()).collect::<Vec<_>>().iter().map(String::as_str))
    }

    /// Has the server write an image out, as `docker save` does.
    pub async fn save_image(&self, id: &str) -> Result<Running> {
        self.connection.start(&Self::inline(Entry::Save, &[id])).await
    }

    /// Has the server end every run that was interrupted; waits for that.
    pub async fn recover(&self) -> Result<()> {
        self.connection.run(&self.script(Entry::Recover, &[]), Bytes::new()).await.map(|_| ())
    }

    /// The history, oldest first, as the server keeps it.
    pub async fn history(&self) -> Result<Vec<String>> {
        let files = self.read("", &["history.jsonl"]).await?;
        let text = files.get("history.jsonl").map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The migrations that the database has, as `app name`; why not, where that cannot be told.
    pub async fn applied_migrations(&self) -> Result<Answer<BTreeSet<String>>> {
        let output = self.look(&Self::inline(Entry::Applied, &[self.root])).await?;
        let text = output.text();
        let mut lines = text.lines().skip_while(|line| *line != marker::APPLIED).skip(1);
        let applied: BTreeSet<String> = lines.by_ref().take_while(|line| *line != marker::END).map(str::to_owned).collect();
        if text.lines().any(|line| line == marker::END) {
            return Ok(Ok(applied));
        }
        let why = text.lines().find_map(|line| marker::behind(marker::UNKNOWN, line).map(str::to_owned));
        Ok(Err(why.unwrap_or_else(|| output.complaint())))
    }

    /// What people get of the release that serves and is not as that says, a line each; nothing where the server has the scripts
    /// of a version that could not tell.
    pub async fn compare(&self) -> Result<Vec<String>> {
        let text = self.look(&Self::inline(Entry::Compare, &[self.root])).await?.text();
        let lines: Vec<&str> = text.lines().skip_while(|line| *line != marker::COMPARED).skip(1).collect();
        let is_cut = text.lines().any(|line| line == marker::COMPARED) && lines.last() != Some(&marker::END);
        let cut = is_cut.then_some("the check of the apps' answers and static files was cut short");
        Ok(lines.into_iter().filter(|line| *line != marker::END).chain(cut).map(str::to_owned).collect())
    }

    /// Figures of the server, its containers and the site, by the scripts that it has.
    pub async fn metrics(&self) -> Result<Metrics> {
        let output = self.look(&Self::inline(Entry::Metrics, &[self.root])).await?;
        let text = output.text();
        let whole = text.split_once(&format!("{}\n", marker::METRICS)).and_then(|(_, rest)| rest.split_once(marker::END));
        match whole {
            Some((figures, _)) => Ok(Metrics::parse(figures)),
            None => Err(no_answer(self.connection.address(), &output, marker::METRICS).unwrap_or_else(|| {
                Error::failed(format!("{}: no figures came: {}", self.connection.address(), output.complaint()))
            })),
        }
    }

    /// What became of a run's alert by each channel, within a second; what the server cannot send is left to this client.
    pub async fn alerts(&self, run: &str) -> Result<Vec<AlertTold>> {
        let output = self.look(&self.script(Entry::Alerts, &["told", run])).await?;
        let text = output.text();
        let lines = text.lines().skip_while(|line| *line != marker::ALERTS).skip(1).take_while(|line| *line != marker::END);
        let mut told: Vec<AlertTold> = Vec::new();
        for line in lines {
            let mut words = line.splitn(3, ' ');
            let (Some(word), Some(channel)) = (words.next(), words.next()) else { continue };
            match told.iter_mut().find(|one| one.channel == channel) {
                Some(one) => word.clone_into(&mut one.state),
                None => told.push(AlertTold {
                    channel: channel.to_owned(),
                    state: word.to_owned(),
                    why: words.next().map(printable).filter(|why| !why.is_empty()),
                }),
            }
        }
        Ok(told)
    }

    /// Tells the running driver to stop and undo.
    /// With `run`, that one and no other, even when its driver has not begun yet.
    pub async fn abort(&self, run: Option<&str>) -> Result<Option<String>> {
        let arguments: Vec<&str> = run.into_iter().collect();
        let output = self.connection.run(&self.script(Entry::Abort, &arguments), Bytes::new()).await?;
        Ok(output.text().lines().next().map(str::to_owned).filter(|line| !line.is_empty()))
    }
}

/// Of a longer line of a journal only its beginning is kept here. The server has all of it.
const LONGEST_LINE: usize = 128 * 1024;

/// How following a journal ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// Bytes of the journal that came.
    pub bytes: u64,
    /// Did the outcome come?
    pub over: bool,
    /// The exit status of follow.sh.
    pub exit: Option<u32>,
    /// What came on standard error.
    pub complaint: String,
}

impl Followed {
    /// Is the process that carried out the run gone?
    pub fn is_abandoned(&self) -> bool {
        self.exit == Some(9)
    }
}

/// Takes apart what cat.sh printed.
fn unpack(stream: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let start = stream.windows(7).position(|window| window == b"estiba:")?;
    let mut rest = &stream[start..];
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 1..];
        if line == marker::END {
            return Some(files);
        }
        let mut words = marker::behind(marker::FILE, line)?.splitn(2, ' ');
        let length: usize = words.next()?.parse().ok()?;
        let name = words.next()?;
        files.insert(name.to_owned(), rest.get(..length)?.to_vec());
        rest = &rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_whole_whatever_they_hold() {
        let stream = b"hello\nestiba:file 5 a b\nx\ny\n\nestiba:file 0 c\nestiba:end\n";
        let files = unpack(stream).unwrap();
        assert_eq!(files["a b"], b"x\ny\n\n");
        assert_eq!(files["c"], b"");
        assert_eq!(unpack(&stream[..30]), None);
    }
}
