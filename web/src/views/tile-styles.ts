import { css } from "lit";

export const tileStyles = css`
  :host {
    display: block;
    content-visibility: auto;
    contain-intrinsic-size: auto 11rem;
  }
  a.card {
    display: flex;
    flex-direction: column;
    height: 100%;
    min-height: 10.5rem;
    padding: 0.85rem 1rem;
    border-left: 4px solid var(--tone);
    text-decoration: none;
    box-shadow: none;
  }
  a.card:hover {
    border-color: var(--accent) var(--accent) var(--accent) var(--tone);
  }
  a:focus-visible {
    outline-offset: -3px;
    border-radius: var(--radius);
  }
  a.critical,
  a.warning,
  a.info {
    background: color-mix(in srgb, var(--tone) 6%, var(--surface));
  }
  .chip {
    background: color-mix(in srgb, var(--tone) 13%, transparent);
  }
  a.frozen {
    border-style: dashed;
    border-left-style: solid;
    background: var(--sunken);
    color: var(--muted);
  }
  .top {
    display: flex;
    align-items: flex-start;
    justify-content: space-between;
    gap: 0.5rem;
  }
  strong {
    display: -webkit-box;
    overflow: hidden;
    font-weight: 620;
    line-height: 1.25;
    -webkit-box-orient: vertical;
    -webkit-line-clamp: 2;
  }
  .place {
    min-height: 1.45em;
    overflow: hidden;
    color: var(--muted);
    font-size: 0.82rem;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .main {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 1rem;
    margin-block: 0.35rem;
  }
  .figure {
    font-size: 1.9rem;
    font-weight: 600;
    line-height: 1.15;
    letter-spacing: -0.025em;
    white-space: nowrap;
  }
  .figure small {
    margin-left: 0.25em;
    color: var(--muted);
    font-size: 0.9rem;
    font-weight: 500;
    letter-spacing: 0;
  }
  .spark {
    flex: 0 1 7.5rem;
    width: 4rem;
    height: 2.1rem;
    fill: none;
    stroke: var(--accent);
    stroke-width: 1.6;
    stroke-linejoin: round;
  }
  .frozen .spark {
    stroke: var(--muted);
  }
  .trouble {
    margin-bottom: 0.35rem;
    color: var(--tone);
    font-size: 0.85rem;
    font-weight: 550;
  }
  .frozen .trouble {
    color: inherit;
  }
  .foot {
    display: flex;
    align-items: flex-end;
    gap: 0.35rem 1.1rem;
    margin-top: auto;
    font-size: 0.85rem;
  }
  .other {
    display: grid;
    white-space: nowrap;
  }
  .other small {
    max-width: 6.5rem;
    overflow: hidden;
    text-overflow: ellipsis;
  }
  .other small,
  .age {
    color: var(--muted);
    font-size: 0.75rem;
  }
  .age {
    flex: none;
    margin-left: auto;
  }
`;
