import { describe, expect, it } from "vitest";
import { Group } from "./support/group.ts";
import { Lone, heartbeat, ofType, voteRequest } from "./support/lone-replica.ts";
import { configurationOf, entry, id, inTerm } from "./support/replica.ts";
import type { Message } from "@flotilla/raft";

const answer = (from: number, term: number, context: number): Message => ({
  type: "heartbeat-response",
  from: id(from),
  to: id(1),
  term: inTerm(term),
  context,
});

/** The round of the last heartbeats. */
const lastRound = (lone: Lone): number => ofType(lone.sent, "heartbeat").at(-1)!.context;

describe("ReadIndex", () => {
  it("C1 a new leader answers no read before it has committed in its own term", () => {
    const lone = new Lone({ entries: [entry(1, 1)], hardState: { term: 1, commit: 1 } }).lead();
    expect(lone.node.readIndex(1)).toBe(false);
    lone.acknowledge(2);
    expect(lone.node.readIndex(1)).toBe(true);
  });

  it("a read is confirmed by a majority that answers a round started after it", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.node.readIndex(41);
    lone.pump();
    expect(lone.replica.reads).toEqual([]);
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.replica.reads).toEqual([{ context: 41, index: 1 }]);
  });

  it("all reads of a turn share one round", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.sent = [];
    for (const context of [1, 2, 3]) lone.node.readIndex(context);
    lone.pump();
    expect(ofType(lone.sent, "heartbeat")).toHaveLength(2);
    lone.receive(answer(3, 1, lastRound(lone)));
    expect(lone.replica.reads.map((read) => read.context)).toEqual([1, 2, 3]);
  });

  it("C2 every round has a number of its own: a retry never reuses one", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.node.readIndex(1);
    lone.pump();
    lone.tick(5);
    const rounds = ofType(lone.sent, "heartbeat").filter((message) => message.context > 0 && message.to === 2);
    expect(new Set(rounds.map((message) => message.context)).size).toBe(rounds.length);
  });

  it("C2 a leader deposed while it was paused confirms nothing with answers to its old rounds", () => {
    const group = new Group([1, 2, 3]);
    const old = group.elect(1);
    old.node.readIndex(1);
    old.pump();
    // The round's heartbeats wait in the network; another leads meanwhile, and something is written.
    const waiting = group.queue.splice(0);
    group.isolate(1);
    for (const replica of [2, 3]) group.at(replica).node.forgetLeader();
    group.elect(2);
    group.at(2).propose("new");
    group.settle();
    group.heal();
    for (const message of waiting) group.deliver(message);
    group.settle();
    expect(old.reads).toEqual([]);
    expect(old.node.role).toBe("follower");
  });

  it("C3 a read never joins a round that started before it arrived", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.node.readIndex(1);
    lone.pump();
    const first = lastRound(lone);
    lone.replica.propose("w");
    lone.pump();
    lone.acknowledge(2);
    lone.node.readIndex(2);
    lone.receive(answer(2, 1, first));
    expect(lone.replica.reads).toEqual([{ context: 1, index: 1 }]);
    lone.pump();
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.replica.reads.at(-1)).toEqual({ context: 2, index: 2 });
  });

  it("confirming a later round confirms the earlier ones", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    for (const context of [5, 9, 12]) {
      lone.node.readIndex(context);
      lone.pump();
    }
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.replica.reads.map((read) => read.context)).toEqual([5, 9, 12]);
  });

  it("C4 an answer to a round that never started, or of another term, confirms nothing", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.node.readIndex(1);
    lone.pump();
    lone.receive(answer(2, 1, lastRound(lone) + 1), answer(2, 1, 0), answer(99, 1, lastRound(lone)));
    expect(lone.replica.reads).toEqual([]);
  });

  it("C5 a read waits for its index to be applied: the index is the commit at its arrival", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.replica.autoApply = false;
    lone.replica.propose("a");
    lone.pump();
    lone.acknowledge(2);
    lone.node.readIndex(1);
    lone.pump();
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.replica.reads).toEqual([{ context: 1, index: 2 }]);
    expect(lone.replica.appliedIndex).toBe(1);
  });

  it("the only voter confirms by itself", () => {
    const lone = new Lone({ voters: [1] }).lead();
    lone.node.readIndex(1);
    lone.pump();
    expect(lone.replica.reads).toEqual([{ context: 1, index: 1 }]);
  });

  it("B5 in a joint configuration a read needs both majorities", () => {
    const lone = new Lone({ configuration: configurationOf([1, 2, 3], { outgoing: [1, 4, 5] }) }).lead();
    for (const voter of [2, 4]) lone.acknowledge(voter);
    lone.node.readIndex(1);
    lone.pump();
    const round = lastRound(lone);
    lone.receive(answer(2, 1, round), answer(3, 1, round));
    expect(lone.replica.reads).toEqual([]);
    lone.receive(answer(5, 1, round));
    expect(lone.replica.reads).toHaveLength(1);
  });

  it("a learner's answer confirms nothing", () => {
    const lone = new Lone({ configuration: configurationOf([1, 2, 3], { learners: [4, 5] }) }).lead();
    lone.acknowledge(2);
    lone.node.readIndex(1);
    lone.pump();
    lone.receive(answer(4, 1, lastRound(lone)), answer(5, 1, lastRound(lone)));
    expect(lone.replica.reads).toEqual([]);
  });

  it("unconfirmed reads are bounded", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    let context = 0;
    while (lone.node.readIndex(++context)) expect(context).toBeLessThan(100_000);
    expect(context).toBe(4097);
  });
});

