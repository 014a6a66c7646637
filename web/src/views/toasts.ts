import { LitElement, type TemplateResult, html, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";

import { formatDuration } from "../format";
import type { Notice } from "../notices";
import { machineLink } from "../route";
import { store } from "../state";
import { text } from "../text";
import { Watch } from "../watch";
import { shared } from "./styles";
import { toastStyles } from "./toast-styles";
import { comparison } from "./words";

@customElement("enms-toasts")
export class Toasts extends LitElement {
  static override styles = [shared, toastStyles];

  /** Nothing goes while somebody points at it or stands in it. */
  @state() private held = false;
  private readonly timers = new Map<Notice, ReturnType<typeof setTimeout>>();
  private readonly onKey = (event: KeyboardEvent): void => {
    const [newest] = store.notices.onScreen().shown;
    if (event.key === "Escape" && newest) this.dismiss(newest);
  };

  constructor() {
    super();
    new Watch(this, () => ["notices"]);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("keydown", this.onKey);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("keydown", this.onKey);
    this.stopTimers();
  }

  private dismiss(notice: Notice): void {
    store.notices.dismiss(notice.key);
    store.touch("notices");
  }

  private stopTimers(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  /** A notice lives its time on screen: one that waits behind others has not begun. */
  override updated(): void {
    const { shown } = store.notices.onScreen();
    if (this.held) {
      this.stopTimers();
      return;
    }
    for (const notice of shown) {
      if (notice.lifeMs === undefined || this.timers.has(notice)) continue;
      const timer = setTimeout(() => {
        this.timers.delete(notice);
        if (store.notices.list.includes(notice)) this.dismiss(notice);
      }, notice.lifeMs);
      this.timers.set(notice, timer);
    }
  }

  override render(): TemplateResult {
    const { shown, more } = store.notices.onScreen();
    const hold = (held: boolean) => () => (this.held = held);
    return html`<section
      aria-label=${text.notifications}
      @pointerenter=${hold(true)}
      @pointerleave=${hold(false)}
      @focusin=${hold(true)}
      @focusout=${hold(false)}
    >
      <ul aria-live="polite" aria-relevant="additions">
        ${repeat(
          shown,
          ({ key }) => key,
          (notice) => this.renderNotice(notice),
        )}
      </ul>
      ${more > 0 ? html`<a class="card more" href="#/anomalies">${text.more(more)}</a>` : nothing}
    </section>`;
  }

  private renderNotice(notice: Notice): TemplateResult {
    const { event } = notice;
    const closed = event.phase === "closed";
    const info = store.machines.get(event.machine)?.info;
    return html`<li
      class="card toast ${closed ? "ok" : event.severity}"
      role=${event.severity === "critical" && !closed ? "alert" : nothing}
      data-anomaly=${event.anomaly_id}
      data-phase=${event.phase}
    >
      <div>
        <b>${closed ? text.backToNormal : `${text.severity[event.severity]}: ${text.anomalyType[event.anomaly_type]}`}</b>
        <a href=${machineLink(event.machine)}>${event.machine_name}</a>
        <p>${closed ? `${text.anomalyType[event.anomaly_type]}, ${text.after(formatDuration(event.duration_s))}` : comparison(event, info)}</p>
      </div>
      <button
        aria-label=${text.close}
        @click=${() => {
          this.dismiss(notice);
        }}
      >
        ×
      </button>
    </li>`;
  }
}
