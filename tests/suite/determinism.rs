//! The same rows become the same bytes: any number of threads, any kernels. The digests are kept, so that Node and a browser, which
//! build the same rows by the same formulas, are held to the same ones.

use nearshore::Pool;
use nearshore_core::distance::Kernels;
use nearshore_core::par::{Par, Serial};
use nearshore_tests::builds::{ALL, PATH};
use nearshore_tests::golden::all;
use nearshore_tests::{keep, sha256};

use super::threads::Threads;

#[test]
fn a_build_has_one_digest_whatever_threads_and_kernels() {
    let mut lines = Vec::new();
    for recipe in ALL {
        let first = recipe.build(&Threads(2), Kernels::best());
        let digest = sha256(&first);
        let scalar = super::scalar();
        for (threads, kernels) in [(1, Kernels::best()), (7, Kernels::best()), (1, scalar), (2, scalar), (7, scalar)] {
            let file = recipe.build(&Pool::new(threads).expect("threads"), kernels);
            assert_eq!(sha256(&file), digest, "{}: {threads} threads under {}", recipe.name, kernels.name());
        }
        lines.push(recipe.describe(&digest));
    }
    keep(PATH, format!("[\n{}\n]\n", lines.join(",\n")).as_bytes()).expect("the digests that are kept");
}

#[test]
fn golden_files_do_not_depend_on_threads_or_kernels_either() {
    for golden in all() {
        let made = golden.make();
        let one = golden.build(&made, &Serial, super::scalar()).0;
        for kernels in Kernels::available() {
            let three = golden.build(&made, &Threads(3), kernels).0;
            assert!(one == three, "{}: 3 threads under {}", golden.name(), kernels.name());
        }
    }
}

#[test]
fn the_threads_of_these_tests_run_every_chunk_once() {
    let mut data = vec![0u8; 1000];
    let mut seen = [0u32; 7];
    Threads(7).chunks(&mut data, 1, &mut seen, |_, chunk, seen| {
        chunk.iter_mut().for_each(|value| *value += 1);
        *seen += 1;
    });
    assert_eq!(data, [1; 1000]);
    assert_eq!(seen.iter().sum::<u32>(), 1000);
}
