import { describe, expect, test } from "vitest";
import {
  KvModel,
  RegisterModel,
  SeededRandom,
  checkHistory,
  parseKvHistory,
  parseRegisterHistory,
} from "@flotilla/simulator";
import type { HistoryVerdict, KvOperation, Operation, RegisterOperation } from "@flotilla/simulator";
import { kvIsLinearizable, registerIsLinearizable } from "./brute-force.ts";
import { kvHistory, registerHistory } from "./generated-history.ts";

const checkRegister = (operations: readonly RegisterOperation[]): HistoryVerdict<RegisterOperation> =>
  checkHistory(operations, () => new RegisterModel());
const checkKv = (operations: readonly KvOperation[]): HistoryVerdict<KvOperation> =>
  checkHistory(operations, () => new KvModel());

/** One operation a line: `client op arguments result @ invoke return`, `-` for no return. */
function registers(script: string): RegisterOperation[] {
  const lines = script.trim().split("\n");
  return parseRegisterHistory(
    lines
      .map((line) => {
        const [action = "", times = ""] = line.split("@").map((part) => part.trim());
        const [client, op, ...rest] = action.split(/\s+/);
        const [invoke, returned] = times.split(/\s+/);
        const value = (text: string | undefined): unknown => (text === undefined ? undefined : JSON.parse(text));
        const arguments_ =
          op === "cas"
            ? { from: value(rest[0]), to: value(rest[1]), result: rest[2] ?? "ok" }
            : { value: rest[0] === "?" ? null : value(rest[0]), result: rest[1] ?? "ok" };
        const end = returned === "-" ? null : Number(returned);
        return JSON.stringify({ client, op, ...arguments_, invoke: Number(invoke), return: end });
      })
      .join("\n"),
  );
}

const linesOf = (verdict: HistoryVerdict<Operation>): number[] =>
  (verdict.failures[0]?.contradiction?.operations ?? []).map((operation) => operation.line);

describe("a history of registers passes", () => {
  const good: Record<string, string> = {
    "an empty register reads null": `
      a read null @ 0 1`,
    "operations one after the other": `
      a write 1 @ 0 1
      b read 1 @ 2 3
      a cas 1 2 @ 4 5
      b read 2 @ 6 7`,
    "a read during a write sees either value, the later one first to a third party": `
      a write 1 @ 0 1
      a write 2 @ 2 9
      b read 1 @ 3 4
      c read 2 @ 5 6`,
    "operations that touch in one instant count as concurrent": `
      a write 1 @ 0 5
      b read null @ 5 6`,
    "a write without an answer takes effect much later": `
      a write 1 unknown @ 0 -
      b write 2 @ 1 2
      b read 2 @ 3 4
      b read 1 @ 50 51`,
    "a write without an answer never takes effect": `
      a write 1 unknown @ 0 -
      b read null @ 10 11`,
    "a chain of compare-and-sets without answers explains a read": `
      a cas null 1 unknown @ 0 -
      b cas 1 2 unknown @ 0 -
      c cas 2 3 unknown @ 0 -
      d read 3 @ 5 6`,
    "a failed operation does not count": `
      a write 1 fail @ 0 1
      b read null @ 2 3`,
    "a comparison that did not hold": `
      a write 1 @ 0 1
      b cas 2 3 mismatch @ 2 3`,
    "writes of the value that is there are not used up by it": `
      a write 1 @ 0 1
      a write 1 @ 2 20
      b write 2 @ 3 4
      c read 1 @ 5 6`,
  };
  for (const [claim, script] of Object.entries(good)) {
    test(claim, () => {
      expect(checkRegister(registers(script)).verdict).toBe("pass");
    });
  }
});

