import { text } from "./text";

const FIELDS = { year: "numeric", month: "short", day: "numeric" } as const;
const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { ...FIELDS, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const hourAndMinute = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const ago = new Intl.RelativeTimeFormat(text.language, { style: "narrow" });
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const signedPercent = new Intl.NumberFormat(undefined, {
  style: "percent",
  maximumFractionDigits: 0,
  signDisplay: "exceptZero",
});
const byDigits = [0, 1, 2, 3].map(
  (digits) => new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

/** A measured number with as many digits as are worth reading. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  const digits = Number.isInteger(value) || size >= 1000 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
  return byDigits[digits]?.format(value) ?? String(value);
}

/** A whole number, such as a count. */
export function formatCount(value: number): string {
  return byDigits[0]?.format(value) ?? String(value);
}

/** A number that keeps its first decimal, so that a live figure does not jump in width. */
export function formatSteady(value: number): string {
  const digits = Math.abs(value) >= 1000 ? 0 : 1;
  return byDigits[digits]?.format(value) ?? String(value);
}

/** A number and its unit, kept on one line. */
export function formatQuantity(value: number, unit: string): string {
  return unit === "" ? formatNumber(value) : `${formatNumber(value)}\u00a0${unit}`;
}

export function formatShare(share: number): string {
  return percent.format(share);
}

/** A deviation in percent, with its sign. */
export function formatDeviation(pct: number): string {
  return signedPercent.format(pct / 100);
}

export function formatTime(ms: number): string {
  return time.format(ms);
}

/** The time alone for today, with the day otherwise. */
export function formatMoment(ms: number, nowMs: number): string {
  const sameDay = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  return (sameDay ? time : dayAndTime).format(ms);
}

/** A mark of a time axis whose marks are `stepS` seconds apart. */
export function formatTick(ms: number, stepS: number): string {
  return (stepS < 60 ? time : stepS < 86_400 ? hourAndMinute : day).format(ms);
}

/** Age in words; what is younger than 5 s is "just now", so that live data reads calmly. */
export function formatAge(ageMs: number): string {
  const seconds = Math.floor(ageMs / 1000);
  if (seconds < 5) return text.justNow;
  if (seconds < 60) return ago.format(-seconds, "second");
  if (seconds < 3600) return ago.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return ago.format(-Math.floor(seconds / 3600), "hour");
  return ago.format(-Math.floor(seconds / 86_400), "day");
}

/** A span of time by its two largest parts. */
export function formatDuration(durationS: number): string {
  const parts: [number, string][] = [
    [Math.floor(durationS / 86_400), "d"],
    [Math.floor(durationS / 3600) % 24, "h"],
    [Math.floor(durationS / 60) % 60, "min"],
    [Math.floor(durationS) % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${formatCount(count)} ${unit}`).join(" ");
}
