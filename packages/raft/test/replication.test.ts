import { describe, expect, it } from "vitest";
import { MemoryLog } from "@flotilla/raft";
import { Group } from "./support/group.ts";
import { Lone, append, appendResponse, heartbeat, ofType, rejection } from "./support/lone-replica.ts";
import { at, bytes, configurationOf, entry, id, inTerm } from "./support/replica.ts";

const terms = (lone: Lone): (readonly [number, number])[] =>
  lone.replica.log.all().map((e) => [e.index, e.term] as const);

describe("a follower's log", () => {
  it("A6 an append that arrives after a later one does not shorten the log", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1), entry(3, 1)]));
    const answers = lone.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    expect(ofType(answers, "append-response")).toMatchObject([{ index: 1, reject: false }]);
    expect(lone.node.lastIndex).toBe(3);
  });

  it("A6 only an entry of another term cuts the log, and only from there", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1), entry(3, 1)]));
    lone.receive(append(3, 2, [1, 1], [entry(2, 1), entry(3, 2), entry(4, 2)]));
    expect(terms(lone)).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 2],
    ]);
  });

  it("A6 a doubled append changes nothing and is acknowledged again", () => {
    const lone = new Lone();
    const message = append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)]);
    lone.receive(message);
    const before = lone.node.status();
    expect(ofType(lone.receive(message), "append-response")).toMatchObject([{ index: 2, reject: false }]);
    expect(lone.node.status()).toEqual(before);
  });

  it("A7 a commit index beyond the log is not believed, and nothing breaks", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)], 2));
    lone.receive(heartbeat(2, 1, { commit: 50 }));
    expect(lone.node.commit).toBe(2);
  });

  it("A7 a replica whose log lost its tail starts with the commit index that its log can bear", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 1)], hardState: { term: 1, commit: 9 } });
    expect(lone.node.commit).toBe(2);
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(2);
  });

  it("an append whose commit is ahead of its entries commits only what it proved equal", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 1), entry(3, 1)], hardState: { term: 1 } });
    lone.receive(append(2, 2, [1, 1], [], 3));
    expect(lone.node.commit).toBe(1);
  });

  it("entries that do not follow each other, or come from a later term than their leader's, are refused whole", () => {
    const lone = new Lone();
    lone.receive(append(2, 2, [0, 0], [entry(1, 1), entry(3, 1)]));
    lone.receive(append(2, 2, [0, 0], [entry(1, 3)]));
    lone.receive(append(2, 2, [0, 0], [entry(1, 2), entry(2, 1)]));
    expect(lone.node.lastIndex).toBe(0);
  });

  it("an append that begins below the commit index changes nothing and is answered with the commit index", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)], 2));
    expect(ofType(lone.receive(append(3, 2, [0, 0], [entry(1, 2)])), "append-response")).toMatchObject([
      { index: 2, reject: false },
    ]);
    expect(lone.node.status()).toMatchObject({ commit: 2, lastIndex: 2 });
  });
});

