import { expect, test } from "vitest";

import type { HistorySeries } from "../src/api";
import { addLive, emptyCurve, fromHistory, trim } from "../src/curve";
import { parseRoute } from "../src/route";
import { filterOf, parseTopic, topicOf } from "../src/topics";
import { TRAIL_LENGTH, emptyTrail, extendTrail, trailPoints } from "../src/trail";

test("a live value joins the bucket that runs, and begins a new one after it", () => {
  const curve = emptyCurve(60);
  addLive(curve, 0, 10);
  addLive(curve, 30, 20);
  addLive(curve, 60, 5);
  expect(curve.ts).toEqual([0, 60]);
  expect([curve.min[0], curve.mean[0], curve.max[0]]).toEqual([10, 15, 20]);
});

test("the same live value twice is one", () => {
  const curve = emptyCurve(60);
  for (const [ts, value] of [[0, 10], [30, 20], [30, 20], [30, 20]] as const) addLive(curve, ts, value);
  expect([curve.mean[0], curve.count[0]]).toEqual([15, 2]);
});

function series(bucketS: number, ts: number[]): HistorySeries {
  const column = ts.map((_, i) => i);
  return { metric: "m", unit: "", bucket_s: bucketS, ts, min: column, mean: column, max: column, count: column };
}

test("missing readings break the line", () => {
  const curve = fromHistory(series(10, [0, 10_000, 20_000, 90_000]));
  expect(curve.ts).toEqual([0, 10, 20, 30, 90]);
  expect(curve.mean).toEqual([0, 1, 2, null, 3]);
});

test("a meter that reports every five minutes has an unbroken line in narrow buckets", () => {
  expect(fromHistory(series(1.5, [0, 300_000, 600_000])).mean).toEqual([0, 1, 2]);
});

test("the expected band stands where it was known", () => {
  const curve = emptyCurve(1);
  addLive(curve, 1, 10);
  addLive(curve, 2, 10, { expected: 10, low: 8, high: 12, score: 0 });
  expect(curve.low).toEqual([null, 8]);
});

test("trimming takes every column", () => {
  const curve = emptyCurve(1);
  for (let ts = 0; ts < 5; ts += 1) addLive(curve, ts, ts);
  trim(curve, 3);
  expect(curve.ts).toEqual([3, 4]);
  expect(curve.high).toHaveLength(2);
});

test("a trail forgets its beginning and keeps a flat line in the middle", () => {
  const trail = emptyTrail();
  for (let i = 0; i < TRAIL_LENGTH + 5; i += 1) extendTrail(trail, i, 3);
  extendTrail(trail, 1, 99);
  expect(trail.values).toHaveLength(TRAIL_LENGTH);
  expect(trailPoints(trail, 100, 20).startsWith("0.0,10.0 ")).toBe(true);
});

test("a topic is read below any root, and only with its own number of levels", () => {
  expect(topicOf("latest", "enms", { machine: "press-7" })).toBe("enms/latest/press-7");
  expect(filterOf("latest", "acme/enms")).toBe("acme/enms/latest/+");
  expect(parseTopic("acme/enms/latest/press-7", "acme/enms", ["machine", "latest"])).toEqual({
    channel: "latest",
    levels: { machine: "press-7" },
  });
  expect(parseTopic("acme/enms/latest/press-7/x", "acme/enms", ["latest"])).toBeUndefined();
});

test("an address names a machine, even one that is badly written", () => {
  expect(parseRoute("#/machine/press%2D7")).toEqual({ view: "machine", machine: "press-7" });
  expect(parseRoute("#/machine/100%")).toEqual({ view: "machine", machine: "100%" });
  expect(parseRoute("")).toEqual({ view: "overview" });
});

test("a source that changes its pace is not broken where it was slow", () => {
  const slow = [0, 60_000, 120_000, 180_000];
  const quick = Array.from({ length: 30 }, (_, i) => 181_000 + 1000 * i);
  expect(fromHistory(series(0, [...slow, ...quick])).mean).not.toContain(null);
});
