//! Envoys that take over from one another while they run (hot restart): one listens where the other did.

use super::ports;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;

/// What they have in common: an address that both can name, and the number under which they find each other.
#[derive(Debug)]
pub struct Lineage {
    folder: TempDir,
    address: SocketAddr,
}

impl Lineage {
    /// One that nobody belongs to yet.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("breakwater-lineage-").expect("a folder for a number");
        Self { folder, address: ports::unused() }
    }

    /// Where each of them listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The arguments of the first (0), the second (1), and so on. The first must have started before the second.
    pub(super) fn arguments(&self, epoch: u32) -> Vec<String> {
        let mut arguments = vec!["--restart-epoch".to_owned(), epoch.to_string()];
        if epoch == 0 {
            arguments.extend(["--use-dynamic-base-id".into(), "--base-id-path".into()]);
            arguments.push(self.number().display().to_string());
        } else {
            let number = std::fs::read_to_string(self.number()).expect("the first has written it");
            arguments.extend(["--base-id".into(), number]);
        }
        arguments
    }

    fn number(&self) -> PathBuf {
        self.folder.path().join("number")
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        // Envoy leaves the memory behind that they shared, under ten times the number.
        if let Ok(number) = std::fs::read_to_string(self.number()) {
            let _ = std::fs::remove_file(format!("/dev/shm/envoy_shared_memory_{}0", number.trim()));
        }
    }
}

impl Default for Lineage {
    fn default() -> Self {
        Self::new()
    }
}
