import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { MemoryLog } from "@flotilla/raft";
import type { Entry } from "@flotilla/raft";
import { GroupLog } from "../src/group-log.ts";
import { Inflights } from "../src/inflights.ts";
import { at, configurationOf, entry, inTerm } from "./support/replica.ts";

const fixed = { seed: 20_26, numRuns: 300 };

const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), bytes: fc.nat(5) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("receive" as const),
      back: fc.nat(4),
      count: fc.nat(3),
      newTerm: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("hand-over" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("persist" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("commit" as const), by: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("apply" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("snapshot" as const), ahead: fc.integer({ min: 1, max: 5 }) }),
  },
);

type ValueOf<A> = A extends fc.Arbitrary<infer V> ? V : never;

/** The log beside a plain array of everything that should be in it. */
class Model {
  readonly host = new MemoryLog(1, 1);
  readonly log = new GroupLog(this.host, at(1), at(1));
  /** model[i] is the entry at index first + i. */
  model: Entry[] = [];
  first = 2;
  term = 1;
  applied: number[] = [];

  get last(): number {
    return this.first + this.model.length - 1;
  }

  run(op: ValueOf<typeof operation>): void {
    switch (op.kind) {
      case "push": {
        const next = entry(this.last + 1, this.term, "x".repeat(op.bytes));
        this.log.push(next);
        this.model.push(next);
        return;
      }
      case "receive":
        return this.#receive(Math.max(this.log.commit, this.last - op.back), op.count, op.newTerm);
      case "hand-over":
        return this.handOver();
      case "persist":
        this.handOver();
        return this.log.persistedTo(this.log.lastIndex, this.log.lastTerm);
      case "commit":
        this.log.commitTo(at(this.log.commit + op.by));
        return;
      case "apply":
        return this.#apply();
      case "truncate":
        this.handOver();
        if (this.log.applied < this.first) return;
        this.host.truncateTo(this.log.applied);
        this.model = this.model.slice(this.log.applied - this.first + 1);
        this.first = this.log.applied + 1;
        return;
      case "snapshot":
        this.handOver();
        return this.#restore(this.log.commit + op.ahead);
    }
  }

  #receive(prev: number, count: number, newTerm: boolean): void {
    if (newTerm) this.term++;
    const entries: Entry[] = [];
    for (let i = 1; i <= count; i++) {
      const known = newTerm ? undefined : this.model[prev + i - this.first];
      entries.push(known ?? entry(prev + i, this.term));
    }
    const conflict = entries.findIndex((e) => this.model[e.index - this.first]?.term !== e.term);
    this.log.appendFromLeader(entries);
    if (conflict >= 0)
      this.model = [...this.model.slice(0, prev + 1 + conflict - this.first), ...entries.slice(conflict)];
  }

  handOver(): void {
    const snapshot = this.log.takeSnapshot();
    if (snapshot !== undefined) this.host.install(snapshot.index, snapshot.term);
    this.host.append(this.log.takeTail());
  }

  #apply(): void {
    this.handOver();
    if (this.log.restoring) {
      this.log.snapshotPersisted(this.log.commit);
      this.log.appliedTo(at(this.first - 1));
      return;
    }
    const entries = this.log.takeEntriesToApply(4);
    for (const { index } of entries) this.applied.push(index);
    if (entries.length > 0) this.log.appliedTo(entries.at(-1)!.index);
  }

  #restore(index: number): void {
    if (this.log.matches(at(index), inTerm(this.term))) return;
    this.log.restore({ index: at(index), term: inTerm(this.term), configuration: configurationOf([1]) });
    this.model = [];
    this.first = index + 1;
    this.applied = [];
  }

  check(): void {
    const { log } = this;
    expect(log.lastIndex).toBe(this.last);
    expect(log.firstIndex()).toBe(this.first);
    for (const e of this.model) expect(log.term(e.index)).toBe(e.term);
    expect(log.term(at(this.first - 1))).toBeDefined();
    expect(log.term(at(this.last + 1))).toBeUndefined();
    expect(log.term(at(this.first - 2))).toBeUndefined();
    expect(log.applied <= log.commit && log.commit <= log.lastIndex && log.persisted <= log.lastIndex).toBe(true);
    const read: Entry[] = [];
    while (read.length < this.model.length) {
      const page = log.entriesFrom(at(this.first + read.length), 7);
      expect(page.length).toBeGreaterThan(0);
      expect(page.length === 1 || page.reduce((sum, e) => sum + e.data.length, 0) <= 7).toBe(true);
      read.push(...page);
    }
    expect(read).toEqual(this.model);
    this.applied.forEach((index, i) => expect(index).toBe(this.applied[0]! + i));
  }
}

describe("a group's log", () => {
  it("is one sequence, however much of it was handed over, made durable, replaced or truncated", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const model = new Model();
        for (const op of operations) {
          model.run(op);
          model.check();
        }
      }),
      fixed,
    );
  });

  it("a message that took the tail keeps it as it was", () => {
    const log = new GroupLog(new MemoryLog(), at(0), at(0));
    log.push(entry(1, 1));
    const taken = log.entriesFrom(at(1), 100);
    log.push(entry(2, 1));
    expect(taken.map((e) => e.index)).toEqual([1]);
    log.appendFromLeader([entry(1, 2)]);
    expect(taken.map((e) => e.term)).toEqual([1]);
  });

  it("a conflict with a committed entry stops the replica", () => {
    const log = new GroupLog(new MemoryLog(0, 0, [entry(1, 1)]), at(1), at(0));
    expect(() => log.appendFromLeader([entry(1, 2)])).toThrow("conflicts with the committed one");
  });

  it("a state machine that is ahead of its log, or behind its first entry, does not start", () => {
    expect(() => new GroupLog(new MemoryLog(0, 0, [entry(1, 1)]), at(0), at(2))).toThrow("outside the log 1..1");
    expect(() => new GroupLog(new MemoryLog(5, 1), at(0), at(4))).toThrow("outside the log 6..5");
  });

  it("what was never handed out cannot have been applied", () => {
    const log = new GroupLog(new MemoryLog(0, 0, [entry(1, 1), entry(2, 1)]), at(2), at(0));
    expect(() => log.appliedTo(at(1))).toThrow("handed out only up to 0");
  });
});

describe("a window of appends", () => {
  it("is full exactly when its messages or bytes are, and frees from the front", () => {
    const step2 = fc.oneof(
      fc.record({ add: fc.integer({ min: 0, max: 60 }) }),
      fc.record({ free: fc.nat(30) }),
      fc.record({ reset: fc.constant(true) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 200 }),
        fc.array(step2, { maxLength: 60 }),
        (messagesMax, bytesMax, steps) => {
          const window = new Inflights(messagesMax, bytesMax);
          let model: { index: number; bytes: number }[] = [];
          let index = 0;
          for (const made of steps) {
            if ("add" in made) {
              if (window.full) continue;
              model.push({ index: ++index, bytes: made.add });
              window.add(at(index), made.add);
            } else if ("free" in made) {
              window.freeUpTo(at(made.free));
              model = model.filter((message) => message.index > made.free);
            } else {
              window.reset();
              model = [];
            }
            expect(window.count).toBe(model.length);
            expect(window.full).toBe(
              model.length === messagesMax || model.reduce((sum, m) => sum + m.bytes, 0) >= bytesMax,
            );
          }
        },
      ),
      fixed,
    );
  });

  it("more than it takes is a broken invariant", () => {
    const window = new Inflights(1, 100);
    window.add(at(1), 1);
    expect(() => window.add(at(2), 1)).toThrow("window is full");
  });
});
