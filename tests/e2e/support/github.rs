//! A stand-in for GitHub's API.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request that the stand-in for GitHub's API got: its first line and its body.
pub type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// Keeps comments in memory, as GitHub's API does.
pub fn github() -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let kept = requests.clone();
    std::thread::spawn(move || {
        let mut comment = None;
        for stream in listener.incoming().flatten() {
            if let Some(request) = answer(stream, &mut comment) {
                kept.lock().unwrap().push(request);
            }
        }
    });
    (address, requests)
}

/// A request's first line and its body.
pub fn read_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, String::from_utf8(body).expect("a body of UTF-8")))
}

fn answer(mut stream: TcpStream, comment: &mut Option<String>) -> Option<(String, String)> {
    let (first, body) = read_request(&stream)?;
    let text = |body: &str| serde_json::from_str::<serde_json::Value>(body).ok()?["body"].as_str().map(str::to_owned);
    if !first.starts_with("GET") {
        *comment = text(&body);
    }
    let approved = serde_json::json!([{"state": "approved", "environments": [{"name": "production"}], "user": {"login": "eva"}}]);
    let answer = match (first.starts_with("GET"), &comment) {
        // Of two runs the second one was approved.
        (true, _) if first.contains("/runs/41/approvals") => "[]".to_owned(),
        (true, _) if first.contains("/runs/42/approvals") => approved.to_string(),
        (true, Some(text)) => serde_json::json!([{"id": 1, "body": "another"}, {"id": 7, "body": text}]).to_string(),
        (true, None) => serde_json::json!([{"id": 1, "body": "another"}]).to_string(),
        (false, _) => serde_json::json!({"id": 7}).to_string(),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all((head + &answer).as_bytes()).ok()?;
    Some((first.trim().to_owned(), body))
}
