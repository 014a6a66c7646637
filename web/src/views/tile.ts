import { LitElement, type TemplateResult, html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";

import type { Anomaly } from "../contract";
import { formatAge, formatSteady } from "../format";
import { mainMetric, metricLabel, newestMs, unitOf } from "../metrics";
import { machineLink } from "../route";
import { store } from "../state";
import type { MachineState } from "../store";
import { text } from "../text";
import { Watch } from "../watch";
import { spark } from "./spark";
import { shared } from "./styles";
import { tileStyles } from "./tile-styles";
import { comparison, healthOf, machineName, placeOf, valueText } from "./words";

const OTHER_METRICS = 2;

@customElement("enms-tile")
export class Tile extends LitElement {
  static override styles = [shared, tileStyles];

  @property() machine = "";
  /** The browser skips what is not on screen; its age need not be told every second. */
  private skipped = false;
  private age = "";
  private stopClock: (() => void) | undefined;

  constructor() {
    super();
    new Watch(this, () => [`machine:${this.machine}`]);
    this.addEventListener("contentvisibilityautostatechange", (event) => {
      this.skipped = (event as ContentVisibilityAutoStateChangeEvent).skipped;
      if (!this.skipped) this.requestUpdate();
    });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.stopClock = store.listen(["clock"], () => {
      if (!this.skipped && this.age !== this.ageNow()) this.requestUpdate();
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.stopClock?.();
  }

  private ageNow(): string {
    const newest = newestMs(store.machines.get(this.machine)?.latest);
    return newest === undefined ? "" : formatAge(Math.max(0, store.nowMs - newest));
  }

  override render(): TemplateResult | typeof nothing {
    const machine = store.machines.get(this.machine);
    if (!machine) return nothing;
    const trouble = store.worst.get(machine.id);
    const live = store.link.state === "live";
    this.age = this.ageNow();
    this.dataset.machine = machine.id;
    this.dataset.health = healthOf(machine);
    this.dataset.live = String(live);
    this.dataset.trouble = trouble?.severity ?? "";
    const tone = trouble?.severity ?? healthOf(machine);
    return html`<a class="card ${live ? tone : "unknown frozen"}" href=${machineLink(machine.id)}>
      <span class="top">
        <strong>${machineName(machine, machine.id)}</strong>
        ${renderChip(machine, trouble, live)}
      </span>
      <span class="place">${placeOf(machine.info)}</span>
      ${renderMain(machine)} ${trouble ? html`<span class="trouble">${comparison(trouble, machine.info)}</span>` : nothing}
      <span class="foot">${renderOthers(machine)}<span class="age">${this.age}</span></span>
    </a>`;
  }
}

function renderChip(machine: MachineState, trouble: Anomaly | undefined, live: boolean): TemplateResult {
  const health = healthOf(machine);
  if (!live) return html`<span class="chip unknown">${text.notLive}</span>`;
  if (trouble) return html`<span class="chip ${trouble.severity}">${text.severity[trouble.severity]}</span>`;
  return html`<span class="chip ${health}">${text.health[health]}</span>`;
}

function renderMain(machine: MachineState): TemplateResult {
  const metric = mainMetric(machine.info, machine.latest);
  const value = metric === undefined ? undefined : machine.latest?.values[metric]?.value;
  if (metric === undefined || typeof value !== "number") return html`<span class="main muted">–</span>`;
  const unit = unitOf(machine.info, metric);
  return html`<span class="main">
    <span class="hidden">${metricLabel(metric, unit)}</span>
    <span class="figure">${formatSteady(value)}<small>${unit}</small></span>
    ${spark(machine.trail)}
  </span>`;
}

function renderOthers(machine: MachineState): TemplateResult[] {
  const main = mainMetric(machine.info, machine.latest);
  return Object.entries(machine.latest?.values ?? {})
    .filter(([metric, { value }]) => metric !== main && typeof value === "number")
    .slice(0, OTHER_METRICS)
    .map(([metric, last]) => {
      const unit = unitOf(machine.info, metric);
      return html`<span class="other"><small>${metricLabel(metric, unit)}</small>${valueText(last, unit)}</span>`;
    });
}
