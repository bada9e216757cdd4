//! The loop that drives many searches: the same answers over every driver, right ones or errors under faults.

use nearshore_core::seed::{hash, mix};

use super::run::{RunError, Waits, Work, run};
use super::*;

const BLOCK: usize = 512;
const BLOCKS: u64 = 500;

/// A file of blocks that know their number and carry a checksum.
fn checked_file() -> Vec<u8> {
    let block = |number: u64| {
        let mut block: Vec<u8> = (0..BLOCK as u64 / 8 - 1).flat_map(|word| hash(1, number, word).to_le_bytes()).collect();
        block.extend(checksum(number, &block).to_le_bytes());
        block
    };
    (0..BLOCKS).flat_map(block).collect()
}

fn checksum(number: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(number, |sum, &byte| mix(sum ^ u64::from(byte)))
}

/// A search whose rounds depend on all that it was fed before, and whose answer on the order of none of it.
#[derive(Debug, Default)]
struct Chase {
    query: u64,
    state: u64,
    rounds: u64,
    wanted: Vec<u64>,
    sums: Vec<Option<u64>>,
}

#[derive(Debug, PartialEq)]
struct Damage;

impl Chase {
    fn start(&mut self, query: u64) {
        (self.query, self.state, self.rounds) = (query, mix(query), 0);
        self.want();
    }

    /// None to eight blocks.
    fn want(&mut self) {
        self.wanted.clear();
        self.wanted.extend((0..self.state % 9).map(|at| hash(self.state, 0, at) % BLOCKS));
        self.wanted.sort_unstable();
        self.wanted.dedup();
        self.sums.clear();
        self.sums.resize(self.wanted.len(), None);
    }
}

impl Waits for Chase {
    type Error = Damage;

    fn wanted(&self) -> usize {
        self.wanted.len()
    }

    fn block(&self, at: usize) -> (u64, u32) {
        (self.wanted[at] * BLOCK as u64, BLOCK as u32)
    }

    fn feed(&mut self, at: usize, bytes: &[u8]) -> Result<(), Damage> {
        let (data, sum) = bytes.split_last_chunk::<8>().ok_or(Damage)?;
        if bytes.len() != BLOCK || checksum(self.wanted[at], data) != u64::from_le_bytes(*sum) {
            return Err(Damage);
        }
        assert!(self.sums[at].replace(u64::from_le_bytes(*sum)).is_none(), "fed twice");
        Ok(())
    }

    fn advance(&mut self) -> Result<bool, Damage> {
        assert!(self.sums.iter().all(Option::is_some), "advanced too early");
        self.state = self.sums.iter().flatten().fold(self.state, |state, sum| mix(state ^ sum));
        self.rounds += 1;
        // An eighth of the searches find out late that they are lost.
        if self.rounds == 3 && self.query % 8 == 7 {
            return Err(Damage);
        }
        self.want();
        Ok(self.rounds > self.query % 5)
    }
}

/// Queries 0.. and what became of each.
struct Queries {
    next: u64,
    count: u64,
    answers: Vec<Option<Result<u64, String>>>,
}

impl Queries {
    fn new(count: u64) -> Self {
        Self { next: 0, count, answers: (0..count).map(|_| None).collect() }
    }
}

impl Work<Chase> for Queries {
    fn next(&mut self, search: &mut Chase) -> Option<Result<(), Damage>> {
        if self.next == self.count {
            return None;
        }
        search.start(self.next);
        self.next += 1;
        // Some do not even begin.
        Some(if search.query % 16 == 5 { Err(Damage) } else { Ok(()) })
    }

    fn done(&mut self, search: &mut Chase, result: Result<(), RunError<Damage>>) {
        let answer = result.map(|()| search.state).map_err(|error| format!("{error:?}"));
        assert!(self.answers[search.query as usize].replace(answer).is_none(), "query {} ended twice", search.query);
    }
}

fn answers(blocks: &mut dyn Blocks, slots: usize, count: u64) -> Vec<Result<u64, String>> {
    let mut slots: Vec<Chase> = (0..slots).map(|_| Chase::default()).collect();
    let mut queries = Queries::new(count);
    run(blocks, &mut slots, &mut queries).unwrap();
    assert_eq!(blocks.in_flight(), 0);
    queries.answers.into_iter().map(|answer| answer.expect("every query ends")).collect()
}

#[test]
fn answers_are_the_same_on_every_driver_with_any_number_in_flight() {
    let sample = Sample::of(checked_file());
    let expected = answers(&mut HeldBlocks::new(&sample.bytes), 1, 300);
    assert!(expected.iter().filter(|answer| answer.is_ok()).count() > 200);
    assert_eq!(
        expected.iter().filter(|answer| answer.is_err()).count(),
        (0..300).filter(|q| q % 16 == 5 || q % 8 == 7 && q % 5 >= 2).count()
    );
    for (name, mut blocks) in sample.drivers() {
        for slots in [1, 2, 16, 301] {
            assert_eq!(answers(&mut *blocks, slots, 300), expected, "{name}, {slots} in flight");
        }
    }
}

