//! Servers that stand for Slack, for other webhooks and for a mail server, and record what they get.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::github::read_request;

/// What such a server answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answers {
    /// As it should.
    Well,
    /// With an error the first so many times, and well then.
    BadlyAtFirst(usize),
    /// Bytes that are no answer.
    Garbage,
    /// That it is elsewhere.
    Elsewhere,
    /// Nothing, ever.
    Never,
}

/// What it got, in order: bodies of requests, or mails.
#[derive(Debug, Clone)]
pub struct Recorder {
    pub port: u16,
    got: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Takes POSTs.
    pub fn http(answers: Answers) -> Self {
        Self::http_on("127.0.0.1", answers)
    }

    /// Takes POSTs at that address of this machine.
    pub fn http_on(address: &str, answers: Answers) -> Self {
        let asked = AtomicUsize::new(0);
        Self::start(address, move |stream, got| {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            post(stream, got, answers, number)
        })
    }

    /// Takes mail.
    pub fn smtp() -> Self {
        Self::smtp_on("127.0.0.1")
    }

    /// Takes mail at that address of this machine.
    pub fn smtp_on(address: &str) -> Self {
        Self::start(address, mail)
    }

    fn start(address: &str, serve: impl Fn(TcpStream, &Mutex<Vec<String>>) -> Option<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let recorder = Self { port: listener.local_addr().unwrap().port(), got: Arc::default() };
        let got = recorder.got.clone();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, got) = (serve.clone(), got.clone());
                std::thread::spawn(move || serve(stream, &got));
            }
        });
        recorder
    }

    pub fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

fn post(mut stream: TcpStream, got: &Mutex<Vec<String>>, answers: Answers, number: usize) -> Option<()> {
    got.lock().unwrap().push(read_request(&stream)?.1);
    let answer: &[u8] = match answers {
        Answers::BadlyAtFirst(times) if number < times => {
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        }
        Answers::Well | Answers::BadlyAtFirst(_) => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        Answers::Elsewhere => b"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        Answers::Garbage => b"\x00\xff\x1b[31m\r\n\r\n\xfe\xfe",
        Answers::Never => {
            // Until the other side has had enough.
            let _ = stream.read(&mut [0; 1]);
            return None;
        }
    };
    stream.write_all(answer).ok()
}

/// One connection of SMTP (RFC 5321), without extensions.
fn mail(mut stream: TcpStream, got: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    stream.write_all(b"220 recorder\r\n").ok()?;
    let mut envelope = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return Some(());
        }
        let command = line.trim().to_ascii_uppercase();
        if command == "DATA" {
            stream.write_all(b"354 go on\r\n").ok()?;
            let mut text = std::mem::take(&mut envelope);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                if line == ".\r\n" {
                    break;
                }
                assert!(line.ends_with("\r\n"), "a line of mail ends otherwise: {line:?}");
                text += line.strip_prefix('.').unwrap_or(&line);
            }
            got.lock().unwrap().push(text);
            stream.write_all(b"250 taken\r\n").ok()?;
        } else if command == "QUIT" {
            return stream.write_all(b"221 bye\r\n").ok();
        } else {
            if command.starts_with("MAIL") || command.starts_with("RCPT") {
                envelope += &line;
            }
            stream.write_all(b"250 recorder\r\n").ok()?;
        }
    }
}
