import { LitElement, type TemplateResult, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";

import { inOrder, matches, needAttention } from "../fleet";
import { formatCount } from "../format";
import { store } from "../state";
import { text } from "../text";
import { Watch } from "../watch";
import { linkDetail } from "./connection";
import { overviewStyles } from "./overview-styles";
import "./site-power";
import { shared } from "./styles";
import "./tile";
import "./welcome";

@customElement("enms-overview")
export class Overview extends LitElement {
  static override styles = [shared, overviewStyles];

  @state() private search = "";

  constructor() {
    super();
    new Watch(this, () => ["fleet", "link"]);
  }

  override render(): TemplateResult {
    const { machines, link } = store;
    if (machines.size === 0) {
      return html`<enms-welcome></enms-welcome>`;
    }
    return html`
      <h1 class="hidden">${text.overview}</h1>
      ${link.state === "live" ? nothing : html`<p class="banner" data-link=${link.state}>${linkDetail(link)}</p>`}
      <section class="summary" aria-label=${text.overview}>
        <enms-site-power></enms-site-power>
        <div>
          <span class="muted">${text.needAttention}</span>
          <b>${formatCount(needAttention(machines.values(), store.worst))}</b>
        </div>
        <div><span class="muted">${text.machines}</span><b>${formatCount(machines.size)}</b></div>
        <input
          type="search"
          aria-label=${text.search}
          placeholder=${text.search}
          .value=${this.search}
          @input=${(event: InputEvent) => (this.search = (event.target as HTMLInputElement).value)}
        />
      </section>
      ${this.renderTiles()}
    `;
  }

  private renderTiles(): TemplateResult {
    const search = this.search.trim();
    const shown = inOrder(store.machines.values(), store.worst).filter((machine) => matches(machine, search));
    if (shown.length === 0) {
      return html`<div class="card empty" role="status">
        <p>${text.nothingFound(search)}</p>
        <button @click=${() => (this.search = "")}>${text.clearSearch}</button>
      </div>`;
    }
    return html`<ul class="tiles">
      ${repeat(
        shown,
        ({ id }) => id,
        ({ id }) => html`<li><enms-tile machine=${id}></enms-tile></li>`,
      )}
    </ul>`;
  }
}
