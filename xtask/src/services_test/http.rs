//! As much of HTTP/1.1 as tests need to arrange things: one request, one answer, one connection.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A request to a server on the loopback.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

/// What a server said.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// How long one read or write may take.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Moto lets everybody in, but removes objects only for who gives a name.
const NOBODY: &str = "AWS4-HMAC-SHA256 Credential=nobody/20130101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=none";

impl Request {
    /// `path` begins with `/` and is sent as it is.
    pub(crate) fn get(path: &str) -> Request {
        Request::new("GET", path, Vec::new())
    }

    pub(crate) fn new(method: &str, path: &str, body: Vec<u8>) -> Request {
        Request { method: method.to_owned(), path: path.to_owned(), body }
    }

    /// Asks the server at `port` and reads the answer to its end.
    pub(crate) fn send(&self, port: u16) -> Result<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("nobody listens on port {port}"))?;
        stream.set_read_timeout(Some(WAIT_MAX)).context("failed to limit a read")?;
        stream.set_write_timeout(Some(WAIT_MAX)).context("failed to limit a write")?;
        let Request { method, path, body } = self;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Authorization: {NOBODY}\r\nContent-Length: {length}\r\n\r\n"
        );
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        sent.with_context(|| format!("failed to send {method} {path}"))?;
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .with_context(|| format!("{method} {path} was not answered"))?;
        Answer::parse(&bytes).with_context(|| format!("{method} {path} was answered oddly"))
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Result<Answer> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut body = bytes[end + 4..].to_vec();
        if head.contains("transfer-encoding: chunked") {
            body = unchunked(&body).context("broken chunks")?;
        }
        Ok(Answer { status: status.context("no status")?, body })
    }
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let length = std::str::from_utf8(&bytes[..end]).ok()?.split(';').next()?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 2 + length + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_and_in_chunks() {
        let plain = Answer::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert_eq!((plain.status, plain.body.as_slice()), (200, b"hi".as_slice()));
        let chunks = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x\r\n!\r\n0\r\n\r\n";
        let chunked = Answer::parse(chunks).unwrap();
        assert_eq!((chunked.status, chunked.body.as_slice()), (404, b"hi!".as_slice()));
        assert!(Answer::parse(b"HTTP/1.1 200 OK\r\n").is_err());
    }
}
