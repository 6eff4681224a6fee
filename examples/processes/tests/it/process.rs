//! A program under test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Long enough for a busy machine: it bounds a failing test, never a passing one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const RELAY: &str = env!("CARGO_BIN_EXE_test-relay");
pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_test-client");
pub(crate) const BROADCAST: &str = env!("CARGO_BIN_EXE_test-broadcast");

/// A program that runs; killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

/// Runs `program --dir dir arguments` to its end.
pub(crate) async fn run(program: &str, dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .arg("--dir")
        .arg(dir)
        .args(arguments)
        .kill_on_drop(true);
    timeout(PATIENCE, command.output())
        .await
        .expect("it ends")
        .expect("it starts")
}

/// As [`run`], and it must succeed; what it printed.
pub(crate) async fn succeed(program: &str, dir: &Path, arguments: &[&str]) -> String {
    let output = run(program, dir, arguments).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// As [`succeed`], and what it printed is JSON.
pub(crate) async fn json(program: &str, dir: &Path, arguments: &[&str]) -> serde_json::Value {
    let printed = succeed(program, dir, arguments).await;
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// The words and the exit code of a program that must fail.
pub(crate) async fn fail(program: &str, dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(program, dir, arguments).await;
    let code = output.status.code().expect("it was not killed");
    (code, String::from_utf8(output.stderr).expect("text"))
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let answer = timeout(PATIENCE, asking).await;
    answer.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

impl Running {
    /// Starts `program --dir dir arguments`.
    pub(crate) fn start(program: &str, dir: &Path, arguments: &[&str]) -> Self {
        let log = dir.join("log.txt");
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let mut command = Command::new(program);
        command.arg("--dir").arg(dir).args(arguments);
        command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("it was piped");
        let stdout = BufReader::new(stdout).lines();
        Self { child, stdout, log }
    }

    /// The next line that it prints; what it logged, if it ends instead.
    pub(crate) async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        match line.expect("it prints something").expect("text") {
            Some(line) => line,
            None => panic!("it ended: {}", self.log()),
        }
    }

    /// What it has logged, in earlier runs as well.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("no log: {error}"))
    }

    /// Waits until its log says something.
    pub(crate) async fn logs(&self, words: &str) {
        let looking = async {
            while !self.log().contains(words) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = timeout(PATIENCE, looking).await;
        assert!(found.is_ok(), "expected {words:?} in:\n{}", self.log());
    }

    /// Sends a signal, and waits for the end.
    pub(crate) async fn signal(&mut self, name: &str) -> ExitStatus {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(sent.expect("kill").success());
        timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .expect("a status")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.log.display(), self.log());
        }
    }
}
