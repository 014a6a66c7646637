import { expect, test } from "vitest";

import { LIFE_MS, MOST_SHOWN, Notices } from "../src/notices";
import { anomaly } from "./samples";

const phases = (notices: Notices) => notices.list.map(({ event }) => `${event.anomaly_id} ${event.phase}`);

test("an opening is shown once, however often it comes", () => {
  const notices = new Notices();
  expect(notices.take(anomaly("a", "opened", 0))).toBe(true);
  notices.dismiss("a");
  expect(notices.take(anomaly("a", "opened", 0))).toBe(false);
  expect(notices.list).toEqual([]);
});

test("an update shows nothing", () => {
  expect(new Notices().take(anomaly("a", "updated", 1))).toBe(false);
});

test("a critical opening stays, others go after five seconds", () => {
  const notices = new Notices();
  notices.take(anomaly("a", "opened", 0, { severity: "critical" }));
  notices.take(anomaly("b", "opened", 0));
  expect(notices.list.map(({ lifeMs }) => lifeMs)).toEqual([LIFE_MS, undefined]);
});

test("a closing takes the place of its opening and goes by itself", () => {
  const notices = new Notices();
  notices.take(anomaly("a", "opened", 0, { severity: "critical" }));
  notices.take(anomaly("a", "closed", 9, { severity: "critical" }));
  expect(phases(notices)).toEqual(["a closed"]);
  expect(notices.list[0]?.lifeMs).toBe(LIFE_MS);
});

test("an opening that comes after its closing is not shown", () => {
  const notices = new Notices();
  notices.take(anomaly("a", "closed", 9));
  expect(notices.take(anomaly("a", "opened", 0))).toBe(false);
});

test("what was found on loading the page is not shown when a reconnection finds it again", () => {
  const notices = new Notices();
  notices.rememberEpisode(anomaly("a", "updated", 5));
  expect(notices.takeMissed(anomaly("a", "updated", 8))).toBe(false);
  expect(notices.takeMissed(anomaly("a", "closed", 9))).toBe(true);
});

test("an episode that began while the page was cut off is shown once, as opened", () => {
  const notices = new Notices();
  expect(notices.takeMissed(anomaly("a", "updated", 5))).toBe(true);
  expect(phases(notices)).toEqual(["a opened"]);
  expect(notices.take(anomaly("a", "opened", 0))).toBe(false);
  expect(notices.takeMissed(anomaly("a", "updated", 7))).toBe(false);
});

test("the screen holds a few, critical ones first, and counts the rest", () => {
  const notices = new Notices();
  notices.take(anomaly("worst", "opened", 0, { severity: "critical" }));
  for (let i = 0; i < 6; i += 1) notices.take(anomaly(`a${i}`, "opened", 0));
  const { shown, more } = notices.onScreen();
  expect(shown).toHaveLength(MOST_SHOWN);
  expect(shown[0]?.key).toBe("worst");
  expect(more).toBe(7 - MOST_SHOWN);
});
