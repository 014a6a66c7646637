/** The last values of one metric since the page was opened; times are epoch milliseconds. */
export interface Trail {
  readonly tsMs: number[];
  readonly values: number[];
}

export const TRAIL_LENGTH = 90;

export function emptyTrail(): Trail {
  return { tsMs: [], values: [] };
}

/** Add a value unless it is not newer than the last; forget the oldest beyond the length. */
export function extendTrail(trail: Trail, tsMs: number, value: number): void {
  const last = trail.tsMs.at(-1);
  if (last !== undefined && tsMs <= last) return;
  trail.tsMs.push(tsMs);
  trail.values.push(value);
  if (trail.tsMs.length > TRAIL_LENGTH) {
    trail.tsMs.shift();
    trail.values.shift();
  }
}

/** The trail as points of an SVG polyline in a box of `width` by `height`; empty for fewer than two values. */
export function trailPoints(trail: Trail, width: number, height: number): string {
  const { tsMs, values } = trail;
  const first = tsMs[0];
  const last = tsMs.at(-1);
  if (first === undefined || last === undefined || values.length < 2) return "";
  const low = Math.min(...values);
  const spread = Math.max(...values) - low;
  return values
    .map((value, i) => {
      const x = (((tsMs[i] ?? first) - first) / (last - first)) * width;
      // A flat line runs through the middle instead of along the edge.
      const y = spread === 0 ? height / 2 : height - ((value - low) / spread) * height;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
