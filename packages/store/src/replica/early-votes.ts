/**
 * Requests for votes that came before the replica they are for: the right half of a split campaigns where the left half
 * led, as soon as it is made there, and this store may not have applied the split yet. Without them the first election of
 * a right half would be lost, and the next one an election timeout away (hazard E5). Nothing is promised by keeping them.
 */
import type { Clock, RangeId, ReplicaId } from "@flotilla/base";
import type { Message } from "@flotilla/raft";

/** The oldest go first. */
const rangesMax = 1024;

interface EarlyVote {
  readonly message: Message;
  readonly atMs: number;
}

export class EarlyVotes {
  readonly #clock: Clock;
  readonly #keepMs: number;
  /** The latest request of each range. */
  readonly #votes: Map<RangeId, EarlyVote> = new Map();

  /** `keepMs`: who asked longer ago has asked again since, or does not want it any more. */
  constructor(clock: Clock, keepMs: number) {
    this.#clock = clock;
    this.#keepMs = keepMs;
  }

  note(range: RangeId, message: Message): void {
    if (message.type !== "pre-vote" && message.type !== "vote") return;
    this.#votes.delete(range);
    this.#votes.set(range, { message, atMs: this.#clock.monotonicMs() });
    if (this.#votes.size <= rangesMax) return;
    for (const oldest of this.#votes.keys()) {
      this.#votes.delete(oldest);
      break;
    }
  }

  /** For a replica that was just made; once. */
  take(range: RangeId, replica: ReplicaId): Message | undefined {
    const vote = this.#votes.get(range);
    this.#votes.delete(range);
    if (vote === undefined || vote.message.to !== replica) return undefined;
    return this.#clock.monotonicMs() - vote.atMs <= this.#keepMs ? vote.message : undefined;
  }
}
