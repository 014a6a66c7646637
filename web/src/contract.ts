// Generated from broker/channels.py by `python -m broker.generate`. Change it there.
/* eslint-disable */

export interface Alarm {
  machine: string;
  code: string;
  state: "acknowledged" | "out_of_service" | "returned" | "shelved" | "suppressed" | "unacknowledged";
  priority: "critical" | "high" | "low" | "medium";
  text: string;
  first_at: string;
  last_at: string;
  occurrences: number;
  anomaly_id?: string;
  shelved_until?: string;
}

export interface Announce {
  name?: string;
  type?: string;
  place?: Place;
  metrics?: Record<string, MetricInfo>;
  rated_power_kw?: number;
  parent?: string;
}

export interface Anomaly {
  anomaly_id: string;
  phase: "closed" | "opened" | "updated";
  machine: string;
  machine_name: string;
  metric: string;
  value: number;
  expected: number;
  low: number;
  high: number;
  deviation: Deviation;
  score: number;
  threshold: number;
  severity: "critical" | "info" | "warning";
  anomaly_type: "drift" | "level_shift" | "missing_data" | "multivariate" | "out_of_range" | "pattern" | "spike" | "standby_waste" | "stuck_sensor";
  operating_state: string;
  contributors: Contributor[];
  started_at: string;
  duration_s: number;
  model: ModelRef;
  ts: string;
  published_at: string;
  excess_kwh?: number;
  cost?: number;
}

export interface Breakers {
  ts: string;
  dependencies: Record<string, string>;
}

export interface Command {
  id: string;
  args?: Record<string, string | number | boolean | null>;
  reply_to?: string;
  sent_at?: string;
}

export interface Committed {
  boot: string;
  seq: number;
  ts: string;
}

export interface Contributor {
  metric: string;
  share: number;
}

export interface Counters {
  ts: string;
  counters: Record<string, number>;
}

export interface Deviation {
  absolute: number;
  sigma: number;
  pct?: number;
}

export interface Expected {
  machine: string;
  ts: string;
  operating_state: string;
  score: number;
  metrics?: Record<string, ExpectedMetric>;
}

export interface ExpectedMetric {
  expected: number;
  low: number;
  high: number;
  score: number;
}

export interface Fault {
  code: string;
  text: string;
}

export interface Health {
  machine: string;
  state: "bad_data" | "offline" | "ok" | "stale";
  last_seen: string;
  rejected: number;
  clock_skew_s: number;
  missed: number;
  period_s?: number;
}

export interface Kpi {
  machine: string;
  kpi: string;
  window: string;
  value: number;
  unit: string;
  ts: string;
  baseline?: number;
  deviation_pct?: number;
}

export interface Latest {
  machine: string;
  values: Record<string, LatestValue>;
}

export interface LatestValue {
  ts: string;
  value: number | string;
}

export interface Machine {
  machine: string;
  name: string;
  first_seen: string;
  type?: string;
  place?: Place;
  metrics?: Record<string, MetricInfo>;
  rated_power_kw?: number;
  parent?: string;
}

export interface MetricInfo {
  unit: string;
  min?: number;
  max?: number;
}

export interface ModelCard {
  machine: string;
  model: string;
  version: string;
  kind: string;
  trained_from: string;
  trained_to: string;
  trained_at: string;
  samples: number;
  features: string[];
  metrics?: Record<string, number>;
  valid_range?: Record<string, [number, number]>;
  why?: string;
  drift?: number;
}

export interface ModelRef {
  name: string;
  version: string;
}

export interface Percentiles {
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
}

export interface Performance {
  ts: string;
  hops: Record<string, Percentiles>;
}

export interface Place {
  site?: string;
  area?: string;
  line?: string;
}

export interface Rejected {
  reason: string;
  text: string;
  topic: string;
  head: string;
  size_bytes: number;
  ts: string;
  count?: number;
  field?: string;
}

export interface Reply {
  id: string;
  ok: boolean;
  result?: Record<string, unknown>;
  error?: Fault;
}

