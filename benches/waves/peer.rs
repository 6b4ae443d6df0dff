//! nginx and Varnish, each as its own documentation wants a cache before a slow upstream to be set up.
//!
//! nginx has as many workers as Envoy, which take connections evenly (`reuseport`), its cache lock and what goes with it
//! (`use_stale updating`, `background_update`), and connections to the upstream that are kept. Varnish has its built-in
//! VCL, which lets requests for what it found uncacheable through side by side. Their files are in memory where there is
//! a file system for that.

use crate::parts::{PATIENCE, eventually, ports};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A server that is running; it ends with this value.
pub struct Peer {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Peer {
    pub async fn nginx(origin: SocketAddr) -> Result<Self, String> {
        let (folder, address) = (folder()?, ports::unused());
        let path = folder.path().join("nginx.conf");
        fs::write(&path, nginx_conf(folder.path(), address, origin)).map_err(|reason| reason.to_string())?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&path).arg("-e").arg(folder.path().join("error.log"));
        Self::start(command, address, folder).await
    }

    /// With these parameters, and else as it comes.
    pub async fn varnish(origin: SocketAddr, parameters: &[&str]) -> Result<Self, String> {
        let (folder, address) = (folder()?, ports::unused());
        let mut command = Command::new("varnishd");
        command
            .args(["-F", "-j", "none", "-T", "none", "-s", "malloc,64m"])
            .args(parameters.iter().flat_map(|parameter| ["-p", parameter]))
            .args(["-a", &address.to_string(), "-b", &origin.to_string()])
            .arg("-n")
            .arg(folder.path().join("varnish"));
        Self::start(command, address, folder).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    async fn start(mut command: Command, address: SocketAddr, folder: TempDir) -> Result<Self, String> {
        let log = folder.path().join("log");
        let file = File::create(&log).map_err(|reason| reason.to_string())?;
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|reason| format!("{:?}: {reason}", command.get_program()))?;
        let mut peer = Self { process, address, _folder: folder };
        let mut ended = false;
        eventually("a peer listens", async || {
            ended = !matches!(peer.process.try_wait(), Ok(None));
            ended || TcpStream::connect(address).await.is_ok()
        })
        .await;
        if ended {
            return Err(format!("{command:?} ended:\n{}", fs::read_to_string(&log).unwrap_or_default()));
        }
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Not killed: it has children of its own to end.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder() -> Result<TempDir, String> {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        TempDir::with_prefix_in("breakwater-peer-", memory)
    } else {
        TempDir::with_prefix("breakwater-peer-")
    };
    made.map_err(|reason| format!("a folder for a peer's files: {reason}"))
}

fn nginx_conf(folder: &Path, address: SocketAddr, origin: SocketAddr) -> String {
    let folder = folder.display();
    // Its workers would become somebody who may not write here.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "{user}
daemon off;
pid {folder}/pid;
worker_processes 2;
events {{ worker_connections 8192; }}
http {{
access_log off;
{scratch}
proxy_cache_path {folder}/cache levels=1:2 keys_zone=waves:16m use_temp_path=off;
upstream origin {{ server {origin}; keepalive 1024; }}
server {{
listen {address} reuseport backlog=4096;
location / {{
proxy_pass http://origin;
proxy_http_version 1.1;
proxy_set_header Connection \"\";
proxy_cache waves;
proxy_cache_lock on;
proxy_cache_use_stale updating error timeout;
proxy_cache_background_update on;
}}
}}
}}
"
    )
}
