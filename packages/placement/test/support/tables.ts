/**
 * Cluster states as lines that can be read at a glance:
 *
 *     store 1 node=1 host=a zone=x down=400 free=1000 draining receiving=2     (down in s, sizes in MiB)
 *     range 2 1* 2 3~ 4! 5:learner size=100 pending start=b end=c               (* leads, ~ lags, ! is not heard; size=? not known)
 *     range 2 1* 2 3 ops=900 halves=m | useless=one_hot_key                     (load, and what its leader says of its keys)
 *     op 2 move 1>4 | op 2 repair 0>4 | op 2 split | op 2 transfer 3 | op 2 merge 3 (an operator under way)
 *     failed 2 move 1>4 ago=30 | done 2 move 1>4 ago=30                          (one that ended, in s)
 *     pause repair | colocate b | keep 3 | replicas 1 | set retryAfterMs 5
 *
 * A replica's id is 10 × its range + its store, so that it can be told apart at sight.
 */
import {
  key,
  keyMax,
  logIndex,
  noStore,
  nodeId,
  rangeId,
  replicaId,
  storeId,
  systemPrefix,
  term,
} from "@flotilla/base";
import type { Key, RangeId, ReplicaRole } from "@flotilla/base";
import { defaultPlacementSettings, noLoad, storeHealth } from "../../src/index.ts";
import type {
  ClusterState,
  IdSource,
  Operator,
  OperatorGoal,
  OperatorState,
  PlacementSettings,
  RangeState,
  ReplicaState,
  SchedulerName,
  StoreState,
} from "../../src/index.ts";

export const MiB = 1024 * 1024;
export const nowMs = 10_000_000;

/** A user key, as people write it. */
export const at = (text: string): Key => key("\x01" + text);

export function parseState(lines: readonly string[]): ClusterState {
  const stores: StoreState[] = [];
  const ranges: RangeState[] = [];
  const operators: Operator[] = [];
  const recent: Operator[] = [];
  const paused = new Set<SchedulerName>();
  const colocatedPrefixes: Key[] = [];
  const keptRanges = new Set<RangeId>();
  // What stands in tables is small, and merges where that is the point.
  let settings: PlacementSettings = { ...defaultPlacementSettings, mergeBytes: 0 };
  for (const line of lines) {
    const [what, ...words] = line.trim().split(/\s+/);
    if (what === "store") stores.push(parseStore(words, settings));
    else if (what === "range") ranges.push(parseRange(words));
    else if (what === "op") operators.push(parseOperator(words, "running", ranges, operators.length + 1));
    else if (what === "failed" || what === "done") recent.push(parseOperator(words, what, ranges, 900 + recent.length));
    else if (what === "pause") paused.add(words[0] as SchedulerName);
    else if (what === "colocate") colocatedPrefixes.push(at(words[0]!));
    else if (what === "keep") keptRanges.add(rangeId(Number(words[0])));
    else if (what === "replicas") settings = { ...settings, replicas: Number(words[0]) };
    else if (what === "set") settings = { ...settings, [words[0]!]: Number(words[1]) };
    else throw new Error(`what is "${line}"?`);
  }
  return { nowMs, stores, ranges, operators, recent, paused, colocatedPrefixes, keptRanges, settings };
}

function named(words: readonly string[]): (name: string) => string | undefined {
  const values = new Map(words.filter((word) => word.includes("=")).map((word) => word.split("=") as [string, string]));
  return (name) => values.get(name);
}

function parseStore(words: readonly string[], settings: PlacementSettings): StoreState {
  const value = named(words);
  const number = (name: string, otherwise: number): number => Number(value(name) ?? otherwise);
  const downMs = number("down", 0) * 1000;
  const labels: Record<string, string> = {};
  for (const name of ["host", "zone"]) if (value(name) !== undefined) labels[name] = value(name)!;
  const id = Number(words[0]);
  return {
    storeId: storeId(id),
    nodeId: nodeId(number("node", id)),
    membership:
      (["draining", "decommissioning", "decommissioned"] as const).find((state) => words.includes(state)) ?? "active",
    health: storeHealth(downMs, settings),
    downMs,
    diskFull: words.includes("full"),
    stopping: words.includes("stopping"),
    labels,
    sizeBytes: 0,
    freeBytes: number("free", 100_000) * MiB,
    snapshotsSending: number("sending", 0),
    snapshotsReceiving: number("receiving", 0),
  };
}

