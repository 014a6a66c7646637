import { LitElement, type TemplateResult, css, html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";

import type { Desk } from "../desk";
import type { Link } from "../link";
import { store } from "../state";
import { text } from "../text";
import { Watch } from "../watch";
import { shared } from "./styles";

@customElement("enms-connection")
export class Connection extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        position: fixed;
        right: max(0.9rem, env(safe-area-inset-right));
        bottom: max(0.9rem, env(safe-area-inset-bottom));
        z-index: 8;
      }
      .card {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        padding: 0.3rem 0.45rem;
        border-radius: 99px;
      }
      .chip {
        background: none;
        font-size: 0.9rem;
      }
      .live {
        --tone: var(--ok);
      }
      .reconnecting {
        --tone: var(--warning);
      }
      .connecting {
        --tone: var(--info);
      }
      .connecting::before,
      .reconnecting::before {
        animation: breathe 1.2s ease-in-out infinite alternate;
      }
      @keyframes breathe {
        to {
          opacity: 0.25;
        }
      }
      .muted {
        font-size: 0.85rem;
      }
      button {
        min-height: 1.9rem;
        padding: 0.1rem 0.8rem;
        border-radius: 99px;
        font-size: 0.85rem;
      }
    `,
  ];

  @property({ attribute: false }) desk!: Desk;

  constructor() {
    super();
    new Watch(this, () => ["link"]);
  }

  override render(): TemplateResult {
    const { link } = store;
    return html`<div class="card" data-state=${link.state} title=${linkDetail(link)}>
      <span role="status" class="chip ${link.state}">${text.link[link.state]}</span>
      ${link.retryInS === undefined
        ? nothing
        : html`<span class="muted">${text.retryIn(link.retryInS)}</span>
            <button
              @click=${() => {
                this.desk.retryNow();
              }}
            >
              ${text.retryNow}
            </button>`}
    </div>`;
  }
}

/** The connection in a sentence. */
export function linkDetail(link: Link): string {
  if (link.state !== "stale") return text.linkDetail[link.state];
  return link.gateway === "starting" ? text.linkDetail.gatewayStarting : text.linkDetail.gatewayGone;
}
