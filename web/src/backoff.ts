export const FIRST_DELAY_MS = 1_000;
export const LONGEST_DELAY_MS = 30_000;

/**
 * How long to wait before attempt `attempt` (0 is the first retry).
 * The ceiling doubles from 1 s to 30 s; `random` (0..1) spreads clients below it, so that
 * a thousand browsers do not come back in the same instant.
 */
export function retryDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 16));
  return Math.round(FIRST_DELAY_MS + random * (ceiling - FIRST_DELAY_MS));
}
