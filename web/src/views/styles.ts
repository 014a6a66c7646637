import { css } from "lit";

/** What every view shares: sizes, links, buttons, fields, chips, focus. */
export const shared = css`
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  :host {
    font-variant-numeric: tabular-nums;
  }
  h1,
  h2,
  h3,
  p,
  ul,
  dl,
  dd {
    margin: 0;
    padding: 0;
  }
  h1 {
    font-size: 1.5rem;
    line-height: 1.2;
    letter-spacing: -0.015em;
  }
  h2 {
    font-size: 1rem;
    letter-spacing: -0.005em;
  }
  ul {
    list-style: none;
  }
  a {
    color: inherit;
  }
  :focus {
    outline: none;
  }
  :focus-visible {
    outline: 3px solid var(--accent);
    outline-offset: 2px;
    border-radius: 6px;
  }
  button,
  input,
  select {
    font: inherit;
    color: inherit;
  }
  button {
    min-height: 2.4rem;
    padding: 0.35rem 0.9rem;
    border: 1px solid var(--line);
    border-radius: 8px;
    background: var(--surface);
    cursor: pointer;
  }
  button:hover:not(:disabled) {
    border-color: var(--accent);
  }
  button:disabled {
    opacity: 0.6;
    cursor: default;
  }
  .primary {
    border-color: transparent;
    background: var(--accent);
    color: var(--on-accent);
    font-weight: 600;
  }
  input,
  select {
    min-height: 2.4rem;
    padding: 0.35rem 0.7rem;
    border: 1px solid var(--line);
    border-radius: 8px;
    background: var(--surface);
  }
  .muted {
    color: var(--muted);
  }
  .card {
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--surface);
    box-shadow: var(--shadow);
  }
  .chip {
    display: inline-flex;
    align-items: center;
    gap: 0.4em;
    padding: 0.1em 0.65em;
    border-radius: 99px;
    background: color-mix(in srgb, var(--tone, var(--muted)) 13%, transparent);
    color: var(--tone, var(--muted));
    font-size: 0.8rem;
    font-weight: 600;
    white-space: nowrap;
  }
  .chip::before {
    content: "";
    width: 0.55em;
    height: 0.55em;
    border-radius: 50%;
    background: currentcolor;
  }
  .ok {
    --tone: var(--ok);
  }
  .info {
    --tone: var(--info);
  }
  .warning,
  .stale,
  .bad_data {
    --tone: var(--warning);
  }
  .critical,
  .offline {
    --tone: var(--critical);
  }
  .unknown,
  .closed {
    --tone: var(--muted);
  }
  .hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (prefers-reduced-motion: reduce) {
    * {
      animation: none !important;
      transition: none !important;
    }
  }
`;
