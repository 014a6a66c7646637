import { css } from "lit";

export const machineStyles = css`
  :host {
    display: grid;
    gap: var(--gap);
    max-width: 110rem;
    margin-inline: auto;
  }
  .back {
    justify-self: start;
    color: var(--muted);
    text-decoration: none;
  }
  .back:hover {
    color: var(--accent);
  }
  header {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.4rem 1.25rem;
  }
  .chart {
    min-width: 0;
    padding: 1rem;
  }
  .choices {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 0.6rem;
  }
  .ranges {
    display: flex;
  }
  .ranges button {
    border-radius: 0;
    margin-left: -1px;
  }
  .ranges button:first-child {
    border-radius: 8px 0 0 8px;
  }
  .ranges button:last-child {
    border-radius: 0 8px 8px 0;
  }
  .ranges button[aria-pressed="true"] {
    background: var(--sunken);
    font-weight: 620;
  }
  .hint {
    min-height: 1.45em;
    font-size: 0.85rem;
  }
  .failure {
    margin-top: 0.6rem;
    color: var(--critical);
  }
  details {
    margin-top: 0.75rem;
  }
  summary {
    width: fit-content;
    padding: 0.2rem 0;
    color: var(--muted);
    cursor: pointer;
  }
  .columns {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
    gap: var(--gap);
  }
  .columns > section {
    min-width: 0;
  }
  h2 {
    margin-bottom: 0.6rem;
  }
  .episodes {
    display: grid;
    gap: 0.6rem;
  }
  .scroll {
    max-height: 30rem;
    overflow: auto;
  }
  table {
    width: 100%;
    border-collapse: collapse;
    font-size: 0.92rem;
  }
  th,
  td {
    padding: 0.42rem 0.9rem;
    border-bottom: 1px solid var(--line);
    text-align: right;
    white-space: nowrap;
  }
  tr:last-child > * {
    border-bottom: 0;
  }
  th {
    font-weight: 500;
  }
  thead th {
    position: sticky;
    top: 0;
    background: var(--surface);
    color: var(--muted);
    font-size: 0.82rem;
  }
  th:first-child {
    text-align: left;
  }
  @media (max-width: 40rem) {
    th,
    td {
      padding-inline: 0.4rem;
      white-space: normal;
    }
    table {
      font-size: 0.85rem;
    }
  }
  .odd {
    color: var(--critical);
    font-weight: 620;
  }
`;
