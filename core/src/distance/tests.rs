//! Every backend of this machine against the naive sum and against `scalar`, bit for bit.
//!
//! `NEARSHORE_TEST_BACKENDS=avx2,avx512` makes the absence of a named backend a failure; without it
//! a backend of this architecture that the CPU lacks is only named in the output.

use std::io::Write;

use proptest::prelude::*;

use super::Kernels;

/// Backends that exist for this architecture, whether or not this CPU runs them.
const KNOWN: &[&str] = cfg_select! {
    target_arch = "x86_64" => { &["scalar", "avx2", "avx512"] }
    target_arch = "aarch64" => { &["scalar", "neon"] }
    _ => { &["scalar"] }
};

/// Longest length that the exhaustive tests try.
const LENGTH_MAX: usize = 2100;

#[test]
fn every_backend_that_is_asked_for_can_run() {
    let names: Vec<_> = Kernels::available().map(Kernels::name).collect();
    assert_eq!(names[0], "scalar");
    for missing in KNOWN.iter().filter(|name| !names.contains(name)) {
        // Straight to the terminal, so that a passing test does not swallow it.
        let _ = writeln!(std::io::stderr(), "UNPROVEN HERE: this CPU cannot run the {missing} kernels");
    }
    let wanted = std::env::var("NEARSHORE_TEST_BACKENDS").unwrap_or_default();
    for name in wanted.split(',').filter(|name| !name.is_empty()) {
        assert!(names.contains(&name), "backend {name} was asked for; this CPU has {names:?}");
    }
    for name in names {
        assert_eq!(Kernels::by_name(name).map(Kernels::name), Some(name));
    }
    assert!(Kernels::by_name("abacus").is_none());
}

/// Bytes that look random, each value of the type often, the extremes more often.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    (0..length)
        .map(|_| match next() {
            x if x % 4 == 0 => [0x00, 0x7f, 0x80, 0xff][(x >> 8) as usize % 4],
            x => (x >> 8) as u8,
        })
        .collect()
}

fn floats(seed: u64, length: usize) -> Vec<f32> {
    noise(seed, 2 * length).chunks_exact(2).map(|x| (f32::from(x[0]) - 127.5) * 2.0f32.powi(i32::from(x[1] % 24) - 12)).collect()
}

/// The fixed tree, written as plainly as it can be.
fn tree(products: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; 32];
    for (i, product) in products.enumerate() {
        lanes[i % 32] += product;
    }
    for half in [16, 8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

#[track_caller]
fn same_bits(kernels: &Kernels, entry: &str, length: usize, found: f32, wanted: f32) {
    assert_eq!(
        found.to_bits(),
        wanted.to_bits(),
        "{} {entry} of {length}: found {found:e} ({:#010x}), wanted {wanted:e} ({:#010x})",
        kernels.name(),
        found.to_bits(),
        wanted.to_bits(),
    );
}

fn check_floats(a: &[f32], b: &[f32]) {
    let dot = tree(a.iter().zip(b).map(|(a, b)| a * b));
    let l2 = tree(a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)));
    for kernels in Kernels::available() {
        same_bits(kernels, "dot_f32", a.len(), kernels.dot_f32(a, b), dot);
        same_bits(kernels, "l2_f32", a.len(), kernels.l2_f32(a, b), l2);
    }
}

