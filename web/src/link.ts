import type { Service } from "./contract";

/** What is known of the connection; times are epoch milliseconds of this browser. */
export interface LinkFacts {
  /** The browser believes it has a network, or a connection made since has shown that it has. */
  online: boolean;
  connected: boolean;
  everConnected: boolean;
  /** When the present state of `connected` began. */
  sinceMs: number;
  /** When the next attempt is due, while there is none under way. */
  retryAtMs?: number | undefined;
  /** The last word of the gateway; undefined when the broker keeps none. */
  gateway: Service["state"] | undefined;
}

export type LinkState = "connecting" | "live" | "stale" | "reconnecting" | "offline";

export interface Link {
  state: LinkState;
  /** Whole seconds to the next attempt, while one is waited for. */
  retryInS?: number;
  gateway?: Service["state"] | undefined;
}

export const OFFLINE_AFTER_MS = 30_000;
/** How long the retained word of the gateway may take to arrive after connecting. */
export const SNAPSHOT_GRACE_MS = 2_000;

/** Decide what to tell people of the connection. */
export function decideLink(facts: LinkFacts, nowMs: number): Link {
  return facts.connected && facts.online ? decideConnected(facts, nowMs) : decideApart(facts, nowMs);
}

function decideConnected({ gateway, sinceMs }: LinkFacts, nowMs: number): Link {
  if (gateway === "ok" || gateway === "degraded") return { state: "live", gateway };
  if (gateway === undefined && nowMs - sinceMs < SNAPSHOT_GRACE_MS) return { state: "connecting" };
  return { state: "stale", gateway };
}

function decideApart(facts: LinkFacts, nowMs: number): Link {
  const wait =
    facts.retryAtMs === undefined ? {} : { retryInS: Math.max(0, Math.ceil((facts.retryAtMs - nowMs) / 1000)) };
  if (!facts.online || nowMs - facts.sinceMs > OFFLINE_AFTER_MS) return { state: "offline", ...wait };
  return { state: facts.everConnected ? "reconnecting" : "connecting", ...wait };
}

export function sameLink(a: Link, b: Link): boolean {
  return a.state === b.state && a.retryInS === b.retryInS && a.gateway === b.gateway;
}
