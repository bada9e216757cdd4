#!/usr/bin/env python3
"""An independent reader of .shore files, written from core/FORMAT.md alone: the standard library, no code shared, no speed.

    shore_reader.py FILE                                 what is in it
    shore_reader.py FILE --check                         every block, digest, gap and bound; exit code 1 at damage
    shore_reader.py FILE --columns                       the values of all columns
    shore_reader.py FILE --queries Q.fbin --k 10         exact search over all rows that are not deleted
                    --refine records|originals           rank by these (default: as the file says)

With --json one object goes to standard output:

    info     { "file", "bytes", "version", "rows", "dimensions", "metric", "element", "plan", "refine", "seed", "build_id",
               "identity" (hex), "tables": [ { "kind", "instance", "flags", "encoding", "offset", "rows", "stride",
               "block_rows", "block_bytes", "parameter", "extra" } ] }
    --check  { "file", "ok": true, "tables", "blocks", "rows" }     damage: { "file", "ok": false, "error" }
    --columns { "file", "columns": [ { "name", "type", "values" } ] }      values by row, null where there is none
    search   { "file", "k", "refine", "results": [ { "hits": [ { "id", "row", "distance", "payload" (hex, if any) } ] } ] }

Hits are nearest first, ties by the smaller id. Distances are computed in double precision from the decoded rows, so they agree
with other readers to rounding, not to the bit. Queries: .fbin (f32), .u8bin, .i8bin: u32 rows, u32 dimensions, the elements.
"""

import argparse
import json
import math
import struct
import sys

import coarse
import neighbor_codes
import tiles
from rotation import padded
from xxh3 import u64, xxh3_64, xxh3_128

NONE = 0xFFFFFFFF
HEADER = 16384
COARSE = 1  # required feature 0: codes.rows of an encoding from 1 to 4
METRICS = ("l2", "ip", "cosine")
ELEMENTS = (("f32", "f", 4), ("f16", "e", 2), ("u8", "B", 1), ("i8", "b", 1))
PLANS = ("scan", "walk", "tiles")
REFINES = ("records", "originals")
KINDS = dict(enumerate(
    "meta quant records edges nodes neighbor.codes upper codes.rows codes.tiles tiles route.records route.edges route.upper "
    "ids.index dup_of deleted quality column payload keys originals columns column.nulls column.ends column.text".split(), 1))
COLUMN_TYPES = (("i64", "<q", (1, 2, 4, 8)), ("f64", "<d", (8,)), ("bool", "<B", (1,)), ("string", "<I", (1, 2, 4)))


class Damaged(Exception):
    """The file breaks a rule of the format."""


def must(condition, message):
    if not condition:
        raise Damaged(message)


# --- header and tables ----------------------------------------------------------------------------------------------

