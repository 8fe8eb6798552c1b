/**
 * A host for one RawNode in memory: a log whose writes become durable when the test says so, a state machine that is a
 * list of applied entries, and a crash that forgets everything not durable.
 */
import type { LogIndex, ReplicaId, Term } from "@flotilla/base";
import { MemoryLog, RawNode } from "@flotilla/raft";
import type {
  Configuration,
  Entry,
  HardState,
  Message,
  Persistence,
  RawNodeOptions,
  ReadState,
  Ready,
  SnapshotLabel,
} from "@flotilla/raft";
import { TestRandom } from "./world.ts";
import type { TestClock } from "./world.ts";

export const id = (value: number): ReplicaId => value as ReplicaId;
export const at = (value: number): LogIndex => value as LogIndex;
export const inTerm = (value: number): Term => value as Term;
export const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
export const text = (data: Uint8Array): string => String.fromCharCode(...data);

export const entry = (index: number, term: number, data = ""): Entry => ({
  index: at(index),
  term: inTerm(term),
  kind: "normal",
  data: bytes(data),
});

export function configurationOf(
  voters: readonly number[],
  rest: {
    outgoing?: readonly number[];
    learners?: readonly number[];
    learnersNext?: readonly number[];
    autoLeave?: boolean;
  } = {},
): Configuration {
  return {
    voters: voters.map(id),
    votersOutgoing: (rest.outgoing ?? []).map(id),
    learners: (rest.learners ?? []).map(id),
    learnersNext: (rest.learnersNext ?? []).map(id),
    autoLeave: rest.autoLeave ?? false,
  };
}

export const testOptions: Omit<RawNodeOptions, "id"> = {
  electionTicksMin: 10,
  heartbeatTicks: 1,
  appendBytesMax: 1024,
  inflightMessagesMax: 8,
  inflightBytesMax: 1024 * 1024,
  uncommittedBytesMax: 1024 * 1024,
  committedBytesMax: 1024 * 1024,
  leaseMs: 0,
};

interface Durable {
  log: MemoryLog;
  hardState: HardState;
}

interface Write {
  readonly persistence: Persistence | undefined;
  readonly messages: readonly Message[];
  readonly snapshot: SnapshotLabel | undefined;
  readonly after: Durable;
}

export interface ReplicaSetup {
  readonly id: number;
  readonly clock: TestClock;
  readonly configuration: Configuration;
  readonly options?: Partial<Omit<RawNodeOptions, "id">>;
  readonly hardState?: HardState;
  readonly log?: MemoryLog;
  readonly applied?: number;
  readonly seed?: number;
  /** Default true: a test that does not speak of starts has no wait after one. */
  readonly brandNew?: boolean;
  /** What leaves goes here. */
  send(message: Message): void;
  /** The applied entries that a snapshot with this label stands for. */
  stateAt?(index: LogIndex): readonly Entry[] | undefined;
}

export class TestReplica {
  readonly id: ReplicaId;
  readonly #setup: ReplicaSetup;
  readonly #random: TestRandom;
  node: RawNode;
  log: MemoryLog;
  hardState: HardState;
  durable: Durable;
  applied: Entry[] = [];
  appliedIndex: LogIndex;
  configuration: Configuration;
  reads: ReadState[] = [];
  readys: Ready[] = [];
  /** Writes become durable at once. */
  autoPersist = true;
  /** Committed entries are applied at once. */
  autoApply = true;
  #writes: Write[] = [];
  #toApply: Entry[] = [];
  /** An accepted snapshot that is not loaded yet; it may be loaded once its install record is durable. */
  #restoring: SnapshotLabel | undefined;
  #restoringDurable = false;
  /** The last install record that became durable. */
  #installed: SnapshotLabel | undefined;

  constructor(setup: ReplicaSetup) {
    this.#setup = setup;
    this.#random = new TestRandom(setup.seed ?? setup.id * 7919);
    this.id = id(setup.id);
    this.log = setup.log ?? new MemoryLog();
    const lastTerm = this.log.term(this.log.lastIndex())!;
    this.hardState = setup.hardState ?? { term: lastTerm, vote: id(0), commit: at(setup.applied ?? 0) };
    this.durable = { log: this.log.copy(), hardState: this.hardState };
    this.appliedIndex = at(setup.applied ?? 0);
    this.configuration = setup.configuration;
    this.node = this.#start(setup.brandNew ?? true);
  }

