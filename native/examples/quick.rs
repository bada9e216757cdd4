//! The README's quick start: the three rows of a file nearest to a black image. `cargo xtask test` holds the two to each other.
#![allow(clippy::print_stdout, reason = "an example speaks to a person")]

use nearshore::{Index, search::SearchParams};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let index = Index::open("fashion.shore")?; // mapped; reads 16 KiB
    let query = [0.0_f32; 784];
    for hit in index.search(&query, &SearchParams::recall(0.95).k(3))? {
        println!("{} {}", hit.id, hit.distance);
    }
    Ok(())
}
