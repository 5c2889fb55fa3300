//! A server that counts connections, as `ufw limit` does.

use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::config::resolve;
use crate::demo::Sshd;
use crate::private;
use crate::ssh::Connection;

use super::super::route::settings;
use super::world::project;

/// Lets one connection through to that port, and then none.
async fn lets_one_in(listener: TcpListener, port: u16) {
    let (mut stream, _) = listener.accept().await.unwrap();
    drop(listener);
    tokio::spawn(async move {
        let mut behind = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut behind).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_turns_away_who_came_before_is_tried_again_and_a_closed_port_is_not() {
    let (_kept, folder) = private::folder().unwrap();
    let sshd = Sshd::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let project = project(&folder, &format!("me@{address}"), &sshd);
    let resolved = resolve(&project, None).unwrap();
    let settings = || settings(&project, &resolved, &resolved.target.hosts[0]).unwrap();
    let known = settings();

    let (opened, ()) = tokio::join!(Connection::open(&known), lets_one_in(listener, sshd.port));
    let _first = opened.unwrap();
    // Nobody was let in by these settings before: the port is closed.
    let began = Instant::now();
    let error = Connection::open(&settings()).await.unwrap_err().to_string();
    assert!(error.contains("nothing listens on port") && began.elapsed() < Duration::from_secs(5), "{error}");

    let port = sshd.port;
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        lets_one_in(TcpListener::bind(address).await.unwrap(), port).await;
    });
    let _second = Connection::open(&known).await.unwrap();
    later.await.unwrap();
    // Whoever has little time is told what it probably is.
    let error = Connection::once(&known).await.unwrap_err().to_string();
    assert!(error.contains("a moment ago") && error.contains("ufw limit"), "{error}");
}
