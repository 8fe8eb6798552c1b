/**
 * One seed from beginning to end: start, work under faults, heal, read everything, stop, and check what must be true.
 * Equal seeds (and options) give equal runs, down to the trace hash.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import type { RangeDescriptor } from "@flotilla/base";
import { defaultStoreSettings } from "@flotilla/store";
import type { StoreSettings } from "@flotilla/store";
import { KvModel } from "../history/kv-model.ts";
import { checkHistory } from "../history/linearizability.ts";
import type { Contradiction } from "../history/contradiction.ts";
import type { KvOperation } from "../history/kv-model.ts";
import { SeededRandom } from "../time/seeded-random.ts";
import { Deadlock } from "../time/virtual-time.ts";
import type { TraceNote } from "../time/trace.ts";
import { ClaimViolated } from "./claims.ts";
import type { Violation } from "./claims.ts";
import { FaultDriver } from "./fault-driver.ts";
import type { FaultOptions } from "./fault-driver.ts";
import { ElasticRun, elasticVariation } from "../placement/elastic-run.ts";
import type { PlacementOptions, Within } from "../placement/elastic-run.ts";
import type { RoundFigures } from "../many-ranges/round-times.ts";
import { mergeVariation } from "../placement/merge-orders.ts";
import { RecoveryRun } from "../recovery/recovery-run.ts";
import type { LossOptions } from "../recovery/recovery-run.ts";
import { compareReplicas } from "./replica-comparison.ts";
import { Silence } from "./silence.ts";
import { SimulatedCluster, simulatedClusterDefault } from "./simulated-cluster.ts";
import type { SimulatedClusterOptions } from "./simulated-cluster.ts";
import { Workload, keyName } from "./workload.ts";
import type { WorkloadOptions } from "./workload.ts";

export interface SeedOptions extends SimulatedClusterOptions {
  readonly workload: WorkloadOptions;
  readonly faults: FaultOptions;
  /** How long the cluster is hurt; longer, up to the second, while the clients have called less than `callsMin` times. */
  readonly chaosMs: number;
  readonly chaosMsMax: number;
  /** Calls of clients that a seed has to make, or it has shown too little. */
  readonly callsMin: number;
  /** How long a healed cluster may take to answer, its replicas to become equal, and all of that together. */
  readonly healMsMax: number;
  /** Every disk lies from the start on: for tests of the checks themselves. */
  readonly lyingDisks: boolean;
  /** Ranges are split, moved and so on meanwhile. Undefined: they stay as the cluster began. */
  readonly placement: PlacementOptions | undefined;
  /** With `placement`: stores are lost for good then, and ranges recovered. */
  readonly losses: LossOptions | undefined;
}

export const seedOptionsDefault: Omit<SeedOptions, "seed"> = {
  ...simulatedClusterDefault,
  workload: {
    clients: 3,
    sessions: 3,
    keys: 20,
    thinkMsMax: 120,
    timeoutMs: 3000,
    hotKeyChance: 0.3,
    lulls: { chance: 0.6, busyMsMax: 3000, quietMsMax: 3000 },
  },
  faults: { kinds: undefined, gapMsMin: 50, gapMsMax: 1500, durationMsMax: 2500 },
  chaosMs: 20_000,
  chaosMsMax: 30_000,
  callsMin: 300,
  healMsMax: 30_000,
  lyingDisks: false,
  placement: undefined,
  losses: undefined,
};

/** Ticks until a quiet range sleeps. In most seeds hardly any, so that a pause of the clients is enough; in some none sleeps. */
const sleepTicksDrawn = [0, 1, 2, 2, 4, 8] as const;

function clusterSettings(seed: number): Partial<StoreSettings> {
  const sleepTicks = new SeededRandom(seed).fork("sleep").pick(sleepTicksDrawn);
  return { ...simulatedClusterDefault.settings, sleepTicks };
}

export function clusterSeedOptions(seed: number): SeedOptions {
  return { ...seedOptionsDefault, seed, settings: clusterSettings(seed) };
}

