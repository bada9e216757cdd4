"""Tests of the independent reader itself: its hash against the vectors of xxHash's own sanity test.

What it says about files is tested from the other side, by crates that write them: `core/tests/suite/independent_reader.rs`.
"""

import re
import struct
import unittest
from pathlib import Path

from shore_reader import Damaged, Shore, xxh3_64, xxh3_128

PRIME32, PRIME64 = 2654435761, 11400714785074694797
# Length: XXH3-64 with seed 0, with seed PRIME64.
VECTORS = {
    0: (0x2D06800538D394C2, 0xA8A6B918B2F0364A), 1: (0xC44BDFF4074EECDB, 0x032BE332DD766EF8),
    6: (0x27B56A84CD2D7325, 0x84589C116AB59AB9), 12: (0xA713DAF0DFBB77E7, 0xE7303E1B2336DE0E),
    24: (0xA3FE70BF9D3510EB, 0x850E80FC35BDD690), 48: (0x397DA259ECBA1F11, 0xADC2CBAA44ACC616),
    80: (0xBCDEFBBB2C47C90A, 0xC6DD0CB699532E73), 195: (0xCD94217EE362EC3A, 0xBA68003D370CB3D9),
    403: (0xCDEB804D65C6DEA4, 0x6259F6ECFD6443FD), 512: (0x617E49599013CB6B, 0x3CE457DE14C27708),
    2048: (0xDD59E2C3A5F038E0, 0x66F81670669ABABC), 2240: (0x6E73A90539CF2948, 0x757BA8487D1B5247),
    2367: (0xCB37AEB9E5D361ED, 0xD2DB3415B942B42A),
}


def sanity_buffer(length):
    data, state = bytearray(), PRIME32
    for _ in range(length):
        data.append(state >> 56)
        state = state * PRIME64 & (1 << 64) - 1
    return bytes(data)


class Hash(unittest.TestCase):
    def test_it_gives_the_numbers_of_the_reference(self):
        data = sanity_buffer(2367)
        for length, (plain, seeded) in VECTORS.items():
            self.assertEqual(xxh3_64(data[:length]), plain, length)
            self.assertEqual(xxh3_64(data[:length], PRIME64), seeded, length)
        self.assertEqual(xxh3_128(data[:403]), 0x1B6DE21E332DD73D_CDEB804D65C6DEA4)


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def rotate(vector, seed):
    """The rotation of FORMAT.md; sums, differences and products of two f32 are exact in double precision, or rounded once from it."""
    def draw():
        nonlocal seed
        seed = seed + 0x9E3779B97F4A7C15 & (1 << 64) - 1
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        z = (z ^ z >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        return z ^ z >> 31

    v = vector + [0.0] * (-len(vector) % 64)
    padded, window = len(v), 1 << len(v).bit_length() - 1
    scale, root = f32(window ** -0.5), f32(2 ** -0.5)
    words = [[draw() for _ in range(padded // 64)] for _ in range(4)]
    for turn in range(4):
        v = [-x if words[turn][i // 64] >> i % 64 & 1 else x for i, x in enumerate(v)]
        start, h = turn % 2 * (padded - window), 1
        while h < window:
            for i in range(start, start + window):
                if (i - start) // h % 2 == 0:
                    v[i], v[i + h] = f32(v[i] + v[i + h]), f32(v[i] - v[i + h])
            h *= 2
        v[start:start + window] = [f32(x * scale) for x in v[start:start + window]]
        if window < padded:
            low, high = v[:padded // 2], v[padded // 2:]
            v = [f32(f32(a + b) * root) for a, b in zip(low, high)] + [f32(f32(a - b) * root) for a, b in zip(low, high)]
    return v


class Rotation(unittest.TestCase):
    def test_it_gives_the_vectors_of_the_format(self):
        text = (Path(__file__).parents[2] / "core" / "FORMAT.md").read_text(encoding="utf-8")
        lines = re.findall(r"\| (\d+) \| (\d+) \| `([0-9a-f]{8})` \| `([0-9a-f]{16})` \|", text)
        self.assertGreater(len(lines), 4)
        for dimensions, seed, first, digest in lines:
            v = rotate([float(i + 1) for i in range(int(dimensions))], int(seed))
            packed = struct.pack(f"<{len(v)}f", *v)
            self.assertEqual((f"{int.from_bytes(packed[:4], 'little'):08x}", f"{xxh3_64(packed):016x}"), (first, digest), dimensions)


class Header(unittest.TestCase):
    def test_what_is_no_shore_file_is_damaged(self):
        for data in (b"", b"\x89SHORE\r\n", b"\x89SHORE\r\n" + bytes(20000), b"\x89SHORE\n" + bytes(20000)):
            self.assertRaises(Damaged, Shore, data)


if __name__ == "__main__":
    unittest.main()
