"""Files in tiles: sound by the document, and searched by it alone with the answers that stand beside them."""

import json
import math
import struct
import unittest
from pathlib import Path

from shore_reader import Shore
from tiles import Tiles

GOLDEN = Path(__file__).parents[1] / "golden" / "v1.0"


def number(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def files():
    for path in sorted(GOLDEN.glob("*.shore")):
        shore = Shore(path.read_bytes())
        if shore.plan == "tiles":
            yield path, shore, json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


class Golden(unittest.TestCase):
    def test_files_in_tiles_are_what_the_document_says(self):
        count = 0
        for _, shore, _ in files():
            Tiles(shore).check()
            count += 1
        self.assertGreaterEqual(count, 3)

    def test_searches_of_tiles_have_the_answers_that_are_kept(self):
        count = 0
        for path, shore, expected in files():
            tiles = Tiles(shore)
            queries = [[number(bits) for bits in query["bits"]] if query["form"] == "f32" else query["values"] for query in expected["queries"]]
            for search in expected["searches"]:
                if search.get("plan") != "tiles" or "probes" not in search or "radius_bits" in search or search.get("refine") == "originals":
                    continue
                with self.subTest(file=path.name, search={key: search[key] for key in ("query", "k", "probes", "rerank")}):
                    hits, _, probed = tiles.search(queries[search["query"]], search["k"], search["probes"], search["rerank"])
                    self.assertEqual(probed, search["hops"])
                    self.assertEqual([str(ident) for _, ident, _ in hits], search["ids"])
                    # A query keeps 15 bits a coordinate, so a product errs by a share of the lengths, however small it is itself.
                    asked = math.hypot(*queries[search["query"]]) if shore.metric == "ip" else 1
                    for (distance, _, row), bits in zip(hits, search["bits"]):
                        slack = 1e-4 * asked * (math.hypot(*tiles.row(row)) if shore.metric == "ip" else 1)
                        self.assertTrue(math.isclose(distance, number(bits), rel_tol=1e-3, abs_tol=slack), (distance, number(bits)))
                    count += 1
        self.assertGreater(count, 40)


if __name__ == "__main__":
    unittest.main()
