/** A directory that an earlier release left behind (make-fixture.mjs), unpacked, and what is in it. */
import { mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Cluster } from "flotilla/cluster";
import { extract } from "tar";
import type { Command, Outcome } from "./session-client.mjs";

export interface Expected {
  readonly formatNumber: number;
  readonly clusterId: string;
  readonly nodes: number;
  readonly records: readonly { readonly key: string; readonly value: string; readonly version: number }[];
  readonly deleted: readonly string[];
  readonly commands: readonly (Command & { readonly outcome: Outcome })[];
}

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
export const releases: readonly string[] = readdirSync(fixtures);

/** Nodes that come back wait an election timeout before they vote: a short one, so that the tests need not wait for it. */
export const settings = { tickMs: 30 };

/** Whoever asks removes `dataDir`. */
export async function unpack(release: string): Promise<{ dataDir: string; expected: Expected }> {
  const dataDir = mkdtempSync(join(tmpdir(), "flotilla-fixture-"));
  await extract({ file: join(fixtures, release, "data.tar.gz"), cwd: dataDir });
  const expected = JSON.parse(readFileSync(join(fixtures, release, "expected.json"), "utf8")) as Expected;
  return { dataDir, expected };
}

export async function readAll(from: Cluster): Promise<readonly object[]> {
  const entries = await from.client({ key: "utf8", value: "utf8" }).scan().toArray();
  return entries.map(({ key, value, version }) => ({ key, value, version }));
}

export const inOrder = ({ records }: Expected): readonly object[] =>
  [...records].sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
