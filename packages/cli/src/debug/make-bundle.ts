/** Gathers everything into a temporary directory and packs it; the archive appears under its name only when it is whole. */
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { arch, availableParallelism, freemem, loadavg, platform, release, tmpdir, totalmem } from "node:os";
import { basename, join, resolve } from "node:path";
import { Failure } from "@flotilla/base";
import { cliVersion } from "../cli-version.ts";
import type { ClusterClient } from "../cluster-client.ts";
import { BundleContents } from "./bundle-contents.ts";
import type { BundleFailure, BundleFile } from "./bundle-contents.ts";
import { gatherCluster, gatherHttp, numberField, textField } from "./gather-cluster.ts";
import type { KnownNode } from "./gather-cluster.ts";
import { gatherDirectory, publicIdentity } from "./gather-directory.ts";

export interface BundleOptions {
  /** Of the archive; must not exist. */
  readonly path: string;
  readonly currentDirectory: string;
  /** Named by the user: that one of them cannot be read is a failure. */
  readonly dataDirs: readonly string[];
  readonly logBytesMax: number;
  readonly signal: AbortSignal;
  note(text: string): void;
}

export interface UnreachedNode {
  readonly nodeId: number | null;
  readonly httpAddress: string;
}

export interface BundleReport {
  readonly path: string;
  readonly sizeBytes: number;
  readonly files: readonly BundleFile[];
  readonly failures: readonly BundleFailure[];
  /** Nodes that said nothing over HTTP: their own metrics and health are not in it. */
  readonly unreached: readonly UnreachedNode[];
}

export async function makeBundle(client: ClusterClient, options: BundleOptions): Promise<BundleReport> {
  const { path, signal } = options;
  if (await exists(path))
    throw new Failure("InvalidArgument", `${path} exists already`, { hint: "name another --file" });
  // Next to its place, so that the last step is a rename; made first, so that a wrong place is told at once.
  const unfinished = `${path}.part`;
  await writing(path, () => writeFile(unfinished, "", { mode: 0o600 }));
  const scratch = await mkdtemp(join(tmpdir(), "flotilla-debug-"));
  try {
    const root = basename(path).replace(/(\.tar)?\.gz$|\.tgz$/, "") || "flotilla-debug";
    await mkdir(join(scratch, root));
    const contents = new BundleContents(join(scratch, root), options.note);
    const unreached = await gather(contents, client, options);
    signal.throwIfAborted();
    const { files, failures } = contents;
    const about = { ...provenance(), files, failures, unreached };
    await writeFile(join(scratch, root, "bundle.json"), JSON.stringify(about, null, 1) + "\n");
    const sizeBytes = await pack(scratch, root, unfinished, path);
    return { path, sizeBytes, files, failures, unreached };
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await rm(unfinished, { force: true });
  }
}

async function gather(
  contents: BundleContents,
  client: ClusterClient,
  options: BundleOptions,
): Promise<readonly UnreachedNode[]> {
  const { currentDirectory, dataDirs, logBytesMax, signal } = options;
  const [{ clusterId, nodes }, entries] = await Promise.all([
    gatherCluster(contents, client),
    entriesOf(currentDirectory),
  ]);
  const known = [...entries, ...nodes];
  const nodeIds = new Map<string, number | null>();
  for (const { httpAddress, nodeId } of known) if (httpAddress !== undefined) nodeIds.set(httpAddress, nodeId);
  const asked = [...nodeIds].map(async ([httpAddress, nodeId]) =>
    (await gatherHttp(contents, httpAddress, signal)) ? [] : { nodeId, httpAddress },
  );
  const unreached = (await Promise.all(asked)).flat();
  const local = new Set(dataDirs.map((dataDir) => resolve(currentDirectory, dataDir)));
  for (const { dataDir } of known) {
    // The same path may be another store's on this machine.
    if (dataDir !== undefined && (await belongsTo(dataDir, clusterId))) local.add(dataDir);
  }
  let number = 0;
  for (const path of local) {
    signal.throwIfAborted();
    await gatherDirectory(contents, { path, name: `directories/${++number}` }, logBytesMax);
  }
  return unreached;
}

/** What `flotilla dev` says of its nodes: known even when none of them runs. */
async function entriesOf(directory: string): Promise<readonly KnownNode[]> {
  let rows: unknown;
  try {
    rows = JSON.parse(await readFile(join(directory, ".flotilla", "cluster.json"), "utf8"));
  } catch {
    return [];
  }
  if (!Array.isArray(rows)) return [];
  return (rows as unknown[]).map((row) => {
    const path = textField(row, "path");
    const dataDir = path === undefined ? undefined : resolve(directory, path);
    return { nodeId: numberField(row, "node"), httpAddress: textField(row, "httpAddress"), dataDir };
  });
}

async function belongsTo(path: string, clusterId: string | undefined): Promise<boolean> {
  try {
    const identity = await publicIdentity(path);
    return clusterId === undefined || identity["clusterId"] === clusterId;
  } catch {
    return false;
  }
}

const provenance = (): object => ({
  madeAt: new Date().toISOString(),
  cliVersion,
  machine: {
    node: process.version,
    platform: platform(),
    release: release(),
    arch: arch(),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    loadAverage: loadavg(),
  },
});

/** Resolves with the size of the archive. Only its owner may read it. */
async function pack(scratch: string, root: string, unfinished: string, path: string): Promise<number> {
  const { create } = await import("tar");
  const chunks: Buffer[] = [];
  for await (const chunk of create({ gzip: true, cwd: scratch, portable: true }, [root])) chunks.push(chunk);
  const archive = Buffer.concat(chunks);
  await writing(path, async () => {
    await writeFile(unfinished, archive);
    await rename(unfinished, path);
  });
  return archive.length;
}

async function writing(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure("InvalidArgument", `cannot write ${path}: ${why}`, { cause: error });
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
