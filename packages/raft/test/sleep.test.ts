/** Rest and waking in the core: what a host that stops ticks may rely on (rule: sleep). */
import { describe, expect, it } from "vitest";
import type { ReplicaId } from "@flotilla/base";
import { Group } from "./support/group.ts";
import { Lone, append, heartbeat, ofType, voteRequest } from "./support/lone-replica.ts";
import { entry, id, inTerm } from "./support/replica.ts";

const everybody = (): boolean => true;
const all = [1, 2, 3] as const;

/** Three replicas of which 1 leads, with one entry beyond its own, all level and at rest. */
function asleep(): Group {
  const group = new Group(all);
  const leader = group.elect(1);
  leader.propose("a");
  group.settle();
  group.tick(2);
  expect(leader.node.rest(everybody)).toBe(true);
  group.settle();
  for (const replica of [2, 3]) expect(group.at(replica).node.rest(everybody)).toBe(true);
  return group;
}

/** As a host does: who sleeps and is told something wakes. */
function wakeOnMessage(group: Group, sleepers: readonly number[]): (replica: number) => void {
  const asleepNow = new Set(sleepers);
  const wake = (replica: number): void => {
    if (asleepNow.delete(replica)) group.at(replica).node.wake();
  };
  const deliver = group.deliver.bind(group);
  group.deliver = (message) => {
    deliver(message);
    wake(message.to);
  };
  return wake;
}

describe("a leader rests", () => {
  it("only with everything committed, applied and held by every member that is reachable", () => {
    const group = new Group(all);
    const leader = group.elect(1);
    group.tick(2);
    group.loses = (message) => message.to === 3;
    leader.propose("a");
    group.settle();
    expect(leader.node.commit).toBe(leader.node.lastIndex);
    expect(leader.node.rest(everybody)).toBe(false);
    expect(leader.node.rest((member) => member !== (3 as ReplicaId))).toBe(true);
  });

  it("only with a majority that is reachable", () => {
    const group = new Group(all);
    const leader = group.elect(1);
    group.tick(2);
    expect(leader.node.rest(() => false)).toBe(false);
    expect(leader.node.rest((member) => member === (2 as ReplicaId))).toBe(true);
  });

  it("not while it hands leadership over, nor before a member was heard in this term", () => {
    const lone = new Lone().lead();
    expect(lone.node.rest(everybody)).toBe(false);
    const group = new Group(all);
    const leader = group.elect(1);
    group.tick(2);
    group.loses = () => true;
    leader.node.transferLeader(2 as ReplicaId);
    group.settle();
    expect(leader.node.rest(everybody)).toBe(false);
  });

  it("C14 and has no lease from then on, before it has asked again", () => {
    const group = new Group(all, { options: { leaseMs: 800 } });
    const leader = group.elect(1);
    group.tick(10);
    expect(leader.node.leaseHolds()).toBe(true);
    expect(leader.node.rest(everybody)).toBe(true);
    expect(leader.node.leaseHolds()).toBe(false);
    // Late answers to rounds of before revive nothing.
    group.settle();
    expect(leader.node.leaseHolds()).toBe(false);
    leader.node.wake();
    expect(leader.node.leaseHolds()).toBe(false);
    group.settle();
    expect(leader.node.leaseHolds()).toBe(true);
  });

  it("C14 that was deposed meanwhile confirms no read when it wakes", () => {
    const group = asleep();
    const old = group.at(1);
    group.isolate(1);
    for (const replica of [2, 3]) {
      group.at(replica).node.forgetLeader();
      group.at(replica).node.wake();
    }
    group.tick(60, [2, 3]);
    expect(group.leaders.map(({ node }) => node.term).sort()).toHaveLength(2);
    expect(old.node.role).toBe("leader");
    old.node.wake();
    expect(old.node.leaseHolds()).toBe(false);
    old.node.readIndex(7);
    group.settle();
    expect(old.reads).toEqual([]);
    group.heal();
    old.node.wake();
    group.settle();
    expect(old.node.role).toBe("follower");
    expect(old.reads).toEqual([]);
  });

  it("a waking leader begins with a fresh quorum check and steps down when nobody answers", () => {
    const group = asleep();
    group.isolate(1);
    group.at(1).node.wake();
    group.tick(10, [1]);
    expect(group.at(1).node.role).toBe("follower");
  });
});