fn check_bytes(a: &[u8], b: &[u8]) {
    let (sa, sb): (&[i8], &[i8]) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
    let sum = |f: fn((i32, i32)) -> i32| -> i32 { a.iter().zip(b).map(|(&a, &b)| f((a.into(), b.into()))).sum() };
    let signed_sum = |f: fn((i32, i32)) -> i32| -> i32 { sa.iter().zip(sb).map(|(&a, &b)| f((a.into(), b.into()))).sum() };
    let dot_u8 = sum(|(a, b)| a * b) as u32;
    let l2_u8 = sum(|(a, b)| (a - b) * (a - b)) as u32;
    let hamming = sum(|(a, b)| (a ^ b).count_ones() as i32) as u32;
    let dot_i8 = signed_sum(|(a, b)| a * b);
    let l2_i8 = signed_sum(|(a, b)| (a - b) * (a - b)) as u32;
    for kernels in Kernels::available() {
        let (name, length) = (kernels.name(), a.len());
        assert_eq!(kernels.dot_u8(a, b), dot_u8, "{name} dot_u8 of {length}");
        assert_eq!(kernels.l2_u8(a, b), l2_u8, "{name} l2_u8 of {length}");
        assert_eq!(kernels.hamming(a, b), hamming, "{name} hamming of {length}");
        assert_eq!(kernels.dot_i8(sa, sb), dot_i8, "{name} dot_i8 of {length}");
        assert_eq!(kernels.l2_i8(sa, sb), l2_i8, "{name} l2_i8 of {length}");
    }
}

fn check_query(query: &[i16], row: &[u8]) {
    let signed: &[i8] = bytemuck::cast_slice(row);
    let dot_u8 = query.iter().zip(row).fold(0i32, |sum, (&q, &x)| sum.wrapping_add(i32::from(q) * i32::from(x)));
    let dot_i8 = query.iter().zip(signed).fold(0i32, |sum, (&q, &x)| sum.wrapping_add(i32::from(q) * i32::from(x)));
    for kernels in Kernels::available() {
        let (name, length) = (kernels.name(), row.len());
        assert_eq!(kernels.dot_i16_i8(query, signed), dot_i8, "{name} dot_i16_i8 of {length}");
        assert_eq!(kernels.dot_i16_u8(query, row), dot_u8, "{name} dot_i16_u8 of {length}");
    }
}

/// Every batch entry against the single kernel of `scalar`, rows overlapping at odd places.
fn check_batch(query: &[i16], base: &[u8], offsets: &[usize]) {
    let scalar = Kernels::by_name("scalar").expect("scalar is always there");
    for kernels in Kernels::available() {
        let [mut signed, mut unsigned, mut nibbles] = [(); 3].map(|()| vec![-1; offsets.len()]);
        kernels.dots_i16_i8(query, base, offsets, &mut signed);
        kernels.dots_i16_u8(query, base, offsets, &mut unsigned);
        let rows: Vec<&[u8]> = offsets.iter().map(|&offset| &base[offset..]).collect();
        let mut found = [(); 2].map(|()| vec![-1; offsets.len()]);
        kernels.rows_i16_i8(query, &rows, &mut found[0]);
        kernels.rows_i16_u8(query, &rows, &mut found[1]);
        assert_eq!(found, [signed.clone(), unsigned.clone()], "{} rows of {}", kernels.name(), query.len());
        // Rows of nibbles are half as long, but whole steps.
        let packed: Vec<_> = offsets.iter().map(|&offset| offset.min(base.len() - query.len().div_ceil(32) * 16)).collect();
        kernels.dots_i16_u4(query, base, &packed, &mut nibbles);
        for (&offset, &found) in packed.iter().zip(&nibbles) {
            assert_eq!(found, dot_u4(query, &base[offset..]), "{} dots_i16_u4 of {}", kernels.name(), query.len());
        }
        for (i, &offset) in offsets.iter().enumerate() {
            let row = &base[offset..][..query.len()];
            let (name, length) = (kernels.name(), query.len());
            assert_eq!(signed[i], scalar.dot_i16_i8(query, bytemuck::cast_slice(row)), "{name} dots_i16_i8 of {length}, row {i}");
            assert_eq!(unsigned[i], scalar.dot_i16_u8(query, row), "{name} dots_i16_u8 of {length}, row {i}");
        }
    }
}

