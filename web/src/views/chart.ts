import { LitElement, type PropertyValues, type TemplateResult, html, unsafeCSS } from "lit";
import { customElement, property } from "lit/decorators.js";
import type uPlot from "uplot";
import uplotStyles from "uplot/dist/uPlot.min.css?inline";

import type { Anomaly } from "../contract";
import type { Curve } from "../curve";
import { store } from "../state";
import { text } from "../text";
import { Watch } from "../watch";
import { chartStyles } from "./chart-styles";
import { makePlot, refreshPlot } from "./plot";
import { shared } from "./styles";

/** The curve as a drawing, for eyes; the machine view gives the same numbers as a table. */
@customElement("enms-chart")
export class Chart extends LitElement {
  static override styles = [shared, unsafeCSS(uplotStyles), chartStyles];

  @property({ attribute: false }) curve!: Curve;
  @property({ attribute: false }) episodes: readonly Anomaly[] = [];
  @property() unit = "";
  @property() label = "";
  /** Seconds shown, up to now. */
  @property({ type: Number }) rangeS = 900;
  private plot: uPlot | undefined;
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");
  private readonly sizes = new ResizeObserver(() => {
    this.fit();
  });
  private readonly rebuild = (): void => {
    this.plot?.destroy();
    this.plot = undefined;
    this.requestUpdate();
  };

  constructor() {
    super();
    new Watch(this, () => ["clock"]);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.dark.addEventListener("change", this.rebuild);
    this.sizes.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.dark.removeEventListener("change", this.rebuild);
    this.sizes.disconnect();
    this.plot?.destroy();
    this.plot = undefined;
  }

  override render(): TemplateResult {
    return html`<div class="plot" role="img" aria-label=${this.label}></div>
      <ul class="keys">
        <li class="measured">${text.legend.measured}</li>
        <li class="spread">${text.legend.spread}</li>
        <li class="expected">${text.legend.expected}</li>
        <li class="anomaly">${text.legend.anomaly}</li>
      </ul>`;
  }

  override updated(changed: PropertyValues<this>): void {
    if (changed.has("curve") || changed.has("unit") || changed.has("rangeS")) {
      this.plot?.destroy();
      this.plot = undefined;
    }
    if (this.plot) refreshPlot(this.plot, this.curve);
    else this.build();
  }

  private build(): void {
    const place = this.renderRoot.querySelector<HTMLElement>(".plot");
    if (!place || place.clientWidth === 0) return;
    const page = getComputedStyle(document.documentElement);
    const input = {
      unit: this.unit,
      colour: (name: string) => page.getPropertyValue(name).trim(),
      span: (): [number, number] => [store.nowMs / 1000 - this.rangeS, store.nowMs / 1000],
      episodes: () => this.episodes,
      nowMs: () => store.nowMs,
    };
    this.plot = makePlot(this.curve, input, place.clientWidth, this.height(place), place);
  }

  private fit(): void {
    const place = this.renderRoot.querySelector<HTMLElement>(".plot");
    if (!place) return;
    if (this.plot) this.plot.setSize({ width: place.clientWidth, height: this.height(place) });
    else this.build();
  }

  private height(place: HTMLElement): number {
    return Math.round(Math.min(520, Math.max(240, place.clientWidth * 0.36)));
  }
}
