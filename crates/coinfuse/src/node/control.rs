//! Talking to a node that runs, from another process of the same user.
//!
//! The files of a running node are locked, so whoever wants to know what it has earned asks it: one
//! line of request, and lines of answer until the connection ends. The door is a Unix socket in the
//! data folder that only the owner can open.

use std::io;
use std::path::Path;

/// The socket's name in the data folder.
pub const CONTROL_SOCKET: &str = "control.sock";
/// The longest line, in bytes.
const MAX_LINE: u64 = 64 << 10;

#[cfg(unix)]
mod door {
    use super::*;
    use core::time::Duration;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    /// Conversations at once; the next waits.
    const MAX_CONVERSATIONS: usize = 16;
    /// How long a request may take to arrive.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// The door of a running node; it is taken away when this is dropped.
    #[derive(Debug)]
    pub struct ControlServer {
        listener: UnixListener,
        path: PathBuf,
    }

    impl ControlServer {
        /// Opens the door in a data folder. Call it when the folder's files are locked: a door that
        /// is there already then belongs to a process that has died.
        ///
        /// # Errors
        ///
        /// What the system says; a path of more than some 100 bytes is too long for a socket.
        pub fn open(folder: &Path) -> io::Result<Self> {
            let path = folder.join(CONTROL_SOCKET);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(Self { listener, path })
        }

        /// Answers until the future is dropped. `answer` gets a request and where its answer's
        /// lines go.
        pub async fn serve<F>(&self, answer: impl Fn(String, mpsc::Sender<String>) -> F)
        where
            F: Future<Output = ()> + Send + 'static,
        {
            let mut conversations = JoinSet::new();
            loop {
                while conversations.len() >= MAX_CONVERSATIONS {
                    conversations.join_next().await;
                }
                let Ok((stream, _)) = self.listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                while conversations.try_join_next().is_some() {}
                let Some((request, stream)) = hear(stream).await else {
                    continue;
                };
                let (lines, inbox) = mpsc::channel(4);
                let answering = answer(request, lines);
                conversations.spawn(async move {
                    // An error is the other side's hanging up: it wants no answer any more.
                    let ((), _) = tokio::join!(answering, say(stream, inbox));
                });
            }
        }
    }

    impl Drop for ControlServer {
        fn drop(&mut self) {
            // If it stays, the next start takes it away.
            let _ = fs::remove_file(&self.path);
        }
    }

    async fn hear(stream: UnixStream) -> Option<(String, UnixStream)> {
        let mut reader = BufReader::new(stream).take(MAX_LINE);
        let mut line = String::new();
        timeout(PATIENCE, reader.read_line(&mut line))
            .await
            .ok()?
            .ok()?;
        Some((line.trim_end().to_owned(), reader.into_inner().into_inner()))
    }

    async fn say(mut stream: UnixStream, mut lines: mpsc::Receiver<String>) -> io::Result<()> {
        while let Some(line) = lines.recv().await {
            stream.write_all(format!("{line}\n").as_bytes()).await?;
        }
        stream.shutdown().await
    }

    /// A conversation with the node that runs in a folder.
    #[derive(Debug)]
    pub struct Conversation(tokio::io::Take<BufReader<UnixStream>>);

    impl Conversation {
        /// Asks the node that runs in `folder`; `None` if none does.
        ///
        /// # Errors
        ///
        /// What the system says.
        pub async fn begin(folder: &Path, request: &str) -> io::Result<Option<Self>> {
            let mut stream = match UnixStream::connect(folder.join(CONTROL_SOCKET)).await {
                Ok(stream) => stream,
                Err(error) => {
                    return match error.kind() {
                        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                        _ => Err(error),
                    };
                }
            };
            stream.write_all(format!("{request}\n").as_bytes()).await?;
            Ok(Some(Self(BufReader::new(stream).take(MAX_LINE))))
        }

        /// The next line of the answer; `None` at its end.
        ///
        /// # Errors
        ///
        /// What the system says, when the node dies.
        pub async fn next(&mut self) -> io::Result<Option<String>> {
            let mut line = String::new();
            self.0.set_limit(MAX_LINE);
            let read = self.0.read_line(&mut line).await?;
            Ok((read > 0).then(|| line.trim_end().to_owned()))
        }
    }
}

#[cfg(not(unix))]
mod door {
    use super::*;
    use core::convert::Infallible;
    use tokio::sync::mpsc;

    /// There is no door on this system: stop the node to look at its files.
    #[derive(Debug)]
    pub struct ControlServer(Infallible);

    impl ControlServer {
        /// Always fails.
        ///
        /// # Errors
        ///
        /// [`io::ErrorKind::Unsupported`].
        pub fn open(_: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Never called.
        pub async fn serve<F>(&self, _: impl Fn(String, mpsc::Sender<String>) -> F)
        where
            F: Future<Output = ()> + Send + 'static,
        {
            match self.0 {}
        }
    }

    /// Never there.
    #[derive(Debug)]
    pub struct Conversation(Infallible);

    impl Conversation {
        /// Nobody answers.
        ///
        /// # Errors
        ///
        /// None.
        pub async fn begin(_: &Path, _: &str) -> io::Result<Option<Self>> {
            Ok(None)
        }

        /// Never called.
        ///
        /// # Errors
        ///
        /// None.
        pub async fn next(&mut self) -> io::Result<Option<String>> {
            match self.0 {}
        }
    }
}

pub use door::{ControlServer, Conversation};

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_gets_its_lines_and_nobody_answers_when_nobody_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            Conversation::begin(folder.path(), "hello")
                .await
                .unwrap()
                .is_none()
        );
        let server = ControlServer::open(folder.path()).unwrap();
        let asking = async {
            let mut talk = Conversation::begin(folder.path(), "twice this")
                .await
                .unwrap()
                .unwrap();
            let mut lines = Vec::new();
            while let Some(line) = talk.next().await.unwrap() {
                lines.push(line);
            }
            lines
        };
        let serving = server.serve(|request, lines| async move {
            for _ in 0..2 {
                let _ = lines.send(request.clone()).await;
            }
        });
        tokio::select! {
            lines = asking => assert_eq!(lines, ["twice this", "twice this"]),
            () = serving => unreachable!("a server goes on"),
        }
        drop(server);
        assert!(
            Conversation::begin(folder.path(), "hello")
                .await
                .unwrap()
                .is_none()
        );
    }
}