describe("a leader's appends", () => {
  it("carry all proposals of a turn in one message, and the newest commit with it", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    const before = lone.node.commit;
    for (const data of ["a", "b", "c"]) lone.replica.propose(data);
    lone.node.step(appendResponse(2, lone.node.term, before));
    const sent = ofType(lone.pump(), "append").filter((message) => message.to === 2);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ commit: before });
    expect(sent[0]!.entries).toHaveLength(3);
  });

  it("are pipelined: the next leaves before the last was acknowledged", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    for (const data of ["a", "b", "c"]) {
      lone.replica.propose(data);
      expect(ofType(lone.pump(), "append").filter((message) => message.to === 2)).toHaveLength(1);
    }
  });

  it("leave while the leader's own write is still under way", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.replica.autoPersist = false;
    lone.replica.propose("a");
    expect(ofType(lone.pump(), "append").filter((message) => message.to === 2)).toHaveLength(1);
  });

  it("stop at a window of messages and go on as it is acknowledged", () => {
    const lone = new Lone({ options: { inflightMessagesMax: 2 } }).lead();
    lone.acknowledge(2);
    const sentTo2 = (): number => ofType(lone.sent, "append").filter((message) => message.to === 2).length;
    const before = sentTo2();
    for (let i = 0; i < 5; i++) {
      lone.replica.propose("x");
      lone.pump();
    }
    expect(sentTo2() - before).toBe(2);
    expect(lone.node.status().progress.find((p) => p.id === 2)).toMatchObject({ state: "replicate", paused: true });
    // The rest fits into one message.
    const rest = ofType(lone.acknowledge(2, lone.node.lastIndex - 4), "append");
    expect(rest).toHaveLength(1);
    expect(rest[0]!.entries).toHaveLength(3);
  });

  it("stop at a window of bytes, and an entry larger than the window leaves alone", () => {
    const lone = new Lone({ options: { inflightBytesMax: 100, appendBytesMax: 60 } }).lead();
    lone.acknowledge(2);
    lone.sent = [];
    lone.replica.propose("y".repeat(500));
    lone.replica.propose("z");
    lone.pump();
    const sent = ofType(lone.sent, "append").filter((message) => message.to === 2);
    expect(sent).toHaveLength(1);
    expect(sent[0]!.entries).toHaveLength(1);
    expect(
      ofType(lone.acknowledge(2, lone.node.lastIndex - 1), "append").filter((message) => message.to === 2),
    ).toHaveLength(1);
  });

  it("split what does not fit into one message", () => {
    const lone = new Lone({ options: { appendBytesMax: 10 } }).lead();
    lone.acknowledge(2);
    lone.sent = [];
    for (let i = 0; i < 4; i++) lone.replica.propose("12345");
    lone.pump();
    const sent = ofType(lone.sent, "append").filter((message) => message.to === 2);
    expect(sent.map((message) => message.entries.length)).toEqual([2, 2]);
  });

  it("A14 find where the logs meet in one round trip a term, skipping terms on the follower's side", () => {
    // The follower has a long tail of a later term than anything the leader holds: nobody else has it, so the leader may.
    const tail = Array.from({ length: 200 }, (_, i) => entry(i + 3, 7));
    const follower = [entry(1, 1), entry(2, 1), ...tail];
    const leader = [entry(1, 1), entry(2, 1), ...Array.from({ length: 250 }, (_, i) => entry(i + 3, 3))];
    expect(roundTrips(leader, follower)).toBeLessThanOrEqual(3);
  });

  it("A14 find where the logs meet in one round trip a term, skipping terms on the leader's side", () => {
    const leader = [
      entry(1, 1),
      ...Array.from({ length: 200 }, (_, i) => entry(i + 2, i < 100 ? 4 : 5)),
      entry(202, 6),
    ];
    const follower = [entry(1, 1), ...Array.from({ length: 200 }, (_, i) => entry(i + 2, i < 100 ? 2 : 3))];
    expect(roundTrips(leader, follower)).toBeLessThanOrEqual(4);
  });

  function roundTrips(leader: ReturnType<typeof entry>[], follower: ReturnType<typeof entry>[]): number {
    const group = new Group([1, 2, 3], {
      setup: (replica) => {
        const entries = replica === 2 ? follower : leader;
        return { log: new MemoryLog(0, 0, entries), hardState: { term: inTerm(9), vote: id(0), commit: at(0) } };
      },
      options: { appendBytesMax: 1 << 20 },
    });
    group.elect(1);
    group.tick(2);
    expect(
      group
        .at(2)
        .log.all()
        .map((e) => e.term),
    ).toEqual(
      group
        .at(1)
        .log.all()
        .map((e) => e.term),
    );
    return ofType(group.sent, "append-response").filter((message) => message.reject && message.from === 2).length;
  }

  it("A14 an old refusal does not move a follower that has gone on", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    const before = lone.node.status().progress;
    lone.receive(rejection(2, lone.node.term, 0, [0, 0]));
    expect(lone.node.status().progress).toEqual(before);
  });

  it("A15 each kind of message is lost once, and every follower returns to replicating", () => {
    for (const lost of ["append", "append-response", "heartbeat", "heartbeat-response", "timeout-now"] as const) {
      const group = new Group([1, 2, 3]);
      const leader = group.elect(1);
      leader.propose("a");
      group.settle();
      let armed = true;
      group.loses = (message) => {
        const loses = armed && message.type === lost && (message.from === 2 || message.to === 2);
        if (loses) armed = false;
        return loses;
      };
      leader.propose("b");
      group.tick(1);
      if (lost === "timeout-now") leader.node.transferLeader(id(2));
      group.tick(25);
      expect(armed).toBe(false);
      const now = group.leader!;
      now.propose("c");
      group.tick(3);
      for (const progress of now.node.status().progress)
        expect(progress).toMatchObject({ state: "replicate", match: now.node.lastIndex });
      for (const replica of group.replicas.values()) expect(replica.state).toEqual(["a", "b", "c"]);
    }
  });

  it("A15 a whole window of lost appends is made good after a heartbeat", () => {
    const group = new Group([1, 2, 3], { options: { inflightMessagesMax: 2 } });
    const leader = group.elect(1);
    group.loses = (message) => message.type === "append" && message.to === 3;
    for (let i = 0; i < 6; i++) {
      leader.propose(`${i}`);
      group.settle();
    }
    group.heal();
    group.tick(3);
    expect(group.at(3).state).toEqual(["0", "1", "2", "3", "4", "5"]);
  });

  it("A15 an unreachable follower is probed, and replicates again after it answers", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.node.reportUnreachable(id(2));
    const state = (): string => lone.node.status().progress.find((p) => p.id === 2)!.state;
    expect(state()).toBe("probe");
    lone.receive({ type: "heartbeat-response", from: id(2), to: id(1), term: lone.node.term, context: 1 });
    expect(ofType(lone.sent, "append").at(-1)).toMatchObject({ to: 2, entries: [] });
    lone.acknowledge(2);
    expect(state()).toBe("replicate");
  });

  it("A16 the uncommitted tail is bounded, and frees as entries commit", () => {
    const lone = new Lone({ options: { uncommittedBytesMax: 100 } }).lead();
    for (let i = 0; i < 10; i++) expect(lone.replica.propose("0123456789").ok).toBe(true);
    expect(lone.replica.propose("x")).toEqual({ ok: false, reason: "busy" });
    lone.pump();
    lone.acknowledge(2, lone.node.lastIndex - 1);
    expect(lone.replica.propose("0123456789").ok).toBe(true);
  });

  it("A16 an empty tail takes any one entry", () => {
    const lone = new Lone({ options: { uncommittedBytesMax: 100 } }).lead();
    lone.acknowledge(2);
    expect(lone.replica.propose("x".repeat(5000)).ok).toBe(true);
    expect(lone.replica.propose("x")).toEqual({ ok: false, reason: "busy" });
  });

  it("a commit index alone travels in a heartbeat that wants no answer", () => {
    const lone = new Lone().lead();
    for (const follower of [2, 3]) lone.acknowledge(follower);
    lone.replica.propose("a");
    lone.pump();
    const sent = lone.acknowledge(2);
    expect(sent).toMatchObject([{ type: "heartbeat", to: 2, commit: lone.node.commit, context: 0, leaseMs: 0 }]);
    const follower = new Lone({ voters: [1, 2, 3] });
    follower.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    expect(follower.receive(heartbeat(2, 1, { commit: 1, context: 0 }))).toEqual([]);
    expect(follower.node.commit).toBe(1);
  });

  it("A7 a follower takes a commit from a heartbeat only if it holds that very entry", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.sent = [];
    lone.tick(1);
    const { commit, term } = lone.node;
    expect(ofType(lone.sent, "heartbeat")).toMatchObject([
      { to: 2, commit, commitTerm: term },
      { to: 3, commit, commitTerm: term },
    ]);
    const follower = new Lone({ voters: [1, 2, 3] });
    follower.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)]));
    // The leader of term 2 has another entry at index 2.
    follower.receive(heartbeat(3, 2, { commit: 2, commitTerm: 2 }));
    expect(follower.node.commit).toBe(0);
    follower.receive(heartbeat(3, 2, { commit: 1, commitTerm: 1 }));
    expect(follower.node.commit).toBe(1);
    follower.receive(heartbeat(3, 2, { commit: 5, commitTerm: 2 }));
    expect(follower.node.commit).toBe(1);
  });

  it("an answer that speaks of more than the leader has is not believed", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2, 500);
    expect(lone.node.status().progress.find((p) => p.id === 2)!.match).toBe(0);
    expect(lone.node.commit).toBe(0);
  });

  it("proposals are taken only as leader of the term they were evaluated in", () => {
    const lone = new Lone();
    expect(lone.node.propose(inTerm(0), bytes("a"))).toEqual({ ok: false, reason: "not-leader" });
    lone.lead();
    expect(lone.node.propose(inTerm(lone.node.term - 1), bytes("a"))).toEqual({ ok: false, reason: "not-leader" });
    expect(lone.node.propose(lone.node.term, bytes("a"))).toEqual({ ok: true, index: 2, term: 1 });
  });

  it("A3 entries of an old term are not committed by counting, only with one of the own term behind them", () => {
    const lone = new Lone({ voters: [1, 2, 3], entries: [entry(1, 1), entry(2, 2)], hardState: { term: 3 } }).lead();
    expect(lone.node.term).toBe(4);
    lone.acknowledge(2, 2);
    expect(lone.node.commit).toBe(0);
    lone.acknowledge(2, 3);
    expect(lone.node.commit).toBe(3);
  });

  it("committed entries are handed out in pieces of bounded size, each once and in order", () => {
    const lone = new Lone({ options: { committedBytesMax: 10 }, configuration: configurationOf([1]) }).lead();
    for (let i = 0; i < 9; i++) lone.replica.propose("12345");
    lone.pump();
    const pieces = lone.replica.readys.map((ready) => ready.committedEntries.length).filter((count) => count > 0);
    expect(Math.max(...pieces)).toBeLessThanOrEqual(3);
    expect(lone.replica.applied.map((e) => e.index)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("what waits to be applied is bounded, too", () => {
    const lone = new Lone({ options: { committedBytesMax: 10 }, configuration: configurationOf([1]) }).lead();
    lone.replica.autoApply = false;
    for (let i = 0; i < 9; i++) lone.replica.propose("12345");
    lone.pump();
    expect(lone.replica.readys.flatMap((ready) => ready.committedEntries).length).toBeLessThan(6);
    lone.replica.autoApply = true;
    lone.replica.apply();
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(10);
  });
});