describe("a history of registers fails, naming what contradicts", () => {
  const bad: Record<string, readonly [script: string, lines: number[]]> = {
    "a read of a value that nobody wrote": [
      `
      a write 1 @ 0 1
      b read 7 @ 2 3`,
      [2],
    ],
    "a stale read after the write was answered": [
      `
      a write 1 @ 0 1
      a write 2 @ 2 3
      b read 1 @ 4 5
      b read 2 @ 6 7`,
      [2, 3],
    ],
    "two reads that see two writes in opposite orders": [
      `
      a write 1 @ 0 10
      b write 2 @ 0 10
      c read 1 @ 11 12
      c read 2 @ 13 14`,
      [3, 4],
    ],
    "a value that comes back with nobody writing it": [
      `
      a write 1 @ 0 1
      b write 2 @ 2 3
      c read 2 @ 4 5
      c read 1 @ 6 7`,
      [3, 4],
    ],
    "one write without an answer that would have to take effect twice": [
      `
      a write 1 unknown @ 0 -
      b read 1 @ 1 2
      b write 2 @ 3 4
      b read 1 @ 5 6
      b write 2 @ 7 8
      b read 1 @ 9 10`,
      [2, 3, 4],
    ],
    "a write without an answer that was invoked too late to be read": [
      `
      b read 1 @ 0 5
      a write 1 unknown @ 6 -`,
      [1],
    ],
    "two compare-and-sets that both won": [
      `
      a write 0 @ 0 1
      b cas 0 1 @ 2 5
      c cas 0 2 @ 2 5`,
      [2, 3],
    ],
    "a comparison that must have held": [
      `
      a write 1 @ 0 1
      b cas 1 2 mismatch @ 2 3`,
      [1, 2],
    ],
  };
  for (const [claim, [script, lines]] of Object.entries(bad)) {
    test(claim, () => {
      const verdict = checkRegister(registers(script));
      expect(verdict.verdict).toBe("fail");
      expect(linesOf(verdict)).toEqual(lines);
    });
  }

  test("keys are checked each by itself, and the failing one is named", () => {
    const history = parseRegisterHistory(
      ["x", "y"]
        .flatMap((key) => [
          { client: 1, key, op: "write", value: 1, invoke: 0, return: 1, result: "ok" },
          { client: 1, key, op: "read", value: key === "x" ? 1 : null, invoke: 2, return: 3, result: "ok" },
        ])
        .map((line) => JSON.stringify(line))
        .join("\n"),
    );
    const verdict = checkRegister(history);
    expect(verdict.failures.map((failure) => [failure.key, failure.verdict])).toEqual([["y", "fail"]]);
  });
});

describe("a history of versioned keys", () => {
  const kv = (lines: object[]): KvOperation[] =>
    parseKvHistory(lines.map((line, i) => JSON.stringify({ client: i, result: "ok", ...line })).join("\n"));

  test("passes with versions that rise, conditions that hold, and a delete", () => {
    const history = kv([
      { op: "put", value: "a", condition: "if-absent", version: 5, invoke: 0, return: 1 },
      { op: "put", value: "b", condition: "if-version", expected: 5, version: 9, invoke: 2, return: 3 },
      {
        op: "put",
        value: "c",
        condition: "if-version",
        expected: 5,
        version: 9,
        result: "mismatch",
        invoke: 4,
        return: 5,
      },
      { op: "delete", existed: true, version: 11, invoke: 6, return: 7 },
      { op: "get", value: null, version: 0, invoke: 8, return: 9 },
      { op: "delete", existed: false, invoke: 10, return: 11 },
    ]);
    expect(checkKv(history).verdict).toBe("pass");
  });

  test("H1 fails when a retried put took effect twice: one value under two versions", () => {
    const history = kv([
      { op: "put", value: "a", version: 5, invoke: 0, return: 1 },
      { op: "get", value: "a", version: 6, invoke: 2, return: 3 },
    ]);
    expect(checkKv(history).verdict).toBe("fail");
  });

  test("fails when a version goes back", () => {
    const history = kv([
      { op: "put", value: "a", version: 8, invoke: 0, return: 1 },
      { op: "put", value: "b", version: 7, invoke: 2, return: 3 },
    ]);
    expect(linesOf(checkKv(history))).toEqual([1, 2]);
  });

  test("passes when a put without an answer shows its version later, and fails when it shows two", () => {
    const unknown = { op: "put", value: "a", result: "unknown", invoke: 0, return: null };
    const seen = (version: number, at: number): object => ({
      op: "get",
      value: "a",
      version,
      invoke: at,
      return: at + 1,
    });
    expect(checkKv(kv([unknown, seen(7, 1), seen(7, 3)])).verdict).toBe("pass");
    expect(checkKv(kv([unknown, seen(7, 1), seen(8, 3)])).verdict).toBe("fail");
  });

  test("fails when a put on condition without an answer took effect although its condition cannot have held", () => {
    const history = kv([
      { op: "put", value: "a", version: 5, invoke: 0, return: 1 },
      { op: "put", value: "b", condition: "if-absent", result: "unknown", invoke: 2, return: null },
      { op: "get", value: "b", version: 6, invoke: 4, return: 5 },
    ]);
    expect(checkKv(history).verdict).toBe("fail");
  });

  test("fails when an acknowledged put is lost", () => {
    const history = kv([
      { op: "put", value: "a", version: 5, invoke: 0, return: 1 },
      { op: "get", value: null, version: 0, invoke: 4, return: 5 },
    ]);
    expect(linesOf(checkKv(history))).toEqual([1, 2]);
  });
});