describe("a follower rests", () => {
  it("only when the last word of the leader it knows was that it rests at this very log", () => {
    const follower = new Lone({ voters: [1, 2, 3] });
    follower.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    follower.receive(heartbeat(2, 1, { commit: 1, context: 1 }));
    expect(follower.node.rest(everybody)).toBe(false);
    follower.receive(heartbeat(2, 1, { commit: 1, context: 0, rests: true }));
    expect(follower.node.rest(() => false)).toBe(false);
    expect(follower.node.rest(everybody)).toBe(true);
    follower.receive(append(2, 1, [1, 1], [entry(2, 1)]));
    expect(follower.node.rest(everybody)).toBe(false);
  });

  it("not with an entry that the leader's word does not cover, or of another term", () => {
    const follower = new Lone({ voters: [1, 2, 3] });
    follower.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1)]));
    follower.receive(heartbeat(2, 1, { commit: 1, context: 0, rests: true }));
    expect(follower.node.rest(everybody)).toBe(false);
    follower.receive(heartbeat(3, 2, { commit: 2, commitTerm: 2, context: 0, rests: true }));
    expect(follower.node.rest(everybody)).toBe(false);
    expect(follower.node.commit).toBe(1);
  });

  it("not as long as it knows no leader: a group without one has somebody who campaigns", () => {
    const follower = new Lone({ voters: [1, 2, 3] });
    follower.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    follower.receive(heartbeat(2, 1, { commit: 1, context: 0, rests: true }));
    follower.node.forgetLeader();
    expect(follower.node.rest(everybody)).toBe(false);
  });

  it("and refuses a pre-vote, but tells the leader, which alone knows whether it is there", () => {
    const follower = new Lone({ voters: [1, 2, 3] });
    follower.receive(append(2, 1, [0, 0], [entry(1, 1)]));
    follower.receive(heartbeat(2, 1, { commit: 1, context: 0, rests: true }));
    const answers = follower.receive(voteRequest("pre-vote", 3, 2, [1, 1]));
    expect(answers).toMatchObject([{ type: "heartbeat-response", to: 2, term: 1, context: 0 }]);
    expect(follower.node.rest(everybody)).toBe(false);
  });
});

describe("waking", () => {
  it("a message to one follower brings the leader's heartbeat to all of them", () => {
    const group = asleep();
    const wake = wakeOnMessage(group, all);
    group.sent = [];
    wake(3);
    group.settle();
    expect(ofType(group.sent, "heartbeat").map(({ to }) => to)).toEqual([2, 3]);
    expect(group.leaders).toHaveLength(1);
  });

  it("E21 after the death of the leader's store the others elect one of them within a timeout", () => {
    const group = asleep();
    const wake = wakeOnMessage(group, all);
    group.isolate(1);
    for (const replica of [2, 3]) {
      group.at(replica).node.forgetLeader();
      wake(replica);
    }
    group.tick(30, [2, 3]);
    expect([2, 3].filter((replica) => group.at(replica).node.role === "leader")).toHaveLength(1);
  });

  it("a sleeper that is told to lead campaigns at once, and waits for the votes as long as any candidate", () => {
    for (let seed = 0; seed < 60; seed++) {
      const follower = new Lone({ voters: [1, 2, 3] });
      follower.receive(append(2, 1, [0, 0], [entry(1, 1)]));
      follower.receive(heartbeat(2, 1, { commit: 1, context: 0, rests: true }));
      expect(follower.node.rest(everybody)).toBe(true);
      // Other timeouts in each turn.
      for (let i = 0; i < seed; i++) follower.node.wake();
      follower.node.step({ type: "timeout-now", from: id(2), to: id(1), term: inTerm(1) });
      follower.node.wake();
      expect(ofType(follower.pump(), "vote").map(({ to }) => to)).toEqual([2, 3]);
      follower.tick(5);
      expect(follower.node.role).toBe("candidate");
      expect(follower.node.term).toBe(2);
    }
  });

  it("E20 a follower that missed the leader's last word campaigns, is refused, and hears the leader again", () => {
    const group = new Group(all);
    const leader = group.elect(1);
    group.tick(2);
    const { term } = leader.node;
    group.loses = (message) => message.to === 3;
    expect(leader.node.rest(everybody)).toBe(true);
    group.settle();
    group.heal();
    expect(group.at(2).node.rest(everybody)).toBe(true);
    expect(group.at(3).node.rest(everybody)).toBe(false);
    wakeOnMessage(group, [1, 2]);
    group.tick(25, [3]);
    expect(leader.node.role).toBe("leader");
    expect(leader.node.term).toBe(term);
    expect(group.at(3).node.leader).toBe(1);
  });
});
