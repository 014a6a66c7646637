import { LitElement, type TemplateResult, css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";

import type { Anomaly } from "../contract";
import { inOrder, isOpen } from "../episodes";
import { store } from "../state";
import { text } from "../text";
import { Watch } from "../watch";
import { episodeStyles, renderEpisode } from "./episode";
import { shared } from "./styles";

const SEVERITIES = ["critical", "warning", "info"] as const;

@customElement("enms-anomalies")
export class Anomalies extends LitElement {
  static override styles = [
    shared,
    episodeStyles,
    css`
      :host {
        display: block;
        max-width: 75rem;
        margin-inline: auto;
      }
      .bar {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
        margin-bottom: var(--gap);
      }
      h1 {
        margin-right: auto;
      }
      .list {
        display: grid;
        gap: 0.6rem;
      }
      .empty {
        padding: clamp(1.5rem, 5vw, 3rem);
        text-align: center;
      }
      .note {
        margin-bottom: 0.75rem;
      }
    `,
  ];

  @state() private severity = "";
  @state() private openOnly = false;

  constructor() {
    super();
    new Watch(this, () => ["episodes", "fleet", "clock"]);
  }

  override render(): TemplateResult {
    const shown = inOrder(store.episodes.values()).filter((event) => this.wanted(event));
    return html`
      <div class="bar">
        <h1>${text.anomalies}</h1>
        <select aria-label=${text.severityFilter} @change=${(e: Event) => (this.severity = chosen(e))}>
          <option value="">${text.allSeverities}</option>
          ${SEVERITIES.map((severity) => html`<option value=${severity}>${text.severity[severity]}</option>`)}
        </select>
        <select aria-label=${text.stateFilter} @change=${(e: Event) => (this.openOnly = chosen(e) === "open")}>
          <option value="all">${text.openAndClosed}</option>
          <option value="open">${text.openOnly}</option>
        </select>
      </div>
      ${store.episodesKnown ? nothing : html`<p class="muted note" role="status">${text.anomaliesFailed}</p>`}
      ${shown.length > 0
        ? html`<ul class="list">
            ${repeat(
              shown,
              ({ anomaly_id }) => anomaly_id,
              (event) => renderEpisode(event, true),
            )}
          </ul>`
        : renderEmpty()}
    `;
  }

  private wanted(event: Anomaly): boolean {
    return (this.severity === "" || event.severity === this.severity) && (!this.openOnly || isOpen(event));
  }
}

function renderEmpty(): TemplateResult | typeof nothing {
  if (store.episodes.size > 0) return html`<p class="card empty muted">${text.noAnomaliesFilter}</p>`;
  if (!store.episodesKnown) return nothing;
  return html`<div class="card empty">
    <h2>${text.noAnomalies}</h2>
    <p class="muted">${text.noAnomaliesWhy}</p>
  </div>`;
}

function chosen(event: Event): string {
  return (event.target as HTMLSelectElement).value;
}
