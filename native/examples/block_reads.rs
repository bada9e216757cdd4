//! Random reads a second of one file, by driver and number in flight: what a disk and a driver can do before any search.
//!
//! ```text
//! cargo run --release -p nearshore --example block_reads -- FILE [SECONDS] [BYTES]
//! ```
//! Each line is the median of five runs of `SECONDS` (1 by default), the drivers taking turns so that a change of the machine meets all of
//! them. Reads are of `BYTES` (4,096 by default) at multiples of 4,096, around the page cache where the file system allows. CPU is that of
//! the process, its threads included, for one read.

#![expect(clippy::print_stdout, reason = "a program that measures")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nearshore::io::blocks::{BlockFile, BlockOptions, Blocks, Method};
use nearshore_core::seed::SplitMix;
use rustix::time::{ClockId, clock_gettime};

const RUNS: usize = 5;

/// Reads a second, microseconds of a read, and of the processor for it.
struct Figures {
    reads: f64,
    latency_us: f64,
    cpu_us: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("the name of a file would be right")?;
    let seconds = Duration::from_secs_f64(args.next().map_or(Ok(1.0), |text| text.parse())?);
    let bytes: u32 = args.next().map_or(Ok(4096), |text| text.parse())?;
    let ways = [(Method::Pread, true), (Method::Uring, true), (Method::Pread, false), (Method::Uring, false)];
    let mut seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for depth in [1, 4, 16, 32, 64] {
        let files: Vec<BlockFile> = ways
            .iter()
            .map(|&(method, direct)| BlockFile::open(Path::new(&path), BlockOptions::default().method(method).direct(direct).depth(depth)))
            .collect::<Result<_, _>>()?;
        let mut figures: Vec<Vec<Figures>> = files.iter().map(|_| Vec::new()).collect();
        for _ in 0..RUNS {
            for (file, figures) in files.iter().zip(&mut figures) {
                // Never the same places twice: what one run brought into a cache, be it the host's of a virtual disk, is no gain of the next.
                seed += 1;
                figures.push(measure(file, depth, bytes, seconds, seed)?);
            }
        }
        for (file, mut figures) in files.iter().zip(figures) {
            figures.sort_by(|a, b| a.reads.total_cmp(&b.reads));
            let Figures { reads, latency_us, cpu_us } = figures[figures.len() / 2];
            println!("{depth:>3} in flight: {reads:>8.0} reads/s, {latency_us:>8.1} us a read, {cpu_us:>5.1} us CPU: {file}");
        }
    }
    Ok(())
}

fn measure(file: &BlockFile, depth: usize, bytes: u32, seconds: Duration, seed: u64) -> Result<Figures, Box<dyn Error>> {
    let mut blocks: Box<dyn Blocks> = file.blocks()?;
    let mut random = SplitMix::new(seed);
    let pages = (file.bytes().saturating_sub(bytes.into()) / 4096).max(1);
    let mut submit = |blocks: &mut dyn Blocks| blocks.submit(0, random.below(pages) * 4096, bytes);
    (0..depth).for_each(|_| submit(&mut *blocks));
    let (begun, cpu) = (Instant::now(), processor_us());
    let mut reads = 0u64;
    while begun.elapsed() < seconds {
        let mut arrived = 0;
        let mut failed = None;
        blocks.wait(&mut |_, bytes| {
            arrived += 1;
            failed = bytes.err().or(failed.take());
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        reads += arrived;
        (0..arrived).for_each(|_| submit(&mut *blocks));
    }
    let (took, cpu) = (begun.elapsed().as_secs_f64(), processor_us() - cpu);
    let reads = reads.max(1) as f64;
    Ok(Figures { reads: reads / took, latency_us: took * 1e6 * depth as f64 / reads, cpu_us: cpu / reads })
}

/// Microseconds of the processor that this process had.
fn processor_us() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
