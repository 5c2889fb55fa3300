//! Steady HTTP load on one address of this machine, and an honest count of what became of each request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The rest of a client whose request failed: one that asks at once again keeps the machine from starting anything.
const AFTER_A_FAILURE: Duration = Duration::from_millis(20);

/// How many of the first failures are told, and of the last.
const FAILURES_TOLD: usize = 20;

/// What to ask for, and how hard.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// What for.
    pub path: String,
    /// How many clients at once.
    pub clients: usize,
    /// What each request carries: with it, it is a POST.
    pub body: Option<String>,
    /// One connection for many requests, as browsers do? Else a connection for each. No request is ever sent twice.
    pub keep_alive: bool,
    /// The rest between two requests of one client.
    pub pause: Duration,
    /// When a request without an answer counts as failed.
    pub patience: Duration,
}

/// What became of the requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// All of them.
    pub requests: u64,
    /// Those without an answer of 2xx or 3xx.
    pub failed: u64,
    /// Of these, those whose connection was closed before a byte of an answer came, as a proxy that is reloaded does with
    /// idle ones.
    pub closed: u64,
    /// The longest time in which every request failed.
    pub outage: Duration,
    /// The slowest answer.
    pub slowest: Duration,
    /// The first failures and the last ones, in words.
    pub failures: Vec<String>,
}

/// Load that is under way.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<Answer>>>,
    started: Instant,
}

#[derive(Debug, Clone)]
struct Answer {
    ended: Instant,
    took: Duration,
    failure: Option<Failure>,
}

/// Why a request has no good answer.
#[derive(Debug, Clone)]
struct Failure {
    /// Was the connection closed before a byte of an answer came?
    closed: bool,
    words: String,
}

impl Load {
    /// Begins, until [`Running::stop`].
    pub fn start(self) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let clients = (0..self.clients).map(|_| tokio::spawn(client(self.clone(), stop.clone(), answered.clone()))).collect();
        Running { stop, answered, clients, started: Instant::now() }
    }
}

impl Running {
    /// How many requests have come to an end so far.
    pub fn requests(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets each client end its request, and counts.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = Vec::new();
        for client in self.clients {
            answers.extend(client.await.unwrap_or_default());
        }
        answers.sort_by_key(|answer| answer.ended);
        tally(self.started, &answers)
    }
}

fn tally(started: Instant, answers: &[Answer]) -> Tally {
    let mut tally = Tally { requests: answers.len() as u64, ..Tally::default() };
    // Since the last good answer, or the beginning; only a time with failures in it is an outage.
    let mut last_good = started;
    let mut failing = false;
    for answer in answers {
        tally.slowest = tally.slowest.max(answer.took);
        match &answer.failure {
            Some(failure) => {
                tally.failed += 1;
                tally.closed += u64::from(failure.closed);
                failing = true;
                if tally.failures.len() == 2 * FAILURES_TOLD {
                    tally.failures.remove(FAILURES_TOLD);
                }
                let (at, took) = (answer.ended - started, answer.took);
                tally.failures.push(format!("{:.2} s: {}, after {took:.0?}", at.as_secs_f64(), failure.words));
            }
            None => {
                if failing {
                    tally.outage = tally.outage.max(answer.ended - last_good);
                }
                failing = false;
                last_good = answer.ended;
            }
        }
    }
    if let (true, Some(last)) = (failing, answers.last()) {
        tally.outage = tally.outage.max(last.ended - last_good);
    }
    tally
}

async fn client(load: Load, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut open: Option<BufReader<TcpStream>> = None;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let kept = open.is_some();
        let result = one(&load, &mut open).await;
        if result.is_err() || !load.keep_alive {
            open = None;
        }
        let ended = Instant::now();
        answered.fetch_add(1, Ordering::Relaxed);
        let failure = result.err().map(|failed| match failed {
            Failed::Silent(words) => {
                Failure { closed: true, words: format!("{words}{}", if kept { ", on a kept connection" } else { "" }) }
            }
            Failed::Answered(words) => Failure { closed: false, words },
        });
        let failed = failure.is_some();
        answers.push(Answer { ended, took: ended - began, failure });
        let pause = if failed { load.pause.max(AFTER_A_FAILURE) } else { load.pause };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    answers
}

enum Failed {
    /// No byte of an answer came.
    Silent(String),
    Answered(String),
}

/// One request and its whole answer.
async fn one(load: &Load, open: &mut Option<BufReader<TcpStream>>) -> Result<(), Failed> {
    let exchange = async {
        let silent = |what: &str, error: std::io::Error| Failed::Silent(format!("{what}: {error}"));
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(load.address).await.map_err(|error| silent("connect", error))?),
        };
        stream.get_mut().write_all(request(load).as_bytes()).await.map_err(|error| silent("write", error))?;
        match stream.fill_buf().await {
            Ok([]) => return Err(Failed::Silent("read: the connection was closed".into())),
            Ok(_) => {}
            Err(error) => return Err(silent("read", error)),
        }
        let (status, reusable) = answer(&mut stream).await.map_err(|error| Failed::Answered(format!("read: {error}")))?;
        if reusable {
            *open = Some(stream);
        }
        if (200..400).contains(&status) { Ok(()) } else { Err(Failed::Answered(format!("status {status}"))) }
    };
    let late = || Failed::Answered(format!("no answer within {:?}", load.patience));
    timeout(load.patience, exchange).await.unwrap_or_else(|_| Err(late()))
}

fn request(load: &Load) -> String {
    let connection = if load.keep_alive { "keep-alive" } else { "close" };
    let head = format!("{} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n", load.path);
    match &load.body {
        None => format!("GET {head}\r\n"),
        Some(body) => {
            format!("POST {head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
    }
}

/// Reads one answer to its end. Says its status, and whether the connection can be used again.
async fn answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<(u16, bool)> {
    let eof = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(eof());
    }
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(eof)?;
    let (mut length, mut chunked, mut close) = (None, false, false);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(eof());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", value) => length = value.parse::<usize>().ok(),
            ("transfer-encoding", value) => chunked = value.eq_ignore_ascii_case("chunked"),
            ("connection", value) => close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    match length {
        _ if chunked => loop {
            line.clear();
            stream.read_line(&mut line).await?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| eof())?;
            body.resize(size + 2, 0);
            stream.read_exact(&mut body).await?;
            if size == 0 {
                break;
            }
        },
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body).await?;
        }
        None => {
            stream.read_to_end(&mut body).await?;
            close = true;
        }
    }
    Ok((status, !close))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_the_last_good_answer_to_the_next() {
        let started = Instant::now();
        let at = |ms, failed: bool| Answer {
            ended: started + Duration::from_millis(ms),
            took: Duration::from_millis(1),
            failure: failed.then(|| Failure { closed: false, words: "status 502".into() }),
        };
        let counted = tally(started, &[at(100, false), at(200, true), at(300, true), at(450, false), at(500, false)]);
        assert_eq!((counted.requests, counted.failed), (5, 2));
        assert_eq!(counted.outage, Duration::from_millis(350));
        assert_eq!(tally(started, &[at(100, false), at(900, false)]).outage, Duration::ZERO);
        assert_eq!(tally(started, &[at(100, true)]).outage, Duration::from_millis(100));
    }
}
