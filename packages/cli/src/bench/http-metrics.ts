/** Metrics in the Prometheus text format, as the nodes of Flotilla and the members of etcd offer them. */
import { get } from "node:http";

const requestMsMax = 5_000;
const answerBytesMax = 4 * 1024 * 1024;

/** Metrics without labels, by name. */
export type Metrics = ReadonlyMap<string, number>;

/** `null` when nobody answers as expected. */
export async function readMetrics(address: string | null): Promise<Metrics | null> {
  if (address === null) return null;
  const text = await httpText(`http://${address}/metrics`);
  return text === null ? null : parseMetrics(text);
}

/** The sum over all addresses; `null` unless each of them tells. */
export async function sumOfMetric(addresses: readonly (string | null)[], name: string): Promise<number | null> {
  const values = await Promise.all(addresses.map(async (address) => (await readMetrics(address))?.get(name)));
  let sum = 0;
  for (const value of values) {
    if (value === undefined) return null;
    sum += value;
  }
  return sum;
}

export function parseMetrics(text: string): Metrics {
  const metrics = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^([A-Za-z_:][\w:]*) (\S+)$/.exec(line);
    if (match !== null) metrics.set(match[1]!, Number(match[2]));
  }
  return metrics;
}

/** The body of the answer with status 200; `null` otherwise. */
export function httpText(url: string): Promise<string | null> {
  return new Promise((resolve) => {
    const request = get(url, { timeout: requestMsMax, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > answerBytesMax) request.destroy();
      });
      response.on("end", () => resolve(response.statusCode === 200 ? text : null));
      response.on("error", () => resolve(null));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(null));
    request.on("close", () => resolve(null));
  });
}
