import type { Latest, LatestValue, Machine } from "./contract";

const POWER_UNITS: Readonly<Record<string, number>> = { W: 0.001, kW: 1, MW: 1000 };

export function unitOf(machine: Machine | undefined, metric: string): string {
  return machine?.metrics?.[metric]?.unit ?? "";
}

/** Letters and digits of a unit as they stand in metric names: `m³/h` is `m3h`, `%` is `pct`. */
function spelled(unit: string): string {
  const plain = unit.replaceAll("³", "3").replaceAll("²", "2").replaceAll("%", "pct").replaceAll("1/min", "rpm");
  return plain.replaceAll(/[^A-Za-z0-9]/g, "").toLowerCase();
}

/** A metric's name for people: `spindle.flow_l_min` in L/min is "Spindle flow". */
export function metricLabel(metric: string, unit: string): string {
  const words = metric.split(/[_.]+/).filter((word) => word !== "");
  const ending = spelled(unit);
  for (const count of [2, 1]) {
    if (ending !== "" && words.length > count && words.slice(-count).join("").toLowerCase() === ending) {
      words.splice(-count);
      break;
    }
  }
  const text = words.join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "Power (kW)" */
export function metricAndUnit(metric: string, unit: string): string {
  const label = metricLabel(metric, unit);
  return unit === "" ? label : `${label} (${unit})`;
}

/** The metric a machine is known by: its power, or else its first number; undefined when it has sent none. */
export function mainMetric(machine: Machine | undefined, latest: Latest | undefined): string | undefined {
  const numbers = Object.entries(latest?.values ?? {}).filter(([, { value }]) => typeof value === "number");
  const names = numbers.map(([metric]) => metric);
  const powers = names.filter((metric) => unitOf(machine, metric) in POWER_UNITS);
  return powers.find((metric) => metric === "power_kw") ?? powers.find((m) => m.includes("power")) ?? powers[0] ?? names[0];
}

/** A machine's power in kW from its last values; undefined when it reports none. */
export function powerKw(machine: Machine | undefined, latest: Latest | undefined): number | undefined {
  const metric = mainMetric(machine, latest);
  if (metric === undefined) return undefined;
  const factor = POWER_UNITS[unitOf(machine, metric)];
  const value = latest?.values[metric]?.value;
  return factor === undefined || typeof value !== "number" ? undefined : value * factor;
}

/** When the newest of the values was measured, in epoch milliseconds. */
export function newestMs(latest: Latest | undefined): number | undefined {
  const times = Object.values(latest?.values ?? {}).map(({ ts }: LatestValue) => Date.parse(ts));
  return times.length === 0 ? undefined : Math.max(...times);
}
