import { describe, expect, it } from "vitest";
import { MemoryLog } from "@flotilla/raft";
import type { ConfigurationChange } from "@flotilla/raft";
import { FaultRun } from "./support/fault-run.ts";
import { Group } from "./support/group.ts";
import { Lone, append, ofType } from "./support/lone-replica.ts";
import { configurationOf, entry, id, inTerm } from "./support/replica.ts";
import type { TestReplica } from "./support/replica.ts";

type Transition = ConfigurationChange["transition"];

/** `v4` add voter 4, `l4` add learner 4, `r4` remove 4; nothing: leave. */
function change(text: string, transition: Transition = "auto"): ConfigurationChange {
  const kinds = { v: "add-voter", l: "add-learner", r: "remove" } as const;
  const changes = text
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => ({
      type: kinds[word[0] as keyof typeof kinds],
      id: id(Number(word.slice(1))),
    }));
  return { changes, transition, context: new Uint8Array(0) };
}

const propose = (replica: TestReplica, text: string, transition?: Transition): unknown =>
  replica.node.proposeConfigurationChange(replica.node.term, change(text, transition));

const based =
  (configuration = configurationOf([1, 2, 3])) =>
  (replica: number) =>
    [...configuration.voters, ...configuration.votersOutgoing, ...configuration.learners].includes(id(replica))
      ? { log: new MemoryLog(1, 1), applied: 1, configuration }
      : { configuration: configurationOf([]) };

function grown(voters: number[], others: number[]): Group {
  return new Group(voters, { others, setup: based(configurationOf(voters)) });
}

