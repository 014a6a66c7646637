import { LitElement, type TemplateResult, html } from "lit";
import { customElement } from "lit/decorators.js";

import { SNAPSHOT_GRACE_MS } from "../link";
import { store } from "../state";
import { text } from "../text";
import { topicOf } from "../topics";
import { Watch } from "../watch";
import { overviewStyles } from "./overview-styles";
import { shared } from "./styles";

/** In place of the tiles while there are none: whether they are still to come, or how to add the first. */
@customElement("enms-welcome")
export class Welcome extends LitElement {
  static override styles = [shared, overviewStyles];

  constructor() {
    super();
    new Watch(this, () => ["link", "clock"]);
  }

  override render(): TemplateResult {
    const settled = store.link.state === "live" && store.nowMs - store.facts.sinceMs > SNAPSHOT_GRACE_MS;
    if (!settled) return html`<p class="muted" role="status">${text.waitingForMachines}</p>`;
    const topic = topicOf("telemetry", store.root, { machine: "press-7" });
    const publish = `mosquitto_pub -h ${location.hostname} -u press-7 -P PASSWORD -i press-7 -q 1 -t ${topic} -m '{"power_kw": 31.2}'`;
    return html`<section class="card empty">
      <h1>${text.noMachinesTitle}</h1>
      <p class="muted">${text.noMachinesWhy}</p>
      <p>${text.noMachinesUser}</p>
      <pre tabindex="0">enms users add press-7 --role device</pre>
      <p>${text.noMachinesPublish}</p>
      <pre tabindex="0">${publish}</pre>
    </section>`;
  }
}
