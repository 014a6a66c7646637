import type { Anomaly } from "./contract";
import { SEVERITY_ORDER } from "./episodes";
import { powerKw } from "./metrics";
import type { MachineState } from "./store";

const HEALTH_ORDER = { offline: 3, bad_data: 4, stale: 5, ok: 6 };
const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function rank(machine: MachineState, worst: Anomaly | undefined): number {
  if (worst) return SEVERITY_ORDER[worst.severity];
  return HEALTH_ORDER[machine.health?.state ?? "ok"];
}

/** The machines in the order of their tiles: trouble first, then by name. */
export function inOrder(machines: Iterable<MachineState>, worst: ReadonlyMap<string, Anomaly>): MachineState[] {
  const keyed = [...machines].map((machine) => ({
    machine,
    rank: rank(machine, worst.get(machine.id)),
    name: machine.info?.name ?? machine.id,
  }));
  keyed.sort((a, b) => a.rank - b.rank || byName.compare(a.name, b.name));
  return keyed.map(({ machine }) => machine);
}

/** Whether every word of the search stands somewhere in what the machine is called and where it is. */
export function matches(machine: MachineState, search: string): boolean {
  const { name = "", type = "", place } = machine.info ?? {};
  const all = [machine.id, name, type, place?.site, place?.area, place?.line].join(" ").toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

export interface SitePower {
  kw: number;
  /** Machines in the sum, meters above them standing for them. */
  counted: number;
}

/**
 * The power of the site in kW. A machine below another that measures is left out, since its
 * parent's meter holds it already; so is one that is offline, since its last value is no longer true.
 */
export function sitePower(machines: ReadonlyMap<string, MachineState>): SitePower {
  const powers = new Map<string, number>();
  for (const [id, machine] of machines) {
    const kw = machine.health?.state === "offline" ? undefined : powerKw(machine.info, machine.latest);
    if (kw !== undefined) powers.set(id, kw);
  }
  let total = 0;
  for (const [id, kw] of powers) if (!hasMeterAbove(id, machines, powers)) total += kw;
  return { kw: total, counted: powers.size };
}

function hasMeterAbove(
  id: string,
  machines: ReadonlyMap<string, MachineState>,
  powers: ReadonlyMap<string, number>,
): boolean {
  const passed = new Set([id]);
  let above = machines.get(id)?.info?.parent;
  while (above !== undefined && !passed.has(above)) {
    if (powers.has(above)) return true;
    passed.add(above);
    above = machines.get(above)?.info?.parent;
  }
  return false;
}

/** How many machines have an open anomaly or data that does not arrive as it should. */
export function needAttention(machines: Iterable<MachineState>, worst: ReadonlyMap<string, Anomaly>): number {
  return [...machines].filter((machine) => rank(machine, worst.get(machine.id)) < HEALTH_ORDER.ok).length;
}