/** More nodes than replicas; what placement does by itself happens within seconds, too. */
export function elasticSeedOptions(seed: number): SeedOptions {
  const { nodes, splitBytes, splitOperationsPerSecond, faults, clients, placement } = elasticVariation(seed);
  const settings = { ...clusterSettings(seed), storeDownMs: 3000, splitBytes, splitOperationsPerSecond };
  return {
    ...seedOptionsDefault,
    ...{ seed, nodes, splitAt: ["key-10"], settings, placement },
    faults: { ...seedOptionsDefault.faults, ...faults },
    workload: { ...seedOptionsDefault.workload, ...clients },
  };
}

/** The same with merges, by hand and by themselves. */
export function mergeSeedOptions(seed: number): SeedOptions {
  const { mergeBytes, merges } = mergeVariation(seed);
  const options = elasticSeedOptions(seed);
  const settings = { ...options.settings, mergeBytes, mergeCooldownMs: mergeCooldownInSeedsMs };
  const placement = { ...elasticVariation(seed).placement, merges };
  if (merges.cancelChance + merges.crossChance === 0) return { ...options, settings, placement };
  // Calmer, so that merges get as far as where it matters that they are cancelled.
  const faults = { ...options.faults, gapMsMax: 6000 };
  return { ...options, settings, faults, placement: { ...placement, thinkMsMax: 2000, absenceChance: 0 } };
}

/** Of three to six stores two are lost, so that something of every range is left. */
export function recoverySeedOptions(seed: number): SeedOptions {
  const nodes = new SeededRandom(seed).fork("recovery variation").pick([3, 4, 5, 6]);
  // Replicas are made anew a minute after that has failed, because their stores were lost on the way.
  const times = { chaosMs: 8000, callsMin: 100, healMsMax: 100_000 };
  return { ...elasticSeedOptions(seed), ...times, nodes, losses: { stores: 2 } };
}

export interface SeedReport {
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly simulatedSeconds: number;
  /** What clients have asked for, whatever came of it. */
  readonly calls: number;
  /** What was checked: a scan counts as a read of every key, a read that failed not at all. */
  readonly operations: number;
  /** Of the operations: writes whose fate is unknown. */
  readonly unknown: number;
  readonly faults: Readonly<Record<string, number>>;
  /** What became of ranges, and how often. */
  readonly changes: Readonly<Record<string, number>>;
  readonly events: number;
  readonly traceHash: string;
  /** With a violation: the latest notes of its range. */
  readonly notes: readonly TraceNote[];
  /** Of the placement driver, where its rounds are what is looked at. */
  readonly rounds?: RoundFigures;
}

const notesShown = 60;
/** Ten minutes are longer than a seed. */
const mergeCooldownInSeedsMs = 1500;
/** Clients write on to what still has its majority, and wait for what has not. */
const workAfterLossMicros = 500_000;

/** Calls back with every rejection in this process that nobody heard of, until the function it returns is called. */
export type WatchRejections = (hear: (error: unknown) => void) => () => void;

/** Without `watchRejections` it is for the caller to see to it that a rejection which nobody hears of is a failure. */
export async function runSeed(options: SeedOptions, watchRejections?: WatchRejections): Promise<SeedReport> {
  const run = new SeedRun(options);
  const unwatch = watchRejections?.((error) => run.rejected(error));
  try {
    await run.go();
  } finally {
    unwatch?.();
  }
  return run.report();
}

class SeedRun {
  readonly #options: SeedOptions;
  readonly #cluster: SimulatedCluster;
  readonly #workload: Workload;
  readonly #faults: FaultDriver;
  readonly #elastic: ElasticRun | undefined;
  readonly #recovery: RecoveryRun | undefined;

