//! Redis: a real one that can be killed and frozen, and a false one that says what it likes.

use super::{ports, root};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A redis-server of its own, without persistence.
pub struct Redis {
    address: SocketAddr,
    child: Option<Child>,
    frozen: bool,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        // Between looking for a free port and Redis taking it, somebody else may: then another port.
        for _ in 0..5 {
            let address = ports::unused();
            let mut redis = Self { address, child: Some(spawn(address)), frozen: false };
            if redis.answers().await {
                return redis;
            }
        }
        panic!("redis-server does not start: is it installed? (make redis)");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one command; the raw reply, as far as it came at once.
    pub async fn command(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("Redis is up");
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(bytes.as_bytes()).await.expect("Redis reads");
        let mut reply = vec![0; 65_536];
        let length = stream.read(&mut reply).await.expect("Redis answers");
        String::from_utf8_lossy(&reply[..length]).into_owned()
    }

    /// The keys of all entries, in order.
    pub async fn keys(&self) -> Vec<String> {
        let is_entry = |key: &String| !key.contains(":lock:");
        self.all_keys().await.into_iter().filter(is_entry).collect()
    }

    /// The keys of all leases, and of what is left for those who await one, in order.
    pub async fn leases(&self) -> Vec<String> {
        self.all_keys().await.into_iter().filter(|key| key.contains(":lock:")).collect()
    }

    async fn all_keys(&self) -> Vec<String> {
        let reply = self.command(&["KEYS", "*"]).await;
        let mut keys: Vec<String> =
            reply.lines().skip(1).filter(|line| !line.starts_with('$')).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// Forgets everything.
    pub async fn flush(&self) {
        assert_eq!(self.command(&["FLUSHALL"]).await, "+OK\r\n");
    }

    /// Dies at once; new connections are refused.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Comes back, empty, at the same address.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "it is running");
        self.child = Some(spawn(self.address));
        assert!(self.answers().await, "nobody takes a port of that range");
    }

    /// Stands still: connections stay, nothing is answered.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
        self.frozen = true;
    }

    /// Goes on.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
        self.frozen = false;
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it is running");
        kill_process(Pid::from_child(child), signal).expect("a child of ours can be signalled");
    }

    /// Whether it comes up; not when its process ends instead, as it does when the port is taken.
    async fn answers(&mut self) -> bool {
        let address = self.address;
        let child = self.child.as_mut().expect("it was just started");
        let mut up = false;
        super::eventually("Redis answers", async || {
            if !matches!(child.try_wait(), Ok(None)) {
                return true;
            }
            up = ping(address).await.is_ok();
            up
        })
        .await;
        up
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // SIGKILL reaches a frozen process too.
        self.kill();
    }
}

async fn ping(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).await?;
    if &reply == b"+PONG\r\n" { Ok(()) } else { Err(std::io::Error::other("not Redis")) }
}

fn spawn(address: SocketAddr) -> Child {
    let mut child = Command::new("redis-server")
        .arg("-") // its configuration comes on standard input
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts: is it installed? (make redis)");
    let mut input = child.stdin.take().expect("it is piped");
    writeln!(
        input,
        "bind {}\nport {}\nsave \"\"\nappendonly no\nloglevel warning",
        address.ip(),
        address.port()
    )
    .expect("redis-server reads its configuration");
    child
}

/// What the false Redis does with the bytes that came.
#[derive(Clone, Debug)]
pub enum Say {
    /// Sends these back.
    Bytes(Vec<u8>),
    /// Sends these back and closes.
    Last(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// A TCP server that is not Redis.
pub struct FakeRedis {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FakeRedis {
    /// Starts one that does with each arrival of bytes what `script` says.
    pub async fn start(script: impl Fn(&[u8]) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of 127.0.0.1");
        let address = listener.local_addr().expect("a bound listener has an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let script = Arc::new(script);
        let count = asked.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                connections.spawn(converse(stream, script.clone(), count.clone()));
            }
        });
        Self { address, asked, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often bytes came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut stream: TcpStream,
    script: Arc<impl Fn(&[u8]) -> Say>,
    asked: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 65_536];
    loop {
        let length = stream.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        asked.fetch_add(1, Ordering::Relaxed);
        match script(&bytes[..length]) {
            Say::Bytes(reply) => stream.write_all(&reply).await?,
            Say::Last(reply) => return stream.write_all(&reply).await,
            Say::Nothing => {}
        }
    }
}
