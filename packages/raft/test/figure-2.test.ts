/**
 * Figure 2 of the Raft paper (Ongaro, Ousterhout: In Search of an Understandable Consensus Algorithm, 2014), a test for each
 * of its statements. Where this implementation does more than the figure, the test says so.
 */
import { describe, expect, it } from "vitest";
import { Group } from "./support/group.ts";
import { Lone, append, appendResponse, heartbeat, ofType, rejection, voteRequest } from "./support/lone-replica.ts";
import { at, entry, id, inTerm } from "./support/replica.ts";

const preVotes = (lone: Lone, ...from: number[]): void => {
  for (const voter of from) {
    lone.receive({
      type: "pre-vote-response",
      from: id(voter),
      to: id(1),
      term: inTerm(lone.node.term + 1),
      reject: false,
    });
  }
};

const votes = (lone: Lone, ...from: number[]): void => {
  for (const voter of from)
    lone.receive({ type: "vote-response", from: id(voter), to: id(1), term: lone.node.term, reject: false });
};

describe("state", () => {
  it("currentTerm is 0 on first boot and increases monotonically", () => {
    const lone = new Lone();
    expect(lone.node.term).toBe(0);
    lone.receive(heartbeat(2, 3));
    lone.receive(heartbeat(3, 2));
    expect(lone.node.term).toBe(3);
  });

  it("votedFor is null, until a vote is given in the current term", () => {
    const lone = new Lone();
    expect(lone.node.status().vote).toBe(0);
    lone.receive(voteRequest("vote", 2, 1, [0, 0]));
    expect(lone.node.status().vote).toBe(2);
    lone.receive(heartbeat(3, 2));
    expect(lone.node.status().vote).toBe(0);
  });

  it("log's first index is 1", () => {
    const lone = new Lone({ voters: [1] }).lead();
    expect(lone.replica.log.all()[0]!.index).toBe(1);
  });

  it("currentTerm, votedFor and log[] are updated on stable storage before responding to RPCs", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    lone.receive(voteRequest("vote", 2, 1, [0, 0]), append(2, 1, [0, 0], [entry(1, 1)]));
    expect(lone.sent).toEqual([]);
    lone.replica.persist();
    expect(lone.sent.map((message) => message.type)).toEqual(["vote-response", "append-response"]);
    expect(lone.replica.durable).toMatchObject({ hardState: { term: 1, vote: 2 } });
    expect(lone.replica.durable.log.lastIndex()).toBe(1);
  });

  it("commitIndex is 0 at first and increases monotonically", () => {
    const lone = new Lone();
    expect(lone.node.commit).toBe(0);
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)], 2));
    lone.receive(append(2, 1, [2, 1], [], 1));
    expect(lone.node.commit).toBe(2);
  });

  it("lastApplied increases monotonically", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)], 2));
    expect(() => lone.node.applied(at(1))).toThrow("goes back");
  });

  it("nextIndex[] is initialized to leader last log index + 1, of the log before the leader's first entry", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 1)], hardState: { term: 1 } }).lead();
    expect(ofType(lone.sent, "append")[0]).toMatchObject({ prevIndex: 2, prevTerm: 1 });
    expect(lone.node.status().progress.find((p) => p.id === 2)!.next).toBe(3);
  });

  it("matchIndex[] is initialized to 0 and increases monotonically", () => {
    const lone = new Lone().lead();
    const match = (): number => lone.node.status().progress.find((p) => p.id === 2)!.match;
    expect(match()).toBe(0);
    lone.acknowledge(2, 1);
    lone.receive(appendResponse(2, 1, 0));
    expect(match()).toBe(1);
  });
});

