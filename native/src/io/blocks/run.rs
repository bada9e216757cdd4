//! Many searches in flight on one thread, over any driver.
//!
//! ```text
//! while a search can go on: advance -> submit wanted, or done
//! what arrived? feed it
//! nothing, and a slot is empty: next -> submit wanted
//! nothing, and none is: wait -> feed
//! ```
//! While some searches wait for the disk another computes, and one begins only when no other can go on: so a thread has as many in
//! flight as keep it at work while the disk brings what they want, few where that is quick and all where it is slow, and a search waits for no
//! turn longer than it must. What a search answers depends on none of that: it is fed exactly what it asked for, in whatever order.

use std::fmt;

use super::{Arrived, BlockError, Blocks};

/// A search that says which bytes it waits for.
pub trait Waits {
    /// Why it fails.
    type Error;

    /// Blocks of the present round.
    fn wanted(&self) -> usize;

    /// Where block `at` of them begins in the file, and its bytes.
    fn block(&self, at: usize) -> (u64, u32);

    /// Takes the bytes of block `at`, each once, in any order.
    ///
    /// # Errors
    /// When the bytes are not what they should be. The search is over then.
    fn feed(&mut self, at: usize, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Goes on, after every wanted block was fed. True when the search is over; else there is another round, perhaps of no block.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    fn advance(&mut self) -> Result<bool, Self::Error>;
}

/// Where searches come from and go to.
pub trait Work<S: Waits> {
    /// Begins the next search in `search`, whose last one is over. `None` when there is none.
    ///
    /// # Errors
    /// The inner result: when it cannot begin; [`done`](Self::done) gets that.
    fn next(&mut self, search: &mut S) -> Option<Result<(), S::Error>>;

    /// Takes what a search came to.
    fn done(&mut self, search: &mut S, result: Result<(), RunError<S::Error>>);
}

/// Why a search came to nothing.
#[derive(Debug)]
pub enum RunError<E> {
    /// The search itself failed.
    Search(E),
    /// A block did not come.
    Read(BlockError),
}

impl<E: fmt::Display> fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for RunError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Search(error) => error.source(),
            Self::Read(error) => error.source(),
        }
    }
}

/// A search's place in the loop.
#[derive(Debug)]
struct Place<E> {
    /// Blocks that it waits for.
    missing: usize,
    /// Its first failure. The rest of its blocks arrive before it ends, and are not looked at.
    failed: Option<RunError<E>>,
}

/// Runs searches until there is no next: as many at once as there are `slots` at most, whose buffers are used again from search to
/// search. A search that fails leaves the others alone.
///
/// # Errors
/// [`BlockError::Stopped`] when the driver can go on no more; searches in flight are not reported then.
///
/// # Panics
/// With more than 2^32 slots, or blocks in a round.
pub fn run<S: Waits>(blocks: &mut dyn Blocks, slots: &mut [S], work: &mut impl Work<S>) -> Result<(), BlockError> {
    let mut places: Vec<Place<S::Error>> = slots.iter().map(|_| Place { missing: 0, failed: None }).collect();
    let mut ready: Vec<usize> = Vec::with_capacity(slots.len());
    let mut empty: Vec<usize> = (0..slots.len()).rev().collect();
    loop {
        // A round of no block is ready at once. Each pass of this loop ends one round of one search.
        while let Some(slot) = ready.pop() {
            let (search, place) = (&mut slots[slot], &mut places[slot]);
            let result = match place.failed.take() {
                Some(error) => Err(error),
                None => search.advance().map_err(RunError::Search),
            };
            match result {
                Ok(false) => submit(blocks, slot, search, place, &mut ready),
                over => {
                    work.done(search, over.map(|_| ()));
                    empty.push(slot);
                }
            }
        }
        if let Some(&slot) = empty.last() {
            take(blocks, |blocks, arrived| blocks.poll(arrived), slots, &mut places, &mut ready)?;
            if ready.is_empty() {
                match work.next(&mut slots[slot]) {
                    None => empty.clear(),
                    Some(Err(error)) => work.done(&mut slots[slot], Err(RunError::Search(error))),
                    Some(Ok(())) => {
                        empty.pop();
                        submit(blocks, slot, &slots[slot], &mut places[slot], &mut ready);
                    }
                }
            }
        } else if blocks.in_flight() > 0 {
            take(blocks, |blocks, arrived| blocks.wait(arrived), slots, &mut places, &mut ready)?;
        } else {
            // Nobody waits any more, or a driver has lost what it was asked for.
            let lost: usize = places.iter().map(|place| place.missing).sum();
            let error = || BlockError::Stopped(std::io::Error::other(format!("the driver has lost {lost} blocks")));
            return if lost == 0 { Ok(()) } else { Err(error()) };
        }
    }
}

