//! Many searches in flight on one thread, over any driver.
//!
//! ```text
//! for each of N slots: next -> submit wanted
//! while any is in flight: wait -> feed what arrived; a search that has all -> advance -> submit wanted
//!                                                                                  '-> done -> next
//! ```
//! While one search waits for the disk the others compute, so a thread keeps as many reads in flight as its searches want
//! together. What a search answers depends on none of that: it is fed exactly what it asked for, in whatever order.

use std::fmt;

use super::{BlockError, Blocks};

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

/// Runs searches until there is no next: as many at once as there are `slots`, whose buffers are used again from search to
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
    for (slot, search) in slots.iter_mut().enumerate() {
        begin(blocks, slot, search, &mut places[slot], &mut ready, work);
    }
    loop {
        // A round of no block is ready at once; so may be the search that follows in its slot. Each pass of this loop ends one
        // round of one search.
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
                    begin(blocks, slot, search, place, &mut ready, work);
                }
            }
        }
        if blocks.in_flight() == 0 {
            // Nobody waits any more, or a driver has lost what it was asked for.
            let lost: usize = places.iter().map(|place| place.missing).sum();
            let error = || BlockError::Stopped(std::io::Error::other(format!("the driver has lost {lost} blocks")));
            return if lost == 0 { Ok(()) } else { Err(error()) };
        }
        let mut unchecked = Vec::new();
        blocks.wait(&mut |token, bytes| {
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
    }
}

/// Begins searches in a slot until one waits, or is ready to go on, or there is none.
fn begin<S: Waits>(
    blocks: &mut dyn Blocks,
    slot: usize,
    search: &mut S,
    place: &mut Place<S::Error>,
    ready: &mut Vec<usize>,
    work: &mut impl Work<S>,
) {
    while let Some(begun) = work.next(search) {
        match begun {
            Ok(()) => return submit(blocks, slot, search, place, ready),
            Err(error) => work.done(search, Err(RunError::Search(error))),
        }
    }
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
    use crate::io::blocks::{Arrived, HeldBlocks};

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
}
