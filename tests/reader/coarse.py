"""Codes of few bits, encodings 1 to 4 of `codes.rows`, as FORMAT.md describes them; plain Python, f32 where it says so."""
import math
import struct

from rotation import padded

MASK = 2**64 - 1


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def split_mix(seed):
    """The words of SplitMix64."""
    while True:
        seed = seed + 0x9E3779B97F4A7C15 & MASK
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield z ^ z >> 31


def butterflies(values, pairs):
    for a, b in pairs:
        values[a], values[b] = f32(values[a] + values[b]), f32(values[a] - values[b])


def rotate(vector, seed):
    length, words = padded(len(vector)), split_mix(seed)
    window = 1 << length.bit_length() - 1
    values = list(vector) + [0.0] * (length - len(vector))
    for turn in range(4):
        signs = [next(words) for _ in range(length // 64)]
        values = [-x if signs[i // 64] >> i % 64 & 1 else x for i, x in enumerate(values)]
        start, h = 0 if turn % 2 == 0 else length - window, 1
        while h < window:
            butterflies(values, [(start + i, start + i + h) for i in range(window) if i // h % 2 == 0])
            h *= 2
        scale = f32(window ** -0.5)
        values[start:start + window] = [f32(x * scale) for x in values[start:start + window]]
        if window < length:
            butterflies(values, [(i, i + length // 2) for i in range(length // 2)])
            values = [f32(x * f32(2 ** -0.5)) for x in values]
    return values


class Bits:
    """Encodings 1, 2 and 3."""

    def __init__(self, bits, seed, centre):
        self.bits, self.seed, self.centre, self.length = bits, seed, centre, padded(len(centre))

    def codes(self, row):
        if self.bits == 1:
            return [row[j // 8] >> j % 8 & 1 for j in range(self.length)]
        if self.bits == 2:
            return [row[j // 32 * 8 + j % 8] >> 2 * (j % 32 // 8) & 3 for j in range(self.length)]
        return [row[j // 32 * 16 + j % 16] >> 4 * (j % 32 // 16) & 15 for j in range(self.length)]

    def check(self, row, vector):
        """What is wrong with a row that codes `vector`, and 0."""
        at = self.length * self.bits // 8
        norm, rescale, error, total = struct.unpack_from("<3fI", row, at)
        codes = self.codes(row)
        if any(row[at + 16:]) or sum(codes) != total:
            return f"a sum of {total}, or bytes beside its fields", 0
        r = rotate([f32(v - c) for v, c in zip(vector, self.centre)], self.seed)
        x = [code - (2**self.bits - 1) / 2 for code in codes]
        square, product, size = math.fsum(a * a for a in r), math.fsum(a * b for a, b in zip(r, x)), math.fsum(b * b for b in x)
        if any((code >= 2 ** (self.bits - 1)) != (a > 0) for code, a in zip(codes, r)):
            return "a code of the wrong sign", 0
        by_level = [[abs(a) for b, a in zip(x, r) if abs(b) == level] for level in sorted(set(map(abs, x)))]
        if any(max(low) > min(high) for low, high in zip(by_level, by_level[1:])):
            return "codes that do not ascend with what they code", 0
        wanted = [square, 0, 0] if product <= 0 else [
            square, square / product, math.sqrt(square * max(square * size / product**2 - 1, 0) / (len(r) - 1))]
        if not all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-7) for a, b in zip((norm, rescale, error), wanted)):
            return f"norm, rescale, error {norm} {rescale} {error}, not {wanted}", 0
        return None, 0


class Parts:
    """Encoding 4."""

    def __init__(self, dimensions, parts, columns):
        self.ranges = [range(p * dimensions // parts, (p + 1) * dimensions // parts) for p in range(parts)]
        self.columns = columns

    def check(self, row, vector):
        """What is wrong with a row that codes `vector`, and the squared distance of what it stands for."""
        if any(row[len(self.ranges):]):
            return "bytes behind its codes", 0
        sum_ = 0
        for code, part in zip(row, self.ranges):
            distances = [math.fsum((vector[d] - self.columns[256 * d + i]) ** 2 for d in part) for i in range(256)]
            if distances[code] > min(distances) * (1 + 1e-5) + 1e-9:
                return f"centroid {code} is not the nearest", 0
            sum_ += distances[code]
        return None, sum_