  constructor(options: SeedOptions) {
    this.#options = options;
    this.#cluster = new SimulatedCluster(options);
    this.#workload = new Workload(options.workload, this.#cluster);
    this.#faults = new FaultDriver(options.faults, this.#cluster);
    const { placement, workload, losses } = options;
    this.#elastic =
      placement === undefined
        ? undefined
        : new ElasticRun(placement, this.#cluster, workload.keys, (ms) => this.#workload.watch(ms));
    this.#recovery = losses === undefined ? undefined : new RecoveryRun(losses, this.#cluster);
    if (options.lyingDisks) for (const node of this.#cluster.nodes) node.disk.faults.lies = true;
  }

  /** Hazard I6: a rejection that nobody hears of leaves something half dead. */
  rejected(error: unknown): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#cluster.claims.violate("no promise is rejected without anybody hearing of it", 0, [what]);
  }

  async go(): Promise<void> {
    const { claims } = this.#cluster;
    try {
      await this.#phases();
    } catch (error) {
      if (error instanceof ClaimViolated) return;
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      claims.violate(
        error instanceof Deadlock ? "everything that was begun comes to an end" : "nothing fails unexpectedly",
        0,
        [what],
      );
    }
  }

  async #phases(): Promise<void> {
    const { time, nodes } = this.#cluster;
    const { chaosMs, chaosMsMax, healMsMax, workload } = this.#options;
    await time.complete(Promise.all(nodes.map((node) => node.start())), 30e6);
    const work = Promise.all([this.#workload.run(), this.#elastic?.run()]);
    this.#faults.start();
    await time.runFor(chaosMs * 1000);
    await this.#untilEnoughCalls(chaosMsMax - chaosMs);
    // Who has hardly been answered under these faults asks the rest of a healed cluster.
    if (!this.#enoughCalls) this.#faults.healAll();
    await this.#untilEnoughCalls(healMsMax);
    if (this.#recovery !== undefined) {
      // Nobody comes back by itself from here on.
      this.#elastic?.stop();
      await this.#recovery.lose();
      await time.runFor(workAfterLossMicros);
    }
    this.#workload.stop();
    this.#elastic?.stop();
    await time.complete(work, (workload.timeoutMs + 10_000) * 1000);
    this.#checkCalls();
    this.#faults.healAll();
    const healedMicros = time.nowMicros;
    const within: Within = (claim, condition, facts) => this.#within(claim, condition, facts);
    if (this.#recovery !== undefined) return this.#recover(this.#recovery, this.#elastic!, within);
    // Orders may still be under way, and ranges have other members than planned: those seeds claim it in another way.
    if (this.#elastic === undefined) await this.#everyRangeCommits();
    else await this.#elastic.everyRangeIsLed(within);
    await this.#everyNodeIsUp();
    await this.#readEverything();
    this.#checkHistory();
    this.#checkTallies();
    for (const client of this.#workload.clients) await time.complete(client.close());
    if (this.#elastic === undefined) {
      await this.#replicasBecomeLevel();
      this.#checkHealing(time.nowMicros - healedMicros);
      if (this.#settings.sleepTicks > 0) await this.#silence(within).run();
    }
    const ranges = (await this.#elastic?.settle(within)) ?? this.#cluster.plan.ranges;
    await this.#compareReplicas(ranges);
  }

  /** What clients saw before the loss has an order; then some of it may be gone. */
  async #recover(recovery: RecoveryRun, elastic: ElasticRun, within: Within): Promise<void> {
    this.#checkHistory();
    for (const client of this.#workload.clients) await this.#cluster.time.complete(client.close());
    if (!(await recovery.recover(within, () => elastic.unled().length === 0))) return;
    await recovery.checkContent(this.#options.workload.keys, this.#workload.history);
    await this.#compareReplicas(await elastic.settle(within, recovery.unreplaced));
  }

  #silence(within: Within): Silence {
    return new Silence(this.#cluster, this.#workload, {
      within,
      readEverything: () => this.#readEverything(),
      checkHistory: () => this.#checkHistory(),
      becomeLevel: () => this.#replicasBecomeLevel(),
    });
  }

  get #settings(): StoreSettings {
    return { ...defaultStoreSettings, ...this.#options.settings };
  }

  get #enoughCalls(): boolean {
    return this.#workload.calls >= this.#options.callsMin;
  }

  async #untilEnoughCalls(msMax: number): Promise<void> {
    for (let ms = 0; ms < msMax && !this.#enoughCalls; ms += 1000) await this.#cluster.time.runFor(1e6);
  }

  #checkCalls(): void {
    if (this.#enoughCalls) return;
    const { callsMin } = this.#options;
    this.#cluster.claims.violate(`a seed makes at least ${callsMin} calls`, 0, [`it made ${this.#workload.calls}`]);
    throw new ClaimViolated();
  }

  #checkHealing(micros: number): void {
    const { healMsMax } = this.#options;
    if (micros <= healMsMax * 1000) return;
    const facts = [`it took ${(micros / 1e6).toFixed(1)} s`];
    this.#cluster.claims.violate(`a cluster heals within ${healMsMax / 1000} s`, 0, facts);
    throw new ClaimViolated();
  }

  /** The writes join the history; one key of each range is enough. */
  async #everyRangeCommits(): Promise<void> {
    const { time, claims, plan } = this.#cluster;
    const { electionTicksMin, tickMs } = this.#settings;
    const timeoutMs = 10 * 2 * electionTicksMin * tickMs;
    const { client } = this.#cluster.client({ timeoutMs, connectTimeoutMs: timeoutMs });
    const keys = new Map<number, string>();
    for (let i = 0; i < this.#options.workload.keys; i++) keys.set(this.#rangeOf(keyName(i)), keyName(i));
    const failures: [number, string][] = [];
    const write = async (range: number, key: string): Promise<void> => {
      const value = this.#workload.nextValue("healed");
      const call = { client: `healed ${range}`, key, invoke: time.nowMicros };
      const operation = { ...call, op: "put", value, condition: { kind: "none" } } as const;
      try {
        const { version } = await client.put(key, value);
        const line = this.#workload.nextLine();
        this.#workload.record({ ...operation, line, return: time.nowMicros, result: "ok", version });
      } catch (error) {
        if (!isFlotillaError(error)) throw error;
        failures.push([range, `put of ${key} within ${timeoutMs} ms: ${error.code}: ${error.message}`]);
      }
    };
    await time.complete(Promise.all([...keys].map(([range, key]) => write(range, key))), (timeoutMs + 5000) * 1000);
    await time.complete(client.close());
    const [failure] = failures;
    if (failure === undefined) return;
    const epochs = plan.ranges.map(
      (range) => `range ${range.rangeId}: leader ${JSON.stringify(claims.leader(range.rangeId))}`,
    );
    claims.violate("every range commits within ten election timeouts after healing", failure[0], [
      failure[1],
      ...epochs,
    ]);
    throw new ClaimViolated();
  }

  /** After healing every key can be read; the answers join the history, so that a lost write shows there. */
  async #readEverything(): Promise<void> {
    const { time, claims } = this.#cluster;
    const { healMsMax, workload } = this.#options;
    const { client } = this.#cluster.client({ timeoutMs: healMsMax, connectTimeoutMs: healMsMax });
    for (let i = 0; i < workload.keys; i++) {
      const key = keyName(i);
      const invoke = time.nowMicros;
      try {
        const entry = await time.complete(client.getEntry(key), (healMsMax + 5000) * 1000);
        const line = this.#workload.nextLine();
        const version = entry?.version ?? 0;
        const value = entry?.value ?? null;
        this.#workload.record({
          line,
          client: "reader",
          key,
          invoke,
          return: time.nowMicros,
          result: "ok",
          op: "get",
          value,
          version,
        });
      } catch (error) {
        if (!isFlotillaError(error)) throw error;
        claims.violate("a healed cluster answers", 0, [
          `get of ${key} within ${healMsMax} ms: ${error.code}: ${error.message}`,
        ]);
        throw new ClaimViolated();
      }
    }
    await time.complete(this.#workload.tallies.check(client), (2 * healMsMax + 5000) * 1000);
    await time.complete(client.close());
  }

  #checkTallies(): void {
    const { failure } = this.#workload.tallies;
    if (failure === undefined) return;
    this.#cluster.claims.violate(failure.claim, this.#rangeOf(failure.key), failure.facts);
    throw new ClaimViolated();
  }

  #checkHistory(): void {
    const { claims } = this.#cluster;
    const verdict = checkHistory(this.#workload.history, () => new KvModel());
    const failure = verdict.failures[0];
    if (failure === undefined) return;
    const contradiction = failure.contradiction;
    claims.violate(
      "every answer can be explained by one order of the operations on its key (linearizability)",
      this.#rangeOf(failure.key),
      [
        `key ${failure.key}: ${failure.verdict}`,
        ...(contradiction === undefined ? [] : contradictionFacts(contradiction)),
      ],
    );
    throw new ClaimViolated();
  }

  #rangeOf(key: string): number {
    const logical = `\x01${key}`;
    return this.#cluster.plan.ranges.find((range) => range.start <= logical && logical < range.end)?.rangeId ?? 0;
  }

  async #everyNodeIsUp(): Promise<void> {
    const down = (): string[] => this.#cluster.nodes.filter(({ store }) => store === undefined).map(({ name }) => name);
    const facts = (): string[] => down().map((name) => `${name} is not up`);
    await this.#within("every node comes up again when all is well", () => down().length === 0, facts);
  }

