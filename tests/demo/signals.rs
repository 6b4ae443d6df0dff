//! When to stop: Ctrl-C, a plain kill, or the terminal closed.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGINT, SIGTERM or SIGHUP; gives the exit code that a shell expects after it.
pub async fn stop() -> Result<u8, String> {
    let listen = |kind| signal(kind).map_err(|why| format!("cannot listen for signals: {why}"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let mut terminate = listen(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => Ok(130),
        _ = hang_up.recv() => Ok(129),
        _ = terminate.recv() => Ok(143),
    }
}
