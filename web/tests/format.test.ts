import { expect, test } from "vitest";

import { formatAge, formatDuration, formatNumber, formatQuantity } from "../src/format";
import { mainMetric, metricLabel, powerKw } from "../src/metrics";
import { at, machine } from "./samples";

const digits = (value: number) => formatNumber(value).replaceAll(/[^\d]/g, "");

test("a number has as many digits as are worth reading", () => {
  expect([12_345.6, 42.13, 4.218, 0.0421].map(digits)).toEqual(["12346", "421", "422", "0042"]);
});

test("a quantity without a unit is its number alone", () => {
  expect(formatQuantity(3, "")).toBe(formatNumber(3));
});

test("fresh data is just now, older data is told in one unit", () => {
  expect(formatAge(4_999)).toBe("just now");
  expect(formatAge(12_000)).toMatch(/12\s?s/);
  expect(formatAge(3 * 60_000)).toMatch(/^3\s?m/);
  expect(formatAge(2 * 86_400_000)).toMatch(/^2\s?d/);
});

test("a duration has at most two parts and leaves out what is none", () => {
  expect([0, 42, 200, 3_600, 3_725, 90_000].map(formatDuration)).toEqual(["0 s", "42 s", "3 min 20 s", "1 h", "1 h 2 min", "1 d 1 h"]);
});

test.each([
  ["power_kw", "kW", "Power"],
  ["oil.flow_l_min", "L/min", "Oil flow"],
  ["vibration_mm_s", "mm/s", "Vibration"],
  ["humidity_pct", "%", "Humidity"],
  ["spindle_rpm", "1/min", "Spindle"],
  ["power_kw", "", "Power kw"],
  ["kw", "kW", "Kw"],
])("%s in %s is called %s", (metric, unit, label) => {
  expect(metricLabel(metric, unit)).toBe(label);
});

test("a machine is known by its power, whatever its unit", () => {
  const info = machine("a", { metrics: { speed_rpm: { unit: "1/min" }, active_power_w: { unit: "W" } } });
  const values = { speed_rpm: { ts: at(0), value: 900 }, active_power_w: { ts: at(0), value: 1500 } };
  expect(mainMetric(info, { machine: "a", values })).toBe("active_power_w");
  expect(powerKw(info, { machine: "a", values })).toBe(1.5);
});

test("a machine without power is known by its first number, and has no power", () => {
  const values = { mode: { ts: at(0), value: "idle" }, speed_rpm: { ts: at(0), value: 900 } };
  expect(mainMetric(machine("a"), { machine: "a", values })).toBe("speed_rpm");
  expect(powerKw(machine("a"), { machine: "a", values })).toBeUndefined();
});
