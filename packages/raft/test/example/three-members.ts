import { logIndex, noReplica, replicaId, term } from "@flotilla/base";
import { MemoryLog, RawNode } from "@flotilla/raft";
import type { Configuration, Message } from "@flotilla/raft";

const windows = { appendBytesMax: 1 << 17, inflightMessagesMax: 64, inflightBytesMax: 1 << 22 };
const limits = { ...windows, uncommittedBytesMax: 1 << 23, committedBytesMax: 1 << 20 };
const options = { ...limits, electionTicksMin: 10, heartbeatTicks: 1, leaseMs: 0 };
const voters = [1, 2, 3].map(replicaId);
const configuration: Configuration = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
const hardState = { term: term(0), vote: noReplica, commit: logIndex(0) };
const initial = { hardState, configuration, applied: logIndex(0), brandNew: true };
const clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };
const random = { uint32: () => Math.floor(Math.random() * 2 ** 32), bytes: (n: number) => new Uint8Array(n) };

export const members = voters.map((id) => {
  const log = new MemoryLog();
  return { log, node: new RawNode({ ...options, id }, { log, random, clock }, initial), state: [] as string[] };
});
const mail: Message[] = [];

function turn({ log, node, state }: (typeof members)[number]): void {
  while (node.hasReady()) {
    const ready = node.ready();
    log.append(ready.entries);
    mail.push(...ready.messages); // At once. A real host now writes entries and hardState, syncs them, and goes on:
    mail.push(...ready.messagesAfterPersisted);
    if (ready.persistence !== undefined) node.persisted(ready.persistence);
    for (const { index, data } of ready.committedEntries) {
      if (data.length > 0) state.push(String.fromCharCode(...data));
      node.applied(index);
    }
  }
}

function settle(): void {
  members.forEach(turn);
  for (let next = mail.shift(); next !== undefined; next = mail.shift()) {
    members[next.to - 1]!.node.step(next);
    turn(members[next.to - 1]!);
  }
}

members[0]!.node.campaign(); // A host calls node.tick() every 100 ms or so instead, and somebody will.
settle();
members[0]!.node.propose(
  members[0]!.node.term,
  Uint8Array.from("hello", (c) => c.charCodeAt(0)),
);
settle(); // Now "hello" is in the state of all three.
