/** One history of failures and growth: begun, lived through, come to rest, and checked. Equal seeds give equal runs. */
import { defaultPlacementSettings, decide, goalText, indexCluster } from "@flotilla/placement";
import type { ClusterState, Operator, PlacementSettings, RangeState } from "@flotilla/placement";
import type { SeedReport } from "../cluster/run-seed.ts";
import { SeededRandom } from "../time/seeded-random.ts";
import { Trace } from "../time/trace.ts";
import { Happenings } from "./happenings.ts";
import { OperatorWork } from "./operator-work.ts";
import { PlacementClaims } from "./placement-claims.ts";
import { RoundTimes } from "./round-times.ts";
import type { RoundClocks } from "./round-times.ts";
import { MiB, World } from "./world.ts";
import type { WorldOptions } from "./world.ts";

const roundMs = 1000;
/** While nothing is under way and every store lives. */
const idleRoundMs = 10_000;
/** Operators are asked again for what they wait for. */
const followMs = 5000;
/** Longer than everything that a decision waits for. */
const restMs = 700_000;
/** From the last happening until the cluster is at rest. */
const settleMsMax = 6 * 3_600_000;
/** A driver that takes over waits for reports. */
const officeMs = 5000;
/** An index is made anew for comparison where that takes next to no time. */
const comparedRangesMax = 20_000;

export interface ManyRangesOptions extends RoundClocks {
  readonly seed: number;
  /** Left out: about 10 and about 1 000. */
  readonly size?: { readonly stores: number; readonly ranges: number };
  /** Other ones than the placement driver's. */
  readonly settings?: Partial<PlacementSettings>;
  /** A round may take so long; Infinity where that is not what is tested. */
  readonly roundMsMax: number;
}

export function runManyRangesSeed(options: ManyRangesOptions): SeedReport {
  const run = new ManyRangesRun(options);
  run.go();
  return run.report();
}

function worldOptions({ size, settings: others }: ManyRangesOptions, random: SeededRandom): WorldOptions {
  const bytes = { rangeBytesMin: 32 * MiB, rangeBytesMax: 192 * MiB };
  // What is small here stays small: merges have a scenario of their own.
  const settings = { ...defaultPlacementSettings, mergeBytes: 0, ...others };
  // With fewer zones a store that is missing would leave no even place for three replicas in three of them.
  const zones = random.chance(0.5) ? 5 : 0;
  if (size !== undefined) return { ...size, zones, ...bytes, settings };
  const stores = random.between(zones === 0 ? 6 : 10, 14);
  return { stores, ranges: random.between(300, 1500), zones, ...bytes, settings };
}

class ManyRangesRun {
  readonly #options: ManyRangesOptions;
  readonly #world: World;
  readonly #claims: PlacementClaims;
  readonly #work: OperatorWork;
  readonly #happenings: Happenings;
  readonly #trace: Trace = new Trace();
  readonly #times: RoundTimes;
  readonly #changes: Record<string, number> = {};
  readonly #beganMs: number;
  #nextRoundMs: number;
  #followedMs = 0;
  #operators = 0;
  /** The last round that began something, or had something under way. */
  #busyMs: number;
  #overMs = Infinity;