/// By the words of the documentation, one dimension after the other.
fn dot_u4(query: &[i16], row: &[u8]) -> i32 {
    let code = |j: usize| i32::from(row[j / 32 * 16 + j % 16] >> (j % 32 / 16 * 4) & 15);
    query.iter().enumerate().fold(0, |sum: i32, (j, &q)| sum.wrapping_add(i32::from(q) * code(j)))
}

fn words(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|x| i16::from_le_bytes([x[0], x[1]])).collect()
}

#[test]
fn floats_agree_at_every_length_and_start() {
    let (a, b) = (floats(1, LENGTH_MAX + 16), floats(2, LENGTH_MAX + 16));
    for length in 0..=LENGTH_MAX {
        let (start_a, start_b) = (length % 9, length % 7);
        check_floats(&a[start_a..][..length], &b[start_b..][..length]);
    }
}

#[test]
fn bytes_agree_at_every_length_and_start() {
    let (a, b) = (noise(3, LENGTH_MAX + 64), noise(4, LENGTH_MAX + 64));
    for length in 0..=LENGTH_MAX {
        let (start_a, start_b) = (length % 37, length % 29);
        check_bytes(&a[start_a..][..length], &b[start_b..][..length]);
    }
}

#[test]
fn queries_agree_at_every_length_and_start() {
    let (query, rows) = (words(&noise(5, 2 * LENGTH_MAX + 64)), noise(6, LENGTH_MAX + 64));
    for length in 0..=LENGTH_MAX {
        let (start_query, start_row) = (length % 13, length % 31);
        check_query(&query[start_query..][..length], &rows[start_row..][..length]);
    }
}

#[test]
fn batches_agree_at_every_length_and_count() {
    let (query, rows) = (words(&noise(7, 2 * LENGTH_MAX)), noise(8, 2 * LENGTH_MAX));
    for length in 0..=LENGTH_MAX {
        let offsets: Vec<_> = (0..length % 12).map(|i| (i * 977 + length) % (2 * LENGTH_MAX - length + 1)).collect();
        check_batch(&query[..length], &rows, &offsets);
    }
}

#[test]
fn planes_agree_at_every_length_and_count() {
    let (query, rows) = (noise(9, 4 * 2112), noise(10, 5000));
    for bytes in (0..=2112).step_by(64) {
        // All bits set, too: the largest sums.
        for planes in [&query[..4 * bytes], &vec![0xff; 4 * bytes]] {
            let offsets: Vec<_> = (0..bytes / 64 % 12 + 1).map(|i| (i * 977 + bytes) % (5000 - bytes + 1)).collect();
            for kernels in Kernels::available() {
                let mut found = vec![7; offsets.len()];
                kernels.dots_u4_u1(planes, &rows, &offsets, &mut found);
                for (&offset, &found) in offsets.iter().zip(&found) {
                    let bit = |bytes: &[u8], i: usize| u32::from(bytes[i / 8] >> (i % 8) & 1);
                    let code = |i: usize| (0..4).map(|j| bit(&planes[j * bytes..], i) << j).sum::<u32>();
                    let wanted: u32 = (0..8 * bytes).map(|i| bit(&rows[offset..], i) * code(i)).sum();
                    assert_eq!(found, wanted, "{} dots_u4_u1 of {bytes} bytes", kernels.name());
                }
            }
        }
    }
}

#[test]
fn extremes_do_not_saturate() {
    for length in [1, 2, 31, 32, 33, 64, 100, 1024, 2048, 60_000] {
        for a in [0x00, 0x7f, 0x80, 0x81, 0xff] {
            for b in [0x00, 0x7f, 0x80, 0x81, 0xff] {
                let (a, b) = (vec![a; length], vec![b; length]);
                for kernels in Kernels::available() {
                    let (x, y) = (i64::from(a[0]), i64::from(b[0]));
                    let (sx, sy) = (i64::from(a[0] as i8), i64::from(b[0] as i8));
                    let n = length as i64;
                    let (sa, sb) = (bytemuck::cast_slice(&a), bytemuck::cast_slice(&b));
                    let name = kernels.name();
                    assert_eq!(i64::from(kernels.dot_u8(&a, &b)), n * x * y, "{name}");
                    assert_eq!(i64::from(kernels.l2_u8(&a, &b)), n * (x - y) * (x - y), "{name}");
                    assert_eq!(i64::from(kernels.dot_i8(sa, sb)), n * sx * sy, "{name}");
                    assert_eq!(i64::from(kernels.l2_i8(sa, sb)), n * (sx - sy) * (sx - sy), "{name}");
                }
            }
        }
    }
}

