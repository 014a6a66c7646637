import { css } from "lit";

export const toastStyles = css`
  :host {
    position: fixed;
    bottom: calc(max(0.9rem, env(safe-area-inset-bottom)) + 3.4rem);
    right: max(0.9rem, env(safe-area-inset-right));
    z-index: 9;
    width: min(25rem, calc(100vw - 2rem));
    pointer-events: none;
  }
  section {
    display: grid;
    gap: 0.6rem;
  }
  section > * {
    pointer-events: auto;
  }
  ul {
    display: grid;
    gap: 0.6rem;
  }
  .toast {
    display: flex;
    align-items: flex-start;
    gap: 0.75rem;
    padding: 0.75rem 0.6rem 0.75rem 1rem;
    border-left: 5px solid var(--tone);
    background: color-mix(in srgb, var(--tone) 8%, var(--surface));
    box-shadow: 0 6px 28px rgb(0 0 0 / 18%);
    animation: arrive 0.2s ease-out;
  }
  .toast div {
    flex: 1;
    min-width: 0;
  }
  b {
    display: block;
    color: var(--tone);
    font-size: 0.85rem;
  }
  a {
    font-weight: 620;
    text-underline-offset: 0.2em;
  }
  p {
    font-size: 0.9rem;
  }
  button {
    min-width: 2.2rem;
    min-height: 2.2rem;
    padding: 0;
    border-color: transparent;
    background: none;
    font-size: 1.3rem;
    line-height: 1;
  }
  .more {
    justify-self: end;
    padding: 0.3rem 0.9rem;
    border-radius: 99px;
    font-size: 0.9rem;
  }
  @keyframes arrive {
    from {
      opacity: 0;
      transform: translateY(0.5rem);
    }
  }
`;
