import { type TemplateResult, html, svg } from "lit";

import { type Trail, trailPoints } from "../trail";

const WIDTH = 120;
const HEIGHT = 32;

/** A trail as a small line; an ornament, so hidden from readers of the page aloud. */
export function spark(trail: Trail): TemplateResult {
  const points = trailPoints(trail, WIDTH, HEIGHT - 4);
  return html`<svg class="spark" viewBox="0 -2 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    ${svg`<polyline points=${points} vector-effect="non-scaling-stroke"></polyline>`}
  </svg>`;
}
