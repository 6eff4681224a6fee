//! As much of HTTP/1.1 as a node's JSON-RPC takes: one request, one answer, one connection.

use super::RpcError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// The answers that matter have hundreds of bytes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_BODY: usize = 1 << 20;
const MAX_HEADERS: usize = 32;

/// An answer, whatever its status.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

struct Head {
    status: u16,
    /// Where the body begins.
    len: usize,
    body: Option<usize>,
}

/// Posts `body` to `/` and reads the answer.
pub(super) async fn post<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    authorization: &str,
    body: &[u8],
) -> Result<Response, RpcError> {
    let head = Zeroizing::new(format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    ));
    write(stream, head.as_bytes()).await?;
    write(stream, body).await?;
    read_response(stream).await
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), RpcError> {
    let written = stream.write_all(bytes).await;
    written.map_err(|_| RpcError::Unreachable)
}

async fn read_response<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Response, RpcError> {
    let mut input = Vec::new();
    let head = loop {
        if let Some(head) = parse_head(&input)? {
            break head;
        }
        if input.len() > MAX_HEAD {
            return Err(RpcError::TooLong);
        }
        if read_more(stream, &mut input).await? == 0 {
            return Err(RpcError::Unreachable);
        }
    };
    let mut body = input.split_off(head.len);
    let wanted = head.body.unwrap_or(MAX_BODY + 1);
    while body.len() < wanted && body.len() <= MAX_BODY {
        if read_more(stream, &mut body).await? == 0 {
            break;
        }
    }
    finish_body(head, body)
}

async fn read_more<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut Vec<u8>,
) -> Result<usize, RpcError> {
    let mut chunk = [0; 4096];
    let read = stream.read(&mut chunk).await;
    let len = read.map_err(|_| RpcError::Unreachable)?;
    input.extend_from_slice(&chunk[..len]);
    Ok(len)
}

/// The head, if all of it is there.
fn parse_head(input: &[u8]) -> Result<Option<Head>, RpcError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(input).map_err(|_| RpcError::NotRpc)? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial => return Ok(None),
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = match length {
        Some(header) => Some(parse_length(header.value)?),
        None => None,
    };
    let status = response.code.ok_or(RpcError::NotRpc)?;
    Ok(Some(Head { status, len, body }))
}

fn parse_length(value: &[u8]) -> Result<usize, RpcError> {
    let text = core::str::from_utf8(value).map_err(|_| RpcError::NotRpc)?;
    let len: usize = text.trim().parse().map_err(|_| RpcError::NotRpc)?;
    if len > MAX_BODY {
        return Err(RpcError::TooLong);
    }
    Ok(len)
}

fn finish_body(head: Head, mut body: Vec<u8>) -> Result<Response, RpcError> {
    match head.body {
        Some(wanted) if body.len() < wanted => return Err(RpcError::Unreachable),
        Some(wanted) => body.truncate(wanted),
        None if body.len() > MAX_BODY => return Err(RpcError::TooLong),
        None => {}
    }
    let status = head.status;
    Ok(Response { status, body })
}
