import { type TemplateResult, html } from "lit";

import { formatAge, formatQuantity } from "../format";
import { metricLabel, unitOf } from "../metrics";
import type { MachineState } from "../store";
import { text } from "../text";
import { valueText } from "./words";

/** Every metric's last value, with what is expected where a model says so. */
export function renderValues({ info, latest, expected }: MachineState, nowMs: number): TemplateResult {
  return html`<div class="card scroll" tabindex="0" role="region" aria-label=${text.currentValues}>
    <table>
      <thead>
        <tr>
          <th scope="col">${text.metric}</th>
          <th scope="col">${text.value}</th>
          <th scope="col">${text.expected}</th>
          <th scope="col">${text.measured}</th>
        </tr>
      </thead>
      <tbody>
        ${Object.entries(latest?.values ?? {}).map(([metric, last]) => {
          const unit = unitOf(info, metric);
          const model = expected?.metrics?.[metric];
          const odd = model !== undefined && typeof last.value === "number" && (last.value < model.low || last.value > model.high);
          return html`<tr>
            <th scope="row">${metricLabel(metric, unit)}</th>
            <td class=${odd ? "odd" : ""}>${valueText(last, unit)}</td>
            <td class="muted">${model ? formatQuantity(model.expected, unit) : "–"}</td>
            <td class="muted">${formatAge(Math.max(0, nowMs - Date.parse(last.ts)))}</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}
