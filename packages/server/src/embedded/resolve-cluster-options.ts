/** Checks what `createCluster` was given, and settles the settings of a node that shares its process with a program. */
import { Failure } from "@flotilla/base";
import type { Logger } from "@flotilla/base";
import type { StoreSettings } from "@flotilla/store";
import { logLevels } from "../settings/log-level.ts";
import type { LogLevel } from "../settings/log-level.ts";
import type { LogSettings } from "../settings/log-settings.ts";
import { nearestName } from "../settings/nearest-name.ts";
import { logSettingNames, storeSettingNames } from "../settings/node-settings.ts";
import { resolveSettings } from "../settings/resolve-settings.ts";
import type { ClusterOptions, EmbeddedSettings } from "./cluster-options.ts";

export interface ResolvedClusterOptions {
  readonly nodes: number | undefined;
  readonly ranges: number;
  readonly replicas: number | undefined;
  readonly dataDir: string | undefined;
  readonly store: StoreSettings;
  readonly log: LogSettings;
  readonly logger: Logger | undefined;
  readonly logLevel: LogLevel;
  readonly timeoutMs: number;
}

const nodesMax = 20;
const rangesMax = 4096;
const mebibyte = 1024 * 1024;

/**
 * Of the defaults of a server, those change that a program notices: elections take 1 to 2 s instead of 2 to 4, since no
 * network lies between the nodes; the log prepares 16 MiB ahead instead of 128; a small temporary disk is not full yet.
 */
const embeddedDefaults: EmbeddedSettings = {
  tickMs: 50,
  diskFreeBytesMin: 64 * mebibyte,
  logSegmentBytes: 8 * mebibyte,
  logBytesTarget: 64 * mebibyte,
};

const optionNames: Readonly<Record<keyof ClusterOptions, true>> = {
  nodes: true,
  ranges: true,
  replicas: true,
  dataDir: true,
  settings: true,
  logger: true,
  logLevel: true,
  timeoutMs: true,
};

/** Throws `InvalidArgument`, which names the option and what it may be. */
export function resolveClusterOptions(options: ClusterOptions): ResolvedClusterOptions {
  refuseUnknown(options, Object.keys(optionNames), "option of createCluster");
  const { settings: given = {}, dataDir, logger } = options;
  refuseUnknown(given, [...storeSettingNames, ...logSettingNames], "setting of createCluster");
  if (dataDir !== undefined && (typeof dataDir !== "string" || dataDir === "")) {
    throw new Failure(
      "InvalidArgument",
      `option dataDir must be the path of a directory, got ${JSON.stringify(dataDir)}`,
    );
  }
  const logLevel = options.logLevel ?? (logger === undefined ? "silent" : "info");
  if (!logLevels.includes(logLevel)) {
    throw new Failure(
      "InvalidArgument",
      `option logLevel must be one of ${logLevels.join(", ")}, got ${String(logLevel)}`,
    );
  }
  const nodes = whole("nodes", options.nodes, 1, nodesMax);
  const replicas = whole("replicas", options.replicas, 1, nodes ?? nodesMax);
  const content = { ...embeddedDefaults, ...definedOnly(given), dataDir: "." };
  const { settings } = resolveSettings({ flags: {}, environment: {}, file: { path: "createCluster", content } });
  return {
    nodes,
    ranges: whole("ranges", options.ranges, 1, rangesMax) ?? 4,
    replicas,
    dataDir,
    store: settings.store,
    log: settings.log,
    logger,
    logLevel,
    timeoutMs: whole("timeoutMs", options.timeoutMs, 1, 3_600_000) ?? 30_000,
  };
}

/** For a new cluster. */
export function replicasFor(nodes: number, wanted: number | undefined): number {
  const replicas = wanted ?? (nodes >= 3 ? 3 : 1);
  if (replicas > nodes) {
    throw new Failure("InvalidArgument", `replicas: ${replicas} needs at least ${replicas} nodes, there are ${nodes}`);
  }
  return replicas;
}

function whole(name: string, value: number | undefined, min: number, max: number): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= min && value <= max)) return value;
  throw new Failure(
    "InvalidArgument",
    `option ${name} must be a whole number from ${min} to ${max}, got ${String(value)}`,
  );
}

function definedOnly(settings: EmbeddedSettings): EmbeddedSettings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function refuseUnknown(given: object, known: readonly string[], what: string): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    throw new Failure("InvalidArgument", `unknown ${what}: ${name}`, {
      hint: nearest === undefined ? `known are ${known.join(", ")}` : `did you mean ${nearest}?`,
      details: { name, nearest: nearest ?? null },
    });
  }
}