describe("AppendEntries RPC, receiver", () => {
  it("1. replies false if term < currentTerm", () => {
    const lone = new Lone();
    lone.receive(heartbeat(3, 5));
    // The answer's own term is what refuses.
    expect(ofType(lone.receive(append(2, 4, [0, 0], [entry(1, 4)])), "append-response")).toMatchObject([
      { term: 5, index: 0 },
    ]);
    expect(lone.node.lastIndex).toBe(0);
  });

  it("2. replies false if the log has no entry at prevLogIndex whose term matches prevLogTerm", () => {
    const lone = new Lone({ entries: [entry(1, 1)], hardState: { term: 1 } });
    expect(ofType(lone.receive(append(2, 2, [2, 1])), "append-response")).toMatchObject([{ index: 2, reject: true }]);
    expect(ofType(lone.receive(append(2, 2, [1, 2])), "append-response")).toMatchObject([{ index: 1, reject: true }]);
  });

  it("3. deletes an entry that conflicts with a new one, and all that follow it", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 1), entry(3, 1)], hardState: { term: 1 } });
    lone.receive(append(2, 2, [1, 1], [entry(2, 2)]));
    expect(lone.replica.log.all().map((e) => e.term)).toEqual([1, 2]);
  });

  it("4. appends any new entries not already in the log", () => {
    const lone = new Lone({ entries: [entry(1, 1)], hardState: { term: 1 } });
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1), entry(3, 1)]));
    expect(lone.node.lastIndex).toBe(3);
  });

  it("5. sets commitIndex to min(leaderCommit, index of last new entry)", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)], 7));
    expect(lone.node.commit).toBe(2);
    const other = new Lone();
    other.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)], 1));
    expect(other.node.commit).toBe(1);
  });
});

describe("AppendEntries RPC, arguments and results", () => {
  it("leaderId: a follower knows whom to send clients to", () => {
    const lone = new Lone();
    expect(lone.node.status().leader).toBe(0);
    lone.receive(append(3, 1, [0, 0]));
    expect(lone.node.status().leader).toBe(3);
  });

  it("entries[]: may be empty, and more than one", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0]));
    expect(lone.node.lastIndex).toBe(0);
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)]));
    expect(lone.node.lastIndex).toBe(2);
  });

  it("term: currentTerm, for a leader to update itself", () => {
    const lone = new Lone({ hardState: { term: 4 } });
    expect(ofType(lone.receive(append(2, 4, [0, 0])), "append-response")).toMatchObject([{ term: 4 }]);
    const leader = new Lone().lead();
    leader.receive(appendResponse(2, 7, 0));
    expect(leader.node.status()).toMatchObject({ role: "follower", term: 7 });
  });

  it("success: true if the follower had the entry at prevLogIndex with prevLogTerm", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 1)], hardState: { term: 1 } });
    expect(ofType(lone.receive(append(2, 1, [2, 1], [entry(3, 1)])), "append-response")).toMatchObject([
      { index: 3, reject: false },
    ]);
  });
});

describe("RequestVote RPC, arguments and results", () => {
  it("lastLogIndex and lastLogTerm: of the candidate's last entry", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 3)], hardState: { term: 3 } });
    lone.node.campaign();
    lone.pump();
    preVotes(lone, 2);
    expect(ofType(lone.sent, "vote")[0]).toMatchObject({ from: 1, term: 4, lastIndex: 2, lastTerm: 3 });
  });

  it("term: currentTerm, for a candidate to update itself", () => {
    const lone = new Lone();
    lone.node.campaign();
    lone.pump();
    preVotes(lone, 2);
    lone.receive({ type: "vote-response", from: id(2), to: id(1), term: inTerm(9), reject: true });
    expect(lone.node.status()).toMatchObject({ role: "follower", term: 9, vote: 0 });
  });

  it("voteGranted: only true ones count", () => {
    const lone = new Lone();
    lone.node.campaign();
    lone.pump();
    preVotes(lone, 2);
    lone.receive({ type: "vote-response", from: id(2), to: id(1), term: lone.node.term, reject: true });
    expect(lone.node.role).toBe("candidate");
    votes(lone, 3);
    expect(lone.node.role).toBe("leader");
  });
});

describe("RequestVote RPC, receiver", () => {
  it("1. gives no vote if term < currentTerm", () => {
    const lone = new Lone();
    lone.receive(voteRequest("vote", 3, 5, [0, 0]));
    expect(ofType(lone.receive(voteRequest("vote", 2, 4, [9, 4])), "vote-response")).toEqual([]);
    expect(lone.node.status()).toMatchObject({ term: 5, vote: 3 });
  });

  it("2. grants its vote if votedFor is null or candidateId, and the candidate's log is at least as up-to-date", () => {
    const log = { entries: [entry(1, 1), entry(2, 2)], hardState: { term: 2 } };
    for (const [last, granted] of [
      [[2, 2], true],
      [[3, 2], true],
      [[1, 3], true],
      [[1, 2], false],
      [[9, 1], false],
    ] as const) {
      const lone = new Lone(log);
      expect(ofType(lone.receive(voteRequest("vote", 2, 4, last)), "vote-response")).toMatchObject([
        { reject: !granted },
      ]);
      if (!granted) continue;
      expect(ofType(lone.receive(voteRequest("vote", 2, 4, last)), "vote-response")).toMatchObject([{ reject: false }]);
      expect(ofType(lone.receive(voteRequest("vote", 3, 4, last)), "vote-response")).toMatchObject([{ reject: true }]);
    }
  });
});

