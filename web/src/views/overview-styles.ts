import { css } from "lit";

export const overviewStyles = css`
  :host {
    display: block;
  }
  .banner {
    margin-bottom: var(--gap);
    padding: 0.6rem 1rem;
    border-radius: 8px;
    background: color-mix(in srgb, var(--warning) 14%, var(--surface));
    color: var(--warning);
    font-weight: 550;
  }
  .summary {
    display: flex;
    flex-wrap: wrap;
    align-items: flex-end;
    gap: 0.75rem clamp(1.5rem, 4vw, 3.5rem);
    margin-bottom: var(--gap);
  }
  .summary div {
    display: grid;
  }
  .summary b {
    font-size: 1.9rem;
    font-weight: 620;
    line-height: 1.2;
    letter-spacing: -0.025em;
  }
  .summary span {
    font-size: 0.85rem;
  }
  input {
    flex: 0 1 18rem;
    min-width: min(100%, 14rem);
    margin-left: auto;
  }
  .tiles {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr));
    gap: var(--gap);
  }
  enms-tile {
    height: 100%;
  }
  .empty {
    display: grid;
    gap: 0.9rem;
    justify-items: start;
    max-width: 46rem;
    margin: clamp(1rem, 6vh, 5rem) auto;
    padding: clamp(1.25rem, 4vw, 2.5rem);
  }
  pre {
    justify-self: stretch;
    margin: 0;
    padding: 0.8rem 1rem;
    overflow-wrap: anywhere;
    white-space: pre-wrap;
    border-radius: 8px;
    background: var(--sunken);
    font-size: 0.88rem;
  }
  @media (max-width: 40rem) {
    input {
      flex: 1 1 100%;
    }
  }
`;
