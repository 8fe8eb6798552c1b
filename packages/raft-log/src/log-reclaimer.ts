/** Frees the oldest segments (rule: never re-append part of a tail). What to do for one of them: reclaim-plan.ts. */
import type { Logger, LogIndex, RangeId } from "@flotilla/base";
import type { GroupLog } from "./group-log.ts";
import type { LogGroups } from "./log-groups.ts";
import type { LogOptions } from "./log-options.ts";
import type { LogWriter } from "./log-writer.ts";
import type { ReclaimStep } from "./reclaim-plan.ts";
import { planReclaim } from "./reclaim-plan.ts";
import type { SegmentChain } from "./segment-chain.ts";

export interface LogReclaimerDependencies {
  readonly groups: LogGroups;
  readonly chain: SegmentChain;
  readonly writer: LogWriter;
  readonly logger: Logger;
}

export class LogReclaimer {
  readonly #options: LogOptions;
  readonly #groups: LogGroups;
  readonly #chain: SegmentChain;
  readonly #writer: LogWriter;
  readonly #logger: Logger;
  #stopped = false;

  constructor(options: LogOptions, dependencies: LogReclaimerDependencies) {
    this.#options = options;
    this.#groups = dependencies.groups;
    this.#chain = dependencies.chain;
    this.#writer = dependencies.writer;
    this.#logger = dependencies.logger;
  }

  /** Frees segments older than the one that is active now, while the log is over its target, or all that can be. */
  async reclaim(force: boolean): Promise<RangeId[]> {
    const moved = new Set<RangeId>();
    const end = this.#chain.active.header.number;
    while (!this.#stopped && this.#chain.oldest.header.number < end) {
      if (!force && this.#chain.logBytes <= this.#options.logBytesTarget) break;
      if (!(await this.#freeOldest(moved))) break;
    }
    return [...moved];
  }

  /** No further segment is begun with. */
  stop(): void {
    this.#stopped = true;
  }

  /** Each round is planned anew, on what the groups are then. False when a group holds the segment back. */
  async #freeOldest(moved: Set<RangeId>): Promise<boolean> {
    const { number } = this.#chain.oldest.header;
    let totalBytesMax = this.#totalBytesMax();
    for (let found = true; found;) {
      const plan = this.#plan(totalBytesMax);
      if (plan.heldBackBy.length > 0) return false;
      found = plan.steps.length > 0;
      totalBytesMax -= this.#stage(plan.steps, moved);
      // Also when there is nothing left to stage: what emptied the segment has to be durable before it goes.
      await this.#writer.writeFrame(false);
      if (this.#stopped) return false;
    }
    try {
      await this.#chain.freeOldest();
    } catch (error) {
      throw this.#writer.fail(error);
    }
    this.#logger.debug({ segment: number }, "freed a log segment");
    return true;
  }

  #plan(totalBytesMax: number): ReturnType<typeof planReclaim> {
    const limits = { tailBytesMax: this.#options.rewriteBytesMax, totalBytesMax };
    return planReclaim(this.#groups.byRange.values(), this.#chain.oldest.header.number, limits);
  }

  #totalBytesMax(): number {
    return Math.max(this.#chain.oldest.header.fileBytes, this.#options.segmentBytes) / 2;
  }

  /** Stages truncations, and tails up to the limit of one round (at least one). Returns the bytes of the tails. */
  #stage(steps: readonly ReclaimStep[], moved: Set<RangeId>): number {
    let bytes = 0;
    for (const { group, through, tailBytes } of steps) {
      if (bytes > 0 && bytes + tailBytes > this.#options.rewriteBytesMax) continue;
      bytes += tailBytes;
      if (through > group.truncatedIndex) {
        const term = group.term(through)!;
        group.truncate(through, term);
        this.#writer.staged.truncation(group, through, term);
        moved.add(group.rangeId);
      }
      if (tailBytes > 0) this.#stageTailAgain(group);
    }
    return bytes;
  }

  /** All of it: a replay of a part would cut off the rest. */
  #stageTailAgain(group: GroupLog): void {
    const first = group.firstIndex();
    const entries = group.entries(first, (group.lastIndex() + 1) as LogIndex, Number.POSITIVE_INFINITY);
    group.beginEntries(first);
    this.#writer.stageEntries(group, entries);
  }

  /** Empty unless the next segment would make the log larger than its limit. */
  heldBackBy(): { readonly rangeId: RangeId; readonly index: LogIndex }[] {
    const { segmentBytes, logBytesMax } = this.#options;
    if (this.#chain.length < 2 || this.#chain.logBytes + segmentBytes <= logBytesMax) return [];
    return this.#plan(this.#totalBytesMax()).heldBackBy;
  }
}
