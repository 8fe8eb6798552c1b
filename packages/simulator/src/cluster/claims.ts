/**
 * What must be true at every moment, whatever fails. Fed by what the nodes say (messages), keep (log) and give back
 * after a crash; the first claim that does not hold ends the run. The workload's history is checked apart, at the end.
 */
import type { LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { Entry, HardState, Message } from "@flotilla/raft";

export interface Violation {
  /** The claim that does not hold, as a sentence. */
  readonly claim: string;
  /** 0 = of no range. */
  readonly rangeId: number;
  /** What contradicts what. */
  readonly facts: readonly string[];
}

/** A replica's log as it stands when the replica says something. */
export interface LogState {
  /** With what is not durable yet. Undefined: before the first entry that is kept, or behind the last. */
  readonly reader: { term(index: LogIndex): Term | undefined; firstIndex(): LogIndex };
  readonly durable: { readonly term: Term; readonly vote: ReplicaId; readonly lastIndex: LogIndex };
}

/** What a log knows of a replica when it is opened. */
export interface RecoveredReplica {
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  readonly hardState: HardState;
  readonly lastIndex: LogIndex;
  /** No replica of the range with a lower id lives on the node any more; 0 = any may. */
  readonly tombstone: ReplicaId;
}

interface ReplicaPromises {
  /** The highest term in which it gave a vote or acknowledged entries: those, it must remember. */
  term: Term;
  /** Everything up to here it has acknowledged to a leader as durable (and has not replaced since). */
  acknowledged: LogIndex;
  /** Of the last entry it was given. */
  appendedTerm: Term;
  /** Its store said that everything up to here is durable in the engine. */
  checkpoint: LogIndex;
  /** Whom it gave its vote in `voteTerm`. */
  vote: ReplicaId;
  voteTerm: Term;
}

/** Ends the run; what was violated stands in `Claims.violation`. */
export class ClaimViolated extends Error {
  override readonly name = "ClaimViolated";
}

interface Fact {
  readonly replica: ReplicaId;
  readonly node: string;
  readonly atMicros: number;
}

interface AppliedSplit {
  readonly node: string;
  readonly left: RangeId;
  /** Of the left half's epoch since. */
  readonly bounds: number;
  readonly right: RangeId;
}

/** Of a range, from the beginning of the run: bounded by its length. */
interface RangeFacts {
  readonly leaders: Map<Term, Fact>;
  readonly votes: Map<string, Fact & { readonly candidate: ReplicaId }>;
  /** By index and term. */
  readonly entries: Map<string, Fact & { readonly checksum: number; readonly previousTerm: Term | undefined }>;
  readonly committed: Map<LogIndex, Fact & { readonly term: Term }>;
  /** The furthest commit that was known in each term: every leader of a later one must have it. */
  readonly commitOfTerm: Map<Term, Fact & { readonly index: LogIndex; readonly term: Term }>;
  readonly promises: Map<ReplicaId, ReplicaPromises>;
}

export class Claims {
  violation: Violation | undefined;
  readonly #nowMicros: () => number;
  readonly #ranges = new Map<RangeId, RangeFacts>();
  /** By node and range: lowest id that may live there, as far as it is durable. */
  readonly #tombstones = new Map<string, ReplicaId>();
  /** By node and right range: splits that the node has applied, while both halves are what they made them. */
  readonly #splits = new Map<string, AppliedSplit>();

  constructor(nowMicros: () => number) {
    this.#nowMicros = nowMicros;
  }

  /** By order, the range goes on with one replica, without its majority: what others have committed, or led, is given up. */
  goesOnAlone(range: RangeId): void {
    this.#ranges.delete(range);
  }

  /** The first violation stays. */
  violate(claim: string, rangeId: number, facts: readonly string[]): void {
    this.violation ??= { claim, rangeId, facts };
  }

  #range(range: RangeId): RangeFacts {
    let facts = this.#ranges.get(range);
    if (facts === undefined) {
      facts = {
        leaders: new Map(),
        votes: new Map(),
        entries: new Map(),
        committed: new Map(),
        commitOfTerm: new Map(),
        promises: new Map(),
      };
      this.#ranges.set(range, facts);
    }
    return facts;
  }

  #promises(range: RangeId, replica: ReplicaId): ReplicaPromises {
    const { promises } = this.#range(range);
    let promise = promises.get(replica);
    if (promise === undefined) {
      promise = {
        term: 0 as Term,
        acknowledged: 0 as LogIndex,
        appendedTerm: 0 as Term,
        checkpoint: 0 as LogIndex,
        vote: 0 as ReplicaId,
        voteTerm: 0 as Term,
      };
      promises.set(replica, promise);
    }
    return promise;
  }

  #fact(replica: ReplicaId, node: string): Fact {
    return { replica, node, atMicros: this.#nowMicros() };
  }

  /** A node has made it durable that no replica of the range with a lower id lives there any more. */
  buried(node: string, range: RangeId, lowestAllowed: ReplicaId): void {
    const name = `${node} ${range}`;
    this.#tombstones.set(name, Math.max(lowestAllowed, this.#tombstones.get(name) ?? 0) as ReplicaId);
  }

  /** A node has divided a range, and has both halves. */
  divided(node: string, left: RangeId, bounds: number, right: RangeId): void {
    this.#splits.set(`${node} ${right}`, { node, left, bounds, right });
  }

  /** One of the halves has another origin there from now on, or none: a range snapshot, a death. */
  replaced(node: string, range: RangeId): void {
    for (const [name, split] of this.#splits)
      if (split.node === node && (split.left === range || split.right === range)) this.#splits.delete(name);
  }

  /** `boundsOf`: of the range's epoch as the engine has it when a node starts; undefined = it has nothing of the range. */
  halvesFound(node: string, boundsOf: (range: RangeId) => number | undefined): void {
    for (const [name, { node: on, left, bounds, right }] of this.#splits) {
      if (on !== node) continue;
      const found = boundsOf(left);
      // The split has yet to be applied again.
      if (found === undefined || found < bounds) this.#splits.delete(name);
      else if (boundsOf(right) === undefined)
        this.violate("an engine has both halves of a split, or the whole", right, [
          `${node} divided range ${left} into itself and range ${right}`,
          `after a restart its engine has range ${left} in bounds ${found}, and nothing of range ${right}`,
        ]);
    }
  }

  /** A node has this replica. */
  lives(node: string, range: RangeId, replica: ReplicaId): void {
    const lowest = this.#tombstones.get(`${node} ${range}`);
    if (lowest === undefined || replica >= lowest) return;
    this.violate("no replica lives below its tombstone", range, [
      `replica ${replica} lives on ${node} now`,
      `a durable tombstone there allows replicas from ${lowest} on`,
    ]);
  }

  /** A node sends a message of one of its groups; `log` is that group's in this moment. */
  sent(node: string, range: RangeId, message: Message, log: LogState): void {
    const { from, term } = message;
    const promise = this.#promises(range, from);
    switch (message.type) {
      case "append":
      case "heartbeat":
      case "snapshot":
      case "timeout-now":
        return this.#leads(node, range, from, term, log);
      case "vote-response":
        if (message.reject) return;
        this.#votes(node, range, from, message.to, term);
        if (log.durable.term < term || (log.durable.term === term && log.durable.vote !== message.to))
          this.violate("a vote is durable before it is given", range, [
            `term ${term}: replica ${from} on ${node} gives its vote to ${message.to} now`,
            `its durable log knows term ${log.durable.term} and the vote ${log.durable.vote}`,
          ]);
        return;
      case "append-response":
        if (message.reject) return;
        // Of an older term: what it speaks of may have been replaced since, which the newer term allows.
        if (log.durable.term < term || (log.durable.term === term && log.durable.lastIndex < message.index))
          this.violate("an entry is durable before it is acknowledged", range, [
            `term ${term}: replica ${from} on ${node} acknowledges everything up to index ${message.index} now`,
            `its durable log is in term ${log.durable.term} and ends at ${log.durable.lastIndex}`,
          ]);
        // A late one of an older term promises nothing of what has been given to the log since.
        if (message.index > promise.acknowledged && term >= promise.appendedTerm) promise.acknowledged = message.index;
        if (term > promise.term) promise.term = term;
        return;
      case "vote":
      case "pre-vote":
      case "pre-vote-response":
      case "heartbeat-response":
        return;
      default:
        message satisfies never;
    }
  }

  /** Who leads the range in the highest term in which anybody has; it may not know yet that it is over. */
  leader(range: RangeId): { readonly term: Term; readonly node: string } | undefined {
    let found: { readonly term: Term; readonly node: string } | undefined;
    for (const [term, { node }] of this.#range(range).leaders)
      if (found === undefined || term > found.term) found = { term, node };
    return found;
  }

  #leads(node: string, range: RangeId, replica: ReplicaId, term: Term, log: LogState): void {
    const { leaders, votes } = this.#range(range);
    const other = leaders.get(term);
    if (other === undefined) {
      leaders.set(term, this.#fact(replica, node));
      this.#holdsEverythingCommitted(node, range, replica, term, log);
    } else if (other.replica !== replica) {
      this.violate("at most one replica leads a range in one term", range, [
        `term ${term}: replica ${other.replica} ${where(other)}`,
        `term ${term}: replica ${replica} on ${node} now`,
      ]);
    }
    // Whoever leads has voted for itself.
    const vote = votes.get(`${term} ${replica}`);
    if (vote !== undefined && vote.candidate !== replica) {
      this.violate("a replica votes once in one term", range, [
        `term ${term}: replica ${replica} gave its vote to ${vote.candidate} ${where(vote)}`,
        `term ${term}: it leads itself now, on ${node}`,
      ]);
    }
  }

  /** Log matching: who has the furthest committed entry has all before it. */
  #holdsEverythingCommitted(node: string, range: RangeId, replica: ReplicaId, term: Term, log: LogState): void {
    for (const [inTerm, commit] of this.#range(range).commitOfTerm) {
      if (inTerm >= term || commit.index < log.reader.firstIndex()) continue;
      const own = log.reader.term(commit.index);
      if (own === commit.term) continue;
      this.violate("a leader holds everything that was committed in earlier terms (leader completeness)", range, [
        `index ${commit.index} of term ${commit.term} was committed by replica ${commit.replica} ${where(commit)}`,
        `replica ${replica} on ${node} leads term ${term} now and has ${own === undefined ? "nothing" : `term ${own}`} there`,
      ]);
    }
  }

  #votes(node: string, range: RangeId, voter: ReplicaId, candidate: ReplicaId, term: Term): void {
    const { votes } = this.#range(range);
    const name = `${term} ${voter}`;
    const before = votes.get(name);
    if (before !== undefined && before.candidate !== candidate) {
      this.violate("a replica votes once in one term", range, [
        `term ${term}: replica ${voter} gave its vote to ${before.candidate} ${where(before)}`,
        `term ${term}: it gives it to ${candidate} on ${node} now`,
      ]);
    }
    votes.set(name, { ...this.#fact(voter, node), candidate });
    const promise = this.#promises(range, voter);
    promise.vote = candidate;
    promise.voteTerm = term;
    if (term > promise.term) promise.term = term;
  }

  /**
   * A node puts entries into its log, replacing what is there from the first one's index on. `previousTerm`: of the entry
   * before the first, where the log knows it.
   */
  appended(
    node: string,
    range: RangeId,
    replica: ReplicaId,
    entries: readonly Entry[],
    previousTerm: Term | undefined,
  ): void {
    const facts = this.#range(range);
    const promise = this.#promises(range, replica);
    const first = entries[0]!.index;
    if (first <= promise.acknowledged) promise.acknowledged = (first - 1) as LogIndex;
    promise.appendedTerm = entries.at(-1)!.term;
    let before = previousTerm;
    for (const entry of entries) {
      const checksum = nodeByteOperations.crc32(entry.data, 0, entry.data.length, entry.kind === "normal" ? 0 : 1);
      const name = `${entry.index} ${entry.term}`;
      const known = facts.entries.get(name);
      if (known === undefined)
        facts.entries.set(name, { ...this.#fact(replica, node), checksum, previousTerm: before });
      else if (known.checksum !== checksum) {
        this.violate("entries of equal index and term are equal", range, [
          `index ${entry.index}, term ${entry.term}: replica ${known.replica} ${where(known)} has checksum ${known.checksum}`,
          `replica ${replica} on ${node} has checksum ${checksum}`,
        ]);
      } else if (known.previousTerm !== undefined && before !== undefined && known.previousTerm !== before) {
        this.violate("behind equal entries lie equal logs (log matching)", range, [
          `index ${entry.index}, term ${entry.term}: replica ${known.replica} ${where(known)} has term ${known.previousTerm} before it`,
          `replica ${replica} on ${node} has term ${before} before it`,
        ]);
      }
      before = entry.term;
    }
  }

  /** A node in `inTerm` knows everything up to `index` to be committed; its own entry there has `term`. */
  committed(node: string, range: RangeId, replica: ReplicaId, index: LogIndex, term: Term, inTerm: Term): void {
    const { committed, commitOfTerm, leaders } = this.#range(range);
    // In its own term a leader learns of commits from nobody else (raft paper, figure 8).
    if (term < inTerm && leaders.get(inTerm)?.replica === replica)
      this.violate("a leader counts replicas only for entries of its own term", range, [
        `replica ${replica} on ${node} leads term ${inTerm}`,
        `it commits index ${index}, whose entry is of term ${term}`,
      ]);
    const furthest = commitOfTerm.get(inTerm);
    if (furthest === undefined || furthest.index < index)
      commitOfTerm.set(inTerm, { ...this.#fact(replica, node), index, term });
    const known = committed.get(index);
    if (known === undefined) committed.set(index, { ...this.#fact(replica, node), term });
    else if (known.term !== term) {
      this.violate("all replicas commit the same entry at one index", range, [
        `index ${index}: replica ${known.replica} ${where(known)} committed term ${known.term}`,
        `replica ${replica} on ${node} commits term ${term}`,
      ]);
    }
  }

  wentBack(node: string, range: RangeId, replica: ReplicaId, what: string, before: number, now: number): void {
    this.violate(`${what} never goes back`, range, [`replica ${replica} on ${node} had ${before}, has ${now}`]);
  }

  /** A store tells its log that the engine holds everything up to the index for good. */
  checkpointed(range: RangeId, replica: ReplicaId, index: LogIndex): void {
    const promise = this.#promises(range, replica);
    if (index > promise.checkpoint) promise.checkpoint = index;
  }

  /** Up to where the engine holds the range when it is opened. */
  engineOpened(node: string, range: RangeId, replica: ReplicaId, applied: LogIndex): void {
    const { checkpoint } = this.#promises(range, replica);
    if (applied >= checkpoint) return;
    this.violate("what a store tells its log is durable in the engine survives a crash", range, [
      `the store of replica ${replica} on ${node} told that everything up to ${checkpoint} is`,
      `after a restart the engine ends at ${applied}`,
    ]);
  }

  /** What a node's log says after a start, before the node has sent anything. */
  recovered(node: string, group: RecoveredReplica): void {
    if (group.replicaId !== 0) this.lives(node, group.rangeId, group.replicaId);
    const lowest = this.#tombstones.get(`${node} ${group.rangeId}`) ?? 0;
    if (group.tombstone < lowest) {
      this.violate("a durable tombstone is never forgotten", group.rangeId, [
        `${node} had a durable tombstone that allows replicas from ${lowest} on`,
        `after a restart its log allows replicas from ${group.tombstone} on`,
      ]);
    }
    const promise = this.#range(group.rangeId).promises.get(group.replicaId);
    if (promise === undefined) return;
    const { hardState, lastIndex } = group;
    const who = `replica ${group.replicaId} on ${node}`;
    if (hardState.term < promise.term) {
      this.violate("a term is durable before a replica votes or acknowledges in it", group.rangeId, [
        `${who} voted or acknowledged in term ${promise.term}`,
        `after a restart its log knows term ${hardState.term}`,
      ]);
    }
    if (promise.voteTerm === hardState.term && promise.vote !== 0 && hardState.vote !== promise.vote) {
      this.violate("a vote is durable before it is given", group.rangeId, [
        `${who} voted for ${promise.vote} in term ${promise.voteTerm}`,
        `after a restart its log knows the vote ${hardState.vote}`,
      ]);
    }
    if (lastIndex < promise.acknowledged) {
      this.violate("an entry is durable before it is acknowledged", group.rangeId, [
        `${who} acknowledged everything up to index ${promise.acknowledged}`,
        `after a restart its log ends at ${lastIndex}`,
      ]);
    }
  }
}

const where = (fact: Fact): string => `on ${fact.node} at ${(fact.atMicros / 1e6).toFixed(6)} s`;
