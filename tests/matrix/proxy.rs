//! A TCP proxy between the client and the server's sshd, to cut connections or to let them fall silent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Proxy {
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    way: Arc<Way>,
}

/// How it is between client and server.
#[derive(Default)]
struct Way {
    silent: AtomicBool,
    /// Milliseconds that 64 KiB take.
    pause: AtomicU64,
    passed: AtomicU64,
}

impl Proxy {
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let way = Arc::new(Way::default());
        let proxy = Self { port, open: open.clone(), way: way.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                for (from, to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                    let way = way.clone();
                    std::thread::spawn(move || pump(from, to, &way));
                }
            }
        });
        proxy
    }

    /// Ends every connection; new ones are let through.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on no byte passes; with `false`, connections that fell silent are cut and new ones let through.
    pub fn fall_silent(&self, silent: bool) {
        if !silent {
            self.cut();
        }
        self.way.silent.store(silent, Ordering::SeqCst);
    }

    /// From now on 64 KiB take that long.
    pub fn slow(&self, pause: Duration) {
        self.way.pause.store(u64::try_from(pause.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Bytes that have passed, both ways together.
    pub fn passed(&self) -> u64 {
        self.way.passed.load(Ordering::SeqCst)
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, way: &Way) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        while way.silent.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(way.pause.load(Ordering::SeqCst)));
        way.passed.fetch_add(count as u64, Ordering::SeqCst);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
