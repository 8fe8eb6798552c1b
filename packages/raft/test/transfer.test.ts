import { describe, expect, it } from "vitest";
import { MemoryLog } from "@flotilla/raft";
import { Group } from "./support/group.ts";
import { Lone, ofType } from "./support/lone-replica.ts";
import { configurationOf, id } from "./support/replica.ts";

describe("transfer of leadership", () => {
  it("A13 to a follower that is level is ordered at once, and its campaign needs no pre-votes", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    group.sent = [];
    expect(leader.node.transferLeader(id(2))).toBe(true);
    group.settle();
    expect(group.leader!.id).toBe(2);
    expect(leader.node.role).toBe("follower");
    expect(group.sent.some((message) => message.type === "pre-vote")).toBe(false);
  });

  it("A13 to a follower that lags first brings it level", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    group.isolate(3);
    for (let i = 0; i < 5; i++) leader.propose(`${i}`);
    group.settle();
    group.heal();
    leader.node.transferLeader(id(3));
    group.tick(2);
    expect(group.leader!.id).toBe(3);
    expect(group.leader!.state).toHaveLength(5);
  });

  it("A13 to a follower that needs a snapshot works, too", () => {
    const group = new Group([1, 2, 3], { setup: () => ({ log: new MemoryLog(1, 1), applied: 1 }) });
    const leader = group.elect(1);
    group.isolate(3);
    for (let i = 0; i < 5; i++) leader.propose(`${i}`);
    group.settle();
    leader.log.truncateTo(leader.appliedIndex);
    group.heal();
    group.tick(1);
    leader.node.transferLeader(id(3));
    group.tick(5);
    expect(group.leader!.id).toBe(3);
    expect(group.at(3).state).toHaveLength(5);
  });

  it("A13 refuses itself, learners, strangers and voters on their way out", () => {
    const lone = new Lone({ configuration: configurationOf([1, 2], { outgoing: [1, 3], learners: [4] }) }).lead();
    for (const to of [1, 3, 4, 9]) expect(lone.node.transferLeader(id(to))).toBe(false);
    expect(lone.node.transferLeader(id(2))).toBe(true);
    expect(new Lone().node.transferLeader(id(2))).toBe(false);
  });

  it("A13 refuses proposals while under way, and takes them again after an election timeout without success", () => {
    const lone = new Lone().lead();
    lone.acknowledge(2);
    lone.node.transferLeader(id(3));
    expect(lone.replica.propose("a")).toEqual({ ok: false, reason: "transferring" });
    expect(lone.node.status().transferee).toBe(3);
    for (let i = 0; i < 10; i++) {
      expect(lone.replica.propose("a").ok).toBe(false);
      lone.acknowledge(2);
      lone.tick(1);
    }
    expect(lone.node.status()).toMatchObject({ role: "leader", transferee: 0 });
    expect(lone.replica.propose("a").ok).toBe(true);
  });

  it("A13 a second order to another replica takes the place of the first, one to the same changes nothing", () => {
    const lone = new Lone().lead();
    for (const follower of [2, 3]) lone.acknowledge(follower);
    lone.node.transferLeader(id(2));
    lone.node.transferLeader(id(2));
    expect(ofType(lone.pump(), "timeout-now")).toHaveLength(1);
    lone.node.transferLeader(id(3));
    expect(ofType(lone.pump(), "timeout-now")).toMatchObject([{ to: 3 }]);
  });

  it("A13 repeated orders do not put off the quorum check", () => {
    const lone = new Lone().lead();
    for (let i = 0; i < 20; i++) {
      lone.node.transferLeader(id(2 + (i % 2)));
      lone.tick(1);
    }
    expect(lone.node.role).toBe("follower");
  });

  it("A13 ends when the transferee is removed", () => {
    const group = new Group([1, 2, 3, 4]);
    const leader = group.elect(1);
    group.loses = (message) => message.to === 4 && message.type === "append";
    leader.node.proposeConfigurationChange(leader.node.term, {
      changes: [{ type: "remove", id: id(4) }],
      transition: "auto",
      context: new Uint8Array(0),
    });
    leader.node.transferLeader(id(4));
    group.settle();
    expect(leader.configuration.voters).toEqual([1, 2, 3]);
    expect(leader.node.status()).toMatchObject({ role: "leader", transferee: 0 });
    expect(leader.propose("a").ok).toBe(true);
  });

  it("A13 a transferee with an unapplied change of configuration does not campaign", () => {
    const group = new Group([1, 2, 3]);
    const leader = group.elect(1);
    group.at(2).autoApply = false;
    leader.node.proposeConfigurationChange(leader.node.term, {
      changes: [{ type: "add-learner", id: id(4) }],
      transition: "auto",
      context: new Uint8Array(0),
    });
    group.tick(1);
    leader.node.transferLeader(id(2));
    group.settle();
    expect(group.at(2).node.status()).toMatchObject({ role: "follower", term: leader.node.term });
    expect(leader.node.role).toBe("leader");
  });

  it("TimeoutNow of anybody but the leader is not obeyed", () => {
    const group = new Group([1, 2, 3]);
    group.elect(1);
    group.deliver({ type: "timeout-now", from: id(3), to: id(2), term: group.at(2).node.term });
    group.settle();
    expect(group.at(2).node.role).toBe("follower");
  });

  it("a learner that is told to campaign does not", () => {
    const lone = new Lone({ configuration: configurationOf([2, 3], { learners: [1] }) });
    lone.receive({ type: "timeout-now", from: id(2), to: id(1), term: (lone.node.term + 1) as never });
    expect(lone.node.role).toBe("follower");
  });
});
