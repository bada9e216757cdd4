//! Damages a file where it hurts: fields of the header, words in rows, lengths, places; and anywhere at all.

/// SplitMix64: a seed is a whole run, so a failure is replayed by its seed alone.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts a run.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.bits() % end as u64) as usize }
    }
}

/// Changes a `.shore` file in one to four ways. Most results have the shape of a file still, many do not.
pub fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        match random.below(16) {
            0 => field(bytes, 0, 104, random),
            1..4 => {
                let sections = bytes.get(12).map_or(0, |&count| usize::from(count).clamp(1, 192));
                let entry = 4096 + 64 * random.below(sections);
                field(bytes, entry, 64, random);
            }
            4..12 => {
                let at = 16_384.min(bytes.len());
                let length = bytes.len() - at;
                field(bytes, at, length, random);
            }
            12..15 => anywhere(bytes, random),
            _ if random.below(4) == 0 => resize(bytes, random),
            _ => {
                // A word of a row becomes another word of some row: plausible, yet wrong.
                let mut word = [0; 4];
                let from = 16_384 + random.below(bytes.len().saturating_sub(16_384)) / 4 * 4;
                let to = 16_384 + random.below(bytes.len().saturating_sub(16_384)) / 4 * 4;
                if let Some(bytes) = bytes.get(from..from + 4) {
                    word.copy_from_slice(bytes);
                }
                if let Some(bytes) = bytes.get_mut(to..to + 4) {
                    bytes.copy_from_slice(&word);
                }
            }
        }
    }
}

/// What text of numbers, and headers in text, rarely hold.
const WORDS: [&str; 20] = [
    "",
    "\n",
    "\"",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "null",
    "NaN",
    "-1",
    "1e999",
    "0.1e-400",
    "18446744073709551616",
    "4294967296",
    "\\u0000",
    "\"vector\":",
    "\"id\":",
    "(3, ",
];

/// Changes a file of vectors, ids or answers in one to four ways: numbers of its header and of its footer, words of its text,
/// anything anywhere.
pub fn mutate_data(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let length = bytes.len();
        match random.below(12) {
            0..3 => field(bytes, 0, length.min(32), random),
            3..5 => field(bytes, length.saturating_sub(8), length.min(8), random),
            5 => field(bytes, 0, length, random),
            // Numbers of few bytes: sizes and counts of Parquet, digits of text.
            6..8 => {
                let at = random.below(length);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.bits() as u8;
                }
            }
            8 => {
                let (at, removed) = (random.below(length), random.below(4));
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..(at + removed).min(length), word.bytes());
            }
            9..11 => anywhere(bytes, random),
            _ => resize(bytes, random),
        }
    }
}

/// Flips a bit, moves bytes, or makes some equal.
fn anywhere(bytes: &mut [u8], random: &mut Random) {
    match random.below(3) {
        0 => {
            let bit = random.below(bytes.len() * 8);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        1 => {
            let length = random.below(200).min(bytes.len());
            let (from, to) = (random.below(bytes.len() - length + 1), random.below(bytes.len() - length + 1));
            bytes.copy_within(from..from + length, to);
        }
        _ => {
            let (at, length, value) = (random.below(bytes.len()), random.below(200), random.bits() as u8);
            let end = (at + length).min(bytes.len());
            bytes[at..end].fill(value);
        }
    }
}

/// Cuts the file short, or lengthens it a little.
fn resize(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = random.below(bytes.len() + 4096);
    bytes.resize(length, 0);
}

/// Overwrites an aligned field of 1, 2, 4 or 8 bytes in a range with a value that is likely to hurt.
fn field(bytes: &mut [u8], start: usize, length: usize, random: &mut Random) {
    let size = 1 << random.below(4);
    let at = start + random.below(length) / size * size;
    let Some(place) = bytes.get(at..at + size) else { return };
    let mut old = [0; 8];
    old[..size].copy_from_slice(place);
    let old = u64::from_le_bytes(old);
    let value = match random.below(13) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => u64::MAX - 1,
        4 => old.wrapping_add(1),
        5 => old.wrapping_sub(1),
        6 => old ^ 1 << random.below(size * 8),
        7 => old << 1,
        8 => 1 << random.below(64),
        // NaN, infinity, the largest number and a negative one, as f32.
        9 => [0x7FC0_0000, 0x7F80_0000, 0x7F7F_FFFF, 0xBF80_0000][random.below(4)],
        10 => bytes.len() as u64,
        11 => random.below(64) as u64,
        _ => random.bits(),
    };
    bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
}