  #start(brandNew: boolean): RawNode {
    const { clock, options } = this.#setup;
    const reader = {
      firstIndex: () => this.log.firstIndex(),
      lastIndex: () => this.log.lastIndex(),
      term: (index: LogIndex) => this.log.term(index),
      entries: (low: LogIndex, high: LogIndex, bytesMax: number) => this.log.entries(low, high, bytesMax),
    };
    return new RawNode(
      { ...testOptions, ...options, id: this.id },
      { log: reader, random: this.#random, clock },
      { hardState: this.hardState, configuration: this.configuration, applied: this.appliedIndex, brandNew },
    );
  }

  /** Does everything that is ready; with `autoPersist` and `autoApply` until nothing is left. */
  pump(): void {
    for (let rounds = 0; this.node.hasReady(); rounds++) {
      if (rounds > 1000) throw new Error(`replica ${this.id} is always ready`);
      this.#handle(this.node.ready());
      if (this.autoPersist) this.persist();
      if (this.autoApply) this.apply();
    }
  }

  #handle(ready: Ready): void {
    this.readys.push(ready);
    const { snapshot } = ready;
    if (snapshot !== undefined) {
      this.log.install(snapshot.index, snapshot.term);
      this.#restoring = snapshot;
      this.#restoringDurable = false;
      this.#toApply = [];
    }
    this.log.append(ready.entries);
    if (ready.hardState !== undefined) this.hardState = ready.hardState;
    for (const message of ready.messages) this.#setup.send(message);
    this.#writes.push({
      persistence: ready.persistence,
      messages: ready.messagesAfterPersisted,
      snapshot,
      after: { log: this.log.copy(), hardState: this.hardState },
    });
    this.#toApply.push(...ready.committedEntries);
    this.reads.push(...ready.readStates);
  }

  /** Finishes the oldest `count` writes. */
  persist(count = Infinity): void {
    for (let i = 0; i < count; i++) {
      const write = this.#writes.shift();
      if (write === undefined) return;
      this.durable = write.after;
      for (const message of write.messages) this.#setup.send(message);
      if (write.persistence === undefined) continue;
      this.node.persisted(write.persistence);
      if (write.snapshot === undefined) continue;
      this.#installed = write.snapshot;
      if (write.snapshot === this.#restoring) this.#restoringDurable = true;
    }
  }

  get pendingWrites(): number {
    return this.#writes.length;
  }

  apply(): void {
    if (this.#restoring !== undefined && this.#restoringDurable) {
      this.#load(this.#restoring);
      this.#restoring = undefined;
      this.node.applied(this.appliedIndex);
    }
    while (this.#toApply.length > 0) {
      const next = this.#toApply.shift()!;
      this.applied.push(next);
      if (next.kind === "configuration") this.configuration = this.node.applyConfigurationChange(next);
      this.appliedIndex = next.index;
      this.node.applied(next.index);
    }
  }

  #load(label: SnapshotLabel): void {
    this.applied = [...(this.#setup.stateAt?.(label.index) ?? [])];
    this.configuration = label.configuration;
    this.appliedIndex = label.index;
  }

  /** The process dies and starts again from what was durable; applied state is as durable as a test wants: all of it. */
  restart(): void {
    this.#writes = [];
    this.#toApply = [];
    this.reads = [];
    this.log = this.durable.log.copy();
    // An install that is durable is repeated before the replica lives again; another never happened.
    if (this.#installed !== undefined && this.#installed.index > this.appliedIndex) this.#load(this.#installed);
    this.#restoring = undefined;
    this.hardState = this.durable.hardState;
    this.autoPersist = true;
    this.autoApply = true;
    this.node = this.#start(false);
  }

  propose(data: string): ReturnType<RawNode["propose"]> {
    return this.node.propose(this.node.term, bytes(data));
  }

  /** Data of applied entries that have some, one string each. */
  get state(): string[] {
    return this.applied.filter((e) => e.kind === "normal" && e.data.length > 0).map((e) => text(e.data));
  }

  get match(): Map<ReplicaId, LogIndex> {
    return new Map(this.node.status().progress.map((p) => [p.id, p.match]));
  }
}