describe("changes of membership", () => {
  it("B1 none is taken before the leader has committed in its own term", () => {
    const lone = new Lone({ entries: [entry(1, 1)], hardState: { term: 1, commit: 1 }, applied: 1 }).lead();
    expect(propose(lone.replica, "v4")).toEqual({ ok: false, reason: "configuration-pending" });
    lone.acknowledge(2);
    expect(propose(lone.replica, "v4")).toMatchObject({ ok: true });
  });

  it("B1 the two leaders of the 2015 erratum do not come to be", () => {
    // S1 of term 1 could not even append its change of {1,2,3,4} before an entry of its own was committed.
    const group = grown([1, 2, 3, 4], [5]);
    group.loses = (message) => message.type === "append";
    const first = group.elect(1);
    expect(propose(first, "v5")).toEqual({ ok: false, reason: "configuration-pending" });
    expect(first.node.lastIndex).toBe(2);
    group.isolate(1);
    for (const replica of [2, 3, 4]) group.at(replica).node.forgetLeader();
    const second = group.elect(2);
    propose(second, "r4");
    group.settle();
    expect(second.configuration.voters).toEqual([1, 2, 3]);
    group.loses = (message) => [2, 3].includes(message.from) || [2, 3].includes(message.to);
    group.tick(100, [1, 4, 5]);
    expect(group.at(1).node.role).not.toBe("leader");
  });

  it("B2 a replica with a committed but unapplied change does not campaign", () => {
    const lone = new Lone({ hardState: { term: 1 } });
    lone.replica.autoApply = false;
    const data = configurationEntry("v4");
    lone.receive(append(2, 1, [0, 0], [{ ...entry(1, 1), kind: "configuration", data }], 1));
    lone.node.forgetLeader();
    lone.tick(100);
    lone.node.campaign();
    expect(lone.node.role).toBe("follower");
    lone.replica.apply();
    lone.tick(20);
    expect(lone.node.role).toBe("pre-candidate");
  });

  function configurationEntry(text: string): Uint8Array {
    const lone = new Lone({ voters: [1] }).lead();
    const proposed = propose(lone.replica, text) as { ok: boolean };
    expect(proposed.ok).toBe(true);
    lone.replica.autoPersist = false;
    lone.pump();
    return lone.replica.log.all().at(-1)!.data;
  }

  it("B3 a second change is refused until the first is applied", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.replica.autoApply = false;
    expect(propose(lone.replica, "l4")).toMatchObject({ ok: true });
    expect(propose(lone.replica, "l5")).toEqual({ ok: false, reason: "configuration-pending" });
    lone.pump();
    lone.acknowledge(2);
    expect(propose(lone.replica, "l5")).toEqual({ ok: false, reason: "configuration-pending" });
    lone.replica.apply();
    expect(propose(lone.replica, "l5")).toMatchObject({ ok: true });
  });

  it("B3 while joint, only leaving is taken", () => {
    const group = grown([1, 2, 3], [4, 5]);
    const leader = group.elect(1);
    propose(leader, "v4 v5", "joint-explicit");
    group.settle();
    expect(leader.configuration).toEqual(configurationOf([1, 2, 3, 4, 5], { outgoing: [1, 2, 3] }));
    expect(propose(leader, "r2")).toEqual({ ok: false, reason: "configuration-pending" });
    expect(propose(leader, "")).toMatchObject({ ok: true });
    group.tick(3);
    for (const replica of group.replicas.values())
      expect(replica.configuration).toEqual(configurationOf([1, 2, 3, 4, 5]));
  });

  it("a change that cannot be is refused as invalid", () => {
    const lone = new Lone({ voters: [1] }).lead();
    expect(propose(lone.replica, "r1")).toEqual({ ok: false, reason: "invalid" });
    expect(propose(lone.replica, "")).toEqual({ ok: false, reason: "invalid" });
  });

  it("a new voter is caught up by a snapshot and votes", () => {
    const group = grown([1, 2, 3], [4]);
    const leader = group.elect(1);
    leader.propose("a");
    propose(leader, "v4");
    group.tick(3);
    expect(group.at(4).configuration).toEqual(configurationOf([1, 2, 3, 4]));
    expect(group.at(4).state).toEqual(["a"]);
    group.isolate(1);
    group.tick(40);
    expect(group.leader!.configuration.voters).toEqual([1, 2, 3, 4]);
  });

  it("B4 a joint configuration is left by itself", () => {
    const group = grown([1, 2, 3], [4]);
    const leader = group.elect(1);
    propose(leader, "v4 r3");
    group.settle();
    expect(leader.configuration).toEqual(configurationOf([1, 2, 4]));
    group.tick(3);
    for (const replica of [1, 2, 4]) expect(group.at(replica).configuration).toEqual(configurationOf([1, 2, 4]));
  });

  it("B4 the next leader leaves a joint configuration whose leader died in it", () => {
    const group = grown([1, 2, 3], [4]);
    const leader = group.elect(1);
    // Nobody hears of the leaving.
    const leaving = leader.node.lastIndex + 2;
    group.loses = (message) => message.type === "append" && message.entries.some((e) => e.index >= leaving);
    propose(leader, "v4 r3");
    group.tick(5);
    expect(leader.configuration.autoLeave).toBe(true);
    group.isolate(1);
    group.tick(60);
    const next = group.leader!;
    expect(next.id).not.toBe(1);
    expect(next.configuration).toEqual(configurationOf([1, 2, 4]));
  });

  it("B4 a restart in a joint configuration remembers to leave it", () => {
    const group = grown([1, 2, 3], [4]);
    const leader = group.elect(1);
    const leaving = leader.node.lastIndex + 2;
    group.loses = (message) => message.type === "append" && message.entries.some((e) => e.index >= leaving);
    propose(leader, "v4 r3");
    group.tick(5);
    for (const replica of group.replicas.values()) replica.restart();
    group.heal();
    group.tick(60);
    for (const replica of [1, 2, 4]) expect(group.at(replica).configuration).toEqual(configurationOf([1, 2, 4]));
  });

  it("B4 leaving waits for the end of a transfer, and is not forgotten", () => {
    const group = grown([1, 2, 3], [4, 5]);
    const leader = group.elect(1);
    group.isolate(2);
    propose(leader, "l4 v5");
    leader.node.transferLeader(id(2));
    group.tick(5, [1, 3, 4, 5]);
    expect(leader.configuration.autoLeave).toBe(true);
    group.tick(25, [1, 3, 4, 5]);
    expect(leader.configuration).toEqual(configurationOf([1, 2, 3, 5], { learners: [4] }));
  });

  it("B5 in a joint configuration both majorities are needed for votes", () => {
    const lone = new Lone({ configuration: configurationOf([1, 2, 3], { outgoing: [1, 4, 5] }) });
    lone.node.campaign();
    lone.pump();
    const grant = (type: "pre-vote-response" | "vote-response", from: number): void => {
      lone.receive({ type, from: id(from), to: id(1), term: inTerm(1), reject: false });
    };
    for (const from of [2, 3]) grant("pre-vote-response", from);
    expect(lone.node.role).toBe("pre-candidate");
    grant("pre-vote-response", 4);
    for (const from of [4, 5]) grant("vote-response", from);
    expect(lone.node.role).toBe("candidate");
    grant("vote-response", 3);
    expect(lone.node.role).toBe("leader");
  });

  it("B5 in a joint configuration both majorities are needed for commit", () => {
    const lone = new Lone({ configuration: configurationOf([1, 2, 3], { outgoing: [1, 4, 5] }) }).lead();
    for (const from of [2, 3]) lone.acknowledge(from);
    expect(lone.node.commit).toBe(0);
    lone.acknowledge(5);
    expect(lone.node.commit).toBe(1);
  });

  it("B5 in a joint configuration both majorities are needed for the quorum check", () => {
    for (const [active, leads] of [
      [[2, 3], false],
      [[4, 5], false],
      [[2, 4], true],
    ] as const) {
      const lone = new Lone({ configuration: configurationOf([1, 2, 3], { outgoing: [1, 4, 5] }) }).lead();
      for (let i = 0; i < 20; i++) {
        for (const from of active) lone.acknowledge(from);
        lone.tick(1);
      }
      expect(lone.node.role === "leader").toBe(leads);
    }
  });

  it("B6 with a majority of both configurations alive a leader emerges, whoever has applied what", () => {
    // Joint is applied by the old leader alone, which dies; the others hold the entry and may or may not know that it is committed.
    for (const told of [[], [2], [3], [2, 4]]) {
      const group = grown([1, 2, 3], [4, 5]);
      const leader = group.elect(1);
      for (const learner of [4, 5]) {
        propose(leader, `l${learner}`);
        group.tick(3);
      }
      propose(leader, "v4 v5 r2 r3", "joint-explicit");
      group.loses = (message) =>
        message.from === 1 &&
        (message.type === "append" || message.type === "heartbeat") &&
        message.commit > group.at(2).node.commit &&
        !told.includes(message.to);
      group.settle();
      group.loses = (message) => message.from === 1 || message.to === 1;
      group.tick(60, [2, 3, 4, 5]);
      expect(group.leader!.node.commit).toBe(group.leader!.node.lastIndex);
    }
  });

  it("B7 a leader that is being removed leads until the removal is committed, and does not count itself for it", () => {
    const lone = new Lone({ voters: [1, 2, 3] }).lead();
    for (const follower of [2, 3]) lone.acknowledge(follower);
    propose(lone.replica, "r1");
    lone.pump();
    expect(lone.node.role).toBe("leader");
    lone.acknowledge(2);
    expect(lone.node.status()).toMatchObject({ role: "follower", configuration: configurationOf([2, 3]) });
    // The others were told of the commit in the same Ready that handed it out.
    const told = lone.sent.filter(
      (message) => (message.type === "heartbeat" || message.type === "append") && message.commit === 2,
    );
    expect(told.map((message) => Number(message.to))).toContain(2);
  });

  it("B7 a leader that is replaced in a joint change leads until it is left", () => {
    const group = grown([1, 2, 3], [4]);
    const leader = group.elect(1);
    propose(leader, "v4 r1", "joint-explicit");
    group.settle();
    expect(leader.node.role).toBe("leader");
    leader.propose("still");
    group.settle();
    propose(leader, "");
    group.settle();
    expect(leader.node.role).toBe("follower");
    group.tick(60);
    expect(group.leader!.configuration).toEqual(configurationOf([2, 3, 4]));
    expect(group.leader!.state).toEqual(["still"]);
  });

  it("B8 a removed replica never campaigns once it has applied its removal", () => {
    const group = grown([1, 2, 3], []);
    const leader = group.elect(1);
    propose(leader, "r3");
    group.tick(2);
    expect(group.at(3).configuration.voters).toEqual([1, 2]);
    group.isolate(3);
    group.tick(100);
    expect(group.at(3).node.status()).toMatchObject({ role: "follower", term: leader.node.term });
  });

  it("B8 a removed replica that does not know it disturbs nobody", () => {
    const group = grown([1, 2, 3, 4], []);
    const leader = group.elect(1);
    group.isolate(4);
    propose(leader, "r4");
    group.settle();
    group.tick(50);
    group.heal();
    const { term } = leader.node;
    group.tick(100);
    expect(leader.node.status()).toMatchObject({ role: "leader", term });
  });

  it("B9 after every step of a random run the configuration is what log and snapshots say, from one place", () => {
    // The run compares what every replica applied, and restarts replicas from what they kept.
    expect(new FaultRun({ seed: 77, steps: 6000, leaseMs: 0, membership: true }).run().applied).toBeGreaterThan(10);
  });

  it("B9 a change takes effect when it is applied, not when it is appended", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    propose(lone.replica, "v4");
    lone.pump();
    expect(lone.node.status().configuration.voters).toEqual([1, 2, 3]);
    lone.acknowledge(2);
    expect(lone.node.status().configuration.voters).toEqual([1, 2, 3, 4]);
  });

  it("B10 a voter that becomes a learner stops voting for commits and stops campaigning", () => {
    const group = grown([1, 2, 3], []);
    const leader = group.elect(1);
    propose(leader, "l3");
    group.tick(2);
    expect(leader.configuration).toEqual(configurationOf([1, 2], { learners: [3] }));
    group.isolate(3);
    group.tick(60);
    expect(group.at(3).node.role).toBe("follower");
    leader.propose("a");
    group.settle();
    expect(leader.state).toEqual(["a"]);
  });

  it("B10 a voter that is demoted in a joint change votes until it is left", () => {
    const group = grown([1, 2, 3], [4]);
    const leader = group.elect(1);
    propose(leader, "v4 l3", "joint-explicit");
    group.settle();
    expect(leader.configuration).toEqual(configurationOf([1, 2, 4], { outgoing: [1, 2, 3], learnersNext: [3] }));
    expect(leader.node.status().progress.find((p) => p.id === 3)!.learner).toBe(false);
    propose(leader, "");
    group.tick(2);
    expect(leader.configuration).toEqual(configurationOf([1, 2, 4], { learners: [3] }));
  });

  it("B12 a smaller quorum commits what waited for the larger one", () => {
    const lone = new Lone({ voters: [1, 2, 3, 4] }).lead();
    for (const follower of [2, 3]) lone.acknowledge(follower);
    propose(lone.replica, "r4");
    lone.replica.propose("waits");
    lone.pump();
    // Two of four have the second entry when the removal is committed; two of three are enough.
    lone.acknowledge(2, 3);
    expect(lone.node.commit).toBe(1);
    lone.acknowledge(3, 2);
    expect(lone.node.status()).toMatchObject({ commit: 3, configuration: configurationOf([1, 2, 3]) });
    expect(lone.replica.state).toEqual(["waits"]);
  });

  it("B12 a smaller quorum confirms the reads that waited for the larger one", () => {
    const lone = new Lone({ voters: [1, 2, 3, 4] }).lead();
    for (const follower of [2, 3]) lone.acknowledge(follower);
    propose(lone.replica, "r4");
    lone.node.readIndex(1);
    lone.pump();
    const round = ofType(lone.sent, "heartbeat").at(-1)!.context;
    lone.receive({ type: "heartbeat-response", from: id(2), to: id(1), term: lone.node.term, context: round });
    expect(lone.replica.reads).toEqual([]);
    for (const follower of [2, 3]) lone.acknowledge(follower, 2);
    lone.pump();
    expect(lone.replica.reads).toMatchObject([{ context: 1 }]);
  });

  it("a new member has a whole election timeout before a quorum check counts its silence", () => {
    const lone = new Lone({ voters: [1] }).lead();
    propose(lone.replica, "v2");
    lone.pump();
    expect(lone.replica.configuration.voters).toEqual([1, 2]);
    lone.tick(10);
    expect(lone.node.role).toBe("leader");
    lone.tick(10);
    expect(lone.node.role).toBe("follower");
  });
});
