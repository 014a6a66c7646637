import type { Anomaly, Expected, Health, Latest, Machine, Service } from "./contract";
import { type Episodes, mergeEpisode, worstByMachine } from "./episodes";
import { type Link, type LinkFacts, decideLink, sameLink } from "./link";
import { mainMetric } from "./metrics";
import { Notices } from "./notices";
import { type Trail, emptyTrail, extendTrail } from "./trail";

/** All that is known of one machine. */
export interface MachineState {
  id: string;
  info?: Machine | undefined;
  latest?: Latest | undefined;
  expected?: Expected | undefined;
  health?: Health | undefined;
  /** The main metric since the page was opened. */
  trail: Trail;
}

/** By then a connection has brought all that the broker keeps. */
const SNAPSHOT_MS = 10_000;

interface Parts {
  info: Machine;
  latest: Latest;
  expected: Expected;
  health: Health;
}

/**
 * What has changed: one machine, which machines there are and their order (`fleet`), any value
 * (`values`), the anomalies, the toasts, the connection, or the second (`clock`).
 */
export type Change = `machine:${string}` | "fleet" | "values" | "episodes" | "notices" | "link" | "clock";

/**
 * The one state of the page. Messages change it at once; listeners hear of it once a frame,
 * however many messages came.
 */
export class Store {
  readonly machines = new Map<string, MachineState>();
  readonly services = new Map<string, Service>();
  readonly episodes: Episodes = new Map();
  readonly notices = new Notices();
  /** What every topic of this site begins with; known once somebody has logged in. */
  root = "";
  worst = new Map<string, Anomaly>();
  facts: LinkFacts;
  link: Link;
  nowMs: number;
  /** Whether the earlier anomalies have been fetched since the last connection. */
  episodesKnown = false;
  /** Messages that were not what their channel carries. */
  badMessages = 0;

  readonly #listeners = new Map<Change, Set<() => void>>();
  readonly #pending = new Set<Change>();
  #unseen = new Set<string>();
  readonly #schedule: (flush: () => void) => void;

  constructor(schedule: (flush: () => void) => void, nowMs: number) {
    this.#schedule = schedule;
    this.nowMs = nowMs;
    this.facts = { online: true, connected: false, everConnected: false, sinceMs: nowMs, gateway: undefined };
    this.link = decideLink(this.facts, nowMs);
  }

  /** Call `listener` at most once a frame after any of `changes`; returns how to stop. */
  listen(changes: readonly Change[], listener: () => void): () => void {
    for (const change of changes) {
      const listeners = this.#listeners.get(change) ?? new Set();
      this.#listeners.set(change, listeners.add(listener));
    }
    return () => {
      for (const change of changes) this.#listeners.get(change)?.delete(listener);
    };
  }

  touch(...changes: Change[]): void {
    if (this.#pending.size === 0) this.#schedule(this.#flush);
    for (const change of changes) this.#pending.add(change);
  }

  readonly #flush = (): void => {
    const heard = new Set<() => void>();
    for (const change of this.#pending) for (const listener of this.#listeners.get(change) ?? []) heard.add(listener);
    this.#pending.clear();
    for (const listener of heard) listener();
  };

  /** A new connection brings everything again; what it does not bring is gone. */
  beginSnapshot(): void {
    this.#unseen = new Set(this.machines.keys());
  }

  #endSnapshot(): void {
    for (const id of this.#unseen) {
      this.machines.delete(id);
      this.touch("fleet", "values", `machine:${id}`);
    }
    this.#unseen.clear();
  }

  /** Take one part of a machine; undefined means that the broker keeps it no longer. */
  setPart<Part extends keyof Parts>(id: string, part: Part, message: Parts[Part] | undefined): void {
    this.#unseen.delete(id);
    const known = this.machines.get(id);
    if (!known && !message) return;
    const machine: MachineState = known ?? { id, trail: emptyTrail() };
    if (!known) this.machines.set(id, machine);
    if (!known || part === "info" || (part === "health" && known.health?.state !== (message as Health | undefined)?.state)) {
      this.touch("fleet");
    }
    Object.assign(machine, { [part]: message });
    if (part === "latest") this.#extend(machine);
    if (!machine.info && !machine.latest && !machine.health) {
      this.machines.delete(id);
      this.touch("fleet");
    }
    this.touch(`machine:${id}`, "values");
  }

  #extend(machine: MachineState): void {
    const metric = mainMetric(machine.info, machine.latest);
    const last = metric === undefined ? undefined : machine.latest?.values[metric];
    if (last && typeof last.value === "number") extendTrail(machine.trail, Date.parse(last.ts), last.value);
  }

  setService(name: string, service: Service | undefined): void {
    if (service) this.services.set(name, service);
    else this.services.delete(name);
    if (name === "gateway") this.setFacts({ gateway: service?.state });
  }

  /** Merge an event of an episode; returns whether it was news. */
  addEpisode(event: Anomaly): boolean {
    if (!mergeEpisode(this.episodes, event)) return false;
    this.worst = worstByMachine(this.episodes.values());
    this.touch("episodes", "fleet", `machine:${event.machine}`);
    return true;
  }

  setFacts(facts: Partial<LinkFacts>): void {
    this.facts = { ...this.facts, ...facts };
    this.#decide();
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    this.touch("clock");
    if (this.link.state === "live" && nowMs - this.facts.sinceMs > SNAPSHOT_MS) this.#endSnapshot();
    this.#decide();
  }

  /** Forget what only people who are logged in may see. */
  forget(): void {
    this.machines.clear();
    this.services.clear();
    this.episodes.clear();
    this.worst.clear();
    this.notices.clear();
    this.episodesKnown = false;
    this.touch("fleet", "values", "episodes", "notices");
  }

  #decide(): void {
    const link = decideLink(this.facts, this.nowMs);
    if (sameLink(link, this.link)) return;
    if (link.state !== this.link.state) this.touch("fleet", ...[...this.machines.keys()].map((id) => `machine:${id}` as const));
    this.link = link;
    this.touch("link");
  }
}
