import { LitElement, type TemplateResult, css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";

import type { Desk } from "../desk";
import { text } from "../text";
import { shared } from "./styles";

@customElement("enms-log-in")
export class LogIn extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: grid;
        flex: 1;
        place-items: center;
        padding: 1rem;
      }
      form {
        display: grid;
        gap: 1rem;
        width: min(24rem, 100%);
        padding: clamp(1.5rem, 4vw, 2.25rem);
      }
      svg {
        width: 3rem;
        fill: none;
        stroke: var(--accent);
        stroke-width: 2.6;
        stroke-linecap: round;
        stroke-linejoin: round;
      }
      label {
        display: grid;
        gap: 0.3rem;
        font-size: 0.9rem;
        font-weight: 550;
      }
      button {
        min-height: 2.8rem;
      }
      .error {
        padding: 0.6rem 0.8rem;
        border-radius: 8px;
        background: color-mix(in srgb, var(--critical) 12%, transparent);
        color: var(--critical);
      }
    `,
  ];

  @property({ attribute: false }) desk!: Desk;
  @state() private error = "";
  @state() private busy = false;

  override render(): TemplateResult {
    return html`<form class="card" @submit=${this.submit}>
      <svg viewBox="0 0 32 24" aria-hidden="true"><path d="M2 13h7l3-9 6 16 4-9h8" /></svg>
      <div>
        <h1>${text.product}</h1>
        <p class="muted">${text.tagline}</p>
      </div>
      <label>${text.username}<input name="username" autocomplete="username" autocapitalize="none" required autofocus /></label>
      <label>${text.password}<input name="password" type="password" autocomplete="current-password" required /></label>
      <div role="alert">${this.error === "" ? nothing : html`<p class="error">${this.error}</p>`}</div>
      <button class="primary" ?disabled=${this.busy}>${this.busy ? text.loggingIn : text.logIn}</button>
    </form>`;
  }

  private async submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    this.busy = true;
    this.error = "";
    try {
      await this.desk.logIn(field(form, "username"), field(form, "password"));
    } catch (error) {
      this.error = error instanceof Error ? error.message : text.noServer;
    } finally {
      this.busy = false;
    }
  }
}

function field(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
