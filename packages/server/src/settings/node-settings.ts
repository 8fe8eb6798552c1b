/**
 * Every setting of a node, in one table: name, kind, bounds, default, and what it is for. One name has three
 * spellings: `dataDir` in the TOML file, `--data-dir`, `FLOTILLA_DATA_DIR`. Help, `config show`, the checks and the
 * documentation are made from this table.
 */
import { Failure, valueBytesMaxHighest } from "@flotilla/base";
import { defaultLogBytesTarget, defaultSegmentBytes } from "@flotilla/raft-log";
import { defaultStoreSettings } from "@flotilla/store";
import type { StoreSettings } from "@flotilla/store";
import { z } from "zod";
import { formatAddress, parseAddress } from "./address.ts";
import { logLevels } from "./log-level.ts";
import type { LogLevel } from "./log-level.ts";
import type { LogSettings } from "./log-settings.ts";
import { formatQuantity, parseQuantity } from "./quantity.ts";
import type { Unit } from "./quantity.ts";

export interface HostSettings {
  readonly dataDir: string;
  /** `host:port` for clients and other stores. */
  readonly address: string;
  /** `host:port` under which others find this node; empty: `address`. */
  readonly advertiseAddress: string;
  /** `host:port` for metrics and health. */
  readonly httpAddress: string;
  /** Where other nodes of the cluster may be found; empty: the addresses that stand in the identity. */
  readonly peers: readonly string[];
  /** Nodes of a cluster that this one is to become a new node of, when its directory is empty. */
  readonly join: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly logLevel: LogLevel;
  /** Allows addresses other than loopback although there is neither TLS nor a user. */
  readonly insecure: boolean;
  /** How long a stopping node tries to hand its leaderships over. */
  readonly stopTransferMs: number;
}

export interface NodeSettings extends HostSettings {
  readonly store: StoreSettings;
  readonly log: LogSettings;
}

export type SettingName = keyof HostSettings | keyof StoreSettings | keyof LogSettings;

export interface SettingDefinition {
  readonly name: SettingName;
  /** What stands behind the flag in the help; empty for switches. */
  readonly argument: string;
  readonly description: string;
  readonly defaultValue: unknown;
  readonly unit: Unit | undefined;
  readonly schema: z.ZodType;
}

function quantity(name: string, unit: Unit, min: number, max: number): z.ZodType<number> {
  return z.unknown().transform((value) => {
    const number = parseQuantity(name, value, unit);
    if (number < min || number > max) {
      throw new Failure(
        "InvalidArgument",
        `${name} must be from ${formatQuantity(min, unit)} to ${formatQuantity(max, unit)}, got ${formatQuantity(number, unit)}`,
      );
    }
    return number;
  });
}

function list(name: string, check: (item: string) => string): z.ZodType<readonly string[]> {
  const items = z.array(z.string({ error: `${name} must be a list of strings` }), { error: `${name} must be a list` });
  return z
    .unknown()
    .transform((value) => (typeof value === "string" ? splitList(value) : value))
    .pipe(items)
    .transform((values) => values.map(check));
}

const splitList = (text: string): string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

function labels(name: string): z.ZodType<Readonly<Record<string, string>>> {
  const word = z.string().regex(/^[A-Za-z0-9._/-]{1,63}$/, {
    error: `${name}: a label is name=value, both of 1 to 63 letters, digits and ._/-`,
  });
  return z
    .unknown()
    .transform((value) => {
      if (typeof value !== "string") return value;
      return Object.fromEntries(
        splitList(value).map((pair) => {
          const at = pair.indexOf("=");
          return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
        }),
      );
    })
    .pipe(z.record(word, word, { error: `${name} must be a table of labels, or name=value,name=value` }));
}

const address = (name: string): z.ZodType<string> =>
  z.string({ error: `${name} must be host:port` }).transform((text) => formatAddress(parseAddress(name, text)));

