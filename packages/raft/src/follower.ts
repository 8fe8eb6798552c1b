/** What a replica does for the leader of its term (Raft paper, figure 2, AppendEntries; §7, InstallSnapshot). */
import type { LogIndex, ReplicaId, Term } from "@flotilla/base";
import type { Configuration } from "./configuration.ts";
import type { VotePromise } from "./lease.ts";
import type { Append, AppendResponse, Heartbeat, InstallSnapshot, Message } from "./message.ts";
import type { ReplicaParts } from "./replica-parts.ts";

/** Every message here is of the term that the replica is in. `termDurable` says whether that term is durable in its log. */
export class Follower {
  /** The last that was heard of the leader is that it ticks no more, at this very log. */
  leaderRests = false;
  readonly #parts: ReplicaParts;
  readonly #promise: VotePromise;

  constructor(parts: ReplicaParts, promise: VotePromise) {
    this.#parts = parts;
    this.#promise = promise;
  }

  onAppend(message: Append, termDurable: boolean): void {
    if (!isWellFormed(message)) return;
    this.leaderRests = false;
    const { log } = this.#parts;
    const { prevIndex, prevTerm, entries } = message;
    if (prevIndex < log.commit) {
      this.#accept(message, log.commit, termDurable);
    } else if (log.matches(prevIndex, prevTerm)) {
      log.appendFromLeader(entries);
      const last = (prevIndex + entries.length) as LogIndex;
      log.commitTo(message.commit < last ? message.commit : last);
      this.#accept(message, last, termDurable);
    } else {
      this.#refuse(message, termDurable);
    }
  }

  /** Says that everything up to `index` is durable here, as soon as it is. */
  #accept(message: Append | InstallSnapshot, index: LogIndex, termDurable: boolean): void {
    const { log, outbox, id, variant } = this.#parts;
    const answer = accepted(id, message.from, message.term, index);
    if (!variant.batched) outbox.sendAfterPersisted(answer);
    else if (index <= log.persisted && termDurable) outbox.send(answer);
    else outbox.acknowledgeAfterPersisted(answer);
  }

  #refuse({ from: to, term, prevIndex, prevTerm }: Append, termDurable: boolean): void {
    const { log, id } = this.#parts;
    const hintIndex = log.findConflictByTerm(Math.min(prevIndex, log.lastIndex) as LogIndex, prevTerm);
    const hintTerm = log.term(hintIndex) ?? (0 as Term);
    const answer: AppendResponse = {
      type: "append-response",
      from: id,
      to,
      term,
      index: prevIndex,
      reject: true,
      hintIndex,
      hintTerm,
    };
    this.answer(answer, termDurable);
  }

  /** Promises nothing but the term, which must be durable all the same. */
  answer(message: Message, termDurable: boolean): void {
    if (this.#parts.variant.batched && termDurable) this.#parts.outbox.send(message);
    else this.#parts.outbox.sendAfterPersisted(message);
  }

  onHeartbeat({ from: to, term, commit, commitTerm, context, leaseMs, rests }: Heartbeat): void {
    const { log, outbox, id } = this.#parts;
    // The leader speaks of its own log: only who holds that very entry holds everything before it, too (hazard A7).
    const held = log.matches(commit, commitTerm);
    if (held) log.commitTo(commit);
    this.leaderRests = rests && held && commit === log.lastIndex;
    // Context 0 carries a commit index and wants no answer.
    if (context === 0) return;
    this.#promise.give(to, leaseMs);
    outbox.send({ type: "heartbeat-response", from: id, to, term, context });
  }

  /** True: the snapshot takes the place of the log, and its configuration is in force. */
  onSnapshot(message: InstallSnapshot, termDurable: boolean): boolean {
    const { log, members, id } = this.#parts;
    const { label } = message;
    this.leaderRests = false;
    if (label.index > log.commit && includes(label.configuration, id) && !log.matches(label.index, label.term)) {
      log.restore(label);
      members.replace(label.configuration, log.lastIndex);
      this.#accept(message, log.lastIndex, termDurable);
      return true;
    }
    // Old (hazard D5), or not meant for this replica, or the log holds its last entry and with it all before that.
    if (log.matches(label.index, label.term)) log.commitTo(label.index);
    this.#accept(message, log.commit, termDurable);
    return false;
  }
}

export function accepted(from: ReplicaId, to: ReplicaId, term: Term, index: LogIndex): AppendResponse {
  return {
    type: "append-response",
    from,
    to,
    term,
    index,
    reject: false,
    hintIndex: 0 as LogIndex,
    hintTerm: 0 as Term,
  };
}

function includes(configuration: Configuration, id: ReplicaId): boolean {
  return (
    configuration.voters.includes(id) ||
    configuration.votersOutgoing.includes(id) ||
    configuration.learners.includes(id)
  );
}

/** Entries follow each other and `prevIndex`, terms do not fall and are not beyond the sender's. */
function isWellFormed(message: Append): boolean {
  let index: number = message.prevIndex;
  let term: number = message.prevTerm;
  for (let i = 0; i < message.entries.length; i++) {
    const entry = message.entries[i]!;
    if (entry.index !== ++index || entry.term < term || entry.term > message.term) return false;
    term = entry.term;
  }
  return true;
}