describe("all servers", () => {
  it("apply log[lastApplied] when commitIndex > lastApplied, in order", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1, "a"), entry(2, 1, "b")], 2));
    expect(lone.replica.state).toEqual(["a", "b"]);
  });

  it("convert to follower and take the term when a request or an answer carries a higher one", () => {
    for (const message of [
      heartbeat(2, 9),
      append(2, 9, [0, 0]),
      voteRequest("vote", 2, 9, [9, 9], true),
      appendResponse(2, 9, 0),
    ]) {
      const lone = new Lone().lead();
      lone.receive(message);
      expect(lone.node.status()).toMatchObject({ role: "follower", term: 9 });
    }
  });
});

describe("followers", () => {
  it("respond to RPCs from candidates and leaders", () => {
    const lone = new Lone();
    expect(lone.receive(voteRequest("vote", 2, 1, [0, 0]))).toHaveLength(1);
    expect(lone.receive(append(2, 1, [0, 0]))).toHaveLength(1);
    expect(lone.receive(heartbeat(2, 1))).toHaveLength(1);
  });

  it("convert to candidate when the election timeout passes without an AppendEntries or a granted vote", () => {
    const lone = new Lone();
    lone.tick(19);
    expect(lone.node.role).toBe("pre-candidate");
    for (const [hear, quiet] of [
      [(l: Lone) => l.receive(heartbeat(2, 1)), true],
      [(l: Lone) => l.receive(append(2, 1, [0, 0])), true],
      [(l: Lone) => l.receive(voteRequest("vote", 2, 1, [0, 0])), true],
      [(l: Lone) => l.receive(voteRequest("pre-vote", 2, 1, [0, 0])), false],
    ] as const) {
      const other = new Lone();
      for (let i = 0; i < 10; i++) {
        hear(other);
        other.tick(9);
      }
      expect(other.node.role === "follower").toBe(quiet);
    }
  });
});

describe("candidates", () => {
  it("start an election by incrementing the term, voting for themselves and asking all others, after a round of pre-votes", () => {
    const lone = new Lone();
    lone.node.campaign();
    lone.pump();
    expect(ofType(lone.sent, "pre-vote")).toMatchObject([
      { to: 2, term: 1 },
      { to: 3, term: 1 },
    ]);
    expect(lone.node.term).toBe(0);
    preVotes(lone, 2);
    expect(lone.node.status()).toMatchObject({ role: "candidate", term: 1, vote: 1 });
    expect(ofType(lone.sent, "vote")).toMatchObject([
      { to: 2, term: 1, lastIndex: 0, lastTerm: 0 },
      { to: 3, term: 1, lastIndex: 0, lastTerm: 0 },
    ]);
  });

  it("reset the election timer when they start an election", () => {
    const lone = new Lone();
    lone.tick(9);
    lone.node.campaign();
    lone.pump();
    preVotes(lone, 2);
    lone.tick(9);
    expect(lone.node.status()).toMatchObject({ role: "candidate", term: 1 });
    lone.tick(11);
    expect(lone.node.role).toBe("pre-candidate");
  });

  it("become leader with votes from a majority", () => {
    const lone = new Lone({ voters: [1, 2, 3, 4, 5] });
    lone.node.campaign();
    lone.pump();
    preVotes(lone, 2, 3);
    votes(lone, 2);
    expect(lone.node.role).toBe("candidate");
    votes(lone, 2);
    expect(lone.node.role).toBe("candidate");
    votes(lone, 3);
    expect(lone.node.role).toBe("leader");
  });

  it("convert to follower when a new leader's AppendEntries arrives", () => {
    for (const message of [append(2, 1, [0, 0]), heartbeat(2, 1)]) {
      const lone = new Lone();
      lone.node.campaign();
      lone.pump();
      preVotes(lone, 2);
      lone.receive(message);
      expect(lone.node.status()).toMatchObject({ role: "follower", term: 1, leader: 2 });
    }
  });

  it("start a new election when the election timeout passes", () => {
    const lone = new Lone();
    lone.node.campaign();
    lone.pump();
    preVotes(lone, 2);
    lone.sent = [];
    lone.tick(20);
    expect(ofType(lone.sent, "pre-vote")[0]).toMatchObject({ term: 2 });
  });
});

