import { LitElement, type TemplateResult, css, html } from "lit";
import { customElement } from "lit/decorators.js";

import { sitePower } from "../fleet";
import { formatSteady } from "../format";
import { store } from "../state";
import { text } from "../text";
import { Watch } from "../watch";
import { shared } from "./styles";

@customElement("enms-site-power")
export class SitePower extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: grid;
      }
      span {
        font-size: 0.85rem;
      }
      .figure {
        font-size: 1.9rem;
        font-weight: 620;
        line-height: 1.2;
        letter-spacing: -0.025em;
      }
      .figure small {
        color: var(--muted);
        font-size: 0.95rem;
        font-weight: 500;
        letter-spacing: 0;
      }
      .frozen {
        color: var(--muted);
      }
    `,
  ];

  constructor() {
    super();
    new Watch(this, () => ["values", "link"]);
  }

  override render(): TemplateResult {
    const { kw, counted } = sitePower(store.machines);
    return html`<span class="muted">${text.sitePower}</span>
      <span class="figure ${store.link.state === "live" ? "" : "frozen"}">
        ${counted === 0 ? "–" : formatSteady(kw)}
        <small>kW ${text.ofMachines(counted, store.machines.size)}</small>
      </span>`;
  }
}
