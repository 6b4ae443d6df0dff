//! The clients: as many connections as asked for, and one thread that writes and reads them all.
//!
//! They share two cores with what they measure, so they do little: connections are open and have had an answer before
//! the clock runs, a request is one write, an answer mostly one read, and nothing is parsed beyond where it ends.

use crate::parts::PATIENCE;
use crate::parts::lift_file_limit;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// So many connect at a time: fewer than the shortest queue of a listener takes.
const BATCH: usize = 100;
/// Asked for by each connection before the clock runs.
const WARM: &str = "/0/page/warm";

pub struct Crowd {
    epoll: OwnedFd,
    members: Vec<Member>,
}

struct Member {
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// What came of requests that went out together.
pub struct Wave {
    /// When each answer was whole, from the first request on; `None` where no 200 came.
    pub answers: Vec<Option<Duration>>,
}

impl Wave {
    /// Until the last answer.
    pub fn all(&self) -> Duration {
        self.answers.iter().flatten().max().copied().unwrap_or_default()
    }

    /// Those of these members that got no 200.
    pub fn failed(&self, mut of: impl FnMut(usize) -> bool) -> usize {
        self.answers.iter().enumerate().filter(|(number, answer)| of(*number) && answer.is_none()).count()
    }
}

impl Crowd {
    /// Which of so many addresses a member is connected to: equal shares, in order.
    pub fn door(number: usize, count: usize, addresses: usize) -> usize {
        number * addresses / count
    }

    /// Connects so many in equal shares to these addresses, and gives each a first answer.
    pub fn connect(addresses: &[SocketAddr], count: usize) -> Result<Self, String> {
        lift_file_limit();
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|reason| format!("epoll: {reason}"))?;
        let mut crowd = Self { epoll, members: Vec::with_capacity(count) };
        while crowd.members.len() < count {
            let first = crowd.members.len();
            for number in first..count.min(first + BATCH) {
                crowd.join(addresses[Self::door(number, count, addresses.len())])?;
            }
            let mut missing = crowd.members.len() - first;
            for number in first..crowd.members.len() {
                crowd.ask(number, WARM)?;
            }
            let deadline = Instant::now() + PATIENCE;
            crowd.answers(deadline, |crowd, number, well| {
                if !well {
                    let said = String::from_utf8_lossy(&crowd.members[number].inbox).into_owned();
                    return Err(format!("a first answer is not a 200: {said:?}"));
                }
                missing -= 1;
                Ok(missing > 0)
            })?;
        }
        Ok(crowd)
    }

    /// All ask for this at once. `meanwhile` is done when all have asked, before any answer is read.
    pub fn wave(&mut self, path: &str, meanwhile: impl FnOnce()) -> Result<Wave, String> {
        let mut answers = vec![None; self.members.len()];
        let mut missing = answers.len();
        let begun = Instant::now();
        for number in 0..answers.len() {
            self.ask(number, path)?;
        }
        meanwhile();
        self.answers(begun + PATIENCE, |_, number, well| {
            if well {
                answers[number] = Some(begun.elapsed());
            }
            missing -= 1;
            Ok(missing > 0)
        })?;
        Ok(Wave { answers })
    }

    /// Each asks for the next of so many paths as soon as it has its answer; how long that took.
    pub fn load(&mut self, total: usize, path: impl Fn(usize) -> String) -> Result<Duration, String> {
        let begun = Instant::now();
        let mut next = total.min(self.members.len());
        for number in 0..next {
            self.ask(number, &path(number))?;
        }
        let mut missing = total;
        self.answers(begun + PATIENCE, |crowd, number, well| {
            if !well {
                return Err("an answer is not a 200".to_owned());
            }
            if next < total {
                crowd.ask(number, &path(next))?;
                next += 1;
            }
            missing -= 1;
            Ok(missing > 0)
        })?;
        Ok(begun.elapsed())
    }

    fn join(&mut self, address: SocketAddr) -> Result<(), String> {
        let connect = || -> std::io::Result<TcpStream> {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = EventData::new_u64(self.members.len() as u64);
            epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
            Ok(stream)
        };
        let stream = connect().map_err(|reason| format!("client: {address}: {reason}"))?;
        self.members.push(Member { stream, inbox: Vec::with_capacity(4096) });
        Ok(())
    }

    /// The upstream is told who asks.
    fn ask(&mut self, number: usize, path: &str) -> Result<(), String> {
        let member = &mut self.members[number];
        member.inbox.clear();
        let request = format!("GET {path} HTTP/1.1\r\nhost: waves.test\r\nx-number: {number}\r\n\r\n");
        // So little always fits the socket's buffer.
        member.stream.write_all(request.as_bytes()).map_err(|reason| format!("client: {reason}"))
    }

    /// Hands on who has an answer, and whether it is a whole 200, until `each` says that it has seen enough.
    fn answers(
        &mut self,
        deadline: Instant,
        mut each: impl FnMut(&mut Self, usize, bool) -> Result<bool, String>,
    ) -> Result<(), String> {
        let mut events: Vec<Event> = Vec::with_capacity(256);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("answers did not come within {PATIENCE:?}"));
            }
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: 1_000_000 };
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&left))
                .map_err(|reason| format!("epoll: {reason}"))?;
            for event in &events {
                let number = event.data.u64() as usize;
                let Some(well) = self.read(number) else { continue };
                if !each(self, number, well)? {
                    return Ok(());
                }
            }
        }
    }

    /// Reads what has come; whether it is a 200, once it is whole or the connection has ended.
    fn read(&mut self, number: usize) -> Option<bool> {
        let member = &mut self.members[number];
        let mut chunk = [0; 8192];
        match member.stream.read(&mut chunk) {
            Ok(read @ 1..) => {
                member.inbox.extend(&chunk[..read]);
                is_whole(&member.inbox).then(|| member.inbox.starts_with(b"HTTP/1.1 200 "))
            }
            Err(reason) if matches!(reason.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            Ok(_) | Err(_) => {
                let _ = epoll::delete(&self.epoll, &member.stream);
                Some(false)
            }
        }
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    match length {
        Some(length) => bytes.len() >= end.saturating_add(4).saturating_add(length),
        None => bytes.ends_with(b"\r\n0\r\n\r\n"),
    }
}
