//! What systemd does with a service of `Type=notify` and a socket, played by this test: the socket is
//! handed over as file descriptor 3, and notes come to a datagram socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::program::{PATIENCE, Server, client, program, run};

/// What hears the notes.
struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Supervisor {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// The next note that holds a line.
    fn heard(&self, line: &str) -> String {
        let mut heard = vec![];
        loop {
            let mut note = [0; 4096];
            let Ok(length) = self.socket.recv(&mut note) else {
                panic!("no {line}: {heard:?}");
            };
            let note = String::from_utf8(note[..length].to_vec()).unwrap();
            if note.lines().any(|it| it == line) {
                return note;
            }
            heard.push(note);
        }
    }

    /// The program with these arguments and a socket.
    fn start(&self, socket: &TcpListener, arguments: &[&str]) -> Command {
        let mut shell = Command::new("sh");
        // The descriptor comes as standard input, since that is what can be handed on safely.
        let become_it = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        shell.args(["-c", become_it, "sh"]);
        shell.arg(program(&[]).get_program()).args(arguments);
        shell.env_clear().env("NOTIFY_SOCKET", &self.path);
        let socket = OwnedFd::from(socket.try_clone().unwrap());
        shell.stdin(Stdio::from(socket));
        shell
    }
}

#[tokio::test]
async fn a_supervisor_hears_how_the_server_is() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new(folder.path());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let arguments = ["serve", "--demo", "--listen=127.0.0.1:1"];
    let mut command = supervisor.start(&socket, &arguments);
    command.env("WATCHDOG_USEC", "30000");
    let mut server = Server::start_by(command);
    assert_eq!(server.url, format!("http://{address}"), "not --listen");
    let note = supervisor.heard("READY=1");
    assert!(note.contains("STATUS=serving 9 exporters"), "{note}");
    supervisor.heard("WATCHDOG=1");
    supervisor.heard("WATCHDOG=1");
    let ready = client().get(format!("{}/readyz", server.url)).send().await;
    assert_eq!(ready.unwrap().status(), 200);

    server.signal("-HUP");
    let note = supervisor.heard("RELOADING=1");
    assert!(note.contains("MONOTONIC_USEC="), "{note}");
    supervisor.heard("READY=1");
    server.signal("-TERM");
    supervisor.heard("STOPPING=1");
    assert!(server.ended().success());
}

/// Sends requests, each on a connection of its own, until there were enough; counts them. None may fail.
fn ask(address: SocketAddr, enough: &AtomicBool, count: &AtomicUsize) {
    while !enough.load(Ordering::Relaxed) {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            "GET /v1/namespaces/default/leases HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let read = connection.read_to_string(&mut answer);
        let number = count.fetch_add(1, Ordering::Relaxed);
        let is_good = read.is_ok() && answer.starts_with("HTTP/1.1 200 ");
        assert!(is_good, "request {number}: {read:?} {answer:?}");
    }
}

#[test]
fn no_request_is_lost_while_the_server_restarts_behind_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new(folder.path());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (enough, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let start = || Server::start_by(supervisor.start(&socket, &["serve", "--demo"]));
    let mut last = None;
    std::thread::scope(|clients| {
        // From before the first start.
        for _ in 0..4 {
            clients.spawn(|| {
                ask(address, &enough, &count);
            });
        }
        let started = Instant::now();
        for number in 1..=6 {
            // Nobody hears their notes, and that keeps none of them from its work.
            let mut server = start();
            // Each is stopped in the middle of its work.
            while count.load(Ordering::Relaxed) < number * 20 && started.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            server.signal("-TERM");
            assert!(server.ended().success());
        }
        // What is left is answered by the last one, which is there until all have theirs.
        last = Some(start());
        enough.store(true, Ordering::Relaxed);
    });
    drop(last);
    println!(
        "{count} requests over 7 servers",
        count = count.into_inner()
    );
}

#[test]
fn a_socket_that_others_reach_needs_tls_whatever_the_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new(folder.path());
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let output = supervisor
        .start(&socket, &["serve", "--demo"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("loopback"), "{said}");
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let mut shell = Command::new("sh");
    let become_it = "exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" serve --demo";
    shell.args(["-c", become_it, "sh"]);
    let output = shell.arg(program(&[]).get_program()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("ListenStream="), "{said}");
}

#[tokio::test]
async fn health_is_asked_for_by_the_program_itself() {
    let mut server = Server::start(&["--demo", "--shutdown-delay=1h"]);
    let url = format!("--url={}", server.url);
    assert_eq!(run(&["health", &url]), (0, "ready\n".into(), "".into()));
    let address = server.url.strip_prefix("http://").unwrap();
    let listen = format!("--listen={address}");
    assert_eq!(run(&["health", &listen]).0, 0);
    server.signal("-TERM");
    server.logged("not ready any more").await;
    let (status, _, said) = run(&["health", &url]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("503") && said.contains("not ready"), "{said}");
    server.signal("-TERM");
    server.ended();
    let (status, _, said) = run(&["health", &url]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("refused"), "{said}");
}
