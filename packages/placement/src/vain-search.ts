/**
 * Remembers what was sought in vain all over the cluster. While nothing has changed it is not there now either; what was not
 * possible for a while becomes so by time, too, so after some seconds it is sought again.
 */
import type { ClusterIndex } from "./cluster-index.ts";
import type { StoreLoad } from "./store-load.ts";

const againMs = 10_000;
/** Also when something has changed, for each store whose turn has come: in a large cluster something changes all the time. */
const pauseMs = 100;

export class VainSearch {
  #changes = -1;
  #untilMs: number = -Infinity;

  holds({ changes, state }: ClusterIndex): boolean {
    return changes === this.#changes && state.nowMs < this.#untilMs;
  }

  note({ changes, state }: ClusterIndex): void {
    this.#changes = changes;
    this.#untilMs = state.nowMs + againMs;
  }
}

/** A search that goes store by store, and over several rounds where there are many. */
export class VainSweep extends VainSearch {
  /** Those whose turn it was, and that gave nothing, or could take nothing. */
  readonly sources: Set<StoreLoad> = new Set();
  readonly targets: Set<StoreLoad> = new Set();
  #pausesUntilMs: number = -Infinity;

  override holds(index: ClusterIndex): boolean {
    return index.state.nowMs < this.#pausesUntilMs || super.holds(index);
  }

  /** Every store has had its turn. */
  end(index: ClusterIndex, inVain: boolean): void {
    const turns = this.sources.size + this.targets.size;
    if (turns > 0) this.#pausesUntilMs = index.state.nowMs + turns * pauseMs;
    if (inVain && turns > 0) this.note(index);
    this.sources.clear();
    this.targets.clear();
  }
}
