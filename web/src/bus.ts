import mqtt, { type MqttClient } from "mqtt";

import type { Access } from "./api";
import { retryDelayMs } from "./backoff";

export interface BusEvents {
  connected: () => void;
  /** Apart from the broker; the next attempt is due after `delayMs`, or under way when undefined. */
  apart: (delayMs?: number) => void;
  message: (topic: string, payload: string, retained: boolean) => void;
}

const KEEPALIVE_S = 15;
const PATIENCE_MS = 10_000;
/** A connection that held this long was a good one: the next retry begins at the shortest delay again. */
const STEADY_MS = 10_000;
const REFUSALS: readonly unknown[] = [134, 135, 138];

/** The page's one connection to the broker: connects for ever, with growing pauses, until stopped. */
export class Bus {
  readonly #decoder = new TextDecoder();
  #client: MqttClient | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #connectedAtMs: number | undefined;
  #refused = false;
  #running = false;

  /** `access` gives the log-in, a new one when the last was refused; undefined stops the bus. */
  constructor(
    private readonly access: (refused: boolean) => Promise<Access | undefined>,
    private readonly events: BusEvents,
  ) {}

  start(filters: readonly string[]): void {
    this.#running = true;
    void this.#connect(filters);
    this.retryNow = () => {
      if (this.#timer !== undefined) void this.#connect(filters);
    };
  }

  /** Make the attempt that is waited for at once. */
  retryNow: () => void = () => undefined;

  /** Doubt the connection: break it, so that the next attempt shows whether there still is one. */
  probe(): void {
    this.#attempt = 0;
    this.#client?.end(true);
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#client?.removeAllListeners();
    this.#client?.on("error", () => undefined);
    this.#client?.end();
    this.#client = undefined;
  }

  async #connect(filters: readonly string[]): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.events.apart();
    try {
      const access = await this.access(this.#refused);
      this.#refused = false;
      if (access && this.#running) this.#open(access, filters);
    } catch {
      this.#wait(filters);
    }
  }

  #open(access: Access, filters: readonly string[]): void {
    const client = mqtt.connect(brokerUrl(access.url), {
      protocolVersion: 5,
      clean: true,
      clientId: access.username,
      username: access.username,
      password: access.password,
      keepalive: KEEPALIVE_S,
      connectTimeout: PATIENCE_MS,
      reconnectPeriod: 0,
      resubscribe: false,
      // Its worker would be a blob: address, which the content security policy refuses.
      timerVariant: "native",
    });
    this.#client = client;
    client.on("connect", () => {
      this.#connectedAtMs = Date.now();
      this.events.connected();
      client.subscribe([...filters], { qos: 1 }, (error) => {
        if (error) client.end(true);
      });
    });
    client.on("message", (topic, payload, packet) => {
      this.events.message(topic, this.#decoder.decode(payload), packet.retain);
    });
    client.on("error", (error) => {
      if ("code" in error && REFUSALS.includes(error.code)) this.#refused = true;
      client.end(true);
    });
    client.on("close", () => {
      if (this.#client !== client) return;
      this.#client = undefined;
      if (this.#connectedAtMs !== undefined && Date.now() - this.#connectedAtMs > STEADY_MS) this.#attempt = 0;
      this.#connectedAtMs = undefined;
      this.#wait(filters);
    });
  }

  #wait(filters: readonly string[]): void {
    if (!this.#running) return;
    const delayMs = retryDelayMs(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#timer = setTimeout(() => void this.#connect(filters), delayMs);
    this.events.apart(delayMs);
  }
}

/** The broker's address; one without a host stands below the page's own. */
function brokerUrl(url: string): string {
  const absolute = new URL(url, document.baseURI);
  absolute.protocol = absolute.protocol.replace("http", "ws");
  return absolute.href;
}
