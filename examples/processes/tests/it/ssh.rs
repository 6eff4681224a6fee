//! ssh and scp through the proxy.

use crate::process::Running;
use crate::town::Town;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};

const SSHD: &str = "/usr/sbin/sshd";

/// A server that knows one key, and the options that reach it through a proxy.
struct Server {
    _sshd: Child,
    port: u16,
    options: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_and_scp_go_through_three_relays() {
    if !Path::new(SSHD).exists() || !has("nc").await {
        // To standard error directly, which the test harness does not swallow.
        let words = "\nSKIPPED: ssh through the proxy needs openssh-server and netcat-openbsd\n\n";
        std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes()).unwrap();
        return;
    }
    let town = Town::with_relays().await;
    let (client, socks) = town.client().await;
    let server = Server::start(town.path(), &socks, &client).await;

    let said = run(
        "ssh",
        &server,
        &["-p", &server.port.to_string(), "127.0.0.1", "echo", "hello"],
    )
    .await;
    assert_eq!(said, b"hello\n");

    let (from, to) = (town.path().join("sent"), town.path().join("received"));
    let sent: Vec<u8> = coinfuse_testkit::web::chunks(3 << 20)
        .flatten()
        .copied()
        .collect();
    fs::write(&from, &sent).unwrap();
    let target = format!("127.0.0.1:{}", to.display());
    run(
        "scp",
        &server,
        &[
            "-P",
            &server.port.to_string(),
            from.to_str().unwrap(),
            &target,
        ],
    )
    .await;
    assert!(fs::read(&to).unwrap() == sent, "another file arrived");
}

impl Server {
    async fn start(folder: &Path, socks: &str, _running: &Running) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let (host_key, key) = (key(folder, "host-key").await, key(folder, "key").await);
        fs::copy(key.with_extension("pub"), folder.join("authorized")).unwrap();
        // sshd wants a folder for its unprivileged half.
        let _ = fs::create_dir_all("/run/sshd");
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n\
             Subsystem sftp internal-sftp\n",
            host_key.display(),
            folder.join("authorized").display()
        );
        fs::write(folder.join("sshd_config"), config).unwrap();
        let mut sshd = Command::new(SSHD);
        sshd.args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"));
        let sshd = sshd
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let options = [
            format!("ProxyCommand=nc -X 5 -x {socks} %h %p"),
            format!("IdentityFile={}", key.display()),
            format!("UserKnownHostsFile={}", folder.join("known").display()),
            "StrictHostKeyChecking=no".into(),
            "BatchMode=yes".into(),
            "LogLevel=ERROR".into(),
        ];
        Self {
            _sshd: sshd,
            port,
            options: options.into(),
        }
    }
}

/// Makes a key pair.
async fn key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&path);
    assert!(command.status().await.unwrap().success());
    path
}

async fn run(program: &str, server: &Server, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(["-F", "none"]);
    for option in &server.options {
        command.args(["-o", option]);
    }
    let output = command.args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(crate::process::PATIENCE, output)
        .await
        .unwrap()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
    output.stdout
}

async fn has(program: &str) -> bool {
    let found = Command::new("which")
        .arg(program)
        .stdout(Stdio::null())
        .status()
        .await;
    found.is_ok_and(|status| status.success())
}
