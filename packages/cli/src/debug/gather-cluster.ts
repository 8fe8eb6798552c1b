/** What the cluster says about itself, and what each node says over HTTP. */
import { Failure } from "@flotilla/base";
import type { ClusterClient } from "../cluster-client.ts";
import { fileBytesMax, whole } from "./bundle-contents.ts";
import type { BundleContents } from "./bundle-contents.ts";

const questions = [
  "cluster-status",
  "node-list",
  "store-list",
  "range-list",
  "operator-list",
  "scheduler-list",
] as const;
const httpPaths = [
  ["/healthz", "healthz.json"],
  ["/readyz", "readyz.json"],
  ["/metrics", "metrics.txt"],
] as const;
const httpMsMax = 5_000;

export interface KnownNode {
  /** `null`: this is about a store, whose node is another entry. */
  readonly nodeId: number | null;
  readonly httpAddress: string | undefined;
  /** As its own process sees it, which may be another machine's. */
  readonly dataDir: string | undefined;
}

export interface KnownCluster {
  /** Undefined: nobody answered. */
  readonly clusterId: string | undefined;
  readonly nodes: readonly KnownNode[];
}

/** Every question is asked at once: with no node there, all of them end after one timeout. */
export async function gatherCluster(contents: BundleContents, client: ClusterClient): Promise<KnownCluster> {
  const answers = await Promise.all(
    questions.map((name) => contents.json(`cluster/${name}.json`, () => client.admin(name, {}, { readOnly: true }))),
  );
  const rows = (name: (typeof questions)[number]): readonly unknown[] => {
    const answer = answers[questions.indexOf(name)];
    return Array.isArray(answer) ? (answer as unknown[]) : [];
  };
  const nodes = [
    ...rows("node-list").map((row) => ({
      nodeId: numberField(row, "nodeId"),
      httpAddress: textField(row, "httpAddress"),
      dataDir: undefined,
    })),
    ...rows("store-list").map((row) => ({ nodeId: null, httpAddress: undefined, dataDir: textField(row, "dataDir") })),
  ];
  return { clusterId: textField(answers[0], "clusterId"), nodes };
}

export function textField(row: unknown, name: string): string | undefined {
  if (typeof row !== "object" || row === null) return undefined;
  const value = (row as Record<string, unknown>)[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function numberField(row: unknown, name: string): number | null {
  if (typeof row !== "object" || row === null) return null;
  const value = (row as Record<string, unknown>)[name];
  return typeof value === "number" ? value : null;
}

/** Resolves with whether anything was answered there. */
export async function gatherHttp(contents: BundleContents, httpAddress: string, signal: AbortSignal): Promise<boolean> {
  const answers = await Promise.all(
    httpPaths.map(([path, name]) =>
      contents.gather(
        `http/${httpAddress.replace(/[^A-Za-z0-9.-]/g, "_")}/${name}`,
        () => fetchBounded(`http://${httpAddress}${path}`, signal),
        whole,
      ),
    ),
  );
  return answers.some((answer) => answer !== undefined);
}

/** Any status is an answer: a node that is not well says why with 503. */
async function fetchBounded(url: string, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(httpMsMax)]) });
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk as Uint8Array);
      bytes += (chunk as Uint8Array).length;
      if (bytes > fileBytesMax) break;
    }
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Failure("ConnectFailed", `${url}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause: error,
    });
  }
  return Buffer.concat(chunks);
}
