import { describe, expect, it } from "vitest";
import { MemoryLog } from "@flotilla/raft";
import type { InstallSnapshot } from "@flotilla/raft";
import { Group } from "./support/group.ts";
import { Lone, append, heartbeat, ofType } from "./support/lone-replica.ts";
import { at, configurationOf, entry, id, inTerm } from "./support/replica.ts";

const base = { setup: () => ({ log: new MemoryLog(1, 1), applied: 1 }) };

const install = (
  from: number,
  term: number,
  index: number,
  labelTerm: number,
  configuration = configurationOf([1, 2, 3]),
): InstallSnapshot => ({
  type: "snapshot",
  from: id(from),
  to: id(1),
  term: inTerm(term),
  label: { index: at(index), term: inTerm(labelTerm), configuration },
});

/** A leader whose follower 2 lags behind a truncated log, and has just been heard. */
function behind(): Lone {
  const entries = Array.from({ length: 10 }, (_, i) => entry(i + 11, 1));
  const lone = new Lone({
    base: { index: 10, term: 1 },
    entries,
    hardState: { term: 1, commit: 20 },
    applied: 20,
  }).lead();
  lone.acknowledge(3);
  lone.receive({
    type: "append-response",
    from: id(2),
    to: id(1),
    term: inTerm(2),
    index: at(20),
    reject: true,
    hintIndex: at(4),
    hintTerm: inTerm(1),
  });
  return lone;
}

const follower2 = (lone: Lone): unknown => lone.node.status().progress.find((p) => p.id === 2);

describe("snapshots, the leader's side", () => {
  it("what is truncated is sent as a snapshot of the applied state, with its configuration", () => {
    const lone = behind();
    const [order] = ofType(lone.sent, "snapshot");
    expect(order).toMatchObject({
      to: 2,
      label: { index: lone.replica.appliedIndex, configuration: configurationOf([1, 2, 3]) },
    });
    expect(follower2(lone)).toMatchObject({ state: "snapshot", paused: true });
  });

  it("nobody is sent one who has not been heard since the last quorum check", () => {
    const lone = new Lone({ base: { index: 10, term: 1 }, hardState: { term: 1, commit: 10 }, applied: 10 }).lead();
    lone.acknowledge(2);
    for (let i = 0; i < 25; i++) {
      lone.acknowledge(3);
      lone.tick(1);
    }
    lone.replica.propose("a");
    lone.pump();
    lone.acknowledge(3);
    lone.replica.log.truncateTo(lone.replica.appliedIndex);
    lone.node.reportUnreachable(id(2));
    lone.replica.propose("b");
    lone.pump();
    expect(ofType(lone.sent, "snapshot")).toEqual([]);
    lone.receive({ type: "heartbeat-response", from: id(2), to: id(1), term: inTerm(2), context: 1 });
    expect(ofType(lone.sent, "snapshot")).toMatchObject([{ to: 2 }]);
  });

  it("nothing is appended while one is under way", () => {
    const lone = behind();
    lone.sent = [];
    lone.replica.propose("a");
    lone.pump();
    expect(ofType(lone.sent, "append").filter((message) => message.to === 2)).toEqual([]);
  });

  it("A15 a failed one is tried again after a heartbeat", () => {
    const lone = behind();
    const [order] = ofType(lone.sent, "snapshot");
    lone.node.reportSnapshot(id(2), order!.label, false);
    lone.sent = [];
    lone.replica.propose("a");
    lone.pump();
    expect(ofType(lone.sent, "snapshot")).toEqual([]);
    lone.receive({ type: "heartbeat-response", from: id(2), to: id(1), term: inTerm(2), context: 1 });
    expect(ofType(lone.sent, "snapshot")).toHaveLength(1);
  });

  it("D12 a finished one whose acknowledgement was lost is not sent again: the follower is probed behind it", () => {
    const lone = behind();
    const [order] = ofType(lone.sent, "snapshot");
    lone.node.reportSnapshot(id(2), order!.label, true);
    lone.sent = [];
    lone.receive({ type: "heartbeat-response", from: id(2), to: id(1), term: inTerm(2), context: 1 });
    expect(ofType(lone.sent, "snapshot")).toEqual([]);
    expect(ofType(lone.sent, "append")[0]).toMatchObject({ to: 2, prevIndex: order!.label.index });
    lone.acknowledge(2);
    expect(follower2(lone)).toMatchObject({ state: "replicate", match: lone.node.lastIndex });
  });

  it("D12 an acknowledgement ends it without any report, whatever snapshot it was, if the log goes on from there", () => {
    const lone = behind();
    lone.acknowledge(2, 12);
    expect(follower2(lone)).toMatchObject({ state: "replicate", match: 12, paused: false });
    lone.node.reportSnapshot(id(2), install(1, 2, 20, 1).label, false);
    expect(follower2(lone)).toMatchObject({ state: "replicate" });
  });

  it("D12 an acknowledgement that the log does not reach back to ends nothing", () => {
    const lone = behind();
    lone.acknowledge(2, 5);
    expect(follower2(lone)).toMatchObject({ state: "snapshot" });
    expect(ofType(lone.sent, "snapshot")).toHaveLength(1);
  });

  it("D1 a follower that fell behind a truncated log catches up and replicates", () => {
    const group = new Group([1, 2, 3], base);
    const leader = group.elect(1);
    group.isolate(3);
    for (let i = 0; i < 20; i++) leader.propose(`${i}`);
    group.settle();
    leader.log.truncateTo(leader.appliedIndex);
    group.heal();
    group.sent = [];
    group.tick(3);
    expect(ofType(group.sent, "snapshot")).toHaveLength(1);
    expect(group.at(3).state).toEqual(leader.state);
    leader.propose("more");
    group.tick(1);
    expect(group.at(3).state.at(-1)).toBe("more");
    expect(leader.node.status().progress.every((p) => p.state === "replicate")).toBe(true);
  });
});