class Table:
    FIELDS = ("kind", "flags", "encoding", "offset", "rows", "stride", "block_rows", "block_bytes", "parameter", "digest",
              "instance", "reserved", "extra")

    def __init__(self, entry):
        for field, value in zip(self.FIELDS, struct.unpack("<HHIQQIIIIQIIQ", entry)):
            setattr(self, field, value)
        self.name = KINDS.get(self.kind, f"unknown ({self.kind})")
        must(self.stride > 0 and self.block_rows > 0, f"{self.name}: stride and rows a block must be at least 1")
        must(self.block_bytes % 8 == 0 and self.block_bytes <= 16 << 20, f"{self.name}: block bytes {self.block_bytes}")
        must(self.block_bytes >= self.block_rows * self.stride + 8, f"{self.name}: block bytes {self.block_bytes}")
        self.blocks = -(-self.rows // self.block_rows)
        self.end = self.offset + self.blocks * self.block_bytes

    def place(self, row):
        must(0 <= row < self.rows, f"{self.name}: no row {row}")
        return self.offset + row // self.block_rows * self.block_bytes + row % self.block_rows * self.stride


class Shore:
    def __init__(self, data):
        self.data = data
        must(data[:8] == b"\x89SHORE\r\n", "not a .shore file")
        must(len(data) >= HEADER, f"truncated: {len(data)} bytes, a header has {HEADER}")
        (self.major, self.minor, sections, required, _, length, self.rows, self.dimensions, metric, element, plan, refine,
         hot, hot_bytes, self.seed, self.build_id) = struct.unpack_from("<HHIQQQQIBBBBQQQQ", data, 8)
        must(self.major == 1, f"format version {self.major}")
        must(xxh3_64(data[:4088]) == u64(data, 4088), "superblock checksum mismatch")
        must(length == len(data), f"{len(data)} bytes instead of {length}")
        must(sections <= 192, f"{sections} sections")
        must(required & ~COARSE == 0, f"unknown required features {required:#x}")
        self.required = required
        must(self.rows <= 2**32 - 2 and 1 <= self.dimensions <= 32768, "rows or dimensions out of range")
        must(metric < 3 and element < 4 and plan < 3 and refine < 2, "metric, element, plan or refine level unknown")
        must(HEADER <= hot and hot + hot_bytes <= length, "hot region outside the file")
        self.metric, self.plan, self.refine = METRICS[metric], PLANS[plan], REFINES[refine]
        self.element, self.code, self.element_bytes = ELEMENTS[element]
        self.identity = xxh3_128(data[4096:HEADER], xxh3_64(data[:88])).to_bytes(16, "little")
        must(self.identity == data[88:104], "the directory does not match the identity")
        entries = data[4096:4096 + 64 * sections]
        must(not any(data[4096 + 64 * sections:HEADER]), "directory bytes behind the last entry")
        self.list = [Table(entries[at:at + 64]) for at in range(0, len(entries), 64)]
        self.tables, end = {}, HEADER
        for table in self.list:
            is_hot = table.flags & 1
            must(table.kind in KINDS or table.kind and not table.flags & 2, f"required section of unknown kind {table.kind}")
            must(table.offset % (64 if is_hot else 4096) == 0, f"{table.name}: offset {table.offset} is not aligned")
            must(end <= table.offset < end + 4096 and table.end <= length, f"{table.name}: offset {table.offset} or its rows")
            inside = hot <= table.offset and table.end <= hot + hot_bytes
            must(inside if is_hot else table.end <= hot or table.offset >= hot + hot_bytes, f"{table.name}: hot region")
            must((table.kind, table.instance) not in self.tables, f"{table.name}: twice")
            self.tables[table.kind, table.instance] = table
            end = table.end
        must(end == length, f"sections end at {end} of {length}")
        self.checked = set()
        self.check_shapes()

    def table(self, name, instance=0):
        return next((table for table in self.list if table.name == name and table.instance == instance), None)

    def check_shapes(self):
        n, d = self.rows, self.dimensions
        rules = {
            "meta": lambda t: t.stride == 1 and t.rows <= 65536,
            "quant": lambda t: t.stride == 1 and t.rows >= 16 + 4 * d,
            "records": lambda t: t.rows == n and t.encoding <= 2 and t.parameter == -(-d // 16) * 16
            and t.stride % 16 == 0 and t.stride >= t.parameter + 40,
            "edges": lambda t: t.rows == n and t.stride % 4 == 0 and t.parameter <= t.stride // 4 and t.extra < max(n, 1),
            "upper": lambda t: t.rows <= 2**32 - 2 and t.stride % 4 == 0 and t.stride >= 16 + 4 * t.parameter,
            "codes.rows": lambda t: t.rows == n and self.codes_fit(t),
            "neighbor.codes": lambda t: t.rows == n and (t.encoding != 0 or t.parameter % 32 == 0
                                                         and t.stride >= t.parameter // 32 * (384 + 4 * padded(d))),
            "tiles": lambda t: t.rows <= 2**32 - 2 and t.stride >= 16,
            "route.records": lambda t: t.encoding == 0 and self.codes_fit(t),
            "codes.tiles": lambda t: t.encoding == 0 and t.block_rows == 1 and t.rows <= 2**32 - 2 and t.stride >= 256 + 4 * padded(d),
            "ids.index": lambda t: t.rows <= n and t.stride == 16,
            "dup_of": lambda t: t.rows <= n and t.stride == 8,
            "deleted": lambda t: t.rows == -(-n // 8) and t.stride == 1,
            "quality": lambda t: t.stride >= 48,
            "payload": lambda t: t.stride == 1,
            "columns": lambda t: t.rows <= 40 and t.stride >= 128,
            "column": lambda t: t.rows == n and t.encoding < 4 and t.stride in COLUMN_TYPES[t.encoding][2],
            "column.nulls": lambda t: t.rows == -(-n // 8) and t.stride == 1,
            "column.ends": lambda t: t.rows <= n and t.stride == 8,
            "column.text": lambda t: t.stride == 1,
            "originals": lambda t: t.rows == n and ELEMENTS[t.encoding % 4][0] == self.element and t.encoding < 4
            and t.stride >= d * self.element_bytes,
        }
        for table in self.list:
            must(rules.get(table.name, lambda _: True)(table), f"{table.name}: counts, stride or encoding do not fit the file")

    def codes_fit(self, table):
        """Whether parameter and stride are those of the encoding."""
        parameter, stride = table.parameter, table.stride
        if 1 <= table.encoding <= 4 and not self.required & COARSE:
            return False
        if table.encoding == 0:
            return parameter == -(-self.dimensions // 32) * 16 and stride % 16 == 0 and stride >= parameter + 16
        if table.encoding == 4:
            return 1 <= parameter <= self.dimensions and stride >= parameter
        if table.encoding > 4:
            return True
        bits = 1 << table.encoding - 1
        lines = -(-parameter // 64) * 64 if bits == 1 else 0
        return parameter == padded(self.dimensions) * bits // 8 and stride % 16 == 0 and stride >= max(parameter + 16, lines)

    def check_block(self, table, block):
        """Verifies a block once."""
        if (table.offset, block) in self.checked:
            return
        at = table.offset + block * table.block_bytes
        body, check = self.data[at:at + table.block_bytes - 8], self.data[at + table.block_bytes - 8:at + table.block_bytes]
        place = xxh3_64(struct.pack("<IIQ", table.kind, table.instance, block))
        must(xxh3_64(body, self.build_id ^ place) == u64(check, 0), f"{table.name}, block {block}: checksum mismatch")
        rows = min(table.block_rows, table.rows - block * table.block_rows)
        must(not any(body[rows * table.stride:]), f"{table.name}, block {block}: bytes behind its rows")
        self.checked.add((table.offset, block))

    def row(self, table, row):
        at = table.place(row)
        self.check_block(table, row // table.block_rows)
        return self.data[at:at + table.stride]

    def blob(self, table, offset=0, length=None):
        length = table.rows - offset if length is None else length
        must(0 <= offset and offset + length <= table.rows, f"{table.name}: {length} bytes at {offset} of {table.rows}")
        return b"".join(self.row(table, at) for at in range(offset, offset + length))

    # --- rows -------------------------------------------------------------------------------------------------------

    def mean(self):
        table = self.table("quant")
        must(table, "quant is missing")
        version, dimensions, encoding, _ = struct.unpack("<4I", self.blob(table, 0, 16))
        must((version, dimensions) == (1, self.dimensions), f"quant: version {version}, {dimensions} dimensions")
        must(encoding == self.table("records").encoding, f"quant: encoding {encoding}")
        return struct.unpack(f"<{dimensions}f", self.blob(table, 16, 4 * dimensions))

    def record(self, row):
        """Codes and factors of a row."""
        table = self.table("records")
        must(table, "records is missing")
        record = self.row(table, row)
        codes = struct.unpack_from(f"<{self.dimensions}{'B' if table.encoding == 1 else 'b'}", record)
        norm = "f" if table.encoding == 0 else "I"
        scale, norm, length_sq, flags, ident, offset, length, _ = struct.unpack_from(f"<f{norm}fIQQII", record, table.parameter)
        must(math.isfinite(scale) and math.isfinite(norm) and math.isfinite(length_sq), f"records, row {row}: a factor")
        return codes, scale, norm, flags, ident, (offset, length)

    def vectors(self, refine):
        """The vector of every row, decoded."""
        if refine == "originals":
            table = self.table("originals")
            must(table, "originals is missing")
            for row in range(self.rows):
                yield struct.unpack_from(f"<{self.dimensions}{self.code}", self.row(table, row))
            return
        mean = self.mean()
        exact = self.table("records").encoding != 0
        for row in range(self.rows):
            codes, scale, *_ = self.record(row)
            yield codes if exact else tuple(code * scale + m for code, m in zip(codes, mean))

    def is_deleted(self, row):
        table = self.table("deleted")
        return bool(table and self.row(table, row // 8)[0] >> row % 8 & 1)

    def distance(self, query, vector, is_unit):
        """`is_unit`: records of a cosine file hold vectors divided by their length, up to rounding."""
        if self.metric == "l2":
            return math.fsum((a - b) ** 2 for a, b in zip(query, vector))
        dot = math.fsum(a * b for a, b in zip(query, vector))
        if self.metric == "ip":
            return 1 - dot
        length = math.sqrt(math.fsum(a * a for a in query))
        if is_unit:
            return math.fsum((a / length - b) ** 2 for a, b in zip(query, vector)) / 2
        length *= math.sqrt(math.fsum(b * b for b in vector))
        return max(0.0, 1 - dot / length) if length > 0 else 1.0

    def search(self, queries, k, refine):
        is_unit = refine == "records" and self.table("records").encoding == 0
        live = [(row, v) for row, v in enumerate(self.vectors(refine)) if not self.is_deleted(row)]
        ids = {row: self.record(row)[4] for row, _ in live}
        for query in queries:
            must(len(query) == self.dimensions, f"a query of {len(query)} dimensions instead of {self.dimensions}")
            found = sorted((self.distance(query, v, is_unit), ids[row], row) for row, v in live)[:k]
            yield [self.hit(*one) for one in found]

    def hit(self, distance, ident, row):
        hit = {"id": ident, "row": row, "distance": distance}
        offset, length = self.record(row)[5]
        if length:
            hit["payload"] = self.blob(self.table("payload"), offset, length).hex()
        return hit

    # --- columns ----------------------------------------------------------------------------------------------------

    def columns(self):
        """Name, type and values of each column, None where a row has none; the statistics are held against them."""
        table = self.table("columns")
        for number in range(table.rows if table else 0):
            row = self.row(table, number)
            length, zero, nulls, low, high = struct.unpack_from("<IIQ8s8s", row)
            must(1 <= length <= 96 and zero == 0 and not any(row[32 + length:]), f"columns, row {number}: a name")
            name = row[32:32 + length].decode()
            values = self.table("column", number)
            must(values, f"column {name}: without a table")
            kind, code, _ = COLUMN_TYPES[values.encoding]
            base = struct.unpack("<q", low)[0] if kind == "i64" and values.stride < 8 else 0
            words = self.words(number) if kind == "string" else None
            blob, found = self.table("column.nulls", number), []
            for at in range(self.rows):
                raw = self.row(values, at)
                if blob and self.row(blob, at // 8)[0] >> at % 8 & 1:
                    must(not any(raw), f"column {name}, row {at}: a value in a row without one")
                    found.append(None)
                    continue
                value = struct.unpack(code, raw)[0] if kind == "f64" or values.stride == 8 else base + int.from_bytes(raw, "little")
                must(kind != "f64" or math.isfinite(value) and raw != struct.pack("<d", -0.0), f"column {name}, row {at}: {value}")
                must(kind != "bool" or value <= 1, f"column {name}, row {at}: {value}")
                must(words is None or value < len(words), f"column {name}, row {at}: word {value}")
                found.append(value)
            there = [value for value in found if value is not None]
            must(nulls == len(found) - len(there) and bool(blob) == bool(nulls), f"column {name}: {nulls} rows without a value")
            pack = lambda value: struct.pack(code, value).ljust(8, b"\0")
            ends = (pack(min(there)), pack(max(there))) if there and words is None else (bytes(8), bytes(8))
            must((low, high) == ends, f"column {name}: smallest or largest value")
            if words is not None:
                found = [None if value is None else words[value] for value in found]
            yield name, kind, found

    def words(self, number):
        ends, text = self.table("column.ends", number), self.table("column.text", number)
        must(ends and text, f"column #{number}: without a dictionary")
        ends = [u64(self.row(ends, at), 0) for at in range(ends.rows)]
        text = self.blob(text)
        must(ends == sorted(ends) and (ends[-1] if ends else 0) == len(text), f"column.ends #{number}: out of order")
        words = [text[start:end] for start, end in zip([0, *ends], ends)]
        must(all(a < b for a, b in zip(words, words[1:])), f"column.text #{number}: words out of order")
        return [word.decode() for word in words]

    def check_columns(self):
        names = [name for name, _, _ in self.columns()]
        must(len(set(names)) == len(names), "columns: a name twice")
        numbered = [table for table in self.list if table.name.startswith("column") and table.name != "columns"]
        must(all(table.instance < len(names) for table in numbered), "columns: one that is not described")
        if names:
            pairs, node = [], None
            for row in range(self.rows):
                node = row if node is None else node
                if row > node:
                    pairs.append((node, row))
                if not self.record(row)[3] & 1:
                    node = None
            table = self.table("dup_of")
            stored = [struct.unpack("<II", self.row(table, at)) for at in range(table.rows)] if table else []
            must(stored == pairs, "dup_of: other pairs than the records' flags")

    # --- check ------------------------------------------------------------------------------------------------------

    def check(self):
        end = HEADER
        for table in self.list:
            must(not any(self.data[end:table.offset]), f"{table.name}: the gap before it is not zero")
            checks = b""
            for block in range(table.blocks):
                self.check_block(table, block)
                at = table.offset + (block + 1) * table.block_bytes
                checks += self.data[at - 8:at]
            must(xxh3_64(checks) == table.digest, f"{table.name}: the digest does not match the blocks")
            end = table.end
        if meta := self.table("meta"):
            must(isinstance(json.loads(self.blob(meta).decode()), dict), "meta: not an object")
        if self.table("records"):
            self.check_records()
        if codes := self.table("codes.rows"):
            self.check_codes(codes)
        if codes := self.table("neighbor.codes"):
            try:
                neighbor_codes.check(self, codes)
            except AssertionError as error:
                raise Damaged(str(error)) from None
        if self.plan == "tiles" or self.table("tiles"):
            try:
                tiles.Tiles(self).check()
            except AssertionError as error:
                raise Damaged(str(error)) from None
        if edges := self.table("edges"):
            for row in range(edges.rows):
                self.check_slots(edges, row, struct.unpack_from(f"<{edges.parameter}I", self.row(edges, row)), self.rows)
        if upper := self.table("upper"):
            self.check_upper(upper)
        self.check_columns()
        if ids := self.table("ids.index"):
            rows = [struct.unpack("<QII", self.row(ids, row)) for row in range(ids.rows)]
            must(all(a[0] < b[0] for a, b in zip(rows, rows[1:])), "ids.index: ids do not ascend")
            must(all(row < self.rows and self.record(row)[4] == ident for ident, row, _ in rows), "ids.index: another id")
        return sum(table.blocks for table in self.list)

    def check_records(self):
        self.mean()
        payload, exact = self.table("payload"), self.table("records").encoding != 0
        for row in range(self.rows):
            codes, scale, norm, flags, _, (offset, length) = self.record(row)
            must(not length or payload and offset + length <= payload.rows, f"records, row {row}: payload outside its table")
            must(not flags & 1 or row + 1 < self.rows, f"records, row {row}: a duplicate beyond the last row")
            expected = sum(code * code for code in codes) * (1 if exact else scale * scale)
            must(math.isclose(norm, expected, rel_tol=1e-5, abs_tol=1e-37), f"records, row {row}: norm {norm}, not {expected}")

    def check_codes(self, table):
        """Each row of codes says of its record what FORMAT.md promises: no coordinate farther than half a step."""
        if 1 <= table.encoding <= 4:
            self.check_coarse(table)
        if table.encoding != 0:
            return
        for row in range(self.rows):
            data = self.row(table, row)
            nibbles = [data[j // 32 * 16 + j % 16] >> j % 32 // 16 * 4 & 15 for j in range(table.parameter * 2)]
            must(not any(nibbles[self.dimensions:]), f"codes.rows, row {row}: codes behind the last dimension")
            scale, offset, norm, zero = struct.unpack_from("<3fI", data, table.parameter)
            must(math.isfinite(scale) and math.isfinite(offset) and scale >= 0 and not zero, f"codes.rows, row {row}: a factor")
            vector = [scale * code + offset for code in nibbles[:self.dimensions]]
            expected = math.fsum(x * x for x in vector)
            must(math.isclose(norm, expected, rel_tol=1e-4, abs_tol=1e-30), f"codes.rows, row {row}: norm {norm}, not {expected}")
            codes, unit, *_ = self.record(row)
            worst = max(abs(code * unit - x) for code, x in zip(codes, vector))
            must(worst <= scale * 0.5001 + unit * 1e-3, f"codes.rows, row {row}: {worst} from its record, a step is {scale}")

    def coded(self, row):
        """What encodings 1 to 4 of codes.rows code of a record."""
        codes, scale, norm, *_ = self.record(row)
        if self.table("records").encoding == 0:
            return [coarse.f32(code * scale) for code in codes]
        length = coarse.f32(math.sqrt(norm)) if self.metric == "cosine" and norm else 1
        return [coarse.f32(code / length) for code in codes]

    def check_coarse(self, table):
        quant = self.table("quant", 1)
        must(quant, "quant #1 is missing")
        version, dimensions, encoding, word, seed, error, zero = struct.unpack("<4IQfI", self.blob(quant, 0, 32))
        must((version, dimensions, encoding, zero) == (1, self.dimensions, table.encoding, 0), f"quant #1: version {version}, encoding {encoding}")
        numbers = self.blob(quant, 32)
        numbers = struct.unpack(f"<{len(numbers) // 4}f", numbers)
        must(all(math.isfinite(x) for x in numbers), "quant #1: a value that is not a number")
        if encoding == 4:
            must(word == table.parameter and len(numbers) == 256 * dimensions and not seed, "quant #1: parts or codebooks")
            codes = coarse.Parts(dimensions, word, numbers)
        else:
            must(word == 1 << encoding - 1 and len(numbers) == dimensions and not error, "quant #1: bits or centre")
            codes = coarse.Bits(word, seed, numbers)
        farthest = 0
        for row in range(self.rows):
            data = self.row(table, row)
            wrong, distance = codes.check(data, self.coded(row))
            must(not wrong, f"codes.rows, row {row}: {wrong}")
            farthest = max(farthest, distance)
        must(math.isclose(math.sqrt(farthest), error, rel_tol=1e-3, abs_tol=1e-6), f"quant #1: error {error}, not {math.sqrt(farthest)}")

    @staticmethod
    def check_slots(table, row, slots, limit):
        used = [slot for slot in slots if slot != NONE]
        must(list(slots[:len(used)]) == used, f"{table.name}, row {row}: a gap between neighbours")
        must(all(slot < limit for slot in used), f"{table.name}, row {row}: a neighbour beyond the last row")
        must(len(set(used)) == len(used), f"{table.name}, row {row}: a neighbour twice")

    def check_upper(self, table):
        nodes = [struct.unpack_from(f"<4I{table.parameter}I", self.row(table, row)) for row in range(table.rows)]
        for at, (row, layer, below, _, *slots) in enumerate(nodes):
            must(row < self.rows, f"upper, row {at}: row {row}")
            must(1 <= layer <= (nodes[at - 1][1] if at else layer), f"upper, row {at}: layers do not descend")
            self.check_slots(table, at, slots, table.rows)
            must(all(nodes[slot][1] == layer for slot in slots if slot != NONE), f"upper, row {at}: a neighbour in another layer")
            if layer == 1:
                must(below == NONE, f"upper, row {at}: a way down from layer 1")
            else:
                must(below < table.rows and nodes[below][:2] == (row, layer - 1), f"upper, row {at}: the way down")

    def info(self):
        tables = [{"kind": table.name, **{field: getattr(table, field) for field in Table.FIELDS
                                          if field not in ("kind", "digest", "reserved")}} for table in self.list]
        return {"bytes": len(self.data), "version": f"{self.major}.{self.minor}", "rows": self.rows,
                "dimensions": self.dimensions, "metric": self.metric, "element": self.element, "plan": self.plan,
                "refine": self.refine, "seed": self.seed, "build_id": self.build_id, "identity": self.identity.hex(),
                "tables": tables}


def read_queries(path):
    code, size = {"fbin": ("f", 4), "u8bin": ("B", 1), "i8bin": ("b", 1)}[path.rsplit(".", 1)[-1]]
    with open(path, "rb") as file:
        data = file.read()
    rows, dimensions = struct.unpack_from("<II", data)
    must(len(data) == 8 + rows * dimensions * size, f"{path}: {len(data)} bytes for {rows} x {dimensions}")
    return list(struct.iter_unpack(f"<{dimensions}{code}", data[8:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--columns", action="store_true")
    parser.add_argument("--queries")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--refine", choices=REFINES)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    answer = {"file": arguments.file}
    try:
        with open(arguments.file, "rb") as file:
            shore = Shore(file.read())
        if arguments.check:
            answer |= {"ok": True, "tables": len(shore.list), "blocks": shore.check(), "rows": shore.rows}
        elif arguments.columns:
            answer |= {"columns": [dict(zip(("name", "type", "values"), column)) for column in shore.columns()]}
        elif arguments.queries:
            refine = arguments.refine or shore.refine
            results = shore.search(read_queries(arguments.queries), arguments.k, refine)
            answer |= {"k": arguments.k, "refine": refine, "results": [{"hits": hits} for hits in results]}
        else:
            answer |= shore.info()
    except Damaged as damage:
        answer |= {"ok": False, "error": str(damage)}
    print(json.dumps(answer) if arguments.json else json.dumps(answer, indent=1))
    return 1 if answer.get("ok") is False else 0


if __name__ == "__main__":
    sys.exit(main())
