import { describe, expect, it } from "vitest";
import { Group } from "./support/group.ts";
import { Lone, append, heartbeat, ofType, voteRequest } from "./support/lone-replica.ts";
import { at, configurationOf, entry, id, inTerm } from "./support/replica.ts";

describe("elections", () => {
  it("A1 a candidate that steps down in its own term keeps its vote", () => {
    const lone = new Lone();
    lone.node.campaign();
    lone.pump();
    lone.receive({ type: "pre-vote-response", from: id(2), to: id(1), term: inTerm(1), reject: false });
    expect(lone.node.status()).toMatchObject({ role: "candidate", term: 1, vote: 1 });
    // Another won the term.
    lone.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    expect(lone.node.status()).toMatchObject({ role: "follower", term: 1, vote: 1, leader: 2 });
    const answers = lone.receive(voteRequest("vote", 3, 1, [9, 1]));
    expect(ofType(answers, "vote-response")).toMatchObject([{ to: 3, reject: true }]);
  });

  it("A1 a candidate that loses its election keeps its vote", () => {
    const lone = new Lone();
    lone.node.campaign();
    lone.pump();
    lone.receive({ type: "pre-vote-response", from: id(2), to: id(1), term: inTerm(1), reject: false });
    for (const from of [2, 3])
      lone.receive({ type: "vote-response", from: id(from), to: id(1), term: inTerm(1), reject: true });
    expect(lone.node.status()).toMatchObject({ role: "follower", term: 1, vote: 1 });
    expect(ofType(lone.receive(voteRequest("vote", 3, 1, [9, 1])), "vote-response")).toMatchObject([{ reject: true }]);
  });

  it("A1 a voter keeps its vote through a crash", () => {
    const lone = new Lone();
    lone.receive(voteRequest("vote", 2, 5, [0, 0]));
    lone.replica.restart();
    expect(lone.node.status()).toMatchObject({ term: 5, vote: 2 });
    expect(ofType(lone.receive(voteRequest("vote", 3, 5, [0, 0])), "vote-response")).toMatchObject([
      { to: 3, reject: true },
    ]);
    expect(ofType(lone.receive(voteRequest("vote", 2, 5, [0, 0])), "vote-response")).toMatchObject([
      { to: 2, reject: false },
    ]);
  });

  it("A2 a vote leaves only after term and vote are durable", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    expect(lone.receive(voteRequest("vote", 2, 5, [0, 0]))).toEqual([]);
    lone.replica.persist();
    expect(ofType(lone.sent, "vote-response")).toMatchObject([{ to: 2, term: 5, reject: false }]);
    expect(lone.replica.durable.hardState).toMatchObject({ term: 5, vote: 2 });
  });

  it("A2 a refusal in a new term leaves only after that term is durable", () => {
    const lone = new Lone({ entries: [entry(1, 3)], hardState: { term: 3 } });
    lone.replica.autoPersist = false;
    expect(lone.receive(voteRequest("vote", 2, 5, [0, 0]))).toEqual([]);
    lone.replica.persist();
    expect(ofType(lone.sent, "vote-response")).toMatchObject([{ to: 2, term: 5, reject: true }]);
  });

  it("A2 a candidate counts its own vote, and asks for others, only after its own is durable", () => {
    const lone = new Lone({ voters: [1, 2] });
    lone.node.campaign();
    lone.pump();
    lone.replica.autoPersist = false;
    lone.receive({ type: "pre-vote-response", from: id(2), to: id(1), term: inTerm(1), reject: false });
    expect(ofType(lone.sent, "vote")).toEqual([]);
    lone.receive({ type: "vote-response", from: id(2), to: id(1), term: inTerm(1), reject: false });
    expect(lone.node.role).toBe("candidate");
    lone.replica.persist();
    expect(ofType(lone.sent, "vote")).toMatchObject([{ to: 2, term: 1 }]);
    expect(lone.node.role).toBe("leader");
  });

  it("A9 a candidate with a higher term is freed: the leader learns of its term and a new election follows", () => {
    const group = new Group([1, 2, 3]);
    group.elect(1);
    // Replica 3 has moved to a term of its own that nobody else knows.
    group.at(3).node.step({
      type: "vote",
      from: id(2),
      to: id(3),
      term: inTerm(9),
      lastIndex: at(9),
      lastTerm: inTerm(1),
      transfer: true,
    });
    group.queue = [];
    expect(group.at(3).node.term).toBe(9);
    group.tick(40);
    expect(group.leaders).toHaveLength(1);
    const terms = [...group.replicas.values()].map((replica) => replica.node.term);
    expect(new Set(terms).size).toBe(1);
    expect(terms[0]).toBeGreaterThanOrEqual(9);
  });

  it("A9 a pre-candidate of an old term is told the new one", () => {
    const lone = new Lone({ entries: [entry(1, 5)], hardState: { term: 5 } });
    const answers = lone.receive(voteRequest("pre-vote", 2, 3, [9, 2]));
    expect(ofType(answers, "pre-vote-response")).toMatchObject([{ term: 5, reject: true }]);
  });

  it("A10 a leader that hears no majority steps down within two election timeouts and takes nothing more", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    group.isolate(1);
    group.tick(20, [1]);
    expect(leader.node.role).toBe("follower");
    expect(leader.propose("late")).toEqual({ ok: false, reason: "not-leader" });
    expect(leader.node.readIndex(1)).toBe(false);
  });

  it("A10 a leader that hears a majority keeps leading", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    group.isolate(3);
    group.tick(60, [1, 2]);
    expect(leader.node.role).toBe("leader");
  });

  it("A11 a replica that was cut off for a hundred election timeouts disturbs nobody when it returns", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    group.isolate(3);
    group.tick(1000);
    expect(group.at(3).node.term).toBe(1);
    group.heal();
    group.tick(30);
    expect(leader.node.status()).toMatchObject({ role: "leader", term: 1 });
    expect(group.at(3).node.leader).toBe(1);
  });

  for (const [name, lost] of [
    ["both ways", (from: number, to: number) => (from === 1 && to === 2) || (from === 2 && to === 1)],
    ["from leader to follower", (from: number, to: number) => from === 1 && to === 2],
    ["from follower to leader", (from: number, to: number) => from === 2 && to === 1],
  ] as const) {
    it(`A12 with one link of three cut ${name}, one leader keeps leading`, () => {
      const group = new Group([1, 2, 3]);
      group.elect(1);
      group.loses = (message) => lost(message.from, message.to);
      group.tick(300);
      const settled = group.leader!;
      const { term } = settled.node;
      let proposed = 0;
      for (let i = 0; i < 300; i++) {
        group.tick(1);
        if (settled.propose(`${i}`).ok) proposed++;
      }
      group.settle();
      expect(settled.node.status()).toMatchObject({ role: "leader", term });
      expect(proposed).toBe(300);
      expect(settled.state).toHaveLength(300);
    });
  }

  it("A17 a learner that does not know yet that it is a voter votes", () => {
    const lone = new Lone({ configuration: configurationOf([2, 3], { learners: [1] }) });
    expect(ofType(lone.receive(voteRequest("pre-vote", 2, 2, [4, 1])), "pre-vote-response")).toMatchObject([
      { reject: false },
    ]);
    expect(ofType(lone.receive(voteRequest("vote", 2, 2, [4, 1])), "vote-response")).toMatchObject([{ reject: false }]);
  });

  it("a learner never campaigns", () => {
    const lone = new Lone({ configuration: configurationOf([2, 3], { learners: [1] }) });
    expect(lone.tick(100)).toEqual([]);
    lone.node.campaign();
    expect(lone.node.role).toBe("follower");
  });

  it("E15 a learner that hears nothing for an election timeout knows no leader any more", () => {
    const lone = new Lone({ configuration: configurationOf([2, 3], { learners: [1] }) });
    lone.receive(heartbeat(2, 4));
    lone.tick(5);
    lone.receive(heartbeat(2, 4));
    expect(lone.node.leader).toBe(2);
    lone.tick(100);
    expect(lone.node.status()).toMatchObject({ role: "follower", term: 4, leader: 0 });
    lone.receive(heartbeat(2, 4));
    expect(lone.node.leader).toBe(2);
  });

  it("A18 a thousand groups that start in the same moment all elect within five timeouts", () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const group = new Group([1, 2, 3], { setup: (replica) => ({ seed: seed * 3 + replica }) });
      let ticks = 0;
      while (group.leader === undefined && ticks < 100) {
        group.tick(1);
        ticks++;
      }
      expect(ticks).toBeLessThan(50);
    }
  });

  it("A18 the election timeout is drawn anew for each campaign", () => {
    const lone = new Lone();
    const gaps = new Set<number>();
    let last = 0;
    for (let tick = 1; tick < 400; tick++) {
      if (ofType(lone.tick(1), "pre-vote").length > 0) {
        gaps.add(tick - last);
        last = tick;
      }
    }
    for (const gap of gaps) expect(gap >= 10 && gap < 20).toBe(true);
    expect(gaps.size).toBeGreaterThan(4);
  });

  it("A19 messages of term 0, to another replica, from nobody or from itself change nothing", () => {
    const lone = new Lone();
    const before = lone.node.status();
    lone.receive(
      append(2, 0, [0, 0], [entry(1, 0)]),
      { ...append(2, 7, [0, 0]), to: id(9) },
      { ...append(0, 7, [0, 0]) },
      { ...append(1, 7, [0, 0]) },
    );
    expect(lone.node.status()).toEqual(before);
    expect(lone.sent).toEqual([]);
  });

  it("A19 answers from replicas that are no members never raise the term", () => {
    const lone = new Lone().lead();
    const { term } = lone.node;
    for (const type of ["append-response", "heartbeat-response", "vote-response", "pre-vote-response"] as const) {
      const base = { from: id(99), to: id(1), term: inTerm(term + 50) };
      if (type === "append-response")
        lone.receive({ ...base, type, index: at(0), reject: true, hintIndex: at(0), hintTerm: inTerm(0) });
      else if (type === "heartbeat-response") lone.receive({ ...base, type, context: 1 });
      else lone.receive({ ...base, type, reject: true });
    }
    expect(lone.node.status()).toMatchObject({ role: "leader", term });
  });

  it("A19 vote requests never raise the term of a replica that hears a leader", () => {
    const lone = new Lone();
    lone.receive(heartbeat(2, 4));
    lone.receive(voteRequest("vote", 99, 50, [9, 9]), voteRequest("pre-vote", 99, 50, [9, 9]));
    expect(lone.node.status()).toMatchObject({ term: 4, leader: 2 });
  });

  it("A19 a vote request of a candidate that this replica's configuration does not know yet is answered", () => {
    const lone = new Lone();
    expect(ofType(lone.receive(voteRequest("vote", 7, 3, [4, 2])), "vote-response")).toMatchObject([
      { to: 7, reject: false },
    ]);
  });

  it("a second voice claiming to lead the term is not heard", () => {
    const lone = new Lone();
    lone.receive(heartbeat(2, 4));
    expect(lone.receive(append(3, 4, [0, 0], [entry(1, 4)]), heartbeat(3, 4, { commit: 5 }))).toEqual([]);
    expect(lone.node.status()).toMatchObject({ leader: 2, lastIndex: 0 });
  });

  it("a pre-vote changes neither term nor vote, on either side", () => {
    const group = new Group([1, 2, 3]);
    group.loses = (message) => message.type === "vote";
    group.at(1).node.campaign();
    group.at(1).pump();
    expect(group.at(1).node.status()).toMatchObject({ role: "pre-candidate", term: 0, vote: 0 });
    for (const message of group.queue.splice(0)) group.deliver(message);
    expect(group.at(2).node.status()).toMatchObject({ term: 0, vote: 0 });
  });

  it("votes are granted after the leader was forgotten, and refused before", () => {
    const lone = new Lone();
    lone.receive(heartbeat(2, 4));
    expect(lone.receive(voteRequest("pre-vote", 3, 5, [9, 4]))).toEqual([]);
    lone.node.forgetLeader();
    expect(lone.node.leader).toBe(0);
    expect(ofType(lone.receive(voteRequest("pre-vote", 3, 5, [9, 4])), "pre-vote-response")).toMatchObject([
      { reject: false },
    ]);
  });

  it("after a sleep a leader gets a whole election timeout before its quorum is checked", () => {
    const lone = new Lone().lead();
    lone.tick(9);
    lone.node.wake();
    lone.tick(9);
    expect(lone.node.role).toBe("leader");
    lone.tick(1);
    expect(lone.node.role).toBe("follower");
  });

  it("E5 the only voter leads without asking anybody", () => {
    const lone = new Lone({ voters: [1] });
    lone.node.campaign();
    lone.pump();
    expect(lone.node.role).toBe("leader");
    expect(lone.sent).toEqual([]);
    expect(lone.node.commit).toBe(1);
  });
});