describe("snapshots, the follower's side", () => {
  it("an accepted one voids the log, moves commit, and is acknowledged when its install is durable", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 1)], hardState: { term: 1, commit: 1 }, applied: 1 });
    lone.replica.autoPersist = false;
    expect(lone.receive(install(2, 3, 9, 2))).toEqual([]);
    expect(lone.replica.readys.at(-1)).toMatchObject({
      snapshot: { index: 9 },
      mustSync: true,
      persistence: { snapshotIndex: 9 },
    });
    expect(lone.node.status()).toMatchObject({ commit: 9, lastIndex: 9, firstIndex: 10 });
    lone.replica.persist();
    expect(ofType(lone.sent, "append-response")).toMatchObject([{ to: 2, index: 9, reject: false }]);
  });

  it("D5 one that is older than the commit index changes nothing, and commit never goes back", () => {
    const lone = new Lone();
    lone.receive(append(2, 1, [0, 0], [entry(1, 1), entry(2, 1), entry(3, 1)], 3));
    const before = lone.node.status();
    expect(ofType(lone.receive(install(2, 1, 2, 1)), "append-response")).toMatchObject([{ index: 3, reject: false }]);
    expect(lone.node.status()).toEqual(before);
  });

  it("D5 one that is older than the first entry changes nothing", () => {
    const lone = new Lone({ base: { index: 10, term: 3 }, hardState: { term: 3, commit: 10 }, applied: 10 });
    const before = lone.node.status();
    expect(ofType(lone.receive(install(2, 3, 4, 2)), "append-response")).toMatchObject([{ index: 10, reject: false }]);
    expect(lone.node.status()).toEqual({ ...before, leader: 2 });
  });

  it("one whose last entry the log holds only moves the commit index", () => {
    const lone = new Lone({ entries: [entry(1, 1), entry(2, 1), entry(3, 1)], hardState: { term: 1 } });
    lone.receive(install(2, 1, 2, 1));
    expect(lone.node.status()).toMatchObject({ commit: 2, lastIndex: 3 });
    expect(lone.replica.readys.every((ready) => ready.snapshot === undefined)).toBe(true);
  });

  it("one that does not name this replica is not taken", () => {
    const lone = new Lone();
    lone.receive(install(2, 1, 9, 1, configurationOf([2, 3])));
    expect(lone.node.status()).toMatchObject({ commit: 0, lastIndex: 0 });
  });

  it("D4 two in one turn leave the newer one", () => {
    const lone = new Lone();
    lone.receive(install(2, 1, 5, 1), install(2, 1, 9, 1));
    expect(lone.replica.readys.filter((ready) => ready.snapshot !== undefined)).toHaveLength(1);
    expect(lone.replica.appliedIndex).toBe(9);
    expect(lone.node.status()).toMatchObject({ commit: 9, applied: 9 });
  });

  it("D4 a second one while the first is being loaded takes its place", () => {
    const lone = new Lone();
    lone.replica.autoPersist = false;
    lone.receive(install(2, 1, 5, 1));
    lone.receive(install(2, 1, 9, 1));
    lone.receive(append(2, 1, [9, 1], [entry(10, 1, "behind")], 10));
    lone.replica.persist(1);
    lone.pump();
    expect(lone.replica.readys.every((ready) => ready.committedEntries.length === 0)).toBe(true);
    lone.replica.persist();
    lone.replica.apply();
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(10);
    expect(lone.replica.state).toEqual(["behind"]);
  });

  it("C5 nothing behind a snapshot is handed out before it is loaded", () => {
    const lone = new Lone();
    lone.replica.autoApply = false;
    lone.receive(install(2, 1, 5, 1), append(2, 1, [5, 1], [entry(6, 1)], 6));
    expect(lone.replica.readys.every((ready) => ready.committedEntries.length === 0)).toBe(true);
    lone.replica.autoApply = true;
    lone.replica.apply();
    lone.pump();
    expect(lone.replica.appliedIndex).toBe(6);
  });

  it("a replica does not campaign before an accepted snapshot is loaded", () => {
    const lone = new Lone();
    lone.replica.autoApply = false;
    lone.receive(install(2, 1, 5, 1));
    lone.node.forgetLeader();
    lone.tick(50);
    expect(lone.node.role).toBe("follower");
  });

  it("B9 a configuration entry below the snapshot changes nothing when it comes after it", () => {
    const group = new Group([1, 2, 3], base);
    const leader = group.elect(1);
    leader.node.proposeConfigurationChange(leader.node.term, {
      changes: [{ type: "add-learner", id: id(4) }],
      transition: "auto",
      context: new Uint8Array(0),
    });
    group.settle();
    const old = leader.applied.find((e) => e.kind === "configuration")!;
    const lone = new Lone();
    lone.receive(install(2, 1, 9, 1));
    expect(lone.node.applyConfigurationChange(old)).toEqual(configurationOf([1, 2, 3]));
    expect(lone.node.status().configuration).toEqual(configurationOf([1, 2, 3]));
  });

  it("B10 one that makes a candidate a learner ends its campaign", () => {
    const lone = new Lone();
    lone.node.campaign();
    lone.pump();
    lone.receive(install(2, 1, 9, 1, configurationOf([2, 3], { learners: [1] })));
    expect(lone.node.status()).toMatchObject({ role: "follower", leader: 2 });
    lone.node.forgetLeader();
    lone.tick(50);
    expect(lone.node.role).toBe("follower");
  });

  it("B10 one that makes a learner a voter lets it campaign", () => {
    const lone = new Lone({ configuration: configurationOf([2, 3], { learners: [1] }) });
    lone.receive(install(2, 1, 9, 1));
    lone.node.forgetLeader();
    lone.tick(20);
    expect(lone.node.role).toBe("pre-candidate");
  });

  it("a replica with nothing takes a snapshot of a leader it has never heard of", () => {
    const lone = new Lone({ configuration: configurationOf([]) });
    lone.receive(heartbeat(7, 4), install(7, 4, 9, 3, configurationOf([7], { learners: [1] })));
    expect(lone.node.status()).toMatchObject({
      term: 4,
      leader: 7,
      commit: 9,
      configuration: configurationOf([7], { learners: [1] }),
    });
  });
});
