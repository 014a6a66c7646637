import { api } from "./api";
import { Bus } from "./bus";
import { nowMs } from "./clock";
import { WANTED, deliver } from "./inbox";
import { Session } from "./session";
import type { Store } from "./store";
import { filterOf } from "./topics";

/** Joins session, bus and state; what the views may ask for. */
export class Desk {
  readonly session = new Session(() => {
    this.#leave();
  });
  #bus: Bus | undefined;
  #fetched = false;
  #fetching = false;

  /** `changed` is called when somebody has logged in or out. */
  constructor(
    private readonly store: Store,
    private readonly changed: () => void,
  ) {
    store.listen(["link"], () => void this.#catchUp());
    addEventListener("online", () => {
      store.setFacts({ online: true });
      this.retryNow();
    });
    addEventListener("offline", () => {
      store.setFacts({ online: false });
      // The broker may be on this very machine; then the network does not matter.
      this.#bus?.probe();
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
    setInterval(() => {
      store.tick(nowMs());
    }, 1_000);
    store.setFacts({ online: navigator.onLine });
  }

  /** Go on with an earlier session; false when there is none. */
  async resume(): Promise<boolean> {
    const [resumed, { root }] = await Promise.all([this.session.resume(), api.config()]);
    if (resumed) this.#enter(root);
    return resumed;
  }

  async logIn(username: string, password: string): Promise<void> {
    const { root } = await api.config();
    await this.session.logIn(username, password);
    this.#enter(root);
  }

  retryNow(): void {
    this.#bus?.retryNow();
  }

  #enter(root: string): void {
    const { store } = this;
    store.root = root;
    store.setFacts({ connected: false, everConnected: false, sinceMs: nowMs(), gateway: undefined });
    this.#bus = new Bus((refused) => this.session.access(refused), {
      connected: () => {
        store.episodesKnown = false;
        store.beginSnapshot();
        store.setFacts({
          online: true,
          connected: true,
          everConnected: true,
          sinceMs: nowMs(),
          retryAtMs: undefined,
          gateway: undefined,
        });
      },
      apart: (delayMs) => {
        const since = store.facts.connected ? { sinceMs: nowMs() } : {};
        store.nowMs = nowMs();
        store.setFacts({ connected: false, ...since, retryAtMs: delayMs === undefined ? undefined : nowMs() + delayMs });
      },
      message: (topic, payload, retained) => {
        deliver(store, root, topic, payload, retained);
      },
    });
    this.#bus.start(WANTED.map((channel) => filterOf(channel, root)));
    this.changed();
  }

  #leave(): void {
    this.#bus?.stop();
    this.#bus = undefined;
    this.#fetched = false;
    this.store.forget();
    this.changed();
  }

  /** Fetch the anomalies that events told of before this connection, once for each connection. */
  async #catchUp(): Promise<void> {
    const { store } = this;
    if (store.link.state !== "live" || store.episodesKnown || this.#fetching) return;
    this.#fetching = true;
    try {
      const { anomalies } = await api.anomalies();
      store.episodesKnown = true;
      for (const event of anomalies) {
        store.addEpisode(event);
        if (!this.#fetched) store.notices.rememberEpisode(event);
        else if (store.notices.takeMissed(event)) store.touch("notices");
      }
      this.#fetched = true;
      store.touch("episodes");
    } catch {
      // The list says that it is not complete; the clock below asks again.
      setTimeout(() => void this.#catchUp(), 5_000);
    } finally {
      this.#fetching = false;
    }
  }
}
