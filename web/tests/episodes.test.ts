import { expect, test } from "vitest";

import { type Episodes, MOST_EPISODES, inOrder, lastedS, mergeEpisode, worstByMachine } from "../src/episodes";
import { START_MS, anomaly, at } from "./samples";

test("a later event of an episode takes the place of the earlier, and not the other way round", () => {
  const episodes: Episodes = new Map();
  expect(mergeEpisode(episodes, anomaly("a", "closed", 30))).toBe(true);
  expect(mergeEpisode(episodes, anomaly("a", "opened", 0))).toBe(false);
  expect(episodes.get("a")?.phase).toBe("closed");
});

test("the same event over the bus and over HTTP is news once", () => {
  const episodes: Episodes = new Map();
  expect(mergeEpisode(episodes, anomaly("a", "opened", 0))).toBe(true);
  expect(mergeEpisode(episodes, anomaly("a", "opened", 0))).toBe(false);
});

test("closing in the instant of opening closes", () => {
  const episodes: Episodes = new Map([["a", anomaly("a", "opened", 0)]]);
  expect(mergeEpisode(episodes, anomaly("a", "closed", 0))).toBe(true);
});

test("beyond the bound the oldest closed episode is forgotten, an open one is kept", () => {
  const episodes: Episodes = new Map([["open", anomaly("open", "opened", 0)]]);
  for (let i = 0; i < MOST_EPISODES; i += 1) mergeEpisode(episodes, anomaly(`a${i}`, "closed", i + 1));
  expect(episodes.size).toBe(MOST_EPISODES);
  expect(episodes.has("open")).toBe(true);
  expect(episodes.has("a0")).toBe(false);
  expect(episodes.has("a1")).toBe(true);
});

test("open episodes stand before closed ones, the newest first", () => {
  const order = inOrder([
    anomaly("old", "opened", 1, { started_at: at(1) }),
    anomaly("closed", "closed", 9, { started_at: at(9) }),
    anomaly("new", "updated", 5, { started_at: at(5) }),
  ]);
  expect(order.map(({ anomaly_id }) => anomaly_id)).toEqual(["new", "old", "closed"]);
});

test("a machine's trouble is its worst open episode", () => {
  const worst = worstByMachine([
    anomaly("a", "opened", 0, { severity: "info" }),
    anomaly("b", "opened", 0, { severity: "warning" }),
    anomaly("c", "closed", 0, { severity: "critical" }),
  ]);
  expect(worst.get("press-7")?.anomaly_id).toBe("b");
});

test("an open episode lasts until now, a closed one as long as it lasted", () => {
  expect(lastedS(anomaly("a", "opened", 3), START_MS + 10_000)).toBe(10);
  expect(lastedS(anomaly("a", "closed", 3), START_MS + 10_000)).toBe(3);
});
