import type { ChannelName, Messages } from "./contract";
import type { Store } from "./store";
import { parseTopic } from "./topics";

/** What the page subscribes to. The gateway's word comes first, so that the connection is judged at once. */
export const WANTED = ["service", "machine", "health", "latest", "expected", "anomaly"] as const satisfies ChannelName[];

/** Put one message into the state. A message that cannot be read is counted and changes nothing else. */
export function deliver(store: Store, root: string, topic: string, payload: string, retained: boolean): void {
  const address = parseTopic(topic, root, WANTED);
  if (!address) return;
  const message = read(payload);
  if (message === null) {
    store.badMessages += 1;
    return;
  }
  const { machine = "", service = "" } = address.levels;
  const content = message as unknown;
  switch (address.channel) {
    case "service":
      store.setService(service, content as Messages["service"] | undefined);
      break;
    case "machine":
      store.setPart(machine, "info", content as Messages["machine"] | undefined);
      break;
    case "health":
      store.setPart(machine, "health", content as Messages["health"] | undefined);
      break;
    case "latest":
      store.setPart(machine, "latest", content as Messages["latest"] | undefined);
      break;
    case "expected":
      store.setPart(machine, "expected", content as Messages["expected"] | undefined);
      break;
    case "anomaly":
      // An event is never kept by the broker; one that says so is no news.
      if (message && !retained) takeAnomaly(store, content as Messages["anomaly"]);
      break;
    default:
      break;
  }
}

function takeAnomaly(store: Store, event: Messages["anomaly"]): void {
  store.addEpisode(event);
  if (store.notices.take(event)) store.touch("notices");
}

/** The object in a payload; undefined for an empty one, null for what is not an object. */
function read(payload: string): object | undefined | null {
  if (payload === "") return undefined;
  try {
    const value: unknown = JSON.parse(payload);
    return typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
