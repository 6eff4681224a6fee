//! What raw TCP streams are opened to.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::background::{ANY_PORT, TcpServer};
use crate::web;

/// A TCP server with one manner, on an ephemeral loopback port and a thread of its own. It ends
/// when this is dropped.
pub struct Peer {
    server: TcpServer,
}

impl Peer {
    /// Sends back what it gets.
    pub fn echo() -> io::Result<Self> {
        Self::start("echo", |mut stream| async move {
            let (mut reader, mut writer) = stream.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        })
    }

    /// Accepts and never reads: its receive window fills and stays full.
    pub fn sink() -> io::Result<Self> {
        Self::start("sink", |stream| async move {
            let _open = stream;
            std::future::pending::<()>().await;
        })
    }

    /// Reads everything and answers nothing.
    pub fn drain() -> io::Result<Self> {
        Self::start("drain", |mut stream| async move {
            let mut buffer = vec![0; 256 * 1024];
            while let Ok(1..) = stream.read(&mut buffer).await {}
        })
    }

    /// Sends [`web::block`] over and over, as fast as it is taken.
    pub fn source() -> io::Result<Self> {
        Self::start("source", |mut stream| async move {
            while stream.write_all(web::block()).await.is_ok() {}
        })
    }

    fn start<F>(name: &str, serve: impl Fn(TcpStream) -> F + Send + 'static) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Ok(Self {
            server: TcpServer::start(name, ANY_PORT, serve)?,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.server.connections()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("addr", &self.addr()).finish()
    }
}
