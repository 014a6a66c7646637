import { CHANNELS, type ChannelName } from "./contract";

/** The subscription filter of a channel below a root. */
export function filterOf(channel: ChannelName, root: string): string {
  return topicOf(channel, root, {});
}

/** The topic of a channel below a root, with its levels filled in. */
export function topicOf(channel: ChannelName, root: string, levels: Record<string, string>): string {
  return `${root}/${CHANNELS[channel].pattern.replaceAll(/<(\w+)>/g, (_, level: string) => levels[level] ?? "+")}`;
}

export interface Address {
  channel: ChannelName;
  levels: Record<string, string>;
}

/** Read a topic below a root as one of `channels`; undefined when it is none of them. */
export function parseTopic(topic: string, root: string, channels: readonly ChannelName[]): Address | undefined {
  if (!topic.startsWith(`${root}/`)) return undefined;
  const found = topic.slice(root.length + 1).split("/");
  for (const channel of channels) {
    const levels = matchPattern(CHANNELS[channel].pattern.split("/"), found);
    if (levels) return { channel, levels };
  }
  return undefined;
}

function matchPattern(pattern: readonly string[], found: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== found.length) return undefined;
  const levels: Record<string, string> = {};
  for (const [i, want] of pattern.entries()) {
    const have = found[i] ?? "";
    if (want.startsWith("<")) levels[want.slice(1, -1)] = have;
    else if (want !== have) return undefined;
  }
  return levels;
}