describe("leader lease", () => {
  const options = { leaseMs: 800 };

  function leased(): Lone {
    const lone = new Lone({ options }).lead();
    lone.acknowledge(2);
    lone.tick(1);
    lone.receive(answer(2, 1, lastRound(lone)));
    return lone;
  }

  it("holds after a majority acknowledged a heartbeat, for the lease length", () => {
    const lone = leased();
    expect(lone.node.leaseHolds()).toBe(true);
    lone.clock.advance(799);
    expect(lone.node.leaseHolds()).toBe(true);
    lone.clock.advance(1);
    expect(lone.node.leaseHolds()).toBe(false);
  });

  it("C1 does not hold before the leader has committed in its own term", () => {
    const lone = new Lone({ options }).lead();
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.node.leaseHolds()).toBe(false);
    lone.acknowledge(2);
    expect(lone.node.leaseHolds()).toBe(true);
  });

  it("C7 is counted from when the heartbeat was sent, not from its answer", () => {
    const lone = new Lone({ options }).lead();
    lone.acknowledge(2);
    lone.tick(1);
    lone.clock.advance(720);
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.node.leaseHolds()).toBe(true);
    lone.clock.advance(80);
    expect(lone.node.leaseHolds()).toBe(false);
  });

  it("C7 an answer to an older heartbeat counts from that heartbeat", () => {
    const lone = new Lone({ options }).lead();
    lone.acknowledge(2);
    lone.tick(1);
    const old = lastRound(lone);
    lone.tick(7);
    lone.receive(answer(2, 1, old));
    expect(lone.node.leaseHolds()).toBe(true);
    lone.clock.advance(100);
    expect(lone.node.leaseHolds()).toBe(false);
  });

  it("C10 ends when the wall clock says so, even if the monotonic one stood still", () => {
    const lone = leased();
    lone.clock.wall += 800;
    expect(lone.node.leaseHolds()).toBe(false);
  });

  it("C10 ends when the monotonic clock says so, whatever the wall clock says", () => {
    const lone = leased();
    lone.clock.monotonic += 800;
    expect(lone.node.leaseHolds()).toBe(false);
    const back = leased();
    back.clock.wall -= 600_000;
    expect(back.node.leaseHolds()).toBe(false);
  });

  it("C11 ticks do not measure it: a stalled loop that ticks once finds it ended", () => {
    const lone = leased();
    lone.clock.advance(5000);
    lone.node.tick();
    expect(lone.node.leaseHolds()).toBe(false);
  });

  it("C8 there is none for the rest of the term after TimeoutNow was sent", () => {
    const lone = leased();
    lone.node.transferLeader(id(2));
    lone.pump();
    expect(ofType(lone.sent, "timeout-now")).toHaveLength(1);
    expect(lone.node.leaseHolds()).toBe(false);
    for (let i = 0; i < 30; i++) {
      lone.tick(1);
      expect(ofType(lone.sent, "heartbeat").at(-1)!.leaseMs).toBe(0);
      lone.receive(answer(2, 1, lastRound(lone)));
    }
    expect(lone.node.status()).toMatchObject({ role: "leader", transferee: 0 });
    expect(lone.node.leaseHolds()).toBe(false);
    expect(lone.node.readIndex(1)).toBe(true);
  });

  it("C12 is neither renewed nor used while suspended, and comes back only with a new round", () => {
    const lone = leased();
    lone.node.suspendLease(true);
    expect(lone.node.leaseHolds()).toBe(false);
    lone.tick(1);
    const during = lastRound(lone);
    expect(ofType(lone.sent, "heartbeat").at(-1)!.leaseMs).toBe(0);
    lone.node.suspendLease(false);
    lone.receive(answer(2, 1, during));
    expect(lone.node.leaseHolds()).toBe(false);
    lone.pump();
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.node.leaseHolds()).toBe(true);
  });

  it("C14 E21 a leader that wakes has none", () => {
    const lone = leased();
    lone.node.wake();
    expect(lone.node.leaseHolds()).toBe(false);
  });

  it("B5 in a joint configuration it needs both majorities", () => {
    const lone = new Lone({ options, configuration: configurationOf([1, 2, 3], { outgoing: [1, 4, 5] }) }).lead();
    for (const voter of [2, 4]) lone.acknowledge(voter);
    lone.tick(1);
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.node.leaseHolds()).toBe(false);
    lone.receive(answer(4, 1, lastRound(lone)));
    expect(lone.node.leaseHolds()).toBe(true);
  });

  it("answers under an old configuration do not count in a new one", () => {
    const lone = leased();
    lone.node.proposeConfigurationChange(lone.node.term, {
      changes: [{ type: "add-voter", id: id(4) }],
      transition: "auto",
      context: new Uint8Array(0),
    });
    lone.pump();
    lone.acknowledge(2);
    expect(lone.replica.configuration.voters).toEqual([1, 2, 3, 4]);
    expect(lone.node.leaseHolds()).toBe(false);
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(lone.node.leaseHolds()).toBe(false);
    lone.receive(answer(3, 1, lastRound(lone)));
    expect(lone.node.leaseHolds()).toBe(true);
  });

  it("a voter that acknowledged one neither votes for another nor campaigns until it ended", () => {
    const lone = new Lone({ options });
    lone.receive(heartbeat(2, 1, { leaseMs: 800 }));
    lone.node.forgetLeader();
    lone.clock.advance(899);
    expect(lone.receive(voteRequest("pre-vote", 3, 2, [9, 1]), voteRequest("vote", 3, 2, [9, 1]))).toEqual([]);
    expect(lone.node.term).toBe(1);
    lone.node.campaign();
    expect(lone.pump()).toEqual([]);
    lone.clock.advance(1);
    expect(ofType(lone.receive(voteRequest("vote", 3, 2, [9, 1])), "vote-response")).toMatchObject([{ reject: false }]);
  });

  it("C10 with a leader's clock that runs a tenth too slow, its lease ends before its voters' promises", () => {
    const slow = leased();
    const voter = new Lone({ options });
    voter.receive(heartbeat(2, 1, { leaseMs: 800 }));
    voter.node.forgetLeader();
    // In real time: 800 ms of the leader's clock take 880.
    slow.clock.advance(879 / 1.1);
    voter.clock.advance(880);
    expect(slow.node.leaseHolds()).toBe(true);
    expect(voter.receive(voteRequest("vote", 3, 2, [9, 1]))).toEqual([]);
  });

  it("a voter that acknowledged one may vote for that leader again", () => {
    const lone = new Lone({ options });
    lone.receive(heartbeat(2, 1, { leaseMs: 800 }));
    lone.node.forgetLeader();
    expect(ofType(lone.receive(voteRequest("vote", 2, 2, [9, 1])), "vote-response")).toMatchObject([{ reject: false }]);
  });

  it("of two promises the longer one counts, and while both run nobody gets a vote", () => {
    const lone = new Lone({ options });
    lone.receive(heartbeat(2, 1, { leaseMs: 800 }), heartbeat(3, 2, { leaseMs: 80 }));
    lone.node.forgetLeader();
    for (const candidate of [2, 3]) expect(lone.receive(voteRequest("vote", candidate, 3, [9, 2]))).toEqual([]);
    lone.clock.advance(900);
    expect(ofType(lone.receive(voteRequest("vote", 3, 3, [9, 2])), "vote-response")).toMatchObject([{ reject: false }]);
  });

  it("a transfer ordered by the leader passes the promise", () => {
    const lone = new Lone({ options });
    lone.receive(heartbeat(2, 1, { leaseMs: 800 }));
    expect(ofType(lone.receive(voteRequest("vote", 3, 2, [9, 1], true)), "vote-response")).toMatchObject([
      { reject: false },
    ]);
    const ordered = new Lone({ options });
    ordered.receive(heartbeat(2, 1, { leaseMs: 800 }));
    ordered.receive({ type: "timeout-now", from: id(2), to: id(1), term: inTerm(1) });
    expect(ofType(ordered.sent, "vote")).toMatchObject([
      { term: 2, transfer: true },
      { term: 2, transfer: true },
    ]);
  });

  it("a voter's clock, not its ticks, ends the promise", () => {
    const lone = new Lone({ options });
    lone.receive(heartbeat(2, 1, { leaseMs: 800 }));
    for (let i = 0; i < 100; i++) lone.node.tick();
    lone.pump();
    expect(lone.node.role).toBe("follower");
  });

  it("C9 a restarted voter neither votes nor campaigns for a lease length: it may have promised one", () => {
    const lone = new Lone({ options, hardState: { term: 1 }, brandNew: false });
    lone.clock.advance(899);
    expect(lone.receive(voteRequest("vote", 3, 2, [9, 1]))).toEqual([]);
    lone.node.campaign();
    expect(lone.pump()).toEqual([]);
    lone.clock.advance(1);
    expect(ofType(lone.receive(voteRequest("vote", 3, 2, [9, 1])), "vote-response")).toMatchObject([{ reject: false }]);
  });

  it("C9 a replica that is made in this moment has nothing to wait for", () => {
    const lone = new Lone({ options, brandNew: true });
    lone.node.campaign();
    expect(ofType(lone.pump(), "pre-vote")).toHaveLength(2);
  });

  it("C9 with the leader cut off and a follower restarted, nobody else leads before the lease ended", () => {
    const group = new Group([1, 2, 3], { options });
    const leader = group.elect(1);
    group.tick(2);
    expect(leader.node.leaseHolds()).toBe(true);
    group.isolate(1);
    group.at(2).restart();
    for (let i = 0; i < 40 && group.leaders.length < 2; i++) {
      for (const replica of [2, 3]) group.at(replica).node.forgetLeader();
      group.at(2 + (i % 2)).node.campaign();
      group.settle();
      if (group.leaders.length > 1) expect(leader.node.leaseHolds()).toBe(false);
      group.clock.advance(50);
    }
    expect(group.leaders.length).toBe(2);
  });

  it("with leases off no heartbeat carries one and none holds, and nobody waits after a start", () => {
    const lone = new Lone({ brandNew: false }).lead();
    lone.acknowledge(2);
    lone.tick(1);
    lone.receive(answer(2, 1, lastRound(lone)));
    expect(ofType(lone.sent, "heartbeat").every((message) => message.leaseMs === 0)).toBe(true);
    expect(lone.node.leaseHolds()).toBe(false);
    expect(lone.node.status().leaseUntilMs).toBe(0);
  });
});
