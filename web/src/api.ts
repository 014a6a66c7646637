import { learnServerTime } from "./clock";
import type { Anomaly } from "./contract";
import { text } from "./text";

/** The server's answer was a refusal, or there was none (`status` 0); the message is for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface Config {
  root: string;
}

/** A log-in to the broker for this tab. */
export interface Access {
  url: string;
  username: string;
  password: string;
  expires_at: string;
}

export interface SessionAnswer {
  username: string;
  role: string;
  expires_at: string;
  mqtt: Access;
}

export interface HistorySeries {
  metric: string;
  unit: string;
  bucket_s: number;
  ts: number[];
  min: number[];
  mean: number[];
  max: number[];
  count: number[];
}

export interface History {
  machine: string;
  start: string;
  end: string;
  series: HistorySeries[];
}

type Method = "GET" | "POST" | "DELETE";

async function call<Answer>(method: Method, path: string, body?: object, signal?: AbortSignal): Promise<Answer> {
  const response = await send(method, path, body, signal);
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer as Answer;
  const problem = (answer ?? {}) as { title?: string; detail?: string };
  throw new ApiError(response.status, problem.detail ?? problem.title ?? `${response.status} ${response.statusText}`);
}

async function send(method: Method, path: string, body?: object, signal?: AbortSignal): Promise<Response> {
  try {
    const response = await fetch(new URL(`api/v1/${path}`, document.baseURI), {
      method,
      credentials: "same-origin",
      // A page of another origin cannot send this header, so it cannot act with the cookie.
      headers: method === "GET" ? {} : { "Content-Type": "application/json", "X-EnMS": "1" },
      ...(body && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    learnServerTime(response.headers.get("Date"), Date.now());
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, text.noServer);
  }
}

export const api = {
  config: () => call<Config>("GET", "config"),
  logIn: (username: string, password: string) => call<SessionAnswer>("POST", "session", { username, password }),
  resume: () => call<SessionAnswer>("POST", "session/mqtt"),
  renew: (mqttUsername: string) =>
    call<{ expires_at: string }>("POST", "session/renew", { mqtt_username: mqttUsername }),
  logOut: () => call<unknown>("DELETE", "session"),
  anomalies: () => call<{ anomalies: Anomaly[] }>("GET", "anomalies?limit=200"),
  history: (machine: string, query: { metric: string; start: string; end: string; points: string }, signal: AbortSignal) =>
    call<History>(
      "GET",
      `machines/${encodeURIComponent(machine)}/history?${new URLSearchParams(query).toString()}`,
      undefined,
      signal,
    ),
};
