/** One replica whose peers are played by the test: what it sends is collected, what it receives is written by hand. */
import { MemoryLog } from "@flotilla/raft";
import type {
  Append,
  AppendResponse,
  Configuration,
  Entry,
  Heartbeat,
  HardState,
  Message,
  MessageType,
  RawNodeOptions,
  VoteRequest,
} from "@flotilla/raft";
import { TestReplica, at, configurationOf, id, inTerm } from "./replica.ts";
import { TestClock } from "./world.ts";

export interface LoneSetup {
  readonly voters?: readonly number[];
  readonly configuration?: Configuration;
  readonly options?: Partial<Omit<RawNodeOptions, "id">>;
  readonly entries?: readonly Entry[];
  readonly base?: { readonly index: number; readonly term: number };
  readonly hardState?: { readonly term: number; readonly vote?: number; readonly commit?: number };
  readonly applied?: number;
  readonly brandNew?: boolean;
}

/** Replica 1, and everything it sent. */
export class Lone {
  readonly clock = new TestClock();
  readonly replica: TestReplica;
  sent: Message[] = [];

  constructor(setup: LoneSetup = {}) {
    const { hardState } = setup;
    const state: HardState | undefined =
      hardState === undefined
        ? undefined
        : { term: inTerm(hardState.term), vote: id(hardState.vote ?? 0), commit: at(hardState.commit ?? 0) };
    this.replica = new TestReplica({
      id: 1,
      clock: this.clock,
      configuration: setup.configuration ?? configurationOf(setup.voters ?? [1, 2, 3]),
      ...(setup.options === undefined ? {} : { options: setup.options }),
      log: new MemoryLog(setup.base?.index ?? 0, setup.base?.term ?? 0, setup.entries ?? []),
      ...(state === undefined ? {} : { hardState: state }),
      ...(setup.applied === undefined ? {} : { applied: setup.applied }),
      ...(setup.brandNew === undefined ? {} : { brandNew: setup.brandNew }),
      send: (message) => this.sent.push(message),
    });
  }

  get node(): TestReplica["node"] {
    return this.replica.node;
  }

  /** Steps messages and does what is ready; returns what was sent because of them. */
  receive(...messages: Message[]): Message[] {
    for (const message of messages) this.node.step(message);
    return this.pump();
  }

  pump(): Message[] {
    const before = this.sent.length;
    this.replica.pump();
    return this.sent.slice(before);
  }

  tick(count = 1): Message[] {
    const before = this.sent.length;
    for (let i = 0; i < count; i++) {
      this.clock.advance(100);
      this.node.tick();
      this.replica.pump();
    }
    return this.sent.slice(before);
  }

  /** Elected by everybody else in the configuration. */
  lead(): this {
    this.node.campaign();
    this.pump();
    for (const type of ["pre-vote-response", "vote-response"] as const) {
      const term = type === "pre-vote-response" ? this.node.term + 1 : this.node.term;
      for (const voter of this.others) {
        this.node.step({ type, from: id(voter), to: id(1), term: inTerm(term), reject: false });
      }
      this.pump();
    }
    if (this.node.role !== "leader") throw new Error(`is ${this.node.role}`);
    return this;
  }

  get others(): number[] {
    const { voters, votersOutgoing, learners } = this.node.status().configuration;
    return [...new Set([...voters, ...votersOutgoing, ...learners])].filter((other) => other !== 1);
  }

  /** `from` says that it holds everything up to `index`. */
  acknowledge(from: number, index: number = this.node.lastIndex): Message[] {
    return this.receive(appendResponse(from, this.node.term, index));
  }
}

export const ofType = <Type extends MessageType>(
  messages: readonly Message[],
  ...types: Type[]
): Extract<Message, { type: Type }>[] =>
  messages.filter((message): message is Extract<Message, { type: Type }> =>
    (types as MessageType[]).includes(message.type),
  );

export function append(
  from: number,
  term: number,
  prev: readonly [index: number, term: number],
  entries: readonly Entry[] = [],
  commit = 0,
): Append {
  return {
    type: "append",
    from: id(from),
    to: id(1),
    term: inTerm(term),
    prevIndex: at(prev[0]),
    prevTerm: inTerm(prev[1]),
    entries,
    commit: at(commit),
  };
}

export const appendResponse = (from: number, term: number, index: number): AppendResponse => ({
  type: "append-response",
  from: id(from),
  to: id(1),
  term: inTerm(term),
  index: at(index),
  reject: false,
  hintIndex: at(0),
  hintTerm: inTerm(0),
});

export const rejection = (
  from: number,
  term: number,
  index: number,
  hint: readonly [index: number, term: number],
): AppendResponse => ({
  type: "append-response",
  from: id(from),
  to: id(1),
  term: inTerm(term),
  index: at(index),
  reject: true,
  hintIndex: at(hint[0]),
  hintTerm: inTerm(hint[1]),
});

export const heartbeat = (
  from: number,
  term: number,
  rest: { commit?: number; commitTerm?: number; context?: number; leaseMs?: number; rests?: boolean } = {},
): Heartbeat => ({
  type: "heartbeat",
  from: id(from),
  to: id(1),
  term: inTerm(term),
  commit: at(rest.commit ?? 0),
  commitTerm: inTerm(rest.commitTerm ?? (rest.commit === undefined ? 0 : term)),
  context: rest.context ?? 1,
  leaseMs: rest.leaseMs ?? 0,
  rests: rest.rests ?? false,
});

export const voteRequest = (
  type: "pre-vote" | "vote",
  from: number,
  term: number,
  last: readonly [index: number, term: number],
  transfer = false,
): VoteRequest => ({
  type,
  from: id(from),
  to: id(1),
  term: inTerm(term),
  lastIndex: at(last[0]),
  lastTerm: inTerm(last[1]),
  transfer,
});
