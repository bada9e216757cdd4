"""Tiles, as FORMAT.md describes them: their tables held against the records, and a search by them. Plain Python, f32 where it says so."""

import math
import struct

from coarse import f32, rotate
from rotation import padded

NONE = 0xFFFFFFFF


def must(condition, message):
    if not condition:
        raise AssertionError(message)


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def bf16(half):
    return struct.unpack("<f", struct.pack("<I", half << 16))[0]


def unit(vector):
    length = math.sqrt(dot(vector, vector))
    return [x / length for x in vector] if length > 0 else vector


class Tiles:
    """The three tables of a file, decoded."""

    def __init__(self, shore):
        self.shore, self.width = shore, padded(shore.dimensions)
        self.tiles, self.route, self.codes = (shore.table(name) for name in ("tiles", "route.records", "codes.tiles"))
        must(self.tiles and self.route and self.codes, "tiles, route.records or codes.tiles is missing")
        must(self.tiles.rows == self.route.rows, "as many tiles as centroids")
        self.exact = shore.table("records").encoding != 0
        self.rows = [struct.unpack_from("<3If", shore.row(self.tiles, tile)) for tile in range(self.tiles.rows)]

    def blocks(self, tile):
        _, first, slots, _ = self.rows[tile]
        return range(first, first + -(-slots // 32))

    def own(self, tile):
        end = self.rows[tile + 1][0] if tile + 1 < len(self.rows) else self.shore.rows
        return range(self.rows[tile][0], end)

    def centroid(self, tile):
        """What `route.records` says of a centroid, without the mean."""
        data = self.shore.row(self.route, tile)
        codes = [data[j // 32 * 16 + j % 16] >> j % 32 // 16 * 4 & 15 for j in range(self.shore.dimensions)]
        scale, offset, norm, zero = struct.unpack_from("<3fI", data, self.route.parameter)
        centroid = [scale * code + offset for code in codes]
        must(all(map(math.isfinite, (scale, offset, norm))) and not zero, f"route.records, row {tile}: a factor")
        must(math.isclose(norm, dot(centroid, centroid), rel_tol=1e-4, abs_tol=1e-30), f"route.records, row {tile}: norm {norm}")
        return centroid

    def block(self, block):
        """Row, add, multiply and signs of each slot of a block."""
        data = self.shore.row(self.codes, block)
        slots, halves = struct.unpack_from("<32I", data), struct.unpack_from("<64H", data, 128)
        for slot, row in enumerate(slots):
            bits = [data[256 + i // 4 * 16 + slot % 16] >> (slot // 16 * 4 + i % 4) & 1 for i in range(self.width)]
            yield row, bf16(halves[slot]), bf16(halves[32 + slot]), bits

    def turned(self, vector):
        """Where rows and centroids are coded: integers have a length of their own, which cosine takes off."""
        return unit(vector) if self.exact and self.shore.metric == "cosine" else vector

    def row(self, row):
        codes, scale, *_ = self.shore.record(row)
        return self.turned([float(code) for code in codes] if self.exact else [f32(code * scale) for code in codes])

    # --- check ------------------------------------------------------------------------------------------------------

    def check(self):
        next_row, next_block, copies = 0, 0, [0] * self.shore.rows
        for tile, (first_row, first_block, slots, radius) in enumerate(self.rows):
            must((first_row, first_block) == (next_row, next_block), f"tiles, row {tile}: not where the one before it ends")
            must(math.isfinite(radius) and radius >= 0, f"tiles, row {tile}: radius {radius}")
            held = [slot for block in self.blocks(tile) for slot in self.block(block)]
            rows, own = [row for row, *_ in held], list(self.own(tile))
            must(rows[slots:] == [NONE] * (len(rows) - slots), f"tiles, row {tile}: {slots} slots in use")
            must(rows[:len(own)] == own, f"tiles, row {tile}: own rows are not first")
            others = rows[len(own):slots]
            must(others == sorted(set(others) - set(own)), f"tiles, row {tile}: other rows out of order, or own ones")
            must(not any(add or multiply or any(bits) for _, add, multiply, bits in held[slots:]), f"tiles, row {tile}: an unused slot")
            must(all(row < self.shore.rows for row in rows[:slots]), f"tiles, row {tile}: a row beyond the last one")
            centroid = self.turned(self.centroid(tile))
            turned = rotate([f32(x) for x in centroid], self.shore.seed)
            for row, add, multiply, bits in held[:slots]:
                copies[row] += 1
                self.check_slot(f"tiles, row {tile}, slot of row {row}", self.row(row), centroid, turned, add, multiply, bits)
            next_row, next_block = next_row + len(own), next_block + len(self.blocks(tile))
        must(next_row == self.shore.rows and next_block == self.codes.rows, "tiles: rows or blocks of no tile")
        must(all(1 <= count <= 3 for count in copies), "tiles: a row in more than three of them")

    def check_slot(self, name, vector, centroid, turned, add, multiply, bits):
        """Signs, and factors as far as a bf16 and sums in f32 go."""
        r = [v - c for v, c in zip(vector, centroid)]
        square = dot(r, r)
        rotated = rotate([f32(x) for x in r], self.shore.seed)
        slack = 1e-4 * math.sqrt(square) + 1e-6
        must(all(bit == (x >= 0) or abs(x) < slack for bit, x in zip(bits, rotated)), f"{name}: a sign")
        signs = [1 if bit else -1 for bit in bits]
        along, offset = dot(signs, rotated), dot(signs, turned)
        p = square / along if along > 0 else 0.0
        wanted = {"l2": (square + 2 * p * offset, -2 * p), "cosine": (square / 2 + p * offset, -p),
                  "ip": (p * offset - dot(centroid, r), -p)}[self.shore.metric]
        size = square + abs(p) * math.fsum(abs(x) for x in turned) + math.sqrt(square * dot(centroid, centroid))
        must(abs(add - wanted[0]) <= abs(wanted[0]) / 256 + 1e-4 * size, f"{name}: add {add}, not {wanted[0]}")
        must(math.isclose(multiply, wanted[1], rel_tol=1 / 256, abs_tol=1e-6), f"{name}: multiply {multiply}, not {wanted[1]}")

    # --- search -----------------------------------------------------------------------------------------------------

    def distance(self, query, vector):
        if self.shore.metric == "ip":
            return 1 - dot(query, vector)
        square = math.fsum((a - b) ** 2 for a, b in zip(query, vector))
        return square / 2 if self.shore.metric == "cosine" else square

    def search(self, query, k, probes, candidates):
        """Hits as (distance, id, row), rounds, and tiles probed."""
        shore, rows = self.shore, self.shore.rows
        must(len(query) == shore.dimensions, f"a query of {len(query)} dimensions")
        query = unit(query) if shore.metric == "cosine" else list(query)
        # Inner products are taken with records as they are, which have no mean.
        coded = query if self.exact else [q - m for q, m in zip(query, shore.mean())]
        shift = 0.0 if shore.metric != "ip" or self.exact else math.fsum(q * m for q, m in zip(query, shore.mean()))
        must(shift == 0, "a mean under inner product")
        turned = rotate([f32(x) for x in coded], shore.seed)
        step = f32(max(map(abs, turned)) / 31) or 1.0
        whole = [round(x / step) for x in turned]
        near = sorted((f32(self.distance(coded, self.turned(self.centroid(tile)))), tile) for tile in range(len(self.rows)))
        probes, candidates = min(max(probes, 1), len(near)), max(min(max(candidates, k), rows), 1)
        probed, rounds, best = 0, 0, {}
        while True:
            for base, tile in near[probed:probes]:
                for block in self.blocks(tile):
                    for row, add, multiply, bits in self.block(block):
                        if row != NONE:
                            total = sum(x if bit else -x for x, bit in zip(whole, bits))
                            estimate = f32(base + f32(add + f32(multiply * f32(step * total))))
                            best[row] = min(best.get(row, math.inf), estimate)
            probed, rounds = probes, rounds + 1
            if len(best) >= min(k, rows) or probed == len(near):
                break
            probes = min(2 * probes, len(near))
        chosen = sorted((estimate, row) for row, estimate in best.items())[:candidates]
        found = []
        for _, row in chosen:
            vector = self.row(row)
            found.append((self.distance(coded, vector), shore.record(row)[4], row))
        return sorted(found)[:k], rounds + 1, probed
