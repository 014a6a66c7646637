import { LitElement, type TemplateResult, html } from "lit";
import { customElement, property, state } from "lit/decorators.js";

import { nowMs } from "../clock";
import { inOrder } from "../episodes";
import { formatAge } from "../format";
import { LiveHistory, RANGES, type Range } from "../history";
import { mainMetric, metricAndUnit, metricLabel, newestMs, unitOf } from "../metrics";
import { store } from "../state";
import type { MachineState } from "../store";
import { text } from "../text";
import { Watch } from "../watch";
import "./chart";
import { renderCurveTable } from "./curve-table";
import { episodeStyles, renderEpisode } from "./episode";
import { machineStyles } from "./machine-styles";
import { shared } from "./styles";
import { renderValues } from "./values";
import { healthOf, machineName, placeOf } from "./words";

@customElement("enms-machine")
export class MachineView extends LitElement {
  static override styles = [shared, episodeStyles, machineStyles];

  @property() machine = "";
  @state() private metric: string | undefined;
  @state() private range: Range = "15m";
  @state() private tableOpen = false;
  private history: LiveHistory | undefined;

  constructor() {
    super();
    new Watch(this, () => [`machine:${this.machine}`, "episodes", "link", "clock"]);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.history?.stop();
    this.history = undefined;
  }

  override willUpdate(): void {
    const machine = store.machines.get(this.machine);
    this.metric ??= mainMetric(machine?.info, machine?.latest);
    if (this.metric === undefined) return;
    const { history } = this;
    if (history?.metric !== this.metric || history.range !== this.range) this.load(this.metric);
    this.history?.add(machine?.latest?.values[this.metric], machine?.expected?.metrics?.[this.metric], store.nowMs);
  }

  private load(metric: string): void {
    this.history?.stop();
    this.history = new LiveHistory(this.machine, metric, this.range, () => {
      this.requestUpdate();
    });
    void this.history.load(nowMs());
  }

  override render(): TemplateResult {
    const machine = store.machines.get(this.machine);
    const back = html`<a class="back" href="#/">← ${text.back}</a>`;
    if (!machine) {
      const waiting = store.link.state === "live" ? text.unknownMachine : text.waitingForMachines;
      return html`${back}
        <h1>${this.machine}</h1>
        <p class="muted">${waiting}</p>`;
    }
    const episodes = inOrder([...store.episodes.values()].filter((event) => event.machine === this.machine));
    return html`
      ${back} ${renderHead(machine)}
      <section class="card chart" aria-label=${text.measured}>
        ${this.renderChoices(machine)} ${this.renderChart(machine)}
      </section>
      <div class="columns">
        <section>
          <h2>${text.currentValues}</h2>
          ${renderValues(machine, store.nowMs)}
        </section>
        <section>
          <h2>${text.anomalies}</h2>
          ${episodes.length === 0 ? html`<p class="muted">${text.noMachineAnomalies}</p>` : ""}
          <ul class="episodes">
            ${episodes.map((event) => renderEpisode(event, false))}
          </ul>
        </section>
      </div>
    `;
  }

  private renderChoices(machine: MachineState): TemplateResult {
    const metrics = Object.entries(machine.latest?.values ?? {}).filter(([, { value }]) => typeof value === "number");
    return html`<div class="choices">
      <select aria-label=${text.metric} @change=${(e: Event) => (this.metric = (e.target as HTMLSelectElement).value)}>
        ${metrics.map(
          ([metric]) =>
            html`<option value=${metric} ?selected=${metric === this.metric}>
              ${metricAndUnit(metric, unitOf(machine.info, metric))}
            </option>`,
        )}
      </select>
      <div class="ranges" role="group" aria-label=${text.range}>
        ${Object.keys(RANGES).map(
          (key) =>
            html`<button aria-pressed=${key === this.range} @click=${() => (this.range = key as Range)}>
              ${text.ranges[key as Range]}
            </button>`,
        )}
      </div>
    </div>`;
  }

  private renderChart(machine: MachineState): TemplateResult {
    const { history, metric } = this;
    if (!history || metric === undefined) return html`<p class="muted">${text.health.unknown}</p>`;
    const unit = unitOf(machine.info, metric);
    const episodes = [...store.episodes.values()].filter((event) => event.machine === this.machine);
    const failure = html`<p class="failure" role="alert">
      ${text.historyFailed(history.error)}
      <button
        @click=${() => {
          this.load(metric);
          this.requestUpdate();
        }}
      >
        ${text.retry}
      </button>
    </p>`;
    return html`
      ${history.error === "" ? "" : failure}
      <p class="hint muted" role="status">
        ${history.loading ? text.loading : history.curve.ts.length === 0 ? text.noHistory : ""}
      </p>
      <enms-chart
        .curve=${history.curve}
        .episodes=${episodes}
        .unit=${unit}
        .rangeS=${RANGES[this.range]}
        .label=${text.chartOf(metricLabel(metric, unit), machineName(machine, machine.id))}
      ></enms-chart>
      <details @toggle=${(e: Event) => (this.tableOpen = (e.target as HTMLDetailsElement).open)}>
        <summary>${text.asTable}</summary>
        ${this.tableOpen ? renderCurveTable(history.curve, unit, store.nowMs) : ""}
      </details>
    `;
  }
}

function renderHead(machine: MachineState): TemplateResult {
  const live = store.link.state === "live";
  const health = healthOf(machine);
  const trouble = store.worst.get(machine.id);
  const newest = newestMs(machine.latest);
  return html`<header>
    <div>
      <h1>${machineName(machine, machine.id)}</h1>
      <p class="muted">${[machine.id, placeOf(machine.info)].filter((part) => part !== "").join(" · ")}</p>
    </div>
    ${trouble ? html`<span class="chip ${trouble.severity}">${text.severity[trouble.severity]}</span>` : ""}
    <span class="chip ${live ? health : "unknown"}">${live ? text.dataIs(text.health[health]) : text.notLive}</span>
    ${machine.expected ? html`<span class="muted">${text.operatingState}: ${machine.expected.operating_state}</span>` : ""}
    ${newest === undefined
      ? ""
      : html`<span class="muted">${text.lastData} ${formatAge(Math.max(0, store.nowMs - newest))}</span>`}
  </header>`;
}
