import { expect, test } from "vitest";

import { type LinkFacts, OFFLINE_AFTER_MS, SNAPSHOT_GRACE_MS, decideLink } from "../src/link";

const NOW = 1_000_000;
const LIVE: LinkFacts = { online: true, connected: true, everConnected: true, sinceMs: NOW - 60_000, gateway: "ok" };
const APART: LinkFacts = { ...LIVE, connected: false, sinceMs: NOW - 5_000, retryAtMs: NOW + 2_400 };

test("a broker and a gateway that work are live, a gateway with a weak part too", () => {
  expect(decideLink(LIVE, NOW).state).toBe("live");
  expect(decideLink({ ...LIVE, gateway: "degraded" }, NOW).state).toBe("live");
});

test.each(["lost", "stopped", "starting", undefined] as const)("a gateway that is %s is stale", (gateway) => {
  expect(decideLink({ ...LIVE, gateway }, NOW)).toEqual({ state: "stale", gateway });
});

test("just after connecting the gateway's word may still be on its way", () => {
  const facts = { ...LIVE, gateway: undefined, sinceMs: NOW };
  expect(decideLink(facts, NOW + SNAPSHOT_GRACE_MS - 1).state).toBe("connecting");
  expect(decideLink(facts, NOW + SNAPSHOT_GRACE_MS).state).toBe("stale");
});

test("a lost connection is reconnecting, with whole seconds to the next attempt", () => {
  expect(decideLink(APART, NOW)).toEqual({ state: "reconnecting", retryInS: 3 });
  expect(decideLink(APART, NOW + 9_000)).toEqual({ state: "reconnecting", retryInS: 0 });
});

test("an attempt under way has no countdown", () => {
  expect(decideLink({ ...APART, retryAtMs: undefined }, NOW)).toEqual({ state: "reconnecting" });
});

test("who never was connected is connecting, not reconnecting", () => {
  expect(decideLink({ ...APART, everConnected: false }, NOW).state).toBe("connecting");
});

test("a browser that says it has no network is offline, even before the connection breaks", () => {
  expect(decideLink({ ...LIVE, online: false }, NOW).state).toBe("offline");
});

test("offline is no network, or no connection for half a minute", () => {
  expect(decideLink({ ...APART, online: false }, NOW).state).toBe("offline");
  expect(decideLink({ ...APART, sinceMs: NOW - OFFLINE_AFTER_MS }, NOW).state).toBe("reconnecting");
  expect(decideLink({ ...APART, sinceMs: NOW - OFFLINE_AFTER_MS - 1 }, NOW).state).toBe("offline");
});
