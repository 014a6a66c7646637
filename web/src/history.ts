import { api } from "./api";
import type { ExpectedMetric, LatestValue } from "./contract";
import { type Curve, addLive, emptyCurve, fromHistory, trim } from "./curve";

export const RANGES = { "15m": 900, "1h": 3_600, "24h": 86_400, "7d": 604_800 } as const;
export type Range = keyof typeof RANGES;

const POINTS = 600;

/** One metric's past from the server, prolonged by what the bus brings. */
export class LiveHistory {
  curve: Curve;
  error = "";
  loading = true;
  readonly #abort = new AbortController();

  /** `changed` is called when the past has arrived or could not be had. */
  constructor(
    readonly machine: string,
    readonly metric: string,
    readonly range: Range,
    private readonly changed: () => void,
  ) {
    this.curve = emptyCurve(RANGES[range] / POINTS);
  }

  async load(nowMs: number): Promise<void> {
    const query = {
      metric: this.metric,
      start: new Date(nowMs - RANGES[this.range] * 1000).toISOString(),
      end: new Date(nowMs).toISOString(),
      points: String(POINTS),
    };
    try {
      const { series } = await api.history(this.machine, query, this.#abort.signal);
      const found = series.find(({ metric }) => metric === this.metric);
      const live = this.curve;
      if (found) this.curve = fromHistory(found);
      // What arrived meanwhile follows the past; what the past holds already is passed over.
      live.ts.forEach((ts, i) => {
        const value = live.mean[i];
        if (typeof value === "number") addLive(this.curve, ts, value);
      });
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.error = error instanceof Error ? error.message : String(error);
    }
    this.loading = false;
    this.changed();
  }

  add(last: LatestValue | undefined, expected: ExpectedMetric | undefined, nowMs: number): void {
    if (typeof last?.value !== "number") return;
    addLive(this.curve, Date.parse(last.ts) / 1000, last.value, expected);
    trim(this.curve, nowMs / 1000 - RANGES[this.range] * 1.1);
  }

  stop(): void {
    this.#abort.abort();
  }
}