describe("leaders", () => {
  it("upon election send to each server, and again during idle periods", () => {
    const lone = new Lone().lead();
    for (const type of ["append", "heartbeat"] as const) {
      expect(ofType(lone.sent, type).map((message) => message.to)).toEqual([2, 3]);
    }
    lone.sent = [];
    lone.tick(1);
    expect(ofType(lone.sent, "heartbeat").map((message) => message.to)).toEqual([2, 3]);
  });

  it("append a client's command to the local log, and respond after it is applied", () => {
    const lone = new Lone().lead();
    const proposed = lone.replica.propose("a");
    expect(proposed).toMatchObject({ ok: true, index: 2, term: 1 });
    lone.pump();
    expect(lone.replica.log.lastIndex()).toBe(2);
    expect(lone.replica.state).toEqual([]);
    lone.acknowledge(2);
    expect(lone.replica.state).toEqual(["a"]);
  });

  it("send AppendEntries from nextIndex when last log index ≥ nextIndex", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.replica.propose("a");
    const [message] = ofType(lone.pump(), "append").filter((m) => m.to === 2);
    expect(message).toMatchObject({ prevIndex: 1, prevTerm: 1 });
    expect(message!.entries.map((e) => e.index)).toEqual([2]);
  });

  it("update nextIndex and matchIndex when it succeeds", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2, 1);
    expect(lone.node.status().progress.find((p) => p.id === 2)).toMatchObject({ match: 1, next: 2 });
  });

  it("decrement nextIndex and retry when it fails because of log inconsistency", () => {
    const entries = [entry(1, 1), entry(2, 1), entry(3, 1)];
    const lone = new Lone({ entries, hardState: { term: 1 } }).lead();
    const [retry] = ofType(lone.receive(rejection(2, 2, 3, [1, 1])), "append");
    expect(retry).toMatchObject({ to: 2, prevIndex: 1, prevTerm: 1 });
  });

  it("set commitIndex to N if a majority of matchIndex[i] ≥ N, and log[N].term == currentTerm", () => {
    const lone = new Lone({ voters: [1, 2, 3, 4, 5], entries: [entry(1, 1)], hardState: { term: 1 } }).lead();
    lone.acknowledge(2, 1);
    lone.acknowledge(3, 1);
    expect(lone.node.commit).toBe(0);
    lone.acknowledge(2, 2);
    expect(lone.node.commit).toBe(0);
    lone.acknowledge(3, 2);
    expect(lone.node.commit).toBe(2);
  });
});

describe("figure 8", () => {
  it("an entry of an old term on a majority can still be overwritten, so it was not committed", () => {
    const group = new Group([1, 2, 3, 4, 5]);
    // (a) S1 leads and writes index 2 to S2 only.
    group.elect(1);
    group.loses = (message) => message.from === 1 && message.to !== 2 && message.type === "append";
    group.at(1).propose("two");
    group.settle();
    // (b) S5 leads with votes of S3 and S4, and writes a different index 2 to itself only.
    const side = (replica: number): boolean => replica <= 2;
    group.loses = (message) =>
      side(message.from) !== side(message.to) || (message.from === 5 && message.type === "append");
    for (const replica of [3, 4, 5]) group.at(replica).node.forgetLeader();
    group.at(5).node.campaign();
    group.settle();
    expect(group.at(5).node.role).toBe("leader");
    const fifth = group.at(5).node.term;
    group.loses = (message) => message.from === 5 || message.to === 5;
    group.at(5).propose("five");
    group.settle();
    // (c) S1 leads again and replicates "two" to S3, but nothing of its own term.
    group.tick(1, [1]);
    expect(group.at(1).node.role).toBe("follower");
    for (const replica of [1, 2, 3, 4]) group.at(replica).node.forgetLeader();
    group.at(1).node.campaign();
    group.loses = (message) =>
      message.from === 5 ||
      message.to === 5 ||
      (message.type === "append" && message.entries.some((e) => e.term > fifth));
    group.settle();
    expect(group.at(1).node.role).toBe("leader");
    expect(group.at(1).node.term).toBeGreaterThan(fifth);
    expect(group.at(1).node.commit).toBe(1);
    // (e) Had it replicated an entry of its own term, everything before is committed with it.
    group.loses = (message) => message.from === 5 || message.to === 5;
    group.tick(5, [1, 2, 3, 4]);
    expect(group.at(1).state).toEqual(["two"]);
    group.heal();
    group.tick(60);
    expect(group.at(5).state).toEqual(["two"]);
  });
});
