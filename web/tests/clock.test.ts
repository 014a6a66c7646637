import { expect, test } from "vitest";

import { learnServerTime, nowMs } from "../src/clock";

const aheadS = () => Math.round((nowMs() - Date.now()) / 1000);

test("a browser whose clock is wrong takes the server's time", () => {
  learnServerTime("Mon, 02 Mar 2026 09:00:00 GMT", Date.parse("2026-03-02T08:00:00Z"));
  expect(aheadS()).toBe(3600);
  learnServerTime(null, 0);
  expect(aheadS()).toBe(3600);
});

test("less than the rounding of the header is no difference", () => {
  learnServerTime("Mon, 02 Mar 2026 09:00:00 GMT", Date.parse("2026-03-02T09:00:01Z"));
  expect(aheadS()).toBe(0);
});
