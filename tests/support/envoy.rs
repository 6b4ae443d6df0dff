//! A real Envoy: started, asked, read and ended.

use super::client::{Answer, Request, try_send};
use super::{envoy_binary, eventually, root};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{File, read_to_string};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// An Envoy that is running; it ends with this value.
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    address: SocketAddr,
}

impl Envoy {
    /// Starts one and waits until it is ready.
    pub(super) async fn start(config: &Value, workers: usize, arguments: &[String]) -> Self {
        let mut process = Process::spawn(config, workers, arguments);
        let mut admin = None;
        let mut ended = false;
        eventually("Envoy is ready", async || {
            ended = process.ended();
            admin = process.admin_address();
            ended || matches!(admin, Some(admin) if ready(admin).await)
        })
        .await;
        assert!(!ended, "Envoy ended at once:\n{}", process.log());
        let admin = admin.expect("it was asked there");
        let listeners = admin_get(admin, "/listeners?format=json").await.text();
        let address =
            edge_address(&listeners).unwrap_or_else(|| panic!("no listener called edge: {listeners}"));
        Self { process, admin, address }
    }

    /// Starts one that must end at once; its log.
    pub(super) async fn refused(config: &Value, workers: usize, arguments: &[String]) -> String {
        let mut process = Process::spawn(config, workers, arguments);
        eventually("Envoy refuses its configuration", async || process.ended()).await;
        process.log()
    }

    /// Where clients come in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators come in.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Asks the admin interface.
    pub async fn ask(&self, path: &str) -> Answer {
        admin_get(self.admin, path).await
    }

    /// All counters and gauges whose names contain `part` (a plain word; dots match themselves).
    pub async fn stats(&self, part: &str) -> BTreeMap<String, u64> {
        let pattern = part.replace('.', "%5C.");
        let text = self.ask(&format!("/stats?filter={pattern}")).await.text();
        let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
        lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// One counter or gauge; 0 when there is none of this name.
    pub async fn stat(&self, name: &str) -> u64 {
        self.stats(name).await.get(name).copied().unwrap_or_default()
    }

    /// How often a VM of the plugin failed and was (or was to be) replaced. Every test ends by asking for 0 of them.
    pub async fn vm_failures(&self) -> u64 {
        self.stats("vm_reload").await.values().sum()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = read_to_string(format!("/proc/{}/status", self.pid())).expect("it is running");
        let line =
            status.lines().find(|line| line.starts_with("VmRSS:")).expect("a running process has memory");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
        kib * 1024
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The access log so far: one JSON object a request. Envoy writes it with a little delay.
    pub fn access_log(&self) -> Vec<Value> {
        let text = read_to_string(self.process.folder.path().join("access.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) {
        eventually("Envoy ends", async || self.process.ended()).await;
    }

    /// Dies at once, as in a crash.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    fn spawn(config: &Value, workers: usize, arguments: &[String]) -> Self {
        super::lift_file_limit();
        let folder = TempDir::with_prefix("breakwater-envoy-").expect("a folder for Envoy's files");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("envoy.json"), config.to_string()).expect("the folder is ours");
        let file = |name: &str| File::create(path(name)).expect("the folder is ours");
        let takes_over = arguments.iter().any(|argument| argument == "--restart-epoch");
        let child = Command::new(envoy_binary())
            // The shipped files name the plugin relative to the project's folder.
            .current_dir(root())
            .args(["--disable-hot-restart"].iter().filter(|_| !takes_over))
            .args(["--file-flush-interval-msec", "50"])
            .args(["--log-level", "warn", "--component-log-level", "wasm:info"])
            .args(["--concurrency", &workers.to_string()])
            .arg("--config-path")
            .arg(path("envoy.json"))
            .arg("--admin-address-path")
            .arg(path("admin"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::from(file("access.log")))
            .stderr(Stdio::from(file("envoy.log")))
            .spawn()
            .expect("Envoy starts");
        Self { child, folder }
    }

    fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Known once Envoy has written it.
    fn admin_address(&self) -> Option<SocketAddr> {
        read_to_string(self.folder.path().join("admin")).ok()?.trim().parse().ok()
    }

    fn log(&self) -> String {
        read(&self.folder.path().join("envoy.log"))
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("Envoy's log:\n{}", self.log());
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

async fn ready(admin: SocketAddr) -> bool {
    try_send(admin, &Request::get("/ready")).await.is_ok_and(|answer| answer.status == 200)
}

async fn admin_get(admin: SocketAddr, path: &str) -> Answer {
    try_send(admin, &Request::get(path)).await.expect("the admin interface answers")
}

fn edge_address(listeners: &str) -> Option<SocketAddr> {
    let listeners: Value = serde_json::from_str(listeners).ok()?;
    let edge =
        listeners["listener_statuses"].as_array()?.iter().find(|listener| listener["name"] == "edge")?;
    let socket = &edge["local_address"]["socket_address"];
    Some(SocketAddr::new(
        socket["address"].as_str()?.parse().ok()?,
        socket["port_value"].as_u64()?.try_into().ok()?,
    ))
}
