"""The neighbours' codes beside each node, as FORMAT.md describes them."""

import math
import struct

from rotation import padded, rotation

NONE = 0xFFFFFFFF


def must(condition, message):
    if not condition:
        raise AssertionError(message)


def check(shore, table):
    """Each row leads where the edges lead, and says of each neighbour's difference what FORMAT.md promises."""
    if table.encoding != 0:
        return
    edges, exact, width = shore.table("edges"), shore.table("records").encoding != 0, padded(shore.dimensions)
    turn = rotation(shore.dimensions, shore.seed)

    def vector(row):
        codes, scale, *_ = shore.record(row)
        values = [float(code) for code in codes] if exact else [code * scale for code in codes]
        length = math.sqrt(dot(values, values)) if exact and shore.metric == "cosine" else 1
        return [value / length for value in values] if length > 0 else values

    def dot(a, b):
        return math.fsum(x * y for x, y in zip(a, b))

    vectors = [vector(row) for row in range(shore.rows)]
    for row in range(shore.rows):
        data, neighbors = shore.row(table, row), []
        for block in range(table.parameter // 32):
            at = block * (384 + 4 * width)
            slots = struct.unpack_from("<32I", data, at)
            factors = struct.unpack_from("<64f", data, at + 128)
            signs = data[at + 384:at + 384 + 4 * width]
            for slot, neighbor in enumerate(slots):
                bits = [signs[i // 4 * 16 + slot % 16] >> (slot // 16 * 4 + i % 4) & 1 for i in range(width)]
                neighbors.append((neighbor, factors[slot], factors[32 + slot], bits))
        shore.check_slots(table, row, [neighbor for neighbor, *_ in neighbors], shore.rows)
        lists = [slot for slot in struct.unpack_from(f"<{edges.parameter}I", shore.row(edges, row)) if slot != NONE]
        must([neighbor for neighbor, *_ in neighbors][:len(lists)] == lists, f"neighbor.codes, row {row}: other neighbours than edges has")
        here = vectors[row]
        turned_here = turn(here)
        for neighbor, add, multiply, bits in neighbors:
            if neighbor == NONE:
                must(not add and not multiply and not any(bits), f"neighbor.codes, row {row}: an unused slot is not zero")
                continue
            step = [there - own for there, own in zip(vectors[neighbor], here)]
            turned, square = turn(step), dot(step, step)
            slack = 1e-4 * math.sqrt(square)
            must(all(bit == (x >= 0) or abs(x) < slack for bit, x in zip(bits, turned)), f"neighbor.codes, row {row}: a sign")
            own = [1 if bit else -1 for bit in bits]
            length, offset = dot(own, turned), dot(own, turned_here)
            rescale = square / length if length > 0 else 0.0
            expected = {"l2": (square + 2 * rescale * offset, -2 * rescale), "cosine": (square / 2 + rescale * offset, -rescale),
                        "ip": (rescale * offset - dot(step, here), -rescale)}[shore.metric]
            size = square + abs(rescale) * math.fsum(abs(x) for x in turned_here) + math.sqrt(square * dot(here, here))
            must(abs(add - expected[0]) <= 1e-4 * size and math.isclose(multiply, expected[1], rel_tol=1e-4, abs_tol=1e-6),
                 f"neighbor.codes, row {row}: {add} and {multiply}, not {expected}")
