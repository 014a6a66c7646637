import { css } from "lit";

export const chartStyles = css`
  :host {
    display: block;
    min-width: 0;
  }
  .plot {
    min-height: 15rem;
  }
  .u-legend {
    padding-top: 0.35rem;
    color: var(--muted);
    font-size: 0.85rem;
    text-align: left;
  }
  .u-legend .u-marker {
    display: none;
  }
  .u-series > * {
    padding: 0.1rem 0.35rem;
  }
  .u-select {
    background: color-mix(in srgb, var(--accent) 15%, transparent);
  }
  .keys {
    display: flex;
    flex-wrap: wrap;
    gap: 0.25rem 1.25rem;
    margin-top: 0.5rem;
    color: var(--muted);
    font-size: 0.82rem;
  }
  .keys li::before {
    content: "";
    display: inline-block;
    width: 1.1em;
    height: 0.7em;
    margin-right: 0.45em;
    border-radius: 2px;
    background: var(--tone);
  }
  .measured {
    --tone: var(--accent);
  }
  .measured::before {
    height: 0.2em !important;
    vertical-align: 0.25em;
  }
  .spread {
    --tone: color-mix(in srgb, var(--accent) 25%, transparent);
  }
  .keys .expected {
    --tone: color-mix(in srgb, var(--info) 30%, transparent);
  }
  .keys .anomaly {
    --tone: color-mix(in srgb, var(--critical) 35%, transparent);
  }
`;
