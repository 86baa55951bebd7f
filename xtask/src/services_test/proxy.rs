//! A server on the loopback that passes requests on, holds them, cuts them off or answers itself:
//! what a bad network and a strict server do, at the moment that a test needs.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};

/// What is done with a request. Whoever decides may take its time: the request waits.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Passed on to the server behind, and its answer back.
    Pass,
    /// Cut off after so many bytes of the request.
    CutRequest(usize),
    /// Passed on; cut off after so many bytes of the answer.
    CutAnswer(usize),
    /// Answered at once.
    Answer(String),
}

/// Decides by a request's first line, such as `GET /bucket/key HTTP/1.1`.
pub(crate) type Judge = dyn Fn(&str) -> Deed + Send + Sync;

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
const CHUNK_BYTES: usize = 64 << 10;

impl Proxy {
    /// Stands before the server at `behind`, a port of the loopback.
    pub(crate) fn start(
        behind: u16,
        judge: impl Fn(&str) -> Deed + Send + Sync + 'static,
    ) -> Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let address = listener.local_addr().context("a port has no number")?;
        let ended = Arc::new(AtomicBool::new(false));
        let (judge, end): (Arc<Judge>, _) = (Arc::new(judge), Arc::clone(&ended));
        thread::spawn(move || {
            for client in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(client), judge) = (client, Arc::clone(&judge)) else { continue };
                // A connection that breaks is the client's to notice.
                thread::spawn(move || drop(carry(&client, behind, judge.as_ref())));
            }
        });
        Ok(Proxy { address, ended })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The listener looks at the mark once it is woken.
        drop(TcpStream::connect(self.address));
    }
}

/// One request on one connection: the answer ends with it.
fn carry(mut client: &TcpStream, behind: u16, judge: &Judge) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = client.take(length.unwrap_or(0));
    let deed = judge(text.lines().next().unwrap_or_default());
    let (request_max, answer_max) = match deed {
        Deed::Pass => (usize::MAX, usize::MAX),
        Deed::CutRequest(bytes) => (bytes, 0),
        Deed::CutAnswer(bytes) => (usize::MAX, bytes),
        Deed::Answer(answer) => {
            io::copy(&mut body, &mut io::sink())?;
            client.write_all(answer.as_bytes())?;
            return client.shutdown(Shutdown::Both);
        }
    };
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, behind))?;
    // One request a connection, so that the end of the answer is the end of the stream.
    let (first, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    server.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes())?;
    pump(&mut body, &mut server, request_max)?;
    if request_max == usize::MAX {
        pump(&mut server, &mut client, answer_max)?;
    }
    client.shutdown(Shutdown::Both)?;
    server.shutdown(Shutdown::Both)
}

/// Copies until the end, or until `bytes_max` are through.
fn pump(from: &mut impl Read, to: &mut impl Write, bytes_max: usize) -> io::Result<()> {
    let mut left = bytes_max;
    let mut chunk = vec![0; CHUNK_BYTES];
    while 0 < left {
        let wanted = left.min(chunk.len());
        let read = from.read(&mut chunk[..wanted])?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&chunk[..read])?;
        left -= read;
    }
    Ok(())
}
