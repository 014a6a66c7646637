import { expect, test } from "vitest";

import { FIRST_DELAY_MS, LONGEST_DELAY_MS, retryDelayMs } from "../src/backoff";

test("the first retry comes after a second, whatever the chance", () => {
  expect(retryDelayMs(0, 0)).toBe(FIRST_DELAY_MS);
  expect(retryDelayMs(0, 1)).toBe(FIRST_DELAY_MS);
});

test("the ceiling doubles up to half a minute and stays there for ever", () => {
  expect([1, 2, 3, 4, 5, 6, 5_000].map((attempt) => retryDelayMs(attempt, 1))).toEqual([
    2_000, 4_000, 8_000, 16_000, LONGEST_DELAY_MS, LONGEST_DELAY_MS, LONGEST_DELAY_MS,
  ]);
});

test("chance spreads the clients between the first delay and the ceiling", () => {
  expect(retryDelayMs(10, 0)).toBe(FIRST_DELAY_MS);
  expect(retryDelayMs(10, 0.5)).toBe((FIRST_DELAY_MS + LONGEST_DELAY_MS) / 2);
});
