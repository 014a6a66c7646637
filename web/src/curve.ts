import type { HistorySeries } from "./api";
import type { ExpectedMetric } from "./contract";

/** What the chart draws: columns of equal length; `null` is a gap. Times are epoch seconds. */
export interface Curve {
  readonly bucketS: number;
  /** How far apart the readings usually are; a slow meter's line is not broken between any two. */
  stepS: number;
  /** The newest reading taken, so that none counts twice in its bucket. */
  seenS: number;
  ts: number[];
  mean: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  count: number[];
}

/** Times the usual distance of readings that may pass before the line is broken. */
const GAP_STEPS = 4;
const SHORTEST_GAP_S = 10;

export function emptyCurve(bucketS: number): Curve {
  return { bucketS, stepS: bucketS, seenS: -Infinity, ts: [], mean: [], min: [], max: [], low: [], high: [], count: [] };
}

/** The curve of a history; where readings are missing it is broken instead of drawn across. */
export function fromHistory(series: HistorySeries): Curve {
  const curve = emptyCurve(series.bucket_s);
  curve.stepS = Math.max(series.bucket_s, usualStepS(series.ts));
  for (const [i, tsMs] of series.ts.entries()) {
    const mean = series.mean[i];
    if (mean === undefined) continue;
    push(curve, tsMs / 1000, gapS(series.bucket_s, aroundS(series.ts, i)), { mean, min: series.min[i] ?? mean, max: series.max[i] ?? mean, count: series.count[i] ?? 1 });
  }
  return curve;
}

/** The longer of the distances before and behind the one from `i - 1` to `i`: a source may change its pace. */
function aroundS(tsMs: readonly number[], i: number): number {
  const distance = (at: number): number => ((tsMs[at] ?? NaN) - (tsMs[at - 1] ?? NaN)) / 1000;
  return Math.max(distance(i - 1) || 0, distance(i + 1) || 0);
}

/** How far apart readings may be before the line is broken, if they are usually `stepS` apart. */
function gapS(bucketS: number, stepS: number): number {
  return Math.max(SHORTEST_GAP_S, GAP_STEPS * Math.max(bucketS, stepS));
}

/** The middle one of the distances between times in milliseconds, in seconds; 0 where there are none. */
function usualStepS(tsMs: readonly number[]): number {
  const steps = tsMs.slice(1).map((ts, i) => ts - (tsMs[i] ?? ts));
  steps.sort((a, b) => a - b);
  return (steps[Math.floor(steps.length / 2)] ?? 0) / 1000;
}

/** Add a live value: into the bucket that runs, or as a new one. An older value changes nothing. */
export function addLive(curve: Curve, tsS: number, value: number, expected?: ExpectedMetric): void {
  const last = curve.ts.length - 1;
  const lastTs = curve.ts[last];
  if (tsS <= curve.seenS) return;
  curve.seenS = tsS;
  if (lastTs === undefined || tsS >= lastTs + curve.bucketS) {
    push(curve, tsS, gapS(curve.bucketS, curve.stepS), { mean: value, min: value, max: value, count: 1 });
  } else {
    const count = curve.count[last] ?? 0;
    curve.mean[last] = ((curve.mean[last] ?? value) * count + value) / (count + 1);
    curve.min[last] = Math.min(curve.min[last] ?? value, value);
    curve.max[last] = Math.max(curve.max[last] ?? value, value);
    curve.count[last] = count + 1;
  }
  if (expected) {
    curve.low[curve.ts.length - 1] = expected.low;
    curve.high[curve.ts.length - 1] = expected.high;
  }
}

/** Forget what lies before `startS`, so that a page left open for weeks stays small. */
export function trim(curve: Curve, startS: number): void {
  const keep = curve.ts.findIndex((ts) => ts >= startS);
  if (keep <= 0) return;
  for (const column of [curve.ts, curve.mean, curve.min, curve.max, curve.low, curve.high, curve.count]) {
    column.splice(0, keep);
  }
}

interface Bucket {
  mean: number;
  min: number;
  max: number;
  count: number;
}

function push(curve: Curve, tsS: number, gap: number, bucket: Bucket): void {
  const lastTs = curve.ts.at(-1);
  if (lastTs !== undefined && tsS - lastTs > gap) pushRow(curve, lastTs + curve.bucketS, null);
  pushRow(curve, tsS, bucket);
  curve.seenS = Math.max(curve.seenS, tsS);
}

function pushRow(curve: Curve, tsS: number, bucket: Bucket | null): void {
  curve.ts.push(tsS);
  curve.mean.push(bucket?.mean ?? null);
  curve.min.push(bucket?.min ?? null);
  curve.max.push(bucket?.max ?? null);
  curve.low.push(null);
  curve.high.push(null);
  curve.count.push(bucket?.count ?? 0);
}