function parseRange(words: readonly string[]): RangeState {
  const value = named(words);
  const id = Number(words[0]);
  let leader = noStore;
  const members: { replicaId: ReplicaState["replicaId"]; storeId: ReplicaState["storeId"]; role: ReplicaRole }[] = [];
  const replicas: ReplicaState[] = [];
  for (const word of words.slice(1)) {
    const found = /^(\d+)([*~!]*)(?::(\w+))?$/.exec(word);
    if (found === null) continue;
    const store = Number(found[1]);
    const ids = { replicaId: replicaId(id * 10 + store), storeId: storeId(store) };
    members.push({ ...ids, role: (found[3] ?? "voter") as ReplicaRole });
    if (found[2]!.includes("*")) leader = ids.storeId;
    const lag = found[2]!.includes("~") ? 5000 : 0;
    replicas.push({ ...ids, match: logIndex(6000 - lag), lag, state: "replicate", active: !found[2]!.includes("!") });
  }
  const bound = (name: string, otherwise: Key): Key => (value(name) === undefined ? otherwise : at(value(name)!));
  const [start, end] = id === 1 ? [systemPrefix, key("\x01")] : [bound("start", key("\x01")), bound("end", keyMax)];
  return {
    descriptor: { rangeId: rangeId(id), start, end, epoch: { bounds: 1, members: 1 }, replicas: members },
    leader,
    term: term(3),
    sizeBytes: value("size") === "?" ? 0 : Number(value("size") ?? 10) * MiB,
    sizeKnown: value("size") !== "?",
    writesPerSecond: 0,
    readsPerSecond: 0,
    load: {
      ...noLoad,
      operationsPerSecond: Number(value("ops") ?? 0),
      splitKey: value("halves") === undefined ? undefined : at(value("halves")!),
      splitReason: (value("useless") ?? "").replaceAll("_", " "),
    },
    configurationPending: words.includes("pending"),
    sealedFor: undefined,
    replicas: leader === noStore ? [] : replicas,
  };
}

function parseGoal(range: number, kind: string, rest: string | undefined): OperatorGoal {
  if (kind === "split") return { kind, count: 2, keys: [], prefixes: [], parts: [] };
  if (kind === "merge") return mergeOf(Number(rest));
  const [from, to] = (rest ?? "").split(">").map(Number) as [number, number];
  const ids = { from: storeId(from), replicaId: replicaId(range * 10 + (to || from)) };
  if (kind === "move" || kind === "repair") return { kind, ...ids, to: storeId(to) };
  if (kind === "remove") return { kind: "remove-replica", ...ids };
  if (kind === "transfer") return { kind: "transfer-leader", to: storeId(from) };
  throw new Error(`what is an operator "${kind}"?`);
}

function mergeOf(right: number): OperatorGoal {
  const seal = { index: logIndex(0), term: term(0) };
  return {
    kind: "merge",
    rightRangeId: rangeId(right),
    rightBounds: 1,
    moves: [],
    phase: "gather",
    seal,
    provenBounds: 0,
  };
}

function parseOperator(
  words: readonly string[],
  state: OperatorState,
  ranges: readonly RangeState[],
  operatorId: number,
): Operator {
  const id = Number(words[0]);
  const agoMs = Number(named(words)("ago") ?? 0) * 1000;
  return {
    operatorId,
    rangeId: rangeId(id),
    goal: parseGoal(id, words[1]!, words[2]),
    source: words.includes("load") ? "balance-load" : "balance-replicas",
    reason: "",
    epoch: ranges.find(({ descriptor }) => descriptor.rangeId === id)!.descriptor.epoch,
    bytes: 0,
    createdMs: nowMs - agoMs,
    deadlineMs: nowMs + 60_000,
    state,
    endsAs: "cancelled",
    outcome: "",
    endedMs: state === "running" ? 0 : nowMs - agoMs,
  };
}

/** Ids from 1000 up. */
export function testIds(): IdSource {
  let next = 1000;
  return { nextReplicaId: () => replicaId(next++), nextRangeId: () => rangeId(next++) };
}
