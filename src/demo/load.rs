//! Steady HTTP load on one address of this machine, and an honest count of what became of each request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What to ask for, and how hard.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// What for.
    pub path: String,
    /// How many clients at once.
    pub clients: usize,
    /// One connection for many requests, as browsers do? Then a GET on a connection that was reset is sent once
    /// more, on a new one, as browsers do too. Else a connection for each request, and no second try.
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
    /// Those sent a second time on a new connection.
    pub retried: u64,
    /// The longest time in which every request failed.
    pub outage: Duration,
    /// The slowest answer.
    pub slowest: Duration,
    /// The first failures, in words.
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
    retried: bool,
    failure: Option<String>,
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
        tally.retried += u64::from(answer.retried);
        tally.slowest = tally.slowest.max(answer.took);
        match &answer.failure {
            Some(failure) => {
                tally.failed += 1;
                failing = true;
                if tally.failures.len() < 20 {
                    tally.failures.push(format!("{:.2} s: {failure}", (answer.ended - started).as_secs_f64()));
                }
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
        let reused = open.is_some();
        let mut result = one(&load, &mut open).await;
        let mut retried = false;
        if result.is_err() && reused {
            retried = true;
            open = None;
            result = one(&load, &mut open).await;
        }
        if result.is_err() || !load.keep_alive {
            open = None;
        }
        let ended = Instant::now();
        answered.fetch_add(1, Ordering::Relaxed);
        answers.push(Answer { ended, took: ended - began, retried, failure: result.err() });
        if !load.pause.is_zero() {
            tokio::time::sleep(load.pause).await;
        }
    }
    answers
}

/// One request and its whole answer.
async fn one(load: &Load, open: &mut Option<BufReader<TcpStream>>) -> Result<(), String> {
    let exchange = async {
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(load.address).await.map_err(|error| format!("connect: {error}"))?),
        };
        let connection = if load.keep_alive { "keep-alive" } else { "close" };
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n", load.path);
        stream.get_mut().write_all(request.as_bytes()).await.map_err(|error| format!("write: {error}"))?;
        let (status, reusable) = answer(&mut stream).await.map_err(|error| format!("read: {error}"))?;
        if reusable {
            *open = Some(stream);
        }
        if (200..400).contains(&status) { Ok(()) } else { Err(format!("status {status}")) }
    };
    timeout(load.patience, exchange).await.unwrap_or_else(|_| Err(format!("no answer within {:?}", load.patience)))
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
            retried: false,
            failure: failed.then(|| String::from("status 502")),
        };
        let counted = tally(started, &[at(100, false), at(200, true), at(300, true), at(450, false), at(500, false)]);
        assert_eq!((counted.requests, counted.failed), (5, 2));
        assert_eq!(counted.outage, Duration::from_millis(350));
        assert_eq!(tally(started, &[at(100, false), at(900, false)]).outage, Duration::ZERO);
        assert_eq!(tally(started, &[at(100, true)]).outage, Duration::from_millis(100));
    }
}