  async #replicasBecomeLevel(): Promise<void> {
    const { nodes, plan } = this.#cluster;
    // The last commits reach the followers with the next heartbeats.
    const commits = (): { range: number; commits: number[] }[] =>
      plan.ranges.map(({ rangeId }) => ({ range: rangeId, commits: nodes.map((node) => node.commitOf(rangeId)) }));
    await this.#within(
      "replicas of a healed cluster become level",
      () => commits().every(({ commits: all }) => new Set(all).size === 1 && all[0] !== 0),
      () => commits().map(({ range, commits: all }) => `range ${range} is committed up to ${all.join(", ")}`),
    );
  }

  async #compareReplicas(ranges: readonly RangeDescriptor[]): Promise<void> {
    const { time, nodes, claims } = this.#cluster;
    await time.complete(Promise.all(nodes.map((node) => node.stop(0))), 30e6);
    const engines = await time.complete(Promise.all(nodes.map((node) => node.openEngine())), 1e6);
    const difference = await time.complete(compareReplicas(ranges, engines), 60e6);
    if (difference === undefined) return;
    claims.violate("replicas that have applied the same entries are equal", difference.rangeId, difference.facts);
    throw new ClaimViolated();
  }

  /** Lets time pass until it is so, looking ten times a second. */
  async #within(claim: string, condition: () => boolean | Promise<boolean>, facts: () => string[]): Promise<void> {
    const { time, claims } = this.#cluster;
    const { healMsMax } = this.#options;
    const until = time.nowMicros + healMsMax * 1000;
    for (;;) {
      const asked = condition();
      if (typeof asked === "boolean" ? asked : await time.complete(asked, healMsMax * 1000)) return;
      if (time.nowMicros >= until) {
        claims.violate(claim, 0, [`not within ${healMsMax / 1000} s`, ...facts()]);
        throw new ClaimViolated();
      }
      await time.runFor(100_000);
    }
  }

  report(): SeedReport {
    const { time, claims } = this.#cluster;
    const { violation } = claims;
    const range = violation === undefined || violation.rangeId === 0 ? undefined : violation.rangeId;
    return {
      seed: this.#options.seed,
      violation,
      simulatedSeconds: time.nowMicros / 1e6,
      calls: this.#workload.calls,
      operations: this.#workload.operations,
      unknown: this.#workload.history.filter(({ result }) => result === "unknown").length,
      faults: this.#faults.counts,
      changes: { ...this.#elastic?.counts, ...this.#recovery?.counts },
      events: time.eventsExecuted,
      traceHash: time.trace.digest(),
      notes: violation === undefined ? [] : time.trace.latest(notesShown, range),
    };
  }
}

function contradictionFacts({ operations, cut }: Contradiction<KvOperation>): string[] {
  const facts = operations.map((operation) => {
    const { line, invoke, return: returned, key: _key, ...rest } = operation;
    const from = (invoke / 1e6).toFixed(6);
    const to = returned === Infinity ? "…" : (returned / 1e6).toFixed(6);
    return `operation ${line}, ${from} to ${to} s: ${JSON.stringify(rest)}`;
  });
  if (cut !== -Infinity) facts.push("whatever happened before the first of these");
  return facts;
}