describe("the checker agrees with brute force", () => {
  const shape = { operations: 6, clients: 4, keys: 1, values: 2, unknown: 0.3 };

  test("on small histories of a register, half of them spoilt", () => {
    let failed = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = new SeededRandom(seed);
      const history = registerHistory(shape, random).map((operation): RegisterOperation => {
        if (!random.chance(seed % 2 === 0 ? 0.3 : 0)) return operation;
        if (operation.op === "read") return { ...operation, value: String(random.below(2)) };
        return operation.op === "cas" ? { ...operation, from: String(random.below(2)) } : operation;
      });
      const expected = registerIsLinearizable(history);
      if (!expected) failed++;
      expect([seed, checkRegister(history).verdict]).toEqual([seed, expected ? "pass" : "fail"]);
    }
    expect(failed).toBeGreaterThan(50);
  });

  test("on small histories of versioned keys, half of them spoilt", () => {
    let failed = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const random = new SeededRandom(seed);
      const history = kvHistory({ ...shape, operations: 5 }, random).map((operation): KvOperation => {
        if (!random.chance(seed % 2 === 0 ? 0.4 : 0) || operation.result === "unknown") return operation;
        const version = operation.version === undefined ? undefined : operation.version + random.below(3);
        if (operation.op === "get") {
          const value = random.chance(0.5) ? String(random.below(2)) : null;
          return { ...operation, value, version: value === null ? 0 : version === 0 ? 1 : version };
        }
        return { ...operation, version };
      });
      const expected = kvIsLinearizable(history);
      if (!expected) failed++;
      expect([seed, checkKv(history).verdict]).toEqual([seed, expected ? "pass" : "fail"]);
    }
    expect(failed).toBeGreaterThan(30);
  });

  test("what it names as contradiction contradicts by itself, whatever the other operations did", () => {
    let checked = 0;
    for (let seed = 1; seed <= 300 && checked < 40; seed++) {
      const random = new SeededRandom(seed);
      const history = registerHistory({ ...shape, operations: 8 }, random).map((operation): RegisterOperation =>
        operation.op === "read" && random.chance(0.5) ? { ...operation, value: String(random.below(2)) } : operation,
      );
      const verdict = checkRegister(history);
      if (verdict.verdict !== "fail") continue;
      checked++;
      const { operations, cut } = verdict.failures[0]!.contradiction!;
      const lines = new Set(operations.map((operation) => operation.line));
      // Nothing of the others is relied on but that those before the cut are over by then.
      const weakened = history
        .filter(
          (operation) => operation.return >= cut && (lines.has(operation.line) || operation.result !== "mismatch"),
        )
        .map((operation): RegisterOperation =>
          lines.has(operation.line) ? operation : { ...operation, return: Infinity, result: "unknown" },
        );
      const starts = cut === -Infinity ? ["null"] : ["null", "0", "1"];
      for (const start of starts) expect(registerIsLinearizable(weakened, start)).toBe(false);
    }
    expect(checked).toBe(40);
  });
});

describe("large histories", () => {
  const shape = { operations: 10_000, clients: 50, keys: 20, values: 8, unknown: 0.05 };

  test("10 000 operations by 50 clients on 20 registers over eight values, 5 % without an answer, are decided", () => {
    for (const seed of [1, 2, 3]) {
      const verdict = checkRegister(registerHistory(shape, new SeededRandom(seed)));
      expect(verdict).toMatchObject({ verdict: "pass", operations: 10_000, keys: 20 });
      // About a million steps a second: far below the time limit of 10 s, without a clock in the test.
      expect(verdict.steps).toBeLessThan(1_000_000);
    }
  });

  test("the same with one stale read fails, and few operations are named", () => {
    const history = registerHistory(shape, new SeededRandom(4));
    // A read that is followed, after its end, by a read of something else with no write of the first value between.
    const at = history.findIndex((operation, i) => i > 6000 && operation.op === "read" && operation.result === "ok");
    const spoilt = history.map((operation, i): RegisterOperation =>
      i === at && operation.op === "read" ? { ...operation, value: '"never written"' } : operation,
    );
    const verdict = checkRegister(spoilt);
    expect(verdict.verdict).toBe("fail");
    expect(linesOf(verdict)).toEqual([at + 1]);
  });

  test("as many on versioned keys are decided", () => {
    const verdict = checkKv(kvHistory(shape, new SeededRandom(5)));
    expect(verdict.verdict).toBe("pass");
    expect(verdict.steps).toBeLessThan(1_000_000);
  });

  test("a search that takes too long ends as undecided", () => {
    const history = registerHistory(shape, new SeededRandom(6));
    const verdict = checkHistory(history, () => new RegisterModel(), { stepsMax: 10, failFast: false });
    expect(verdict.verdict).toBe("undecided");
  });
});