const hostDefinitions: Record<keyof HostSettings, Omit<SettingDefinition, "name">> = {
  dataDir: {
    argument: "DIR",
    description: "where this node keeps its data; in a file relative to the file",
    defaultValue: undefined,
    unit: undefined,
    schema: z
      .string({ error: "dataDir is missing: say where this node keeps its data" })
      .min(1, { error: "dataDir must not be empty" }),
  },
  address: {
    argument: "HOST:PORT",
    description: "where to listen for clients and other nodes",
    defaultValue: "127.0.0.1:7400",
    unit: undefined,
    schema: address("address"),
  },
  advertiseAddress: {
    argument: "HOST:PORT",
    description:
      "where clients and other nodes find this one; without: address, or with 0.0.0.0 there, what the cluster was made with",
    defaultValue: "",
    unit: undefined,
    schema: z
      .string({ error: "advertiseAddress must be host:port" })
      .transform((text) => (text === "" ? "" : formatAddress(parseAddress("advertiseAddress", text)))),
  },
  httpAddress: {
    argument: "HOST:PORT",
    description: "where to listen for /metrics, /healthz and /readyz",
    defaultValue: "127.0.0.1:7480",
    unit: undefined,
    schema: address("httpAddress"),
  },
  peers: {
    argument: "HOST:PORT,...",
    description:
      "addresses of all nodes, this one among them; before `cluster init` needed, later only when they moved",
    defaultValue: [],
    unit: undefined,
    schema: list("peers", (item) => formatAddress(parseAddress("peers", item))),
  },
  join: {
    argument: "HOST:PORT,...",
    description:
      "nodes of a cluster that this one joins as a new node when its directory is empty; one that answers is enough, later it is not looked at",
    defaultValue: [],
    unit: undefined,
    schema: list("join", (item) => formatAddress(parseAddress("join", item))),
  },
  labels: {
    argument: "NAME=VALUE,...",
    description: "where this node stands, for placement (zone=a,host=b)",
    defaultValue: {},
    unit: undefined,
    schema: labels("labels"),
  },
  logLevel: {
    argument: "LEVEL",
    description: `${logLevels.join(", ")}`,
    defaultValue: "info",
    unit: undefined,
    schema: z.enum(logLevels, { error: `logLevel must be one of ${logLevels.join(", ")}` }),
  },
  insecure: {
    argument: "",
    description: "allow addresses other than loopback, without TLS and users",
    defaultValue: false,
    unit: undefined,
    schema: z
      .unknown()
      .transform((value) =>
        value === "true" || value === "1" ? true : value === "false" || value === "0" ? false : value,
      )
      .pipe(z.boolean({ error: "insecure must be true or false" })),
  },
  stopTransferMs: {
    argument: "DURATION",
    description: "how long a stopping node tries to hand its leaderships over",
    defaultValue: 5000,
    unit: "milliseconds",
    schema: quantity("stopTransferMs", "milliseconds", 0, 600_000),
  },
};

/** Unit, lowest and highest value, meaning. */
type StoreRow = readonly [Unit, number, number, string];
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const storeRows: Record<keyof StoreSettings, StoreRow> = {
  tickMs: ["milliseconds", 10, 10_000, "length of a Raft tick"],
  storeHeartbeatMs: ["milliseconds", 10, 60_000, "interval of heartbeats between stores"],
  electionTicksMin: ["count", 3, 10_000, "shortest election timeout, in ticks; the longest is twice that"],
  heartbeatTicks: ["count", 1, 1000, "interval of a leader's heartbeat, in ticks"],
  sleepTicks: [
    "count",
    0,
    1_000_000,
    "quiet time after which a range sleeps, in ticks; 0 = none does; the same on all nodes of a cluster",
  ],
  leasePercent: [
    "count",
    0,
    90,
    "lease of a leader, in percent of the shortest election timeout; 0 = none; the same on all nodes of a cluster",
  ],
  appendBytesMax: ["bytes", KiB, 16 * MiB, "entries in one append message"],
  inflightMessagesMax: ["count", 1, 65_536, "append messages on their way to one follower of one range"],
  inflightBytesMax: ["bytes", 64 * KiB, GiB, "append bytes on their way to one follower of one range"],
  peerUnconfirmedBytesMax: ["bytes", MiB, GiB, "bytes on their way to one other store"],
  uncommittedBytesMax: ["bytes", 64 * KiB, GiB, "proposed and not yet committed bytes of one range"],
  entryTargetBytes: ["bytes", KiB, 16 * MiB, "effects of one Raft entry"],
  valueBytesMax: ["bytes", 1, valueBytesMaxHighest, "largest value"],
  flushBytes: ["bytes", 64 * KiB, GiB, "committed bytes in memory that start a flush"],
  memtableBytesMax: ["bytes", MiB, 64 * GiB, "committed bytes in memory from which writes are answered Busy"],
  clientUnconfirmedBytesMax: ["bytes", 64 * KiB, GiB, "answers on their way to one client from which its reads wait"],
  scanPageBytes: ["bytes", KiB, 16 * MiB, "one page of a scan"],
  snapshotChunkBytes: ["bytes", KiB, 16 * MiB, "one chunk of a range snapshot"],
  snapshotCreditBytes: ["bytes", 64 * KiB, GiB, "bytes of one range snapshot under way"],
  snapshotBytesPerSecond: [
    "bytes",
    256 * KiB,
    16 * GiB,
    "what a store sends a second, in all range snapshots together: for repair, moves, new nodes",
  ],
  storeDeadMs: ["milliseconds", 100, 86_400_000, "a store not heard of for this long is dead to placement"],
  storeDownMs: [
    "milliseconds",
    1000,
    30 * 86_400_000,
    "a store not heard of for this long is given up: its replicas are made anew on others",
  ],
  splitBytes: ["bytes", 64 * KiB, 1024 * GiB, "a range larger than this is split"],
  splitOperationsPerSecond: [
    "count",
    0,
    10_000_000,
    "a range with more writes and reads than this is split by load; 0 = never",
  ],
  splitBytesPerSecond: [
    "bytes",
    0,
    16 * GiB,
    "a range with more bytes written and read a second is split by load; 0 = never",
  ],
  splitLoopPercent: [
    "count",
    0,
    100,
    "a range that takes more of its leader's loop, messages included, is split by load; 0 = never",
  ],
  splitSampleMs: [
    "milliseconds",
    100,
    600_000,
    "keys of a hot range are sampled three times for so long before it is split",
  ],
  balanceLoadPercent: [
    "count",
    0,
    1000,
    "leaders move when the loads of two stores differ by more than this share of the mean; 0 = load is not balanced",
  ],
  mergeBytes: [
    "bytes",
    0,
    1024 * GiB,
    "neighbours smaller than this, together at most half of splitBytes, become one range, but for bounds that were asked for; 0 = none by themselves",
  ],
  mergeCooldownMs: [
    "milliseconds",
    0,
    30 * 86_400_000,
    "a range that was split, or made by a split, is not merged by itself for this long",
  ],
  snapshotsPerStoreMax: ["count", 1, 1000, "replicas that a store receives, and sends, at once for repair and balance"],
  operatorsMax: ["count", 1, 10_000, "operators of the placement driver under way at once, those asked for apart"],
  diskFreeBytesMin: ["bytes", 0, 1024 * GiB, "free bytes below which the store answers DiskFull"],
};

