/** Where the page stands, as told by the address after the `#`. */
export type Route = { view: "overview" } | { view: "anomalies" } | { view: "machine"; machine: string };

/** Read a hash such as `#/machine/press-7`; what is not known leads to the overview. */
export function parseRoute(hash: string): Route {
  const [, view, machine] = hash.split("/");
  if (view === "anomalies") return { view };
  if (view === "machine" && machine !== undefined && machine !== "") return { view, machine: decode(machine) };
  return { view: "overview" };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function machineLink(machine: string): string {
  return `#/machine/${encodeURIComponent(machine)}`;
}
