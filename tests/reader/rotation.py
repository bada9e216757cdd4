"""The seeded rotation of FORMAT.md, in double precision."""

import math


def padded(dimensions):
    return -(-dimensions // 64) * 64


def rotation(dimensions, seed):
    """A function that rotates vectors of so many dimensions."""
    width, state, rounds = padded(dimensions), seed, []
    for _ in range(4):
        words = []
        for _ in range(width // 64):
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            word = state
            word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
            words.append(word ^ word >> 31)
        rounds.append([-1 if words[i // 64] >> i % 64 & 1 else 1 for i in range(width)])
    window = 1 << width.bit_length() - 1

    def turn(vector):
        values = list(vector) + [0.0] * (width - len(vector))
        for number, signs in enumerate(rounds):
            values = [value * sign for value, sign in zip(values, signs)]
            start, half = (0 if number % 2 == 0 else width - window), 1
            while half < window:
                for i in range(start, start + window):
                    if (i - start) // half % 2 == 0:
                        a, b = values[i], values[i + half]
                        values[i], values[i + half] = a + b, a - b
                half *= 2
            for i in range(start, start + window):
                values[i] /= math.sqrt(window)
            if window < width:
                low, high = values[:width // 2], values[width // 2:]
                values = [(a + b) / math.sqrt(2) for a, b in zip(low, high)] + [(a - b) / math.sqrt(2) for a, b in zip(low, high)]
        return values

    return turn
