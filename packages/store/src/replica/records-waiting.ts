/** What the placement driver waits for: its entries of records that are proposed and not applied yet. */
import { InvariantError } from "@flotilla/base";
import type { RangeId, Term } from "@flotilla/base";

/** Lost: not in force as far as is known; it may come into force as long as no entry of a later term is applied. */
export type RecordsOutcome = "applied" | "lost";

interface PendingRecords {
  readonly index: number;
  readonly term: Term;
  readonly settle: (outcome: RecordsOutcome) => void;
}

export class RecordsWaiting {
  readonly #rangeId: RangeId;
  /** In rising order of index, all of one term. */
  #pending: PendingRecords[] = [];

  constructor(range: RangeId) {
    this.#rangeId = range;
  }

  add(index: number, term: Term): Promise<RecordsOutcome> {
    return new Promise((settle) => this.#pending.push({ index, term, settle }));
  }

  applied(index: number, term: Term, accepted: boolean): void {
    const first = this.#pending[0];
    if (first === undefined || first.index > index) return;
    if (first.index !== index || first.term !== term) {
      throw new InvariantError(
        `range ${this.#rangeId}: applied ${index} of term ${term}, waiting for ${first.index} of ${first.term}`,
      );
    }
    this.#pending.shift();
    first.settle(accepted ? "applied" : "lost");
  }

  /** The term is over. */
  lose(): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const { settle } of pending) settle("lost");
  }
}
