//! The Envoy under load: one worker, a listener on a free port for each subject.

use crate::client::get;
use crate::subject::Subject;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The kernel's unit in `/proc/<pid>/stat` (`USER_HZ`), 100 on every Linux that Envoy runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Ended when dropped, also on a failed run.
pub struct Envoy {
    process: Child,
    admin: SocketAddr,
}

impl Envoy {
    pub fn start(binary: &str, bootstrap: &Value) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("l1_hit");
        let [config, log, admin] = ["envoy.json", "envoy.log", "admin"].map(|file| folder.join(file));
        let fail = |reason: std::io::Error| format!("Envoy: {reason}");
        fs::create_dir_all(&folder).map_err(fail)?;
        let _ = fs::remove_file(&admin);
        fs::write(&config, bootstrap.to_string()).map_err(fail)?;
        let process = Command::new(binary)
            .arg("--config-path")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).map_err(fail)?)
            .spawn()
            .map_err(|reason| format!("{binary}: {reason}"))?;
        let mut envoy = Self { process, admin: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline && envoy.process.try_wait().map_err(fail)?.is_none() {
            if let Some(address) = fs::read_to_string(&admin).ok().and_then(|text| text.trim().parse().ok()) {
                envoy.admin = address;
                if get(address, "/ready").is_ok_and(|answer| answer.status == 200) {
                    return Ok(envoy);
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(format!("Envoy did not start. Its log:\n{said}"))
    }

    pub fn listeners(&self, subjects: &[Subject]) -> Result<Vec<SocketAddr>, String> {
        let body = get(self.admin, "/listeners?format=json")?.body;
        let listeners: Value = serde_json::from_slice(&body).map_err(|reason| reason.to_string())?;
        let statuses = listeners["listener_statuses"].as_array().ok_or("Envoy names no listeners")?;
        let port = |subject: &Subject| {
            let status = statuses.iter().find(|status| status["name"] == subject.name.as_str())?;
            let port = status["local_address"]["socket_address"]["port_value"].as_u64()?;
            Some(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).ok()?)))
        };
        subjects.iter().map(|subject| port(subject).ok_or(format!("{}: no listener", subject.name))).collect()
    }

    /// User and system time of all threads so far.
    pub fn cpu_seconds(&self) -> Result<f64, String> {
        let file = format!("/proc/{}/stat", self.process.id());
        let text = fs::read_to_string(&file).map_err(|reason| format!("{file}: {reason}"))?;
        // The second field, the name in brackets, may hold spaces; utime and stime are the 14th and 15th.
        let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |index| after_name.split_whitespace().nth(index)?.parse::<f64>().ok();
        field(11)
            .zip(field(12))
            .map(|(user, system)| (user + system) / TICKS_PER_SECOND)
            .ok_or(format!("{file} reads {text}"))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn bootstrap(subjects: &[Subject], origin: SocketAddr) -> Value {
    let any_port = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    let listeners: Vec<Value> = subjects.iter().map(|subject| {
        let router = json!({
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
        });
        let filters: Vec<Value> = subject.filter().into_iter().chain([router]).collect();
        json!({
            "name": subject.name,
            "address": any_port,
            "filter_chains": [{"filters": [{
                "name": "hcm",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": "edge",
                    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [subject.route()]}]},
                    "http_filters": filters
                }
            }]}]
        })
    }).collect();
    json!({
        "admin": {"address": any_port},
        "static_resources": {
            "listeners": listeners,
            "clusters": [{
                "name": "origin",
                "connect_timeout": "1s",
                "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint": {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": origin.port()}}
                }}]}]}
            }]
        }
    })
}
