/** Flag over environment over file over default; every value is checked, every unknown key is an error. */
import { dirname, resolve } from "node:path";
import { Failure } from "@flotilla/base";
import type { StoreSettings } from "@flotilla/store";
import { z } from "zod";
import { isLoopback, parseAddress } from "./address.ts";
import { nearestName } from "./nearest-name.ts";
import {
  environmentVariableOf,
  flagOf,
  logSettingNames,
  settingDefinitions,
  storeSettingNames,
} from "./node-settings.ts";
import type { LogSettings } from "./log-settings.ts";
import type { HostSettings, NodeSettings, SettingDefinition, SettingName } from "./node-settings.ts";

export type SettingSource = "flag" | "environment" | "file" | "default";

export interface SettingSources {
  /** By setting name; `undefined` = not given. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The parsed TOML file, and its path for messages. */
  readonly file: { readonly path: string; readonly content: Readonly<Record<string, unknown>> } | undefined;
}

export interface ResolvedSetting {
  readonly definition: SettingDefinition;
  readonly value: unknown;
  readonly source: SettingSource;
}

export interface ResolvedSettings {
  readonly settings: NodeSettings;
  readonly table: readonly ResolvedSetting[];
}

/**
 * Variables with our prefix that are not settings: other commands read them, they are for tests, or the service links of
 * Kubernetes set them.
 */
const otherVariables =
  /^FLOTILLA_(ENDPOINTS|CONFIG|TEST_.+|SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP)(_.+)?)?)$/;

export function resolveSettings(sources: SettingSources): ResolvedSettings {
  refuseUnknown(sources);
  const table = settingDefinitions.map((definition) => resolveOne(definition, sources));
  const value = (name: string): unknown => table.find((row) => row.definition.name === name)!.value;
  const store = Object.fromEntries(storeSettingNames.map((name) => [name, value(name)])) as unknown as StoreSettings;
  const log = Object.fromEntries(logSettingNames.map((name) => [name, value(name)])) as unknown as LogSettings;
  const host: HostSettings = {
    dataDir: dataDirOf(table, sources),
    address: value("address") as string,
    advertiseAddress: value("advertiseAddress") as string,
    httpAddress: value("httpAddress") as string,
    peers: value("peers") as readonly string[],
    join: value("join") as readonly string[],
    labels: value("labels") as Readonly<Record<string, string>>,
    logLevel: value("logLevel") as HostSettings["logLevel"],
    insecure: value("insecure") as boolean,
    stopTransferMs: value("stopTransferMs") as number,
  };
  const settings: NodeSettings = { ...host, store, log };
  checkTogether(settings);
  return { settings, table };
}

function resolveOne(definition: SettingDefinition, sources: SettingSources): ResolvedSetting {
  const { name } = definition;
  const variable = environmentVariableOf(name);
  const flag = sources.flags[name];
  if (flag !== undefined) return { definition, value: check(definition, flag, flagOf(name)), source: "flag" };
  const fromEnvironment = sources.environment[variable];
  if (fromEnvironment !== undefined)
    return { definition, value: check(definition, fromEnvironment, variable), source: "environment" };
  const fromFile = sources.file?.content[name];
  if (fromFile !== undefined)
    return { definition, value: check(definition, fromFile, `${name} in ${sources.file!.path}`), source: "file" };
  return { definition, value: check(definition, definition.defaultValue, flagOf(name)), source: "default" };
}

/** The value of one setting that was given as a flag, checked; undefined when it was not given. */
export function settingFromFlag(name: SettingName, given: unknown): unknown {
  const definition = settingDefinitions.find((each) => each.name === name)!;
  return given === undefined ? undefined : check(definition, given, flagOf(name));
}

/** A relative directory in a file is relative to that file, so that a data directory can be moved as a whole. */
function dataDirOf(table: readonly ResolvedSetting[], { file }: SettingSources): string {
  const { value, source } = table.find((row) => row.definition.name === "dataDir")!;
  return source === "file" ? resolve(dirname(file!.path), value as string) : resolve(value as string);
}

