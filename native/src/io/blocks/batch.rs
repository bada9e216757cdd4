//! What drivers that read share: requests become groups, a group is one read until it is whole, its bytes go to whoever asked.
//!
//! ```text
//! submit -> staged -- plan: sorted, merged --> groups -- next --> (read, in pieces if it must) -- finish --> arrived
//!                                                ^                              |
//!                                                '--- one by one --- fail <-----'
//! ```
//! Systems return fewer bytes than asked for, or none yet; [`Group::took`] is the one place that knows what follows.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use super::merge::{Merging, merge};
use super::{Arrived, BlockError};

/// Times in a row that a read may come to nothing (`EINTR`, `EAGAIN`) before that counts as an error.
const TRIES_MAX: u32 = 100;

/// One block that somebody wants.
#[derive(Clone, Copy, Debug)]
struct Request {
    token: u64,
    offset: u64,
    bytes: u32,
}

/// Blocks that are read together.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Where the read begins.
    offset: u64,
    /// Its length, perhaps beyond the end of the file.
    bytes: usize,
    /// Bytes after which every block is there.
    needed: usize,
    /// Bytes that are there.
    got: usize,
    /// Reads in a row that brought nothing.
    tries: u32,
    requests: Vec<Request>,
}

/// What follows a read of a group.
#[derive(Debug)]
pub(super) enum Step {
    /// All is there that ever will be.
    Done,
    /// The rest must be read.
    More,
    /// Nothing can be read.
    Failed(io::Error),
}

impl Group {
    /// Bytes of memory that it needs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where in its memory the next read goes, from where in the file, and how long it is. Aligned as the whole is: what was
    /// read of a last page is read again.
    pub(super) fn rest(&self, align: usize) -> (usize, u64, usize) {
        let at = self.got / align * align;
        (at, self.offset + at as u64, self.bytes - at)
    }

    /// Takes what came of the read that [`rest`](Self::rest) named.
    pub(super) fn took(&mut self, result: io::Result<usize>, align: usize) -> Step {
        match result {
            Ok(bytes) => {
                let got = self.got / align * align + bytes;
                let end_of_file = bytes == 0;
                self.tries = if got > self.got { 0 } else { self.tries + 1 };
                self.got = self.got.max(got);
                if self.got >= self.needed || end_of_file || self.tries >= TRIES_MAX { Step::Done } else { Step::More }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) && self.tries < TRIES_MAX => {
                self.tries += 1;
                Step::More
            }
            Err(error) => Step::Failed(error),
        }
    }
}

/// Requests on their way. See the module.
#[derive(Debug)]
pub(super) struct Batch {
    rules: Merging,
    file_bytes: u64,
    staged: Vec<Request>,
    groups: VecDeque<Group>,
    /// Answered without a read: empty ones, and those beyond the end.
    answered: Vec<(u64, Result<(), BlockError>)>,
    /// Lists of groups that are over, for those to come.
    spare: Vec<Vec<Request>>,
    in_flight: usize,
    /// Groups that were given out.
    reads: u64,
}

impl Batch {
    /// None yet, of a file of `file_bytes`.
    pub(super) fn new(rules: Merging, file_bytes: u64) -> Self {
        let (staged, groups, answered, spare) = Default::default();
        Self { rules, file_bytes, staged, groups, answered, spare, in_flight: 0, reads: 0 }
    }

    /// Takes a request. One that the file cannot meet is answered without a read, so no memory is ever made for it.
    pub(super) fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        self.in_flight += 1;
        let found = self.file_bytes.saturating_sub(offset).min(u64::from(bytes)) as u32;
        if found < bytes {
            self.answered.push((token, Err(BlockError::Truncated { offset, wanted: bytes, found })));
        } else if bytes == 0 {
            self.answered.push((token, Ok(())));
        } else {
            self.staged.push(Request { token, offset, bytes });
        }
    }

    /// Makes groups of what was submitted.
    pub(super) fn plan(&mut self) {
        self.staged.sort_unstable_by_key(|request| (request.offset, request.bytes));
        let (groups, spare, staged) = (&mut self.groups, &mut self.spare, &self.staged);
        for span in merge(staged.iter().map(|request| request.offset..request.offset + u64::from(request.bytes)), self.rules) {
            let mut requests = spare.pop().unwrap_or_default();
            requests.extend_from_slice(&staged[span.reads]);
            let ends = requests.iter().map(|request| request.offset - span.offset + u64::from(request.bytes));
            let needed = ends.max().unwrap_or(0) as usize;
            groups.push_back(Group { offset: span.offset, bytes: span.bytes as usize, needed, requests, got: 0, tries: 0 });
        }
        self.staged.clear();
    }

    /// The next group to read.
    pub(super) fn next(&mut self) -> Option<Group> {
        let next = self.groups.pop_front();
        self.reads += u64::from(next.is_some());
        next
    }

    /// Puts back the group that [`next`](Self::next) gave.
    pub(super) fn put_back(&mut self, group: Group) {
        self.groups.push_front(group);
        self.reads -= 1;
    }

    /// Whether a group waits to be read.
    pub(super) fn has_next(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Hands over what needs no read; says how many.
    pub(super) fn hand_over(&mut self, arrived: &mut Arrived<'_>) -> usize {
        let handed = self.answered.len();
        self.in_flight -= handed;
        for (token, answer) in self.answered.drain(..) {
            arrived(token, answer.map(|()| &[][..]));
        }
        handed
    }

    /// Hands over the blocks of a group from its memory; says how many.
    pub(super) fn finish(&mut self, group: Group, memory: &[u8], arrived: &mut Arrived<'_>) -> usize {
        let there = &memory[..group.got.min(memory.len())];
        for request in &group.requests {
            let rest = there.get((request.offset - group.offset) as usize..).unwrap_or_default();
            let (offset, wanted) = (request.offset, request.bytes);
            let found = rest.len().min(wanted as usize) as u32;
            arrived(request.token, rest.get(..wanted as usize).ok_or(BlockError::Truncated { offset, wanted, found }));
        }
        self.over(group)
    }

    /// Takes a group that cannot be read. One bad place must not cost its neighbours: they are tried one by one. Says how many
    /// were handed over: none, or the last of a group.
    pub(super) fn fail(&mut self, mut group: Group, error: io::Error, arrived: &mut Arrived<'_>) -> usize {
        if let [request] = group.requests[..] {
            arrived(request.token, Err(BlockError::Io { offset: request.offset, error }));
            return self.over(group);
        }
        for request in group.requests.drain(..) {
            let read = request.offset..request.offset + u64::from(request.bytes);
            for span in merge([read], self.rules) {
                let needed = (request.offset - span.offset) as usize + request.bytes as usize;
                let requests = vec![request];
                self.groups.push_back(Group { offset: span.offset, bytes: span.bytes as usize, needed, requests, got: 0, tries: 0 });
            }
        }
        0
    }

    fn over(&mut self, group: Group) -> usize {
        let mut requests = group.requests;
        let handed = requests.len();
        self.in_flight -= handed;
        requests.clear();
        self.spare.push(requests);
        handed
    }

    /// Groups that were read, or are.
    pub(super) fn reads(&self) -> u64 {
        self.reads
    }

    /// Submitted and not handed over.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }
}
