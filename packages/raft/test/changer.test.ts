import { describe, expect, it } from "vitest";
import fc from "fast-check";
import type { ReplicaId } from "@flotilla/base";
import { changer, decodeConfigurationChange, encodeConfigurationChange, sortedConfiguration } from "@flotilla/raft";
import type { Changed, Configuration, ConfigurationChange, MemberChange, MemberProgress } from "@flotilla/raft";
import { at, bytes, configurationOf, id } from "./support/replica.ts";

const fixed = { seed: 20_26, numRuns: 300 };

const change = fc.record({
  type: fc.constantFrom("add-voter" as const, "add-learner" as const, "remove" as const),
  id: fc.integer({ min: 1, max: 6 }).map(id),
});
const changes = fc.array(change, { maxLength: 4 });
const step = fc.oneof(
  fc.record({ kind: fc.constant("simple" as const), changes }),
  fc.record({ kind: fc.constant("enter" as const), changes, autoLeave: fc.boolean() }),
  fc.record({ kind: fc.constant("leave" as const) }),
);

type ValueOf<A> = A extends fc.Arbitrary<infer V> ? V : never;

type State = { readonly configuration: Configuration; readonly progress: ReadonlyMap<ReplicaId, MemberProgress> };

const start: State = {
  configuration: configurationOf([1]),
  progress: new Map([[id(1), { match: at(0), next: at(1), learner: false }]]),
};

function take(state: State, made: ValueOf<typeof step>): Changed {
  const next = changer(state.configuration, state.progress, at(7));
  if (made.kind === "leave") return next.leaveJoint();
  return made.kind === "simple"
    ? next.simple(made.changes)
    : next.enterJoint({ autoLeave: made.autoLeave }, made.changes);
}

describe("configuration changes", () => {
  it("whatever is done, the invariants of a configuration hold, and each member has one progress", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let state = start;
        for (const made of steps) {
          const changed = take(state, made);
          if (!changed.ok) continue;
          state = changed;
          const { voters, votersOutgoing, learners, learnersNext, autoLeave } = state.configuration;
          expect(sortedConfiguration(state.configuration)).toEqual(state.configuration);
          expect(voters.length).toBeGreaterThan(0);
          expect(learners.filter((member) => voters.includes(member) || votersOutgoing.includes(member))).toEqual([]);
          expect(learnersNext.filter((member) => !votersOutgoing.includes(member) || voters.includes(member))).toEqual(
            [],
          );
          if (votersOutgoing.length === 0) expect([learnersNext, autoLeave]).toEqual([[], false]);
          expect([...state.progress.keys()].sort()).toEqual(
            [...new Set([...voters, ...votersOutgoing, ...learners])].sort(),
          );
          for (const [member, progress] of state.progress) expect(progress.learner).toBe(learners.includes(member));
        }
      }),
      fixed,
    );
  });

  it("a simple change moves at most one voter", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), changes, (steps, last) => {
        let state = start;
        for (const made of steps) {
          const changed = take(state, made);
          if (changed.ok) state = changed;
        }
        const before = state.configuration.voters;
        const changed = changer(state.configuration, state.progress).simple(last);
        if (!changed.ok) return;
        const after = changed.configuration.voters;
        const moved =
          before.filter((member) => !after.includes(member)).length +
          after.filter((member) => !before.includes(member)).length;
        expect(moved).toBeLessThanOrEqual(1);
      }),
      fixed,
    );
  });

  it("one simple change at a time ends where one joint change ends", () => {
    fc.assert(
      fc.property(changes, changes, (setup, wanted) => {
        const prepared = changer(start.configuration, start.progress).enterJoint({ autoLeave: false }, setup);
        fc.pre(prepared.ok);
        const left = changer(prepared.configuration, prepared.progress).leaveJoint();
        fc.pre(left.ok);
        let simple: State = left;
        for (const one of wanted) {
          const changed = changer(simple.configuration, simple.progress).simple([one]);
          fc.pre(changed.ok);
          simple = changed;
        }
        const joint = changer(left.configuration, left.progress).enterJoint({ autoLeave: false }, wanted);
        expect(joint.ok).toBe(true);
        if (!joint.ok) return;
        const end = changer(joint.configuration, joint.progress).leaveJoint();
        expect(end).toMatchObject({ ok: true, configuration: simple.configuration });
      }),
      fixed,
    );
  });

  it("neither argument is changed", () => {
    fc.assert(
      fc.property(changes, (wanted) => {
        const configuration = Object.freeze(configurationOf([1, 2, 3], { learners: [4] }));
        const progress = new Map(
          [1, 2, 3, 4].map((member) => [id(member), { match: at(member), next: at(9), learner: member === 4 }]),
        );
        const before = structuredClone([...progress]);
        changer(configuration, progress).enterJoint({ autoLeave: true }, wanted);
        changer(configuration, progress).simple(wanted);
        expect([...progress]).toEqual(before);
        expect(configuration).toEqual(configurationOf([1, 2, 3], { learners: [4] }));
      }),
      fixed,
    );
  });

  it("a joint change remembers the outgoing voters until it is left", () => {
    const state: State = { configuration: configurationOf([1, 2, 3]), progress: progressOf(1, 2, 3) };
    const joint = changer(state.configuration, state.progress, at(20)).enterJoint(
      { autoLeave: true },
      wanted("add-voter 4", "remove 1", "add-learner 3"),
    );
    expect(joint).toMatchObject({
      ok: true,
      configuration: configurationOf([2, 4], { outgoing: [1, 2, 3], learnersNext: [3], autoLeave: true }),
    });
    if (!joint.ok) return;
    expect(joint.progress.get(id(4))).toEqual({ match: 0, next: 20, learner: false });
    const left = changer(joint.configuration, joint.progress).leaveJoint();
    expect(left).toMatchObject({ ok: true, configuration: configurationOf([2, 4], { learners: [3] }) });
    if (left.ok) expect([...left.progress.keys()].sort()).toEqual([2, 3, 4]);
  });

  it("says why it refuses", () => {
    const state: State = { configuration: configurationOf([1, 2, 3]), progress: progressOf(1, 2, 3) };
    const plain = changer(state.configuration, state.progress);
    expect(plain.simple(wanted("add-voter 4", "add-voter 5"))).toEqual({ ok: false, reason: "needs-joint" });
    expect(plain.leaveJoint()).toEqual({ ok: false, reason: "not-joint" });
    expect(plain.enterJoint({ autoLeave: false }, wanted("remove 1", "remove 2", "remove 3"))).toEqual({
      ok: false,
      reason: "no-voters",
    });
    const joint = changer(configurationOf([1, 2], { outgoing: [1, 2, 3] }), state.progress);
    expect(joint.simple(wanted("add-voter 4"))).toEqual({ ok: false, reason: "already-joint" });
    expect(joint.enterJoint({ autoLeave: false }, [])).toEqual({ ok: false, reason: "already-joint" });
    expect(changer(state.configuration, progressOf(1, 2)).simple([])).toEqual({ ok: false, reason: "inconsistent" });
  });

  const progressOf = (...members: number[]): Map<ReplicaId, MemberProgress> =>
    new Map(members.map((member) => [id(member), { match: at(0), next: at(1), learner: false }]));

  const wanted = (...lines: string[]): MemberChange[] =>
    lines.map((line) => {
      const [type, member] = line.split(" ");
      return { type: type as MemberChange["type"], id: id(Number(member)) };
    });
});

