import type { ReactiveController, ReactiveControllerHost } from "lit";

import { store } from "./state";
import type { Change } from "./store";

/** Renders its host again after any of `changes`, at most once a frame, while the host is on the page. */
export class Watch implements ReactiveController {
  #stop: (() => void) | undefined;

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly changes: () => readonly Change[],
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    this.#stop = store.listen(this.changes(), () => {
      this.host.requestUpdate();
    });
    this.host.requestUpdate();
  }

  hostDisconnected(): void {
    this.#stop?.();
  }
}
