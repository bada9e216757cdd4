// Merging: every wanted byte in exactly one request, in the fewest requests that the gap allows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { random } from "../rows.mjs";
import { lazySources } from "./source.mjs";

const { merge } = await lazySources();

test("neighbours up to a gap apart travel together", () => {
  const wanted = [{ offset: 0, bytes: 10 }, { offset: 10, bytes: 5 }, { offset: 115, bytes: 5 }, { offset: 221, bytes: 1 }];
  assert.deepEqual(merge(wanted, 100), {
    ranges: [{ offset: 0, bytes: 120, first: 0, count: 3 }, { offset: 221, bytes: 1, first: 3, count: 1 }],
    wasted: 100,
  });
  assert.deepEqual(merge([], 100), { ranges: [], wasted: 0 });
});

test("the default gap is 4 KiB", () => {
  const apart = (gap) => merge([{ offset: 0, bytes: 8 }, { offset: 8 + gap, bytes: 8 }]).ranges.length;
  assert.deepEqual([apart(4096), apart(4097)], [1, 2]);
});

test("of any wanted ranges: all covered once, as few requests as the gap allows, waste counted to the byte", () => {
  const next = random(7);
  for (let round = 0; round < 3000; round++) {
    const gap = Math.floor(next() * 60);
    let at = Math.floor(next() * 50) + (next() < 0.1 ? 2 ** 45 : 0);
    const wanted = Array.from({ length: Math.floor(next() * 20) }, () => {
      at += Math.floor(next() * next() * 120);
      const range = { offset: at, bytes: 1 + Math.floor(next() * 40) };
      at += range.bytes;
      return range;
    });
    const { ranges, wasted } = merge(wanted, gap);
    // The parts, in order, are what was wanted.
    assert.deepEqual(ranges.flatMap(({ first, count }) => wanted.slice(first, first + count)), wanted);
    for (const { offset, bytes, first, count } of ranges) {
      const parts = wanted.slice(first, first + count);
      assert.equal(offset, parts[0].offset);
      assert.equal(offset + bytes, parts.at(-1).offset + parts.at(-1).bytes);
      parts.slice(1).forEach((part, i) => assert.ok(part.offset - parts[i].offset - parts[i].bytes <= gap));
    }
    ranges.slice(1).forEach((range, i) => assert.ok(range.offset - ranges[i].offset - ranges[i].bytes > gap));
    const sum = (list) => list.reduce((all, { bytes }) => all + bytes, 0);
    assert.equal(wasted, sum(ranges) - sum(wanted));
  }
});
