import { key, logIndex, noVersion, rangeId, replicaId, storeId, term, userKey, version } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import { nodeByteOperations, nodeScheduler } from "@flotilla/platform";
import { MemoryEngineDisk } from "@flotilla/storage";
import type { Command, CommandBatch, CommandResult } from "@flotilla/transport";
import { beforeEach, describe, expect, test } from "vitest";
import type { ClientConnection } from "../src/clients/client-connection.ts";
import { Evaluator } from "../src/replica/evaluator.ts";
import type { Evaluated } from "../src/replica/evaluator.ts";
import { StateMachine, isDelete } from "../src/replica/state-machine.ts";

const now = 400_000_000_000_000;
const descriptor: RangeDescriptor = {
  rangeId: rangeId(2),
  start: key("\x01"),
  end: key("\x01n"),
  epoch: { bounds: 1, members: 1 },
  replicas: [{ replicaId: replicaId(1), storeId: storeId(1), role: "voter" }],
};
const configuration = { voters: [replicaId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

let machine: StateMachine;
let evaluator: Evaluator;
let refused: CommandResult[];
const connection = {
  answerCommands: (_batch: number, _seen: number, results: readonly CommandResult[]) => refused.push(...results),
} as unknown as ClientConnection;

beforeEach(async () => {
  const disk = new MemoryEngineDisk({}, { scheduler: nodeScheduler, bytes: nodeByteOperations });
  machine = new StateMachine(descriptor, configuration, await disk.open(), nodeByteOperations);
  evaluator = new Evaluator(machine, nodeByteOperations);
  refused = [];
});

function command(number: number, name: string, more: Partial<Command> = {}): Command {
  const value = Buffer.from(`value ${number}`);
  return {
    number,
    kind: "put",
    condition: "none",
    expected: noVersion,
    firstSent: version(now),
    key: userKey(name),
    value,
    ...more,
  };
}

function batch(commands: Command[], more: Partial<CommandBatch> = {}): CommandBatch {
  return {
    type: "commands",
    batchId: 1,
    rangeId: descriptor.rangeId,
    bounds: 1,
    clientId: 5,
    floor: 1,
    seen: noVersion,
    commands,
    ...more,
  };
}

const evaluate = (commands: Command[], index: number, first: number, bytes = 65_536): Evaluated | undefined =>
  evaluator.evaluate([{ connection, batch: batch(commands), bytes: 1000, next: 0 }], bytes, index, version(first));

function apply(evaluated: Evaluated, index: number, more: { bounds?: number } = {}): boolean {
  const entry = { index: logIndex(index), term: term(1), kind: "normal", data: evaluated.data } as const;
  if (more.bounds !== undefined) machine.descriptor = { ...descriptor, epoch: { bounds: more.bounds, members: 1 } };
  machine.appliedIndex = logIndex(index - 1);
  const accepted = machine.applyCommands(entry);
  machine.noteApplied(entry);
  return accepted;
}

const statuses = (evaluated: Evaluated): string[] =>
  evaluated.answers.flatMap((answer) => answer.results.map((result) => result.status));
const value = (name: string): string | undefined => {
  const cell = machine.newest(userKey(name));
  if (cell === undefined) return undefined;
  return isDelete(cell)
    ? "deleted"
    : Buffer.from(cell.bytes.subarray(cell.offset + 11, cell.offset + cell.length - 4)).toString();
};

describe("evaluating commands", () => {
  test("gives each command of an entry a version of its own, rising", () => {
    const evaluated = evaluate([command(1, "a"), command(2, "b")], 10, now)!;
    expect(evaluated.lastVersion).toBe(now + 1);
    expect(evaluated.answers[0]!.results.map((result) => result.version)).toEqual([now, now + 1]);
    apply(evaluated, 10);
    expect(machine.lastVersion).toBe(now + 1);
    expect([value("a"), value("b")]).toEqual(["value 1", "value 2"]);
  });

  test("decides conditions against records that are pending before them", () => {
    const evaluated = evaluate(
      [command(1, "a", { condition: "if-absent" }), command(2, "a", { condition: "if-absent" })],
      10,
      now,
    )!;
    expect(statuses(evaluated)).toEqual(["applied", "condition-failed"]);
    expect(evaluated.answers[0]!.results[1]).toMatchObject({ version: now, existed: true });
  });

  test("a failed condition and a delete of nothing take their place in the entry, without effects", () => {
    const evaluated = evaluate(
      [
        command(1, "a", { condition: "if-version", expected: version(5) }),
        command(2, "b", { kind: "delete", value: new Uint8Array(0) }),
      ],
      10,
      now,
    )!;
    expect(statuses(evaluated)).toEqual(["condition-failed", "applied"]);
    expect(evaluated.commands).toBe(2);
    apply(evaluated, 10);
    expect(machine.memtable.committed(userKey("b"))).toBeUndefined();
    expect(machine.sessions.session(5).numbers.size).toBe(2);
  });

  test("a delete is seen by the conditions behind it before it is applied", () => {
    apply(evaluate([command(1, "a")], 10, now)!, 10);
    const evaluated = evaluate(
      [command(2, "a", { kind: "delete", value: new Uint8Array(0) }), command(3, "a", { condition: "if-absent" })],
      11,
      now + 10,
    )!;
    expect(statuses(evaluated)).toEqual(["applied", "applied"]);
    expect(evaluated.answers[0]!.results[0]!.existed).toBe(true);
    apply(evaluated, 11);
    expect(value("a")).toBe("value 3");
  });

  test("H1 a retry, of an applied command or of one under way, takes a place and has no effect", () => {
    apply(evaluate([command(1, "a")], 10, now)!, 10);
    const first = evaluate([command(2, "a")], 11, now + 10)!;
    const retried = evaluate([command(1, "a"), command(2, "a")], 12, now + 20)!;
    expect(retried.answers[0]!.repeated.map((repeated) => repeated.at)).toEqual([0, 1]);
    apply(first, 11);
    apply(retried, 12);
    expect(value("a")).toBe("value 2");
    expect(machine.sessions.session(5).numbers.get(2)!.version).toBe(now + 10);
  });

  test("an entry that Raft does not take leaves nothing pending behind", () => {
    const before = evaluate([command(1, "a")], 10, now)!;
    evaluate([command(2, "a"), command(3, "c")], 11, now + 10);
    evaluator.undo();
    expect(machine.memtable.pending.find(userKey("a"))).toBe(now);
    expect(machine.memtable.pending.find(userKey("c"))).toBeUndefined();
    const { numbers } = machine.sessions.session(5);
    expect([numbers.size, numbers.at(0)]).toEqual([1, 1]);
    apply(before, 10);
    expect(value("a")).toBe("value 1");
  });

  test("E1 an entry evaluated under other bounds has no effect at all", () => {
    const evaluated = evaluate([command(1, "a")], 10, now)!;
    expect(apply(evaluated, 10, { bounds: 2 })).toBe(false);
    expect(value("a")).toBeUndefined();
    expect(machine.lastVersion).toBe(0);
  });

  test("E7 an entry behind the seal of its range has no effect at all", () => {
    const evaluated = evaluate([command(1, "a")], 10, now)!;
    const seal = { leftRangeId: rangeId(9), leftBounds: 1, index: logIndex(9), term: term(1), replicas: [] };
    machine.sealed = seal;
    expect(apply(evaluated, 10)).toBe(false);
    machine.sealed = undefined;
    expect(value("a")).toBeUndefined();
  });

  test("E1 what a rejected entry would have written is not pending any more: a retry is a new command", () => {
    const evaluated = evaluate([command(1, "a"), command(2, "b", { kind: "delete" })], 10, now)!;
    expect(apply(evaluated, 10, { bounds: 2 })).toBe(false);
    const again = evaluate([command(1, "a", { condition: "if-absent" })], 11, now + 5)!;
    expect(statuses(again)).toEqual(["applied"]);
    expect(again.answers[0]!.repeated).toEqual([]);
    apply(again, 11);
    expect(value("a")).toBe("value 1");
  });

  test("H9 commands without effects leave nothing in the memtable", () => {
    for (let number = 1; number <= 100; number++) {
      const condition = { condition: "if-version", expected: version(5) } as const;
      const evaluated = evaluate([command(number, `k${number}`, condition)], 9 + number, now + number)!;
      expect(machine.memtable.pending.entries).toBe(0);
      apply(evaluated, 9 + number);
      expect(machine.memtable.committed(userKey(`k${number}`))).toBeUndefined();
      expect(machine.memtable.bytes).toBe(0);
    }
  });

  test("H9 commands that Raft does not take leave nothing in the memtable", () => {
    evaluate([command(1, "a"), command(2, "b")], 10, now);
    expect(machine.memtable.pending.find(userKey("a"))).toBe(now);
    evaluator.undo();
    expect(machine.memtable.pending.find(userKey("a"))).toBeUndefined();
    expect(machine.memtable.pending.entries).toBe(0);
    const taken = evaluate([command(3, "a")], 10, now)!;
    apply(taken, 10);
    evaluate([command(4, "a")], 11, now + 1);
    evaluator.undo();
    expect(value("a")).toBe("value 3");
  });

  test("fills an entry up to its size and leaves the rest for the next; one large command goes alone", () => {
    const large = command(1, "a", { value: Buffer.alloc(100_000) });
    const queue = [{ connection, batch: batch([large, command(2, "b"), command(3, "c")]), bytes: 1000, next: 0 }];
    expect(evaluator.evaluate(queue, 4096, 10, version(now))!.commands).toBe(1);
    expect(queue[0]!.next).toBe(1);
    expect(evaluator.evaluate(queue, 4096, 11, version(now + 1))!.commands).toBe(2);
    expect(queue[0]!.next).toBe(3);
  });

  test("refuses a key outside the range before anything is proposed", () => {
    expect(evaluate([command(1, "z")], 10, now)).toBeUndefined();
    expect(refused).toMatchObject([{ number: 1, status: "refused" }]);
  });

  test("I9 the same entries give the same state on every replica", async () => {
    const other = new StateMachine(
      descriptor,
      configuration,
      await new MemoryEngineDisk({}, { scheduler: nodeScheduler, bytes: nodeByteOperations }).open(),
      nodeByteOperations,
    );
    const entries = [
      evaluate([command(1, "a"), command(2, "b")], 10, now)!,
      evaluate([command(2, "b"), command(3, "a", { kind: "delete", value: new Uint8Array(0) })], 11, now + 5)!,
    ];
    entries.forEach((evaluated, i) => {
      apply(evaluated, 10 + i);
      other.appliedIndex = logIndex(9 + i);
      const entry = { index: logIndex(10 + i), term: term(1), kind: "normal", data: evaluated.data } as const;
      other.applyCommands(entry);
      other.noteApplied(entry);
    });
    const flushed = (of: StateMachine): unknown => {
      const flush = of.beginFlush()!;
      return {
        puts: flush.puts,
        records: flush.frozen.table.sortedKeys(nodeByteOperations).map((name) => {
          const cell = flush.frozen.table.find(name)!;
          return [name, Buffer.from(cell.bytes.subarray(cell.offset, cell.offset + cell.length)).toString("hex")];
        }),
      };
    };
    expect(flushed(other)).toEqual(flushed(machine));
  });
});
