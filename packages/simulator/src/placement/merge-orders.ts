/**
 * Merges of neighbours that an administrator asks for, and in some seeds thinks better of a moment later: wherever the merge
 * is by then, it is given up or has come into force. Beside the orders of elastic seeds (placement-orders.ts).
 */
import type { RangeId } from "@flotilla/base";
import { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedCluster } from "../cluster/simulated-cluster.ts";
import { Administrator } from "./administrator.ts";
import type { OrderTaken, RangeRow } from "./administrator.ts";

export interface MergeOptions {
  /** Longest pause between an answer and the next order. */
  readonly thinkMsMax: number;
  /** Of 1: a merge that was taken is cancelled. */
  readonly cancelChance: number;
  /** From the order to that, at most. */
  readonly cancelMsMax: number;
  /** Of 1: it is called off while its last entry is on the way to the others (crossed-merges.ts). */
  readonly crossChance: number;
  /** Ranges that begin where it was asked for merge by themselves as well: the administrator says so with every order. */
  readonly keepsBounds: boolean;
}

/** Of `operator-list`. */
interface OperatorRow {
  readonly operatorId: number;
  readonly kind: string;
  readonly rangeId: number;
}

export class MergeOrders {
  readonly #options: MergeOptions;
  readonly #administrator: Administrator;
  readonly #cancels: SeededRandom;

  constructor(options: MergeOptions, cluster: SimulatedCluster, onTaken: (order: OrderTaken) => void) {
    const { thinkMsMax } = options;
    this.#options = options;
    this.#administrator = new Administrator({ name: "merges", thinkMsMax }, cluster, onTaken);
    this.#cancels = cluster.random.fork("merge cancels under way");
  }

  stop(): void {
    this.#administrator.stopped = true;
  }

  run(): Promise<void> {
    return this.#administrator.run((rows) => this.#order(rows));
  }

  /** Whatever merge of that left range is under way. */
  async callOff(left: RangeId): Promise<void> {
    if (this.#administrator.stopped) return;
    const running = (await this.#administrator.ask("operator-list", {})) as readonly OperatorRow[] | undefined;
    for (const { operatorId, kind, rangeId } of running ?? [])
      if (kind === "merge" && rangeId === left) await this.#administrator.ask("operator-cancel", { operatorId });
  }

  async #order(rows: readonly RangeRow[]): Promise<void> {
    const administrator = this.#administrator;
    if (administrator.stopped) return;
    if (!this.#options.keepsBounds) await administrator.ask("setting-set", { name: "keptRanges", value: [] });
    const { rangeId } = administrator.pick(rows);
    const taken = (await administrator.ask("range-merge", { rangeId })) as { operatorIds: number[] } | undefined;
    const { cancelChance, cancelMsMax } = this.#options;
    if (taken === undefined || !this.#cancels.chance(cancelChance)) return;
    await administrator.pause(this.#cancels.below(cancelMsMax + 1));
    for (const operatorId of taken.operatorIds) await administrator.ask("operator-cancel", { operatorId });
  }
}

export interface MergeVariation {
  readonly mergeBytes: number;
  readonly merges: MergeOptions;
}

export function mergeVariation(seed: number): MergeVariation {
  const random = new SeededRandom(seed).fork("merge variation");
  const cancels = new SeededRandom(seed).fork("merge cancels");
  // By themselves, too, in some.
  const mergeBytes = random.pick([0, 0, 1 << 30]);
  return {
    mergeBytes,
    merges: {
      keepsBounds: mergeBytes === 0,
      thinkMsMax: random.pick([150, 400, 1200]),
      cancelChance: cancels.pick([0, 0, 0.5]),
      cancelMsMax: cancels.pick([100, 400, 1500]),
      crossChance: cancels.pick([0, 0.5, 1]),
    },
  };
}
