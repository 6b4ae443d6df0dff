//! Where can a server listen without being in anybody's way?
//!
//! Envoy and the servers of this crate let the kernel choose, and hold what they got. A Redis must be told a port, and
//! an upstream that stops and comes back must find its own again; those ports are taken from below the range the
//! kernel gives to outgoing connections, thousands of which a wave makes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::net::{TcpListener, TcpSocket};

const FIRST: u16 = 15_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A listener on a port of 127.0.0.1 that no outgoing connection will take, and that no other caller gets.
pub fn listener() -> TcpListener {
    let span = LAST - FIRST;
    // Processes begin at different places, so that they seldom try the same port.
    let offset = (std::process::id().wrapping_mul(2_654_435_761) % u32::from(span)) as u16;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % span;
        let port = FIRST + (offset + step) % span;
        if let Ok(listener) = bind((Ipv4Addr::LOCALHOST, port).into()) {
            return listener;
        }
    }
    panic!("no free port of 127.0.0.1 between {FIRST} and {LAST}");
}

/// A listener at this address, with a queue long enough for a wave that connects all at once.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// An address where a server of another program can listen now, and where nobody answers until then.
pub fn unused() -> SocketAddr {
    listener().local_addr().expect("a bound listener has an address")
}
