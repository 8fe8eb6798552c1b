/** What `flotilla dev` was asked for, checked; and where each of its nodes lives. */
import { join, relative, resolve } from "node:path";
import { Failure } from "@flotilla/base";
import type { NumberSettings } from "@flotilla/server/settings";
import { countOption, textOption } from "../arguments/common-options.ts";
import { handedOnSettings } from "../arguments/setting-options.ts";
import { rangesMax, splitKeys } from "../arguments/split-keys.ts";

export const nodesMax = 20;
const defaultNodes = 3;
const httpPortOffset = 80;

export interface DevOptions {
  /** As given, for messages; the files are addressed by `root`. */
  readonly dataDir: string;
  readonly root: string;
  /** `undefined`: as many as the directory holds, else three. */
  readonly nodes: number | undefined;
  readonly replicas: number | undefined;
  readonly ranges: number | undefined;
  /** Binary strings. */
  readonly splitAt: readonly string[];
  readonly port: number;
  readonly fresh: boolean;
  /** Of all nodes, for this start. */
  readonly settings: NumberSettings;
}

export interface DevNode {
  /** From 1. */
  readonly node: number;
  /** Relative to the cluster's directory. */
  readonly name: string;
  /** As the user would write it. */
  readonly path: string;
  readonly dataDir: string;
  readonly address: string;
  readonly httpAddress: string;
  /** They stand in its file, and go over the environment. */
  readonly settings: NumberSettings;
}

export function parseDevOptions(options: Readonly<Record<string, unknown>>, directory: string): DevOptions {
  const dataDir = textOption(options, "dataDir") ?? ".flotilla";
  const nodes = countOption(options, "nodes", "--nodes", 1, nodesMax);
  const replicas = countOption(options, "replicas", "--replicas", 1, nodesMax);
  const ranges = countOption(options, "ranges", "--ranges", 1, rangesMax);
  const port = countOption(options, "port", "--port", 1024, 65_535 - httpPortOffset - nodesMax) ?? 7400;
  const splitAt = splitKeys(textOption(options, "splitAt"));
  if (splitAt.length > 0 && ranges !== undefined)
    throw new Failure("InvalidArgument", "--ranges and --split-at exclude each other");
  return {
    dataDir,
    root: resolve(directory, dataDir),
    nodes,
    replicas,
    ranges,
    splitAt,
    port,
    fresh: options["fresh"] === true,
    settings: handedOnSettings(options),
  };
}

/** How many nodes a new cluster gets, and how many replicas its ranges. */
export function newClusterSize({ nodes = defaultNodes, replicas }: Pick<DevOptions, "nodes" | "replicas">): {
  nodes: number;
  replicas: number;
} {
  const wanted = replicas ?? (nodes >= 3 ? 3 : 1);
  if (wanted > nodes)
    throw new Failure("InvalidArgument", `--replicas ${wanted} needs at least ${wanted} nodes, there are ${nodes}`);
  return { nodes, replicas: wanted };
}

export function devNodes(
  { root, port, settings }: Pick<DevOptions, "root" | "port" | "settings">,
  count: number,
  directory: string,
): DevNode[] {
  return Array.from({ length: count }, (_, index) => {
    const node = index + 1;
    const name = `node-${node}`;
    const dataDir = join(root, name);
    const shown = relative(directory, dataDir);
    return {
      node,
      name,
      path: shown.startsWith("..") ? dataDir : shown,
      dataDir,
      address: `127.0.0.1:${port + index}`,
      httpAddress: `127.0.0.1:${port + httpPortOffset + index}`,
      settings,
    };
  });
}
