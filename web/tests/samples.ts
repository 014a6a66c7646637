import type { Anomaly, Latest, Machine } from "../src/contract";

export const START_MS = Date.parse("2026-03-02T08:00:00.000Z");

export function at(seconds: number): string {
  return new Date(START_MS + seconds * 1000).toISOString();
}

/** An event of an episode `seconds` after the start. */
export function anomaly(id: string, phase: Anomaly["phase"], seconds: number, more: Partial<Anomaly> = {}): Anomaly {
  return {
    anomaly_id: id,
    phase,
    machine: "press-7",
    machine_name: "Press 7",
    metric: "power_kw",
    value: 42,
    expected: 30,
    low: 28,
    high: 33,
    deviation: { absolute: 12, sigma: 5, pct: 40 },
    score: 1.8,
    threshold: 1,
    severity: "warning",
    anomaly_type: "spike",
    operating_state: "producing",
    contributors: [{ metric: "power_kw", share: 1 }],
    started_at: at(0),
    duration_s: seconds,
    model: { name: "isolation", version: "1" },
    ts: at(seconds),
    published_at: at(seconds),
    ...more,
  };
}

export function machine(id: string, more: Partial<Machine> = {}): Machine {
  return { machine: id, name: id, first_seen: at(0), metrics: { power_kw: { unit: "kW" } }, ...more };
}

export function latest(id: string, powerKw: number, seconds = 0): Latest {
  return { machine: id, values: { power_kw: { ts: at(seconds), value: powerKw } } };
}