function check(definition: SettingDefinition, value: unknown, where: string): unknown {
  try {
    return definition.schema.parse(value);
  } catch (error) {
    const details = { setting: definition.name, given: where };
    if (error instanceof Failure)
      throw new Failure(error.code, `${where}: ${error.message}`, { hint: error.hint, details });
    if (error instanceof z.ZodError) {
      const message = error.issues[0]?.message ?? "not a valid value";
      throw new Failure("InvalidArgument", `${where}: ${message}`, { details, cause: error });
    }
    throw error;
  }
}

function refuseUnknown({ flags, environment, file }: SettingSources): void {
  const names: string[] = settingDefinitions.map(({ name }) => name);
  for (const name of Object.keys(flags))
    if (!names.includes(name)) throw unknown(flagOf(name), names.map(flagOf), "flag");
  for (const variable of Object.keys(environment)) {
    if (!variable.startsWith("FLOTILLA_") || otherVariables.test(variable)) continue;
    const variables = names.map(environmentVariableOf);
    if (!variables.includes(variable)) throw unknown(variable, variables, "environment variable");
  }
  for (const name of Object.keys(file?.content ?? {})) {
    if (!names.includes(name)) throw unknown(name, names, `setting in ${file!.path}`);
  }
}

function unknown(name: string, known: readonly string[], what: string): Failure {
  const nearest = nearestName(name, known);
  return new Failure("InvalidArgument", `unknown ${what}: ${name}`, {
    hint: nearest === undefined ? "`flotilla start --help` lists all settings" : `did you mean ${nearest}?`,
    details: { name, nearest: nearest ?? null },
  });
}

/** What no single value shows. */
function checkTogether({ address, httpAddress, insecure, store, log }: NodeSettings): void {
  for (const [name, text] of [
    ["address", address],
    ["httpAddress", httpAddress],
  ] as const) {
    const { host } = parseAddress(name, text);
    if (!insecure && !isLoopback(host)) {
      throw new Failure(
        "InvalidArgument",
        `${name} ${text} can be reached from other machines, and there is neither TLS nor a user`,
        {
          hint: "use 127.0.0.1, or say --insecure if the network itself is trusted",
        },
      );
    }
  }
  const electionMs = store.tickMs * store.electionTicksMin;
  const rules: readonly [boolean, string][] = [
    [
      store.heartbeatTicks * 2 <= store.electionTicksMin,
      `electionTicksMin (${store.electionTicksMin}) must be at least twice heartbeatTicks (${store.heartbeatTicks})`,
    ],
    [
      store.storeHeartbeatMs * 2 <= electionMs,
      `storeHeartbeatMs (${store.storeHeartbeatMs}) must be at most half the shortest election timeout (${electionMs} ms)`,
    ],
    [
      store.flushBytes < store.memtableBytesMax,
      `flushBytes (${store.flushBytes}) must be below memtableBytesMax (${store.memtableBytesMax})`,
    ],
    [
      store.appendBytesMax <= store.inflightBytesMax,
      `appendBytesMax (${store.appendBytesMax}) must not exceed inflightBytesMax (${store.inflightBytesMax})`,
    ],
    [
      store.entryTargetBytes <= store.uncommittedBytesMax,
      `entryTargetBytes (${store.entryTargetBytes}) must not exceed uncommittedBytesMax (${store.uncommittedBytesMax})`,
    ],
    [
      store.snapshotChunkBytes <= store.snapshotCreditBytes,
      `snapshotChunkBytes (${store.snapshotChunkBytes}) must not exceed snapshotCreditBytes (${store.snapshotCreditBytes})`,
    ],
    [
      // Four may share the rate, and a receiver waits 30 s for the next chunk.
      Math.max(store.snapshotChunkBytes, store.valueBytesMax) <= 5 * store.snapshotBytesPerSecond,
      `snapshotBytesPerSecond (${store.snapshotBytesPerSecond}) must let snapshotChunkBytes (${store.snapshotChunkBytes}) and valueBytesMax (${store.valueBytesMax}) pass within 5 s`,
    ],
    [log.logSegmentBytes % 512 === 0, `logSegmentBytes (${log.logSegmentBytes}) must be a multiple of 512`],
    [
      log.logSegmentBytes <= log.logBytesTarget,
      `logSegmentBytes (${log.logSegmentBytes}) must not exceed logBytesTarget (${log.logBytesTarget})`,
    ],
  ];
  for (const [holds, message] of rules) if (!holds) throw new Failure("InvalidArgument", message);
}
