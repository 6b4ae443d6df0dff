//! The suite's two programs: its origin server, and its client that asks and judges.

use super::support::{eventually, root};
use super::table::Answer;
use std::fs::{File, read_to_string};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A state of the suite, in a folder.
pub struct Suite {
    folder: PathBuf,
}

impl Suite {
    /// The one from npm.
    pub fn pinned() -> Self {
        Self::at(".tools/cache-tests/node_modules/http-cache-tests")
    }

    /// A checkout of its repository.
    pub fn at(folder: &str) -> Self {
        let folder = root().join(folder);
        assert!(
            folder.join("tests/index.mjs").exists(),
            "no suite at {}: make cache-tests",
            folder.display()
        );
        Self { folder }
    }

    /// Whether it is laid out as it is since 0.4.5; `layout.mjs` looks for the same.
    pub fn is_newer(&self) -> bool {
        self.folder.join("test-engine").exists()
    }

    /// Starts its origin server and waits until it listens.
    pub async fn origin(&self) -> Origin {
        let folder = TempDir::with_prefix("breakwater-conformance-").expect("a folder for its log");
        let log = File::create(folder.path().join("log")).expect("the folder is ours");
        let child = self.node("origin.mjs").stdin(Stdio::piped()).stdout(Stdio::from(log)).spawn();
        let mut child = child.expect("node starts: is it installed? (make cache-tests)");
        let (mut address, mut ended) = (None, false);
        eventually("the suite's origin listens", async || {
            address = told_address(&folder);
            ended = !matches!(child.try_wait(), Ok(None));
            address.is_some() || ended
        })
        .await;
        assert!(!ended, "the suite's origin ended at once");
        Origin { child, address: address.expect("it was told there"), _log: folder }
    }

    /// Asks the cache at `address` everything.
    pub async fn ask(&self, address: SocketAddr) -> Vec<Answer> {
        let mut client = self.node("client.mjs");
        client.arg(format!("http://{address}")).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = tokio::task::spawn_blocking(move || client.output()).await.expect("it does not panic");
        let output = output.expect("node starts");
        assert!(output.status.success(), "the suite's client: {}", output.status);
        let text = String::from_utf8(output.stdout).expect("the suite speaks UTF-8");
        text.lines().map(|line| Answer::parse(line).unwrap_or_else(|| panic!("no answer: {line}"))).collect()
    }

    fn node(&self, program: &str) -> Command {
        let mut command = Command::new("node");
        command.arg("--no-warnings").arg(root().join("tests/conformance").join(program)).arg(&self.folder);
        command
    }
}

/// The suite's origin server; it ends with this value.
pub struct Origin {
    child: Child,
    address: SocketAddr,
    _log: TempDir,
}

impl Origin {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the line that it prints first.
fn told_address(folder: &TempDir) -> Option<SocketAddr> {
    let log = read_to_string(folder.path().join("log")).ok()?;
    let url = log.lines().find_map(|line| line.strip_prefix("Listening on http://"))?;
    url.strip_suffix('/')?.parse().ok()
}
