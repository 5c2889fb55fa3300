//! Readers and a writer on the site. The writer keeps a list of the rows that were acknowledged.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use estiba::demo::{Load, Running, Tally};
use tokio::runtime::Runtime;

pub struct Traffic {
    runtime: Runtime,
    readers: Running,
    stop: Arc<AtomicBool>,
    writer: JoinHandle<Written>,
}

/// What the writer saw.
#[derive(Debug, Default)]
pub struct Written {
    pub acknowledged: Vec<u64>,
    /// Answered 503 with Retry-After, as a fence does.
    pub refused: u64,
    pub failed: Vec<String>,
}

impl Traffic {
    pub fn start(port: u16) -> Self {
        let runtime = Runtime::new().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let readers = runtime.block_on(async {
            Load {
                address,
                path: "/certificados/".into(),
                clients: 3,
                body: None,
                keep_alive: false,
                pause: Duration::from_millis(120),
                patience: Duration::from_secs(20),
            }
            .start()
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let writer = std::thread::spawn(move || {
            let mut written = Written::default();
            while !stopped.load(Ordering::Relaxed) {
                match post(address) {
                    Ok(id) => written.acknowledged.push(id),
                    Err(error) if error.contains("Retry-After") => written.refused += 1,
                    Err(error) => written.failed.push(error),
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            written
        });
        Self { runtime, readers, stop, writer }
    }

    pub fn stop(self) -> (Tally, Written) {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.writer.join().unwrap();
        (self.runtime.block_on(self.readers.stop()), written)
    }
}

/// Writes one row; its number, once it is acknowledged.
fn post(address: SocketAddr) -> Result<u64, String> {
    let body = "holder=matrix";
    let request = format!(
        "POST /certificados/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let began = Instant::now();
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| format!("POST: {error} after {:?}", began.elapsed()))?;
    let id = answer.split("\"id\": ").nth(1).and_then(|rest| rest.trim_end_matches(['}', '\n', '\r']).parse().ok());
    match (answer.starts_with("HTTP/1.1 201"), id) {
        (true, Some(id)) => Ok(id),
        _ if answer.starts_with("HTTP/1.1 503") && answer.to_ascii_lowercase().contains("retry-after: 30") => {
            Err("503 with Retry-After".into())
        }
        _ => Err(format!("POST: {}", answer.lines().next().unwrap_or("no answer"))),
    }
}
