import { describe, expect, it } from "vitest";
import { Group } from "./support/group.ts";
import { Lone, append, appendResponse, heartbeat, ofType } from "./support/lone-replica.ts";
import { at, entry, inTerm } from "./support/replica.ts";

describe("persistence acknowledgements", () => {
  it("A2 an append is acknowledged only after its entries are durable", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    expect(lone.receive(append(2, 1, [0, 0], [entry(1, 1)]))).toEqual([]);
    lone.replica.persist();
    expect(lone.sent).toMatchObject([{ type: "append-response", index: 1, reject: false }]);
    expect(lone.replica.durable.log.lastIndex()).toBe(1);
  });

  it("A2 several appends of a turn are acknowledged once, by the last", () => {
    const lone = new Lone();
    const answers = lone.receive(append(2, 1, [0, 0], [entry(1, 1)]), append(2, 1, [1, 1], [entry(2, 1)]));
    expect(answers).toMatchObject([{ type: "append-response", index: 2 }]);
  });

  it("A2 a late append in the same turn takes nothing from the acknowledgement of a longer one", () => {
    const lone = new Lone();
    const [one, two] = [entry(1, 1), entry(2, 1)];
    const answers = lone.receive(append(2, 1, [0, 0], [one, two]), append(2, 1, [0, 0], [one]));
    expect(ofType(answers, "append-response").map((answer) => answer.index)).toEqual([2, 1]);
  });

  it("what promises nothing new leaves at once", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    lone.replica.autoPersist = false;
    expect(ofType(lone.receive(append(2, 1, [1, 1], [])), "append-response")).toMatchObject([{ index: 1 }]);
    expect(ofType(lone.receive(append(2, 1, [7, 1], [])), "append-response")).toMatchObject([
      { index: 7, reject: true },
    ]);
  });

  it("what another group proves to be committed is believed of the very entry only, and applied when it is durable", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)]));
    expect(lone.node.learnCommitted(at(2), inTerm(2))).toBe(false);
    expect(lone.node.learnCommitted(at(3), inTerm(1))).toBe(false);
    expect(lone.node.commit).toBe(0);
    expect(lone.node.learnCommitted(at(2), inTerm(1))).toBe(true);
    lone.pump();
    expect([lone.node.commit, lone.replica.appliedIndex]).toEqual([2, 0]);
    lone.replica.persist();
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(2);
    expect(lone.node.learnCommitted(at(1), inTerm(9))).toBe(true);
  });

  it("A4 the only voter commits nothing before its own write is durable", () => {
    const lone = new Lone({ voters: [1] }).lead();
    lone.replica.autoPersist = false;
    lone.replica.propose("a");
    lone.pump();
    expect(lone.node.commit).toBe(1);
    lone.replica.persist();
    expect(lone.node.commit).toBe(2);
  });

  it("A4 a leader counts itself only after its own write is durable", () => {
    const lone = new Lone({ voters: [1, 2, 3] }).lead();
    lone.acknowledge(2);
    lone.replica.autoPersist = false;
    lone.replica.propose("a");
    lone.pump();
    lone.acknowledge(2);
    expect(lone.node.commit).toBe(1);
    lone.replica.persist();
    expect(lone.node.commit).toBe(2);
  });

  it("A4 the others may commit what the leader has not written yet, but it does not apply it", () => {
    const lone = new Lone({ voters: [1, 2, 3] }).lead();
    for (const follower of [2, 3]) lone.acknowledge(follower);
    lone.replica.autoPersist = false;
    lone.replica.propose("a");
    lone.pump();
    for (const follower of [2, 3]) lone.acknowledge(follower);
    expect(lone.node.commit).toBe(2);
    expect(lone.replica.appliedIndex).toBe(1);
    lone.replica.persist();
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(2);
  });

  it("a follower applies only what is committed and durable here", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)], 2));
    expect(lone.node.commit).toBe(2);
    expect(lone.replica.appliedIndex).toBe(0);
    lone.replica.persist();
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(2);
  });

  it("A5 a late persistence acknowledgement of an overwritten entry is ignored", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    // Entry 1 of term 1 is being written; then a leader of term 2 replaces it, and one of term 3 puts it back.
    lone.receive(append(2, 1, [0, 0], [entry(1, 1, "A")]));
    lone.receive(append(3, 2, [0, 0], [entry(1, 2, "B")]));
    lone.receive(append(2, 3, [0, 0], [entry(1, 1, "A"), entry(2, 3)], 2));
    expect(lone.replica.pendingWrites).toBe(3);
    lone.replica.persist(1);
    lone.pump();
    // The first write is durable, but the second will undo it before the third restores it.
    expect(lone.replica.appliedIndex).toBe(0);
    expect(ofType(lone.sent, "append-response").filter((message) => message.term === 3)).toEqual([]);
    lone.replica.persist(1);
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(0);
    lone.replica.persist(1);
    lone.pump();
    expect(lone.replica.state).toEqual(["A"]);
    expect(lone.replica.appliedIndex).toBe(2);
  });

  it("A5 a new term asks again for what an old term's write covers", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    lone.receive(append(2, 1, [0, 0], [entry(1, 1)], 1));
    lone.receive(heartbeat(3, 2, { commit: 1 }));
    lone.replica.persist(1);
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(0);
    lone.replica.persist(1);
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(1);
  });

  it("A5 a leader does not count an acknowledgement of an older term", () => {
    const lone = new Lone({ hardState: { term: 5 }, entries: [entry(1, 5)] }).lead();
    expect(lone.node.term).toBe(6);
    lone.receive(appendResponse(2, 5, 2));
    expect(lone.node.commit).toBe(0);
  });

  it("A2 a crash before a write is durable leaves nothing that anybody was told of", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    for (const replica of group.replicas.values()) replica.autoPersist = false;
    leader.propose("lost");
    group.settle();
    expect(leader.node.commit).toBe(1);
    for (const replica of group.replicas.values()) replica.restart();
    group.queue = [];
    for (const replica of group.replicas.values()) expect(replica.node.lastIndex).toBe(1);
    group.tick(60);
    expect(group.leader!.state).toEqual([]);
  });

  it("a Ready owes a sync for entries, term and vote, not for a commit index alone", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    expect(lone.replica.readys.at(-1)).toMatchObject({
      mustSync: true,
      persistence: { term: 1, lastIndex: 1, lastTerm: 1 },
    });
    lone.node.step(heartbeat(2, 1, { commit: 1, context: 0 }));
    expect(lone.node.hasReady()).toBe(true);
    const ready = lone.node.ready();
    expect(ready).toMatchObject({ mustSync: false, hardState: { term: inTerm(1), commit: at(1) } });
    expect(ready.persistence).toBeUndefined();
  });

  it("messages that wait for durability always come with a persistence to wait for", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    lone.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    // The same again: nothing to write, but its acknowledgement must not overtake the write under way.
    lone.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    const last = lone.replica.readys.at(-1)!;
    expect(last).toMatchObject({ mustSync: false, entries: [], persistence: { lastIndex: 1, lastTerm: 1 } });
    expect(last.messagesAfterPersisted).toHaveLength(1);
  });

  it("nothing is ready when nothing happened, and asking twice gives nothing twice", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    expect(lone.node.hasReady()).toBe(false);
    const ready = lone.node.ready();
    expect(ready).toMatchObject({
      hardState: undefined,
      mustSync: false,
      persistence: undefined,
      softState: undefined,
    });
    for (const list of ["entries", "messages", "messagesAfterPersisted", "committedEntries", "readStates"] as const) {
      expect(ready[list]).toHaveLength(0);
    }
  });
});