#[test]
fn every_half_widens_alike() {
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    let scalar = Kernels::by_name("scalar").expect("scalar is always there");
    let mut wanted = vec![0.0; halves.len()];
    scalar.widen_f16(&halves, &mut wanted);
    for kernels in Kernels::available() {
        for length in (0..70).chain([halves.len()]) {
            let start = halves.len() - length;
            let mut found = vec![0.0; length];
            kernels.widen_f16(&halves[start..], &mut found);
            for (i, (found, wanted)) in found.iter().zip(&wanted[start..]).enumerate() {
                assert_eq!(found.to_bits(), wanted.to_bits(), "{} of half {:#06x}", kernels.name(), start + i);
            }
        }
    }
}

#[test]
fn infinities_and_overflow_agree() {
    let odd = [f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-45, -0.0, 0.0, -f32::MAX, 3.0];
    for length in 0..200 {
        let a: Vec<_> = (0..length).map(|i| odd[i * 5 % 8]).collect();
        let b: Vec<_> = (0..length).map(|i| odd[(i / 8 + i * 3) % 8]).collect();
        let scalar = Kernels::by_name("scalar").expect("scalar is always there");
        for kernels in Kernels::available() {
            for (found, wanted) in [(kernels.dot_f32(&a, &b), scalar.dot_f32(&a, &b)), (kernels.l2_f32(&a, &b), scalar.l2_f32(&a, &b))] {
                let same = found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
                assert!(same, "{} of {length}: {found} beside {wanted}", kernels.name());
            }
        }
    }
}

#[test]
#[should_panic(expected = "range end index")]
fn a_row_beyond_the_base_panics() {
    Kernels::best().dots_i16_i8(&[1; 32], &[0; 64], &[0, 33], &mut [0; 2]);
}

#[test]
fn prefetch_takes_any_slice() {
    let bytes = [0; 300];
    for length in 0..300 {
        Kernels::best().prefetch(&bytes[length..]);
        Kernels::best().prefetch(&bytes[..length]);
    }
}

proptest! {
    #[test]
    fn random_floats_agree(pairs in prop::collection::vec((-1e6f32..1e6, -1e6f32..1e6), 0..=LENGTH_MAX), start in 0usize..8) {
        let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let start = start.min(a.len());
        check_floats(&a[start..], &b[..a.len() - start]);
    }

    #[test]
    fn random_bytes_agree(pairs in prop::collection::vec(any::<(u8, u8)>(), 0..=LENGTH_MAX), start in 0usize..64) {
        let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let start = start.min(a.len());
        check_bytes(&a[start..], &b[..a.len() - start]);
    }

    #[test]
    fn random_queries_agree(pairs in prop::collection::vec(any::<(i16, u8)>(), 0..=LENGTH_MAX), start in 0usize..64) {
        let (query, row): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let start = start.min(row.len());
        check_query(&query[start..], &row[..row.len() - start]);
    }

    #[test]
    fn random_batches_agree(query in prop::collection::vec(any::<i16>(), 0..600), base in prop::collection::vec(any::<u8>(), 600..3000), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let offsets: Vec<_> = picks.iter().map(|pick| pick.index(base.len() - query.len() + 1)).collect();
        check_batch(&query, &base, &offsets);
    }
}
