import type { Anomaly } from "./contract";

/** One toast; `key` is the episode, so that its closing takes the place of its opening. */
export interface Notice {
  key: string;
  event: Anomaly;
  /** Goes by itself after this many milliseconds; undefined stays until it is closed. */
  lifeMs: number | undefined;
}

export const LIFE_MS = 5_000;
export const MOST_SHOWN = 4;
const MOST_REMEMBERED = 5_000;

/** What is on screen, and what has been, so that nothing is shown twice. The newest notice is first. */
export class Notices {
  list: readonly Notice[] = [];
  readonly #seen = new Set<string>();

  /** Remember an event without showing it. Returns whether it was unknown. */
  remember(event: Anomaly): boolean {
    const key = `${event.anomaly_id} ${event.phase}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    if (this.#seen.size > MOST_REMEMBERED) {
      const [oldest] = this.#seen;
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    return true;
  }

  /** Take a live event; returns whether the screen changes. Only openings and closings are shown. */
  take(event: Anomaly): boolean {
    if (event.phase === "updated" || !this.remember(event)) return false;
    if (event.phase === "opened" && this.#seen.has(`${event.anomaly_id} closed`)) return false;
    const stays = event.phase === "opened" && event.severity === "critical";
    const others = this.list.filter(({ key }) => key !== event.anomaly_id);
    this.list = [{ key: event.anomaly_id, event, lifeMs: stays ? undefined : LIFE_MS }, ...others];
    return true;
  }

  /** Take the newest event of an episode that passed, or began, while the page was cut off. */
  takeMissed(event: Anomaly): boolean {
    return this.take(event.phase === "updated" ? { ...event, phase: "opened" } : event);
  }

  /** Remember an episode found on loading the page: it is in the list, and no news. */
  rememberEpisode(event: Anomaly): void {
    this.remember({ ...event, phase: "opened" });
    this.remember(event);
  }

  dismiss(key: string): void {
    this.list = this.list.filter((notice) => notice.key !== key);
  }

  clear(): void {
    this.list = [];
  }

  /** What fits the screen, critical ones first, and how many more wait. */
  onScreen(): { shown: readonly Notice[]; more: number } {
    const staying = this.list.filter(({ lifeMs }) => lifeMs === undefined);
    const passing = this.list.filter(({ lifeMs }) => lifeMs !== undefined);
    const shown = [...staying, ...passing].slice(0, MOST_SHOWN);
    return { shown, more: this.list.length - shown.length };
  }
}
