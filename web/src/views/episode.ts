import { type TemplateResult, css, html, nothing } from "lit";

import type { Anomaly } from "../contract";
import { isOpen, lastedS } from "../episodes";
import { formatDuration, formatMoment, formatShare } from "../format";
import { metricLabel, unitOf } from "../metrics";
import { machineLink } from "../route";
import { store } from "../state";
import { text } from "../text";
import { comparison } from "./words";

/** A share that would be shown as 0 % says nothing. */
const LEAST_SHARE = 0.005;

export const episodeStyles = css`
  .episode {
    display: grid;
    grid-template-columns: 1fr auto;
    gap: 0.2rem 1.5rem;
    padding: 0.85rem 1.1rem;
    border-left: 4px solid var(--tone);
  }
  .episode.closed {
    border-left-color: var(--line);
  }
  .episode .chip {
    background: color-mix(in srgb, var(--tone) 13%, transparent);
  }
  .head {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.3rem 0.75rem;
  }
  .head a {
    font-weight: 620;
    text-underline-offset: 0.2em;
  }
  .facts {
    color: var(--muted);
    font-size: 0.88rem;
  }
  .times {
    grid-row: 1 / span 3;
    grid-column: 2;
    text-align: right;
    font-size: 0.88rem;
  }
  @media (max-width: 40rem) {
    .episode {
      grid-template-columns: 1fr;
    }
    .times {
      grid-row: auto;
      grid-column: 1;
      text-align: left;
    }
  }
`;

/** One episode as a row of a list; the machine's name is left out on its own page. */
export function renderEpisode(event: Anomaly, withMachine: boolean): TemplateResult {
  const info = store.machines.get(event.machine)?.info;
  const open = isOpen(event);
  const shares = event.contributors.filter(({ share }) => share >= LEAST_SHARE).map(
    ({ metric, share }) => `${metricLabel(metric, unitOf(info, metric))} ${formatShare(share)}`,
  );
  return html`<li
    class="card episode ${open ? event.severity : "closed"}"
    data-anomaly=${event.anomaly_id}
    data-phase=${event.phase}
    data-severity=${event.severity}
  >
    <div class="head">
      <span class="chip ${event.severity}">${text.severity[event.severity]}</span>
      ${withMachine ? html`<a href=${machineLink(event.machine)}>${event.machine_name}</a>` : nothing}
      <span>${text.anomalyType[event.anomaly_type]}</span>
    </div>
    <div>${comparison(event, info)}</div>
    <div class="facts">${shares.length > 1 ? `${text.contributors}: ${shares.join(", ")}` : nothing}</div>
    <div class="times">
      <div><b>${open ? text.open : text.closed}</b></div>
      <div>${open ? text.since : text.from} ${formatMoment(Date.parse(event.started_at), store.nowMs)}</div>
      <div class="muted">${formatDuration(lastedS(event, store.nowMs))}</div>
    </div>
  </li>`;
}
