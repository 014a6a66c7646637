import type { Anomaly } from "./contract";

/** The newest event of each episode, by anomaly_id. */
export type Episodes = Map<string, Anomaly>;

export const MOST_EPISODES = 1_000;
const PHASE_ORDER: Record<Anomaly["phase"], number> = { opened: 0, updated: 1, closed: 2 };
export const SEVERITY_ORDER: Record<Anomaly["severity"], number> = { critical: 0, warning: 1, info: 2 };

/**
 * Merge one event; returns whether it is news. An older event, or the same one again, changes nothing,
 * so that the list may come over HTTP and over the bus at the same time.
 */
export function mergeEpisode(episodes: Episodes, event: Anomaly): boolean {
  const known = episodes.get(event.anomaly_id);
  if (known && !isNewer(event, known)) return false;
  episodes.set(event.anomaly_id, event);
  if (episodes.size > MOST_EPISODES) forgetOldest(episodes);
  return true;
}

function isNewer(event: Anomaly, known: Anomaly): boolean {
  const later = Date.parse(event.ts) - Date.parse(known.ts);
  return later > 0 || (later === 0 && PHASE_ORDER[event.phase] > PHASE_ORDER[known.phase]);
}

function forgetOldest(episodes: Episodes): void {
  const order = [...episodes.values()].sort(
    (a, b) => Number(isOpen(a)) - Number(isOpen(b)) || Date.parse(a.ts) - Date.parse(b.ts),
  );
  if (order[0]) episodes.delete(order[0].anomaly_id);
}

export function isOpen(episode: Anomaly): boolean {
  return episode.phase !== "closed";
}

/** Open before closed, then the newest first. */
export function inOrder(episodes: Iterable<Anomaly>): Anomaly[] {
  return [...episodes].sort(
    (a, b) => Number(isOpen(b)) - Number(isOpen(a)) || Date.parse(b.started_at) - Date.parse(a.started_at),
  );
}

/** The worst open episode of each machine. */
export function worstByMachine(episodes: Iterable<Anomaly>): Map<string, Anomaly> {
  const worst = new Map<string, Anomaly>();
  for (const episode of episodes) {
    if (!isOpen(episode)) continue;
    const known = worst.get(episode.machine);
    if (!known || SEVERITY_ORDER[episode.severity] < SEVERITY_ORDER[known.severity]) worst.set(episode.machine, episode);
  }
  return worst;
}

/** Seconds an episode has lasted; an open one lasts until now. */
export function lastedS(episode: Anomaly, nowMs: number): number {
  if (!isOpen(episode)) return episode.duration_s;
  return Math.max(episode.duration_s, (nowMs - Date.parse(episode.started_at)) / 1000);
}
