import { beforeEach, expect, test, vi } from "vitest";

import { deliver } from "../src/inbox";
import { Store } from "../src/store";
import { START_MS, anomaly, at, latest, machine } from "./samples";

let frames: (() => void)[];
let store: Store;

const frame = () => {
  for (const paint of frames.splice(0)) paint();
};
const arrive = (topic: string, message: unknown, retained = true) => {
  deliver(store, "acme/enms", `acme/enms/${topic}`, typeof message === "string" ? message : JSON.stringify(message), retained);
};
const goLive = (nowMs: number) => {
  store.setFacts({ connected: true, everConnected: true, sinceMs: nowMs, gateway: "ok" });
};

beforeEach(() => {
  frames = [];
  store = new Store((flush) => frames.push(flush), START_MS);
});

test("a thousand messages in a frame are one call of each listener", () => {
  const listener = vi.fn();
  store.listen(["machine:press-7", "values"], listener);
  for (let i = 0; i < 1000; i += 1) arrive("latest/press-7", latest("press-7", i, i));
  expect(listener).not.toHaveBeenCalled();
  frame();
  expect(listener).toHaveBeenCalledTimes(1);
});

test("a machine's message is not heard by another machine's tile", () => {
  const other = vi.fn();
  store.listen(["machine:oven-1"], other);
  arrive("latest/press-7", latest("press-7", 1));
  frame();
  expect(other).not.toHaveBeenCalled();
});

test("who stopped listening hears nothing", () => {
  const listener = vi.fn();
  store.listen(["values"], listener)();
  arrive("latest/press-7", latest("press-7", 1));
  frame();
  expect(listener).not.toHaveBeenCalled();
});

test("an empty payload takes the machine away once nothing of it is left", () => {
  arrive("machine/press-7", machine("press-7"));
  arrive("latest/press-7", latest("press-7", 1));
  arrive("machine/press-7", "");
  expect(store.machines.has("press-7")).toBe(true);
  arrive("latest/press-7", "");
  expect(store.machines.has("press-7")).toBe(false);
});

test("a machine that a new connection does not bring again is gone, one that it brings stays", () => {
  arrive("machine/gone", machine("gone"));
  arrive("machine/press-7", machine("press-7"));
  store.beginSnapshot();
  goLive(START_MS);
  arrive("machine/press-7", machine("press-7"));
  store.tick(START_MS + 5_000);
  expect([...store.machines.keys()]).toEqual(["gone", "press-7"]);
  store.tick(START_MS + 11_000);
  expect([...store.machines.keys()]).toEqual(["press-7"]);
});

test.each(["{", "[]", "12", "null"])("the payload %s is counted and changes nothing else", (payload) => {
  arrive("machine/press-7", payload);
  expect(store.badMessages).toBe(1);
  expect(store.machines.size).toBe(0);
});

test("a topic outside the root is not ours", () => {
  deliver(store, "enms", "other/machine/press-7", JSON.stringify(machine("press-7")), true);
  expect(store.machines.size).toBe(0);
});

test("the trail follows the machine's power", () => {
  arrive("machine/press-7", machine("press-7"));
  for (const [second, kw] of [10, 12, 11].entries()) arrive("latest/press-7", latest("press-7", kw, second));
  expect(store.machines.get("press-7")?.trail.values).toEqual([10, 12, 11]);
});

test("a live event is listed and shown; one that the broker kept is neither", () => {
  arrive("anomaly/press-7", anomaly("a", "opened", 0), true);
  expect(store.episodes.size).toBe(0);
  arrive("anomaly/press-7", anomaly("a", "opened", 0), false);
  expect(store.worst.get("press-7")?.anomaly_id).toBe("a");
  expect(store.notices.list).toHaveLength(1);
});

test("a gateway whose will is published makes the page stale and every tile is painted again", () => {
  arrive("machine/press-7", machine("press-7"));
  goLive(START_MS);
  frame();
  const tile = vi.fn();
  store.listen(["machine:press-7"], tile);
  arrive("service/gateway", { state: "lost", version: "1", started: at(0) });
  frame();
  expect(store.link.state).toBe("stale");
  expect(tile).toHaveBeenCalledTimes(1);
});

test("logging out forgets what was seen", () => {
  arrive("machine/press-7", machine("press-7"));
  arrive("anomaly/press-7", anomaly("a", "opened", 0), false);
  store.forget();
  expect([store.machines.size, store.episodes.size, store.notices.list.length]).toEqual([0, 0, 0]);
});
