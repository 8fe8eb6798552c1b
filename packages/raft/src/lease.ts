/**
 * Leader leases (thesis §6.4.1, made safe for clocks that stop or jump; rule: lease).
 *
 * A voter that acknowledges a heartbeat promises, for the length it carries and a margin, and by its own monotonic clock, neither
 * to vote for another replica nor to campaign. The leader counts from when it *sent* the heartbeat that a majority has
 * acknowledged, so its lease ends before the promises do, and it believes whichever of its two clocks says that it ended:
 * a suspended machine stops the monotonic one. Ticks never measure a lease.
 */
import { noReplica } from "@flotilla/base";
import type { Clock, ReplicaId } from "@flotilla/base";

/** A voter keeps its promise this much longer than it was asked, so that clocks may differ in speed by an eighth (hazard C10). */
const driftMargin = 1 / 8;

/** Send times of this many rounds are remembered; an acknowledgement of an older one extends nothing. */
const roundsRemembered = 64;

export class LeaderLease {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  /** By round modulo `roundsRemembered`; round 0 of an entry = none or one that granted no lease. */
  readonly #rounds: number[];
  readonly #sentMonotonicMs: number[];
  readonly #sentWallMs: number[];
  /** The lease holds while monotonic < #untilMonotonicMs and #sinceWallMs ≤ wall < #untilWallMs. */
  #untilMonotonicMs = 0;
  #sinceWallMs = 0;
  #untilWallMs = 0;
  /** No lease for the rest of the term: another may campaign on this leader's order. */
  #forfeited = false;
  /** The host allows none for now. */
  #suspended = false;

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    const slots = leaseMs > 0 ? roundsRemembered : 0;
    this.#rounds = new Array<number>(slots).fill(0);
    this.#sentMonotonicMs = new Array<number>(slots).fill(0);
    this.#sentWallMs = new Array<number>(slots).fill(0);
  }

  get #usable(): boolean {
    return this.#leaseMs > 0 && !this.#forfeited && !this.#suspended;
  }

  /** Called before the round's heartbeats leave. Returns the length to grant, 0 = none. */
  roundStarts(round: number): number {
    if (!this.#usable) return 0;
    const at = round % roundsRemembered;
    this.#rounds[at] = round;
    this.#sentMonotonicMs[at] = this.#clock.monotonicMs();
    this.#sentWallMs[at] = this.#clock.wallMs();
    return this.#leaseMs;
  }

  /** The round granted a lease, and is not forgotten yet. */
  granted(round: number): boolean {
    return this.#leaseMs > 0 && this.#rounds[round % roundsRemembered] === round && round > 0;
  }

  /** A majority has acknowledged this round or later ones that granted a lease. */
  confirmed(round: number): void {
    if (!this.#usable || !this.granted(round)) return;
    const at = round % roundsRemembered;
    this.#untilMonotonicMs = this.#sentMonotonicMs[at]! + this.#leaseMs;
    this.#sinceWallMs = this.#sentWallMs[at]!;
    this.#untilWallMs = this.#sinceWallMs + this.#leaseMs;
  }

  holds(): boolean {
    if (!this.#usable || this.#untilMonotonicMs === 0) return false;
    if (this.#clock.monotonicMs() >= this.#untilMonotonicMs) return false;
    const wallMs = this.#clock.wallMs();
    return wallMs >= this.#sinceWallMs && wallMs < this.#untilWallMs;
  }

  /** End of the lease on the monotonic clock; 0 = none. For status only. */
  get untilMs(): number {
    return this.#usable ? this.#untilMonotonicMs : 0;
  }

  /** TimeoutNow leaves. */
  forfeit(): void {
    this.#forfeited = true;
  }

  suspend(suspended: boolean): void {
    this.#suspended = suspended;
    this.restart();
  }

  /** Only rounds that start from now on count: the voters changed, or the host demands it. */
  restart(): void {
    this.#rounds.fill(0);
    this.#untilMonotonicMs = 0;
  }
}

/** The other side: what this replica promised as a voter. */
export class VotePromise {
  readonly #clock: Clock;
  /** No promise from this moment on, on the monotonic clock. Rises only. */
  #untilMs = -Infinity;
  /** To whom; `noReplica` for the promise that every start makes, because what was promised before it is forgotten. */
  #holder: ReplicaId = noReplica;

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    if (leaseMs > 0) this.#untilMs = clock.monotonicMs() + leaseMs * (1 + driftMargin);
  }

  /** An acknowledgement of a heartbeat of `leader` is about to leave. */
  give(leader: ReplicaId, leaseMs: number): void {
    if (leaseMs <= 0) return;
    const until = this.#clock.monotonicMs() + leaseMs * (1 + driftMargin);
    if (until >= this.#untilMs) {
      this.#untilMs = until;
      this.#holder = leader;
    } else if (this.#holder !== leader) {
      // Two promises overlap: nobody at all until the longer one has passed.
      this.#holder = noReplica;
    }
  }

  /** Voting for `candidate`, or campaigning as it, would break the promise. */
  forbids(candidate: ReplicaId): boolean {
    if (this.#untilMs === -Infinity || this.#clock.monotonicMs() >= this.#untilMs) return false;
    return this.#holder === noReplica || this.#holder !== candidate;
  }
}
