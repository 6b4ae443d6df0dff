//! Who runs beside whom? Tests start their own Envoys and run in parallel, but those that measure time, or fill the
//! machine, want it to themselves.

use tokio::sync::{Semaphore, SemaphorePermit};

const PLACES: u32 = 3;

static MACHINE: Semaphore = Semaphore::const_new(PLACES as usize);

/// Runs beside a few others.
pub async fn shared() -> SemaphorePermit<'static> {
    take(1).await
}

/// Runs alone: first waits for the others to end. (Places are given in the order of asking, so nobody is passed over.)
pub async fn alone() -> SemaphorePermit<'static> {
    take(PLACES).await
}

async fn take(places: u32) -> SemaphorePermit<'static> {
    super::lift_file_limit();
    MACHINE.acquire_many(places).await.expect("the semaphore is never closed")
}
