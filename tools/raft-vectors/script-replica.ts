/**
 * A replica as interaction scripts drive it: one RawNode, a log in memory, and work for two "threads", the one that makes
 * writes durable and the one that applies. Without asynchronous writes both are done with the Ready itself.
 */
import { assert, logIndex, noReplica, term as makeTerm } from "@flotilla/base";
import type { RandomSource, ReplicaId } from "@flotilla/base";
import { MemoryLog, RawNode } from "@flotilla/raft";
import type {
  Configuration,
  Entry,
  Message,
  Persistence,
  RawNodeOptions,
  Ready,
  SnapshotLabel,
  Variant,
} from "@flotilla/raft";

export interface ReplicaSettings {
  readonly options: RawNodeOptions;
  readonly variant: Variant;
  readonly asynchronous: boolean;
  /** Its knowledge of a leader is what the leader's lease rests on, so that it must not forget it. Here a lease has its own. */
  readonly leaseOfLeader: boolean;
  /** Everything up to here, in term 1, is in the state machine; 0: nothing. */
  readonly index: number;
  readonly configuration: Configuration;
}

export interface AppendWork {
  readonly entries: readonly Entry[];
  readonly snapshot: SnapshotLabel | undefined;
  readonly persistence: Persistence | undefined;
  readonly messages: readonly Message[];
  /** The replica hears of the end of the write by a message to itself. */
  readonly answersItself: boolean;
}

/** Draws the longest timeout unless told otherwise. */
class ScriptRandom implements RandomSource {
  next = 0xffffffff;

  uint32(): number {
    return this.next;
  }

  bytes(length: number): Uint8Array {
    return new Uint8Array(length);
  }
}

export class ScriptReplica {
  readonly id: ReplicaId;
  readonly asynchronous: boolean;
  readonly leaseOfLeader: boolean;
  readonly node: RawNode;
  readonly #options: RawNodeOptions;
  readonly #random = new ScriptRandom();
  /** What the node reads: a Ready's entries are in it at once. */
  readonly #log: MemoryLog;
  /** What is durable. */
  readonly stable: MemoryLog;
  configuration: Configuration;
  /** Messages that a client gave to a follower, on their way to the leader with its next Ready. */
  forwarded: { readonly text: string; readonly to: ReplicaId; readonly propose: () => void }[] = [];
  appendWork: AppendWork[] = [];
  applyWork: (readonly Entry[])[] = [];

  constructor(settings: ReplicaSettings) {
    this.id = settings.options.id;
    this.#options = settings.options;
    this.asynchronous = settings.asynchronous;
    this.leaseOfLeader = settings.leaseOfLeader;
    this.configuration = settings.configuration;
    const baseTerm = settings.index > 0 ? 1 : 0;
    this.#log = new MemoryLog(settings.index, baseTerm);
    this.stable = new MemoryLog(settings.index, baseTerm);
    const index = logIndex(settings.index);
    this.node = new RawNode(
      settings.options,
      { log: this.#log, random: this.#random, clock: { monotonicMs: () => 0, wallMs: () => 0 } },
      {
        hardState: { term: makeTerm(0), vote: noReplica, commit: index },
        configuration: settings.configuration,
        applied: index,
        brandNew: true,
      },
      settings.variant,
    );
  }

  get hasReady(): boolean {
    return this.forwarded.length > 0 || this.node.hasReady();
  }

  /** The election timeout in force from now on; drawn again with the next change of role or term. */
  setElectionTimeout(ticks: number): void {
    const { electionTicksMin } = this.#options;
    assert(ticks >= electionTicksMin && ticks < 2 * electionTicksMin, () => `election timeout of ${ticks} ticks`);
    const drawn = 0xffffffff;
    this.#random.next = Math.floor(((ticks - electionTicksMin + 0.5) / electionTicksMin) * 4294967296);
    // The longest is what was drawn anyway.
    if (ticks < 2 * electionTicksMin - 1) this.node.wake();
    this.#random.next = drawn;
  }

  /** Takes a Ready into the log that the node reads. */
  takeReady(): Ready {
    const ready = this.node.ready();
    if (ready.snapshot !== undefined) this.#log.install(ready.snapshot.index, ready.snapshot.term);
    this.#log.append(ready.entries);
    return ready;
  }

  makeDurable(work: Pick<AppendWork, "entries" | "snapshot">): void {
    if (work.snapshot !== undefined) this.stable.install(work.snapshot.index, work.snapshot.term);
    this.stable.append(work.entries);
  }

  /** The node hears that a write is durable; a snapshot is loaded with it. */
  acknowledge(persistence: Persistence, snapshot: SnapshotLabel | undefined): void {
    this.node.persisted(persistence);
    if (snapshot === undefined) return;
    this.configuration = snapshot.configuration;
    this.node.applied(snapshot.index);
  }

  applyToState(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind === "configuration") this.configuration = this.node.applyConfigurationChange(entry);
    }
  }

  applied(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (last !== undefined) this.node.applied(last.index);
  }

  compact(index: number): void {
    for (const log of [this.#log, this.stable]) if (index >= log.firstIndex()) log.truncateTo(logIndex(index));
  }

  snapshot(): SnapshotLabel {
    const { applied } = this.node.status();
    const term = this.stable.term(applied);
    assert(term !== undefined, () => `no term for the applied index ${applied}`);
    return { index: applied, term, configuration: this.configuration };
  }
}
