/** The HTTP date has whole seconds; a smaller difference is not the clock's. */
const BELIEVED_MS = 2_000;

let aheadMs = 0;

/** Learn from a response's `Date` how far the server's clock is ahead of this browser's. */
export function learnServerTime(date: string | null, localMs: number): void {
  const serverMs = Date.parse(date ?? "");
  if (Number.isNaN(serverMs)) return;
  const difference = serverMs - localMs;
  aheadMs = Math.abs(difference) > BELIEVED_MS ? difference : 0;
}

/** Now by the server's clock, in epoch milliseconds: ages and expiries are right on a tablet whose clock is not. */
export function nowMs(): number {
  return Date.now() + aheadMs;
}