/// Feeds what `bring` has the driver hand over. A search that has all it wanted is ready.
fn take<S: Waits>(
    blocks: &mut dyn Blocks,
    bring: impl FnOnce(&mut dyn Blocks, &mut Arrived<'_>) -> Result<(), BlockError>,
    slots: &mut [S],
    places: &mut [Place<S::Error>],
    ready: &mut Vec<usize>,
) -> Result<(), BlockError> {
    let mut unchecked = Vec::new();
    bring(blocks, &mut |token, bytes| {
        let (slot, at) = ((token >> 32) as usize, (token & u64::from(u32::MAX)) as usize);
        let place = &mut places[slot];
        place.missing -= 1;
        let fed = match &place.failed {
            None => bytes.map_err(RunError::Read).and_then(|bytes| slots[slot].feed(at, bytes).map_err(RunError::Search)).err(),
            Some(_) => None,
        };
        place.failed = place.failed.take().or(fed);
        if place.failed.is_some() {
            // Wrong, or looked at by nobody.
            unchecked.push(slots[slot].block(at));
        }
        if place.missing == 0 {
            ready.push(slot);
        }
    })?;
    for (offset, bytes) in unchecked {
        blocks.forget(offset, bytes);
    }
    Ok(())
}

/// Asks for what a search wants.
fn submit<S: Waits>(blocks: &mut dyn Blocks, slot: usize, search: &S, place: &mut Place<S::Error>, ready: &mut Vec<usize>) {
    let number = u32::try_from(slot).expect("fewer slots than 2^32");
    place.missing = search.wanted();
    for at in 0..place.missing {
        let at = u32::try_from(at).expect("fewer blocks than 2^32");
        let (offset, bytes) = search.block(at as usize);
        blocks.submit(u64::from(number) << 32 | u64::from(at), offset, bytes);
    }
    if place.missing == 0 {
        ready.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::blocks::HeldBlocks;

    /// A driver that forgets every second block.
    struct Forgetful(HeldBlocks<Vec<u8>>);

    impl Blocks for Forgetful {
        fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
            if token.is_multiple_of(2) {
                self.0.submit(token, offset, bytes);
            }
        }

        fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
            self.0.wait(arrived)
        }

        fn in_flight(&self) -> usize {
            self.0.in_flight()
        }
    }

    /// One that wants two blocks.
    struct Two;

    impl Waits for Two {
        type Error = fmt::Error;

        fn wanted(&self) -> usize {
            2
        }

        fn block(&self, at: usize) -> (u64, u32) {
            (at as u64, 1)
        }

        fn feed(&mut self, _: usize, _: &[u8]) -> Result<(), fmt::Error> {
            Ok(())
        }

        fn advance(&mut self) -> Result<bool, fmt::Error> {
            Ok(true)
        }
    }

    struct Once(bool, usize);

    impl Work<Two> for Once {
        fn next(&mut self, _: &mut Two) -> Option<Result<(), fmt::Error>> {
            std::mem::take(&mut self.0).then_some(Ok(()))
        }

        fn done(&mut self, _: &mut Two, _: Result<(), RunError<fmt::Error>>) {
            self.1 += 1;
        }
    }

    #[test]
    fn a_driver_that_loses_a_block_is_an_error() {
        let mut work = Once(true, 0);
        let ended = run(&mut Forgetful(HeldBlocks::new(vec![7; 9])), &mut [Two], &mut work);
        let error = ended.expect_err("a search is not over").to_string();
        assert!(error.contains("lost 1 block") && work.1 == 0, "{error}");
        let mut work = Once(true, 0);
        run(&mut HeldBlocks::new(vec![7; 9]), &mut [Two], &mut work).expect("all blocks");
        assert_eq!(work.1, 1);
    }

    /// A driver whose blocks arrive when they were asked for so many times, or waited for.
    struct Late {
        inner: HeldBlocks<Vec<u8>>,
        polls: usize,
        left: usize,
        most: usize,
    }

    impl Blocks for Late {
        fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
            if self.inner.in_flight() == 0 {
                self.left = self.polls;
            }
            self.inner.submit(token, offset, bytes);
            self.most = self.most.max(self.inner.in_flight());
        }

        fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
            self.inner.wait(arrived)
        }

        fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 { self.inner.wait(arrived) } else { Ok(()) }
        }

        fn in_flight(&self) -> usize {
            self.inner.in_flight()
        }
    }

    struct Many(usize, usize);

    impl Work<Two> for Many {
        fn next(&mut self, _: &mut Two) -> Option<Result<(), fmt::Error>> {
            self.0 = self.0.checked_sub(1)?;
            Some(Ok(()))
        }

        fn done(&mut self, _: &mut Two, result: Result<(), RunError<fmt::Error>>) {
            self.1 += usize::from(result.is_ok());
        }
    }

    #[test]
    fn as_many_searches_are_in_flight_as_the_driver_is_slow_and_no_more_than_slots() {
        for (polls, most) in [(0, 1), (1, 1), (2, 2), (5, 5), (100, 8)] {
            let mut blocks = Late { inner: HeldBlocks::new(vec![7; 9]), polls, left: 0, most: 0 };
            let (mut slots, mut work) = ([const { Two }; 8], Many(100, 0));
            run(&mut blocks, &mut slots, &mut work).expect("all blocks");
            assert_eq!((work.1, blocks.most / 2), (100, most), "{polls} polls");
        }
    }

    /// A driver that can go on no more after some questions.
    struct Stops(Late, usize);

    impl Blocks for Stops {
        fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
            self.0.submit(token, offset, bytes);
        }

        fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
            self.0.wait(arrived)
        }

        fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
            self.1 = self.1.checked_sub(1).ok_or_else(|| BlockError::Stopped(std::io::Error::other("gone")))?;
            self.0.poll(arrived)
        }

        fn in_flight(&self) -> usize {
            self.0.in_flight()
        }
    }

    #[test]
    fn a_driver_that_stops_while_it_is_asked_ends_the_run() {
        for questions in [0, 1, 7] {
            let late = Late { inner: HeldBlocks::new(vec![7; 9]), polls: 3, left: 0, most: 0 };
            let mut work = Many(100, 0);
            let error = run(&mut Stops(late, questions), &mut [const { Two }; 4], &mut work).expect_err("it stopped");
            assert!(error.to_string().ends_with("gone") && work.1 < 8, "{error}, {} done", work.1);
        }
    }
}
