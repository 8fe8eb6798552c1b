/**
 * What a leader knows of one member. Three states:
 * `probe`: where the logs meet is unknown; one append at a time.
 * `replicate`: appends are pipelined optimistically, as many as the window takes.
 * `snapshot`: what the member needs is truncated; nothing is appended until the snapshot has ended.
 */
import type { LogIndex, ReplicaId } from "@flotilla/base";
import { Inflights } from "./inflights.ts";
import type { ProgressState } from "./raw-node-api.ts";

export class Progress {
  readonly id: ReplicaId;
  /** Highest index known durable there and equal to the leader's. Never goes back within a term. */
  match: LogIndex;
  /** First index to send next. match < next */
  next: LogIndex;
  state: ProgressState = "probe";
  /** True while no more appends may leave: a probe is under way, or the window is full. Cleared by any sign of life. */
  flowPaused = false;
  /** Index of the snapshot under way; 0 unless state is `snapshot`. */
  pendingSnapshot: LogIndex = 0 as LogIndex;
  /** Heard from since the last quorum check. */
  recentActive = false;
  /** Heard from between the last two quorum checks. */
  activeBefore = false;
  /** In no voter list. */
  learner: boolean;
  /** Highest commit index that was sent; a commit up to next - 1 needs no further message. */
  sentCommit: LogIndex = 0 as LogIndex;
  /** Highest heartbeat round acknowledged (0 = none), of any kind; and of those that granted a lease. */
  ackedRound = 0;
  ackedLeaseRound = 0;
  /** An append is owed even when there is nothing to put into it. */
  appendOwed = false;
  readonly inflights: Inflights;

  constructor(id: ReplicaId, next: LogIndex, learner: boolean, messagesMax: number, bytesMax: number) {
    this.id = id;
    this.match = 0 as LogIndex;
    this.next = next;
    this.learner = learner;
    this.inflights = new Inflights(messagesMax, bytesMax);
  }

  /** For a new leadership: nothing is known of the member but that it may hold everything up to `lastIndex`. */
  restart(lastIndex: LogIndex): void {
    this.match = 0 as LogIndex;
    this.next = (lastIndex + 1) as LogIndex;
    this.recentActive = false;
    this.sentCommit = 0 as LogIndex;
    this.ackedRound = 0;
    this.ackedLeaseRound = 0;
    this.appendOwed = false;
    this.#enter("probe");
  }

  /** `after` is the index of a snapshot that is known to be there, or 0. */
  becomeProbe(after: LogIndex): void {
    this.next = (Math.max(this.match, after) + 1) as LogIndex;
    this.sentCommit = Math.min(this.sentCommit, this.next - 1) as LogIndex;
    this.#enter("probe");
  }

  becomeReplicate(): void {
    this.next = (this.match + 1) as LogIndex;
    this.#enter("replicate");
  }

  becomeSnapshot(index: LogIndex): void {
    this.next = (index + 1) as LogIndex;
    this.sentCommit = index;
    this.#enter("snapshot");
    this.pendingSnapshot = index;
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.flowPaused = false;
    this.pendingSnapshot = 0 as LogIndex;
    this.inflights.reset();
  }

  get paused(): boolean {
    return this.state === "snapshot" || this.flowPaused;
  }

  /** After an append with `count` entries and `bytes` of data left. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === "replicate") {
      if (count > 0) {
        this.next = (this.next + count) as LogIndex;
        this.inflights.add((this.next - 1) as LogIndex, bytes);
      }
      this.flowPaused = this.inflights.full;
    } else if (count > 0) {
      this.flowPaused = true;
    }
  }

  /** The member says that it holds everything up to `index`. False: that was known. */
  accepted(index: LogIndex): boolean {
    if (index <= this.match) return false;
    this.match = index;
    if (this.next <= index) this.next = (index + 1) as LogIndex;
    this.flowPaused = false;
    return true;
  }

  /** The member refused an append behind `rejected`; it may agree up to `hint`. False: an old refusal. */
  refused(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.next = (this.match + 1) as LogIndex;
      this.sentCommit = Math.min(this.sentCommit, this.next - 1) as LogIndex;
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1) as LogIndex;
    this.sentCommit = Math.min(this.sentCommit, this.next - 1) as LogIndex;
    this.flowPaused = false;
    return true;
  }

  /** Sending the commit index would tell the member something that no message under way tells it. */
  canBumpCommit(commit: LogIndex): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }
}