export interface Say {
  text: string;
  priority: "critical" | "high" | "low" | "medium";
  dedupe: string;
  expires_at: string;
  alarm?: string;
}

export interface Scoring {
  ts: string;
  machines: number;
  rows: number;
  unscored: number;
  opened: number;
  refits: number;
  refits_waiting: number;
  oldest_ms: number;
  hops?: Record<string, Percentiles>;
}

export interface Service {
  state: "degraded" | "lost" | "ok" | "starting" | "stopped";
  version: string;
  started: string;
  dependencies?: Record<string, string>;
}

export interface Status {
  state: "offline" | "online";
  boot?: string;
  first?: number;
}

export interface SystemAlert {
  alert_type: string;
  severity: "critical" | "info" | "warning";
  message: string;
  ts: string;
  details?: Record<string, string>;
}

export interface Training {
  job_id: string;
  machine: string;
  model: string;
  status: "cancelled" | "completed" | "failed" | "queued" | "running";
  stage: string;
  progress: number;
  seq: number;
  updated_at: string;
  eta_s?: number;
  metrics?: Record<string, number>;
  error?: string;
}

export const CHANNELS = {
  telemetry: { pattern: "telemetry/<machine>", qos: 1, retain: false },
  telemetryMetric: { pattern: "telemetry/<machine>/<metric>", qos: 1, retain: false },
  status: { pattern: "status/<client>", qos: 1, retain: true },
  announce: { pattern: "announce/<machine>", qos: 1, retain: false },
  machine: { pattern: "machine/<machine>", qos: 1, retain: true },
  latest: { pattern: "latest/<machine>", qos: 1, retain: true },
  expected: { pattern: "expected/<machine>", qos: 0, retain: true },
  health: { pattern: "health/<machine>", qos: 1, retain: true },
  anomaly: { pattern: "anomaly/<machine>", qos: 1, retain: false },
  alarm: { pattern: "alarm/<machine>/<code>", qos: 1, retain: true },
  training: { pattern: "training/<machine>/<model>", qos: 1, retain: true },
  model: { pattern: "model/<machine>/<model>", qos: 1, retain: true },
  kpi: { pattern: "kpi/<machine>/<kpi>/<window>", qos: 1, retain: true },
  service: { pattern: "service/<service>", qos: 1, retain: true },
  systemAlert: { pattern: "system/alert", qos: 1, retain: false },
  systemMetrics: { pattern: "system/metrics", qos: 1, retain: true },
  systemPerformance: { pattern: "system/performance", qos: 1, retain: true },
  systemSecurity: { pattern: "system/security", qos: 1, retain: true },
  systemBreaker: { pattern: "system/breaker", qos: 1, retain: true },
  systemScoring: { pattern: "system/scoring", qos: 1, retain: true },
  rejected: { pattern: "rejected/<source>", qos: 1, retain: false },
  say: { pattern: "say/<locale>", qos: 1, retain: false },
  command: { pattern: "command/<user>/<service>/<verb>", qos: 1, retain: false },
  reply: { pattern: "reply/<user>/<id>", qos: 1, retain: false },
  committed: { pattern: "committed/<client>", qos: 1, retain: true },
  replay: { pattern: "replay/<session>/#", qos: 0, retain: false },
} as const;

export type ChannelName = keyof typeof CHANNELS;

export interface Messages {
  telemetry: unknown;
  telemetryMetric: unknown;
  status: Status;
  announce: Announce;
  machine: Machine;
  latest: Latest;
  expected: Expected;
  health: Health;
  anomaly: Anomaly;
  alarm: Alarm;
  training: Training;
  model: ModelCard;
  kpi: Kpi;
  service: Service;
  systemAlert: SystemAlert;
  systemMetrics: Counters;
  systemPerformance: Performance;
  systemSecurity: Counters;
  systemBreaker: Breakers;
  systemScoring: Scoring;
  rejected: Rejected;
  say: Say;
  command: Command;
  reply: Reply;
  committed: Committed;
  replay: unknown;
}
