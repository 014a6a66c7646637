import { type TemplateResult, html } from "lit";

import type { Curve } from "../curve";
import { formatMoment, formatNumber } from "../format";
import { text } from "../text";

const MOST_ROWS = 200;

/** The chart's numbers, the newest first, for who cannot see it. */
export function renderCurveTable(curve: Curve, unit: string, nowMs: number): TemplateResult {
  const rows = curve.ts.map((_, i) => i).filter((i) => typeof curve.mean[i] === "number");
  const shown = rows.slice(-MOST_ROWS).reverse();
  const cell = (value: number | null | undefined) => html`<td>${typeof value === "number" ? formatNumber(value) : "–"}</td>`;
  const named = (name: string) => (unit === "" ? name : `${name} (${unit})`);
  return html`<p class="muted">${text.tableRows(shown.length, rows.length)}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${text.asTable}>
      <table>
        <thead>
          <tr>
            <th scope="col">${text.time}</th>
            ${[text.minimum, text.mean, text.maximum].map((name) => html`<th scope="col">${named(name)}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${shown.map(
            (i) =>
              html`<tr>
                <th scope="row">${formatMoment((curve.ts[i] ?? 0) * 1000, nowMs)}</th>
                ${cell(curve.min[i])}${cell(curve.mean[i])}${cell(curve.max[i])}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
