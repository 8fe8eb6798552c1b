/** A strict TypeScript project that uses both packages: its files, and the ways to compile it. */
import type { PackedProject } from "./packed-project.ts";

const options = {
  target: "es2023",
  lib: ["es2023"],
  module: "nodenext",
  moduleResolution: "nodenext",
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  skipLibCheck: false,
  noEmit: true,
};

/** Without types of Node, and with nothing of the language newer than the packages need. */
export const resolutions: Readonly<Record<string, object>> = {
  nodenext: options,
  bundler: { ...options, module: "esnext", moduleResolution: "bundler" },
};

const application = `
import { FlotillaError, createClient, isFlotillaError } from "@flotilla/client";
import type { Client, ClusterRoutes, Entry, Keyspace, Scan } from "@flotilla/client";

export class Ships {
  readonly #ships: Keyspace<"utf8", "json">;
  constructor(client: Client<"utf8", "json">) {
    this.#ships = client.namespace("ships/", { key: "utf8", value: "json" });
  }
  async add(name: string): Promise<number> {
    const { version } = await this.#ships.put(name, { name }, { ifAbsent: true });
    return version;
  }
  all(): Scan<Entry<string, unknown>> {
    return this.#ships.scan({ prefix: "a", limit: 3 });
  }
}

export function tell(error: unknown): string {
  if (isFlotillaError(error)) return \`\${error.code} \${error.outcome} \${error.retryable}\`;
  return error instanceof FlotillaError ? error.hint : "";
}

export async function codecs(endpoints: readonly string[]): Promise<void> {
  const plain: Client = createClient("flotilla://127.0.0.1:7400");
  const bytes: Uint8Array | undefined = await plain.get("key", { timeoutMs: 5 });
  const tuples = createClient({ endpoints, key: "tuple", value: "utf8" });
  const text: string | undefined = await tuples.get(["ships", 1]);
  const routes: ClusterRoutes = await plain.routes();
  // @ts-expect-error a tuple is wanted
  await tuples.get("ships");
  // @ts-expect-error there is no such option
  await plain.put("key", "value", { ifAbsnt: true });
  void [bytes, text, routes];
}
`;

const tests = `
import { createClient } from "flotilla";
import { createCluster } from "flotilla/cluster";
import type { Cluster, ClusterNode, ClusterOptions } from "flotilla/cluster";
import { Ships } from "./application.js";

const options: ClusterOptions = { nodes: 3, settings: { tickMs: 20 } };
const cluster: Cluster = await createCluster(options);
// Clients of the one package, where the application wants those of the other.
export const ships: Ships = new Ships(cluster.client({ key: "utf8", value: "json" }));
export const others: Ships = new Ships(createClient({ endpoints: cluster.endpoints, key: "utf8", value: "json" }));
const node: ClusterNode | undefined = cluster.nodes[0];
await node?.kill();
// @ts-expect-error there is no such option
await createCluster({ node: 3 });
// @ts-expect-error the client is one of text and JSON
const wrong: Ships = new Ships(cluster.client());
void wrong;
`;

const commonJs = `
import { createCluster } from "flotilla/cluster";
import { createClient } from "@flotilla/client";

export async function count(): Promise<number> {
  const cluster = await createCluster();
  return createClient({ endpoints: cluster.endpoints, key: "utf8" }).count({ prefix: "ships/" });
}
`;

/** Writes the project; the names of its configurations, by kind of resolution. */
export function writeStrictProject(project: PackedProject): Record<string, string> {
  project.write("application.mts", application);
  project.write("tests.mts", tests.replace("./application.js", "./application.mjs"));
  project.write("old-style.cts", commonJs);
  const written: Record<string, string> = {};
  for (const [name, compilerOptions] of Object.entries(resolutions)) {
    written[name] = project.write(
      `tsconfig.${name}.json`,
      JSON.stringify({ compilerOptions, include: ["*.mts", "*.cts"] }),
    );
  }
  return written;
}
