import { expect, test } from "vitest";

import type { Health, Machine } from "../src/contract";
import { inOrder, matches, needAttention, sitePower } from "../src/fleet";
import type { MachineState } from "../src/store";
import { emptyTrail } from "../src/trail";
import { anomaly, at, latest, machine } from "./samples";

function state(id: string, kw?: number, health: Health["state"] = "ok", more: Partial<Machine> = {}): MachineState {
  return {
    id,
    info: machine(id, more),
    latest: kw === undefined ? undefined : latest(id, kw),
    health: { machine: id, state: health, last_seen: at(0), rejected: 0, clock_skew_s: 0, missed: 0 },
    trail: emptyTrail(),
  };
}
const byId = (...machines: MachineState[]) => new Map(machines.map((one) => [one.id, one]));

test("trouble stands first, then bad health, then names with numbers in order", () => {
  const worst = new Map([["press-10", anomaly("a", "opened", 0)]]);
  const order = inOrder([state("press-9"), state("press-2"), state("z", 1, "offline"), state("press-10")], worst);
  expect(order.map(({ id }) => id)).toEqual(["press-10", "z", "press-2", "press-9"]);
});

test("what needs attention is counted once a machine", () => {
  const worst = new Map([["a", anomaly("a", "opened", 0)]]);
  expect(needAttention([state("a", 1, "stale"), state("b", 1, "offline"), state("c")], worst)).toBe(2);
});

test("a machine below a meter is in the meter's power and not counted again", () => {
  const machines = byId(state("hall", 100), state("line", undefined, "ok", { parent: "hall" }), state("press", 40, "ok", { parent: "line" }));
  expect(sitePower(machines)).toEqual({ kw: 100, counted: 2 });
});

test("an offline machine's last power is not the site's", () => {
  expect(sitePower(byId(state("a", 10), state("b", 20, "offline")))).toEqual({ kw: 10, counted: 1 });
});

test("machines that are each other's parents do not hang the page", () => {
  const machines = byId(state("a", undefined, "ok", { parent: "b" }), state("b", undefined, "ok", { parent: "a" }), state("c", 5, "ok", { parent: "a" }));
  expect(sitePower(machines).kw).toBe(5);
});

test("a search finds every word in name, type or place", () => {
  const press = state("p7", 1, "ok", { name: "Press 7", place: { area: "Hall 2" } });
  expect(matches(press, "hall PRESS")).toBe(true);
  expect(matches(press, "hall oven")).toBe(false);
  expect(matches(press, "")).toBe(true);
});