  constructor(options: ManyRangesOptions) {
    this.#options = options;
    const random = new SeededRandom(options.seed).fork("many ranges");
    this.#world = new World(worldOptions(options, random), random);
    this.#beganMs = this.#busyMs = this.#nextRoundMs = this.#world.nowMs;
    this.#claims = new PlacementClaims(this.#world);
    this.#times = new RoundTimes(options);
    this.#work = new OperatorWork(this.#world, random.between(32, 128) * MiB, {
      begun: (operator, range) => this.#begun(operator, range),
      ended: (operator) => this.#ended(operator),
      membersChanged: (before, now) => this.#claims.membersChanged(before, now),
    });
    const note = (text: string): void => this.#note(0, text);
    this.#happenings = new Happenings(this.#world, { note, changeDriver: () => this.#changeDriver() });
  }

  #note(rangeId: number, text: string): void {
    this.#trace.note(this.#world.nowMs * 1000, "", rangeId, text);
  }

  #begun(operator: Operator, range: RangeState): void {
    const { operatorId, rangeId, goal, source, reason } = operator;
    this.#claims.begun(operator, range);
    const kind = `${source}: ${goal.kind}`;
    this.#changes[kind] = (this.#changes[kind] ?? 0) + 1;
    this.#note(rangeId, `operator ${operatorId} begins: ${goalText(goal)} [${source}] ${reason}`);
  }

  #ended({ operatorId, rangeId, state, outcome }: Operator): void {
    this.#operators++;
    if (state !== "done") this.#changes[state] = (this.#changes[state] ?? 0) + 1;
    this.#note(rangeId, `operator ${operatorId} is ${state} ${outcome}`);
  }

  go(): void {
    const { agenda } = this.#world;
    while (this.#claims.violation === undefined) {
      const isIdle = this.#busyMs < agenda.nowMs && !this.#world.someSilent;
      agenda.goTo(agenda.nowMs + (isIdle ? idleRoundMs : roundMs));
      if (agenda.nowMs >= this.#nextRoundMs) this.#round();
      if (!this.#happenings.over) continue;
      this.#overMs = Math.min(this.#overMs, agenda.nowMs);
      if (agenda.nowMs - Math.max(this.#busyMs, this.#overMs) >= restMs) break;
      if (agenda.nowMs - this.#overMs > settleMsMax) this.#restless();
    }
    this.#claims.atRest();
    this.#times.settledMs = this.#busyMs - this.#overMs;
    if (this.#world.index.ranges.size <= comparedRangesMax) this.#claims.sameIndex(this.#state());
    const { roundMsMax } = this.#options;
    if (this.#times.worstMs > roundMsMax)
      this.#claims.violate("a round takes no longer than it may", 0, [`${this.#times.worstMs} ms of ${roundMsMax} ms`]);
  }

  #round(): void {
    const world = this.#world;
    const { nowMs } = world;
    this.#times.round(() => {
      world.index.setMoment({ ...world.index.state, nowMs });
      const changed = world.reportSilent();
      if (changed || nowMs - this.#followedMs >= followMs) {
        this.#followedMs = nowMs;
        this.#work.advanceAll();
      }
      const decisions = decide(world.index);
      this.#work.begin(decisions);
    });
    this.#finishDecommissions();
    if (this.#work.running.size > 0) this.#busyMs = nowMs;
  }

  #finishDecommissions(): void {
    for (const store of this.#world.stores.values()) {
      if (store.membership !== "decommissioning") continue;
      const load = this.#world.index.stores.get(store.id)!;
      if (load.ranges.size > 0 || load.receiving > 0) continue;
      store.membership = "decommissioned";
      this.#world.report(store);
    }
  }

  #state(): ClusterState {
    const { index } = this.#world;
    return {
      ...index.state,
      stores: [...index.stores.values()].map(({ store }) => store),
      ranges: [...index.ranges.values()].sort((a, b) => a.descriptor.rangeId - b.descriptor.rangeId),
      operators: [...this.#work.running.values()],
      recent: this.#work.endedWritten(),
    };
  }

  /** The next one finds in the meta range what the last one has written, and hears from all stores. */
  #changeDriver(): void {
    const state = this.#state();
    this.#times.office(() => {
      this.#world.index = indexCluster(state);
    });
    this.#nextRoundMs = this.#world.nowMs + officeMs;
  }

  #restless(): void {
    this.#claims.violate("the driver comes to an end when nothing happens any more", 0, [
      `${this.#work.running.size} operators are under way ${settleMsMax / 1000} s after the last event`,
    ]);
  }

  #begunOf(goal: string): number {
    let count = 0;
    for (const [kind, times] of Object.entries(this.#changes)) if (kind.endsWith(`: ${goal}`)) count += times;
    return count;
  }

  report(): SeedReport {
    const { violation } = this.#claims;
    return {
      seed: this.#options.seed,
      violation,
      simulatedSeconds: (this.#world.nowMs - this.#beganMs) / 1000,
      calls: this.#times.rounds,
      operations: this.#operators,
      unknown: 0,
      faults: this.#happenings.counts,
      changes: this.#changes,
      events: this.#trace.folded,
      traceHash: this.#trace.digest(),
      notes:
        violation === undefined ? [] : this.#trace.latest(40, violation.rangeId === 0 ? undefined : violation.rangeId),
      rounds: this.#times.figures({
        moves: this.#begunOf("move") + this.#begunOf("repair"),
        transfers: this.#begunOf("transfer-leader"),
        apartPercent: { ...this.#claims.apartPercent },
      }),
    };
  }
}