describe("encoded configuration changes", () => {
  const encoded = fc.record({
    changes,
    transition: fc.constantFrom<ConfigurationChange["transition"]>("auto", "joint-implicit", "joint-explicit"),
    context: fc.uint8Array({ maxLength: 20 }),
  });

  it("come back as they went in", () => {
    fc.assert(
      fc.property(encoded, (value) => {
        const decoded = decodeConfigurationChange(encodeConfigurationChange(value));
        expect({ ...decoded, context: [...decoded.context] }).toEqual({ ...value, context: [...value.context] });
      }),
      fixed,
    );
  });

  it("cut short anywhere, or with anything behind them, are malformed", () => {
    fc.assert(
      fc.property(encoded, (value) => {
        const whole = encodeConfigurationChange(value);
        for (let length = 0; length < whole.length; length++)
          expect(() => decodeConfigurationChange(whole.subarray(0, length))).toThrow();
        expect(() => decodeConfigurationChange(Uint8Array.of(...whole, 0))).toThrow("behind its end");
      }),
      { ...fixed, numRuns: 50 },
    );
  });

  it("of another format, transition or kind, or of replica 0, are malformed", () => {
    const good = encodeConfigurationChange({
      changes: [{ type: "remove", id: id(5) }],
      transition: "auto",
      context: bytes("c"),
    });
    for (const [offset, value] of [
      [0, 2],
      [1, 3],
      [4, 3],
      [12, 0],
    ] as const) {
      const bad = Uint8Array.from(good);
      bad[offset] = value;
      expect(() => decodeConfigurationChange(bad)).toThrow();
    }
  });

  it("are laid out as the file says", () => {
    const encodedBytes = encodeConfigurationChange({
      changes: [{ type: "add-learner", id: id(258) }],
      transition: "joint-explicit",
      context: bytes("hi"),
    });
    expect([...encodedBytes]).toEqual([1, 2, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2, 104, 105]);
  });
});
