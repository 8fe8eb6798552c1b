import { logIndex, noReplica, replicaId, term } from "@flotilla/base";
import type { RandomSource, ReplicaId } from "@flotilla/base";
import { RawNode } from "@flotilla/raft";
import type { Configuration, Entry, Message, RawNodeOptions } from "@flotilla/raft";

const ticks = { electionTicksMin: 10, heartbeatTicks: 1, leaseMs: 0 };
const windows = { appendBytesMax: 1 << 17, inflightMessagesMax: 64, inflightBytesMax: 1 << 22 };
const options: Omit<RawNodeOptions, "id"> = {
  ...ticks,
  ...windows,
  uncommittedBytesMax: 1 << 23,
  committedBytesMax: 1 << 20,
};
const ids = [1, 2, 3].map(replicaId);
const configuration: Configuration = {
  voters: ids,
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
const hardState = { term: term(0), vote: noReplica, commit: logIndex(0) };
const clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };
const random: RandomSource = { uint32: () => Math.floor(Math.random() * 2 ** 32), bytes: (n) => new Uint8Array(n) };

export class Member {
  readonly entries: Entry[] = []; // The log: entries[i] has index i + 1.
  readonly log = {
    firstIndex: () => logIndex(1),
    lastIndex: () => logIndex(this.entries.length),
    term: (index: number) => (index === 0 ? term(0) : this.entries[index - 1]?.term),
    entries: (low: number, high: number) => this.entries.slice(low - 1, high - 1),
  };
  readonly state: string[] = [];
  readonly node: RawNode;
  constructor(id: ReplicaId) {
    const initial = { hardState, configuration, applied: logIndex(0), brandNew: true };
    this.node = new RawNode({ ...options, id }, { log: this.log, random, clock }, initial);
  }
  turn(mail: Message[]): void {
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      if (ready.entries.length > 0) this.entries.splice(ready.entries[0]!.index - 1, Infinity, ...ready.entries);
      mail.push(...ready.messages); // At once. A real host now writes hardState and entries, syncs them, and goes on:
      mail.push(...ready.messagesAfterPersisted);
      if (ready.persistence !== undefined) this.node.persisted(ready.persistence);
      for (const { index, data } of ready.committedEntries) {
        if (data.length > 0) this.state.push(String.fromCharCode(...data));
        this.node.applied(index);
      }
    }
  }
}

export const members = new Map(ids.map((id) => [id, new Member(id)]));
export const first = members.get(ids[0]!)!;
first.node.campaign(); // A host calls node.tick() every 100 ms or so instead, and somebody will.
deliver();
first.node.propose(
  first.node.term,
  Uint8Array.from("hello", (c) => c.charCodeAt(0)),
);
deliver(); // Now "hello" is in the state of all three.

function deliver(): void {
  const mail: Message[] = [];
  first.turn(mail);
  for (let next = mail.shift(); next !== undefined; next = mail.shift()) {
    members.get(next.to)!.node.step(next);
    members.get(next.to)!.turn(mail);
  }
}
