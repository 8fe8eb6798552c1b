/** Where the cluster is: `--endpoints`, else FLOTILLA_ENDPOINTS, else ./.flotilla/cluster.json, else the default ports. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export const defaultEndpoints: readonly string[] = ["127.0.0.1:7400", "127.0.0.1:7401", "127.0.0.1:7402"];

export async function findEndpoints(
  flag: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  directory: string,
): Promise<string | readonly string[]> {
  if (flag !== undefined) return flag;
  const variable = environment["FLOTILLA_ENDPOINTS"];
  if (variable !== undefined && variable !== "") return variable;
  const found = await addressesIn(join(directory, ".flotilla", "cluster.json"));
  return found.length > 0 ? found : defaultEndpoints;
}

/** The file is a hint: what cannot be read or understood is as good as absent. */
async function addressesIn(path: string): Promise<string[]> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, "utf8"));
  } catch {
    return [];
  }
  if (!Array.isArray(content)) return [];
  const live: string[] = [];
  const down: string[] = [];
  for (const entry of content as unknown[]) {
    if (typeof entry !== "object" || entry === null || !("address" in entry) || typeof entry.address !== "string")
      continue;
    ("pid" in entry && entry.pid === null ? down : live).push(entry.address);
  }
  return [...live, ...down];
}
