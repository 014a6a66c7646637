import type { Anomaly, LatestValue, Machine } from "../contract";
import { formatDeviation, formatQuantity } from "../format";
import { metricLabel, unitOf } from "../metrics";
import type { MachineState } from "../store";
import { text } from "../text";

export function machineName(state: MachineState | undefined, id: string): string {
  return state?.info?.name ?? id;
}

export function placeOf(machine: Machine | undefined): string {
  const { site, area, line } = machine?.place ?? {};
  return [site, area, line, machine?.type].filter((part) => part !== undefined && part !== "").join(" · ");
}

export function healthOf(state: MachineState): keyof typeof text.health {
  return state.health?.state ?? "unknown";
}

export function valueText({ value }: LatestValue, unit: string): string {
  return typeof value === "number" ? formatQuantity(value, unit) : value;
}

/** "Power 42.1 kW, expected 30.2 kW (+39 %)" */
export function comparison(event: Anomaly, machine: Machine | undefined): string {
  const unit = unitOf(machine, event.metric);
  const pct = event.deviation.pct === undefined ? "" : ` (${formatDeviation(event.deviation.pct)})`;
  const expected = text.expectedIs(formatQuantity(event.expected, unit));
  return `${metricLabel(event.metric, unit)} ${formatQuantity(event.value, unit)}, ${expected}${pct}`;
}
