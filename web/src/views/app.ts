import { LitElement, type TemplateResult, css, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";

import { Desk } from "../desk";
import { isOpen } from "../episodes";
import { formatCount } from "../format";
import { type Route, parseRoute } from "../route";
import { store } from "../state";
import { text } from "../text";
import { Watch } from "../watch";
import "./anomalies";
import "./connection";
import "./log-in";
import "./overview";
import { shared } from "./styles";
import "./toasts";

@customElement("enms-app")
export class App extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: flex;
        flex-direction: column;
        min-height: 100dvh;
      }
      header {
        position: sticky;
        top: 0;
        z-index: 5;
        display: flex;
        align-items: center;
        gap: 0.25rem var(--gap);
        padding: 0.5rem max(1rem, 2vw);
        border-bottom: 1px solid var(--line);
        background: var(--surface);
      }
      .brand {
        display: flex;
        align-items: center;
        gap: 0.55rem;
        font-weight: 700;
        text-decoration: none;
      }
      .brand svg {
        width: 1.7rem;
        fill: none;
        stroke: var(--accent);
        stroke-width: 2.8;
        stroke-linecap: round;
        stroke-linejoin: round;
      }
      nav {
        display: flex;
        gap: 0.15rem;
      }
      nav a {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        min-height: 2.4rem;
        padding: 0 0.75rem;
        border-radius: 8px;
        color: var(--muted);
        font-weight: 550;
        text-decoration: none;
      }
      nav a[aria-current] {
        background: var(--sunken);
        color: var(--ink);
      }
      .count {
        padding: 0 0.5em;
        border-radius: 99px;
        background: var(--critical);
        color: var(--surface);
        font-size: 0.78rem;
        font-weight: 700;
      }
      .who {
        display: flex;
        align-items: center;
        gap: 0.75rem;
        margin-left: auto;
      }
      main {
        flex: 1;
        padding: var(--gap) max(1rem, 2vw) 5rem;
      }
      .skip:not(:focus) {
        position: absolute;
        left: -100vw;
      }
      @media (max-width: 40rem) {
        .who span,
        .brand span {
          display: none;
        }
        header {
          gap: 0.4rem;
          padding-inline: 0.7rem;
        }
        nav a {
          padding: 0 0.55rem;
        }
      }
    `,
  ];

  @state() private route: Route = parseRoute(location.hash);
  @state() private failed = false;
  @state() private ready = false;
  private readonly desk = new Desk(store, () => {
    this.requestUpdate();
  });

  constructor() {
    super();
    new Watch(this, () => ["episodes"]);
    addEventListener("hashchange", () => {
      this.route = parseRoute(location.hash);
      scrollTo(0, 0);
      void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>("main")?.focus());
    });
    void this.resume();
  }

  private async resume(): Promise<void> {
    try {
      this.failed = false;
      await this.desk.resume();
      this.ready = true;
    } catch {
      this.failed = true;
    }
  }

  override render(): TemplateResult {
    if (this.failed) return this.renderFailure();
    if (!this.ready) return html`<main class="muted" aria-busy="true">${text.loading}</main>`;
    if (!this.desk.session.user) return html`<enms-log-in .desk=${this.desk}></enms-log-in>`;
    return html`
      <a class="skip" href="#main" @click=${this.skip}>${text.skip}</a>
      ${this.renderHeader(this.desk.session.user.username)}
      <main id="main" tabindex="-1">${this.renderView()}</main>
      <enms-toasts></enms-toasts>
      <enms-connection .desk=${this.desk}></enms-connection>
    `;
  }

  private renderFailure(): TemplateResult {
    return html`<main role="alert">
      <p>${text.noServer}</p>
      <p><button class="primary" @click=${() => void this.resume()}>${text.retry}</button></p>
    </main>`;
  }

  private renderHeader(username: string): TemplateResult {
    const open = [...store.episodes.values()].filter(isOpen).length;
    const current = (view: string) => (this.route.view === view ? "page" : nothing);
    return html`<header>
      <a class="brand" href="#/" aria-label=${text.product}>
        <svg viewBox="0 0 32 24" aria-hidden="true"><path d="M2 13h7l3-9 6 16 4-9h8" /></svg>
        <span>${text.product}</span>
      </a>
      <nav>
        <a href="#/" aria-current=${current("overview")}>${text.overview}</a>
        <a href="#/anomalies" aria-current=${current("anomalies")}>
          ${text.anomalies}${open > 0 ? html` <span class="count">${formatCount(open)}</span>` : nothing}
        </a>
      </nav>
      <div class="who">
        <span class="muted">${username}</span>
        <button @click=${() => void this.desk.session.logOut()}>${text.logOut}</button>
      </div>
    </header>`;
  }

  private renderView(): unknown {
    const { route } = this;
    document.title = route.view === "machine" ? `${route.machine} – ${text.product}` : `${text[route.view]} – ${text.product}`;
    if (route.view === "overview") return html`<enms-overview></enms-overview>`;
    if (route.view === "anomalies") return html`<enms-anomalies></enms-anomalies>`;
    // The chart is loaded when it is first wanted.
    void import("./machine");
    return keyed(route.machine, html`<enms-machine .machine=${route.machine}></enms-machine>`);
  }

  private skip(event: Event): void {
    event.preventDefault();
    this.renderRoot.querySelector<HTMLElement>("main")?.focus();
  }
}