const defaultLogSettings: LogSettings = { logSegmentBytes: defaultSegmentBytes, logBytesTarget: defaultLogBytesTarget };

const logRows: Record<keyof LogSettings, StoreRow> = {
  logSegmentBytes: ["bytes", MiB, GiB, "one file of the log, a multiple of 512"],
  logBytesTarget: [
    "bytes",
    MiB,
    1024 * GiB,
    "size of the log above which its oldest files are freed; who needs them gets a range snapshot",
  ],
};

const unitArgument: Record<Unit, string> = { milliseconds: "DURATION", bytes: "BYTES", count: "N" };

function storeDefinition(
  name: keyof StoreSettings | keyof LogSettings,
  [unit, min, max, description]: StoreRow,
  defaultValue: number,
): SettingDefinition {
  return {
    name,
    argument: unitArgument[unit],
    description,
    defaultValue,
    unit,
    schema: quantity(name, unit, min, max),
  };
}

export const settingDefinitions: readonly SettingDefinition[] = [
  ...(Object.keys(hostDefinitions) as (keyof HostSettings)[]).map((name) => ({ name, ...hostDefinitions[name] })),
  ...(Object.keys(storeRows) as (keyof StoreSettings)[]).map((name) =>
    storeDefinition(name, storeRows[name], defaultStoreSettings[name]),
  ),
  ...(Object.keys(logRows) as (keyof LogSettings)[]).map((name) =>
    storeDefinition(name, logRows[name], defaultLogSettings[name]),
  ),
];

export const storeSettingNames: readonly (keyof StoreSettings)[] = Object.keys(storeRows) as (keyof StoreSettings)[];
export const logSettingNames: readonly (keyof LogSettings)[] = Object.keys(logRows) as (keyof LogSettings)[];

export const flagOf = (name: string): string => "--" + name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase());
export const environmentVariableOf = (name: string): string =>
  "FLOTILLA_" + name.replace(/[A-Z]/g, (letter) => "_" + letter).toUpperCase();

/** The default as the help shows it; empty when there is none. */
export function defaultText({ defaultValue, unit }: SettingDefinition): string {
  if (defaultValue === undefined || defaultValue === false) return "";
  if (typeof defaultValue === "number") return formatQuantity(defaultValue, unit ?? "count");
  return typeof defaultValue === "string" ? defaultValue : "";
}
