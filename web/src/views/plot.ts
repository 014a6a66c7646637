import uPlot from "uplot";

import type { Anomaly } from "../contract";
import type { Curve } from "../curve";
import { lastedS } from "../episodes";
import { formatMoment, formatNumber, formatQuantity, formatTick } from "../format";
import { text } from "../text";

export interface PlotInput {
  unit: string;
  /** Colours by the names of the page's custom properties. */
  colour: (name: string) => string;
  /** The span of time shown, epoch seconds. */
  span: () => [number, number];
  episodes: () => readonly Anomaly[];
  nowMs: () => number;
}

const dataOf = (curve: Curve): uPlot.AlignedData => [curve.ts, curve.mean, curve.max, curve.min, curve.high, curve.low];

export function makePlot(curve: Curve, input: PlotInput, width: number, height: number, into: HTMLElement): uPlot {
  const { colour, unit } = input;
  const quantity = (_: uPlot, value: number | null) => (value === null ? "–" : formatQuantity(value, unit));
  const line = (label: string, stroke: string, thickness: number): uPlot.Series => ({
    label,
    stroke: colour(stroke),
    width: thickness,
    points: { show: false },
    value: quantity,
  });
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const options: uPlot.Options = {
    width,
    height,
    cursor: { y: false, points: { size: 7 } },
    legend: { show: true, live: true },
    scales: { x: { time: true, range: () => input.span() }, y: { range: (plot, low, high) => heightOf(plot, low, high) } },
    axes: [
      { ...axis, values: (_, ticks, _axis, _space, stepS) => ticks.map((tick) => formatTick(tick * 1000, stepS)) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => formatNumber(tick)) },
    ],
    series: [
      { label: text.time, value: (_, ts: number | null) => (ts === null ? "–" : formatMoment(ts * 1000, input.nowMs())) },
      // Few readings are also drawn as points, so that a lone one is seen.
      { ...line(text.mean, "--accent", 2), points: { size: 5, fill: colour("--accent") } },
      line(text.maximum, "--accent", 0),
      line(text.minimum, "--accent", 0),
      line(text.expectedHigh, "--info", 1),
      line(text.expectedLow, "--info", 1),
    ],
    bands: [
      { series: [4, 5], fill: fade(colour("--info"), 0.14) },
      { series: [2, 3], fill: fade(colour("--accent"), 0.16) },
    ],
    hooks: {
      drawClear: [
        (plot) => {
          drawEpisodes(plot, input);
        },
      ],
    },
  };
  return new uPlot(options, dataOf(curve), into);
}

/** Room for what was measured, and for as much of the expected band as does not flatten it. */
function heightOf(plot: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  const measured = [...(plot.data[2] ?? []), ...(plot.data[3] ?? [])].filter((value) => value != null);
  if (low === null || high === null || measured.length === 0) return [low, high];
  const least = measured.reduce((a, b) => Math.min(a, b));
  const most = measured.reduce((a, b) => Math.max(a, b));
  const room = 2 * Math.max(most - least, 0.1 * Math.max(Math.abs(least), Math.abs(most)));
  return uPlot.rangeNum(Math.max(low, least - room), Math.min(high, most + room), 0.1, true);
}

export function refreshPlot(plot: uPlot, curve: Curve): void {
  plot.setData(dataOf(curve));
}

function fade(colour: string, alpha: number): string {
  return `${colour}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
}

/** Mark each episode's span behind the lines, with a solid edge where it began. */
function drawEpisodes(plot: uPlot, { colour, episodes, nowMs, span }: PlotInput): void {
  const { ctx, bbox } = plot;
  const [from, to] = span();
  for (const episode of episodes()) {
    const began = Date.parse(episode.started_at) / 1000;
    const ended = began + lastedS(episode, nowMs());
    if (ended < from || began > to) continue;
    const left = Math.max(bbox.left, plot.valToPos(began, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(ended, "x", true));
    const tone = colour(`--${episode.severity}`);
    ctx.fillStyle = fade(tone, 0.1);
    ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
    ctx.fillStyle = tone;
    ctx.fillRect(left, bbox.top, 2 * devicePixelRatio, bbox.height);
  }
}
