/**
 * Which package may import which. Imports go down only:
 *
 *     cli → server, client → store, placement → storage, raft-log, transport → raft → base
 *
 * `platform`, the Node implementations of what `base` declares, is for those that run on Node: client, server,
 * simulator, cli, and everybody's tests. What a package may import is listed in full, so that a new edge is a change
 * of this file.
 */
export const allowedImports: ReadonlyMap<string, readonly string[]> = new Map([
  ["base", []],
  ["platform", ["base"]],
  ["raft", ["base"]],
  ["raft-log", ["base", "raft"]],
  ["transport", ["base", "raft"]],
  ["storage", ["base", "raft"]],
  ["placement", ["base", "raft", "raft-log", "storage", "transport"]],
  ["store", ["base", "raft", "raft-log", "storage", "transport", "placement"]],
  ["client", ["base", "transport", "platform"]],
  ["server", ["base", "raft", "raft-log", "storage", "transport", "placement", "store", "client", "platform"]],
  ["simulator", ["base", "raft", "raft-log", "storage", "transport", "placement", "store", "client", "platform"]],
  ["cli", ["base", "transport", "client", "server", "simulator", "platform"]],
]);

/** What a package's tests may import beyond that: the Node implementations, and tools of the workspace's root. */
export const allowedInTests: readonly string[] = ["platform"];
export const toolsInTests: readonly string[] = ["vitest", "vite", "fast-check"];

/**
 * The parts that reach the world only through the interfaces of `base`, and within them the folders and files, from
 * `src`, that are the way to the world.
 */
export const purePackages: ReadonlyMap<string, readonly RegExp[]> = new Map([
  ["base", []],
  ["raft", []],
  ["raft-log", []],
  ["placement", []],
  ["store", []],
  ["storage", [/^leveldb\//]],
  ["transport", [/^grpc\//]],
  ["simulator", [/^[^/]*main\.ts$/, /^check-history\.ts$/, /^command\//]],
]);