#[test]
fn no_slot_and_no_query_are_no_work() {
    let sample = Sample::of(checked_file());
    assert!(answers(&mut HeldBlocks::new(&sample.bytes), 5, 0).is_empty());
    let mut queries = Queries::new(3);
    run(&mut HeldBlocks::new(&sample.bytes), &mut [] as &mut [Chase; 0], &mut queries).unwrap();
    assert_eq!(queries.next, 0);
}

#[test]
fn under_faults_an_answer_is_right_or_an_error() {
    let sample = Sample::of(checked_file());
    let expected = answers(&mut HeldBlocks::new(&sample.bytes), 1, 200);
    for seed in 0..20 {
        let mut blocks = FaultyBlocks::new(HeldBlocks::new(&sample.bytes), Faults::all(seed));
        let found = answers(&mut blocks, 8, 200);
        let mut failed = 0;
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found == expected || found.is_err(), "seed {seed}: {found:?} instead of {expected:?}");
            failed += u64::from(found != expected);
        }
        assert!(failed > 0 && failed <= blocks.spoiled(), "seed {seed}: {failed} failed of {} spoiled", blocks.spoiled());
    }
}

#[test]
fn damage_on_the_way_does_not_stay_in_the_cache() {
    let sample = Sample::of(checked_file());
    let expected = answers(&mut HeldBlocks::new(&sample.bytes), 1, 200);
    let cache = Arc::new(BlockCache::new(16 << 20));
    let faulty = FaultyBlocks::new(HeldBlocks::new(&sample.bytes), Faults { torn: 100, wrong: 100, ..Faults::default() });
    let mut blocks = CachedBlocks::new(faulty, cache.clone());
    let found = answers(&mut blocks, 4, 200);
    assert!(found != expected);
    // The same cache over a sound file: what was kept is sound.
    let mut blocks = CachedBlocks::new(HeldBlocks::new(&sample.bytes), cache.clone());
    let before = cache.hits();
    assert_eq!(answers(&mut blocks, 4, 200), expected);
    assert!(cache.hits() > before);
}

/// A driver that lets go of a block only once the one before it was looked at.
struct OneByOne<'a> {
    bytes: &'a [u8],
    asked: std::collections::VecDeque<(u64, u64, u32)>,
    handed: usize,
    fed: &'a std::cell::Cell<usize>,
}

impl Blocks for OneByOne<'_> {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        self.asked.push_back((token, offset, bytes));
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        assert_eq!(self.fed.get(), self.handed, "a block waits for others before it is looked at");
        if let Some((token, offset, bytes)) = self.asked.pop_front() {
            self.handed += 1;
            arrived(token, Ok(&self.bytes[offset as usize..][..bytes as usize]));
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.asked.len()
    }
}

/// A chase that counts what it was fed.
struct Counted<'a>(Chase, &'a std::cell::Cell<usize>);

impl Waits for Counted<'_> {
    type Error = Damage;

    fn wanted(&self) -> usize {
        self.0.wanted()
    }

    fn block(&self, at: usize) -> (u64, u32) {
        self.0.block(at)
    }

    fn feed(&mut self, at: usize, bytes: &[u8]) -> Result<(), Damage> {
        self.1.set(self.1.get() + 1);
        self.0.feed(at, bytes)
    }

    fn advance(&mut self) -> Result<bool, Damage> {
        self.0.advance()
    }
}

impl Work<Counted<'_>> for Queries {
    fn next(&mut self, search: &mut Counted<'_>) -> Option<Result<(), Damage>> {
        Work::<Chase>::next(self, &mut search.0)
    }

    fn done(&mut self, search: &mut Counted<'_>, result: Result<(), RunError<Damage>>) {
        Work::<Chase>::done(self, &mut search.0, result);
    }
}

#[test]
fn what_came_is_looked_at_while_the_rest_is_under_way() {
    let sample = Sample::of(checked_file());
    let expected = answers(&mut HeldBlocks::new(&sample.bytes), 1, 100);
    let fed = std::cell::Cell::new(0);
    let mut blocks = OneByOne { bytes: &sample.bytes, asked: Default::default(), handed: 0, fed: &fed };
    let (mut slots, mut queries) = ([0, 1, 2].map(|_| Counted(Chase::default(), &fed)), Queries::new(100));
    run(&mut blocks, &mut slots, &mut queries).unwrap();
    assert!(queries.answers.into_iter().map(Option::unwrap).eq(expected));
    assert!(fed.get() > 300);
}
