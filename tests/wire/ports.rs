//! What a connect of the proxy's own finds after a wait that was in vain: does the server's port take
//! connections?

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::client::{Answer, Client};
use super::eventually;
use super::proxy::Proxy;

/// A program that has room for few connections, and whatever it has accepted.
struct Program {
    listener: TcpListener,
    address: SocketAddr,
    held: Vec<TcpStream>,
}

impl Program {
    fn start() -> Program {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        Program { listener, address, held: Vec::new() }
    }

    /// Before it a proxy that waits for nothing long.
    fn proxy(&self) -> Proxy {
        let more = "timeouts.connect = \"200ms\"\ntimeouts.first_byte = \"200ms\"\n";
        Proxy::block(&[format!("http://{}", self.address)], more)
    }

    /// Takes one connection and says nothing to it.
    fn accept(&mut self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        self.held.push(stream.try_clone().unwrap());
        stream
    }

    /// Fills the queue with connections that last as long as this.
    fn fill(&self) -> Vec<TcpStream> {
        const PATIENCE: Duration = Duration::from_millis(200);
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&self.address, PATIENCE) {
            waiting.push(stream);
            assert!(waiting.len() < 16, "the queue never fills");
        }
        waiting
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept: application/problem+json\r\n\r\n")
}

/// The cause, and what the page says of the port.
fn told(answer: &Answer) -> (String, Option<String>) {
    let page: Value = serde_json::from_str(&answer.body).unwrap();
    let word = |value: &Value| value.as_str().map(str::to_owned);
    assert_eq!(page["fixes"][0]["audience"], "visitor");
    (word(&page["cause"]).unwrap(), word(&page["evidence"]["port_accepts"]))
}

/// The first fix for an operator.
fn first_fix(answer: &Answer) -> String {
    let page: Value = serde_json::from_str(&answer.body).unwrap();
    let mut fixes = page["fixes"].as_array().unwrap().iter();
    let first = fixes.find(|fix| fix["audience"] == "operator").unwrap();
    first["id"].as_str().unwrap().to_owned()
}

fn is(cause: &str, port: &str) -> (String, Option<String>) {
    (cause.to_owned(), Some(port.to_owned()))
}

#[test]
fn a_program_that_is_slow_has_a_port_that_takes_connections() {
    let mut program = Program::start();
    let proxy = program.proxy();
    let mut client = Client::sent(proxy.address, get("/"));
    program.accept();
    // An operator's page waits for what is found at once.
    let answer = client.answer("GET");
    assert_eq!(told(&answer), is("first_byte_timeout", "yes"));
    assert_eq!(first_fix(&answer), "slow_queries");
    assert!(answer.body.contains("\"likely\""), "{}", answer.body);
    assert_eq!(program.accept().read(&mut [0]).unwrap(), 0, "nothing is said to it");
}

#[test]
fn a_program_that_ends_over_a_request_has_a_port_that_refuses() {
    let mut program = Program::start();
    let proxy = program.proxy();
    let mut client = Client::sent(proxy.address, get("/"));
    program.accept();
    let Program { listener, held, .. } = program;
    drop(listener);
    let answer = client.answer("GET");
    assert_eq!(told(&answer), is("first_byte_timeout", "refused"));
    assert_eq!(first_fix(&answer), "backend_status");
    drop(held);
}

#[test]
fn a_program_that_has_frozen_has_a_port_that_is_silent() {
    let mut program = Program::start();
    let proxy = program.proxy();
    // Requests that are complete, and so waited for, when their last byte is sent.
    let asking =
        get("/").replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n");
    let mut clients: Vec<_> = (0..16)
        .map(|_| {
            let client = Client::sent(proxy.address, &asking);
            program.accept();
            client
        })
        .collect();
    let _full = program.fill();
    let mut answers = clients.iter_mut().map(|client| {
        client.send("x");
        client.answer("POST")
    });
    // Nobody waits for the silence; the failures that follow are told of it.
    let silent = answers.find(|answer| told(answer).1.is_some()).expect("the port was asked");
    assert_eq!(told(&silent), is("first_byte_timeout", "no"));
    assert_eq!(first_fix(&silent), "backend_status");
}

#[test]
fn a_connect_that_was_late_is_told_from_one_to_a_port_that_stays_silent() {
    let mut program = Program::start();
    let proxy = program.proxy();
    let full = program.fill();
    eventually("the port was asked", || {
        let (cause, port) = told(&proxy.ask(get("/silent")));
        assert_eq!(cause, "connect_timeout");
        port.map(|port| assert_eq!(port, "no"))
    });
    // The program goes on, and is slow.
    full.iter().for_each(|_| drop(program.accept()));
    eventually("the port was asked again", || {
        let mut client = Client::sent(proxy.address, get("/opened"));
        program.listener.set_nonblocking(true).unwrap();
        let answer = client.answer("GET");
        while let Ok((stream, _)) = program.listener.accept() {
            program.held.push(stream);
        }
        (told(&answer).1.as_deref() == Some("yes")).then_some(())
    });
    let _full = program.fill();
    let answer = proxy.ask(get("/late"));
    assert_eq!(told(&answer), is("connect_timeout", "yes"));
    assert!(answer.body.contains("accept_queue_full"), "{}", answer.body);
}

#[test]
fn where_no_question_is_allowed_no_connection_is_made() {
    let mut program = Program::start();
    let server = format!("http://{}", program.address);
    let more = "timeouts.first_byte = \"200ms\"\nprobe = \"never\"\n";
    let proxy = Proxy::block(&[server], more);
    for _ in 0..3 {
        let mut client = Client::sent(proxy.address, get("/"));
        program.accept();
        assert_eq!(told(&client.answer("GET")), ("first_byte_timeout".to_owned(), None));
    }
    program.listener.set_nonblocking(true).unwrap();
    assert!(program.listener.accept().is_err(), "somebody has connected");
}
