import { key } from "@flotilla/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PendingRecords } from "../src/replica/pending-records.ts";

describe("pending records", () => {
  test("the newest one stays pending when an older one is applied", () => {
    const pending = new PendingRecords();
    pending.begin(7);
    pending.add(key("a"), 100);
    pending.begin(8);
    pending.add(key("a"), 101);
    expect(pending.find(key("a"))).toBe(101);
    pending.settle(7);
    expect(pending.find(key("a"))).toBe(101);
    pending.settle(8);
    expect(pending.find(key("a"))).toBeUndefined();
  });

  test("an entry that is applied while an older one is pending breaks an invariant", () => {
    const pending = new PendingRecords();
    pending.begin(7);
    pending.add(key("a"), 100);
    pending.settle(6);
    expect(() => pending.settle(8)).toThrow("entry 8 is applied while 7 is pending");
  });

  test("agree with a walk over everything pending, whatever is begun, taken back, applied and asked between", () => {
    const names = fc.constantFrom("a", "b", "c", "d");
    const step = fc.record({
      kind: fc.constantFrom("begin", "add", "add", "add", "find", "takeBack", "settle", "settle", "clear"),
      name: names,
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const pending = new PendingRecords();
        let model: { index: number; keys: [string, number][] }[] = [];
        let open: { index: number; keys: [string, number][] } | undefined;
        let index = 1;
        let applied = 0;
        for (const [at, { kind, name }] of steps.entries()) {
          if (kind === "begin") {
            pending.begin(index);
            open = undefined;
          } else if (kind === "add") {
            if (open === undefined) {
              pending.begin(index);
              open = { index: index++, keys: [] };
              model.push(open);
            }
            const version = at % 5 === 0 ? 0 : at;
            pending.add(key(name), version);
            open.keys.push([name, version]);
          } else if (kind === "takeBack") {
            pending.takeBack();
            if (open !== undefined) {
              model.pop();
              index--;
            }
            open = undefined;
          } else if (kind === "settle" && applied + 1 < index) {
            applied++;
            pending.settle(applied);
            const [settled] = model;
            if (settled?.index === applied) {
              model.shift();
              if (settled === open) open = undefined;
            }
          } else if (kind === "clear") {
            pending.clear();
            model = [];
            open = undefined;
          }
          const found = model.flatMap(({ keys }) => keys).findLast(([each]) => each === name);
          if (kind === "find") expect(pending.find(key(name))).toBe(found?.[1]);
          expect(pending.entries).toBe(model.length);
          expect(pending.anyFrom(key("c"))).toBe(model.some(({ keys }) => keys.some(([each]) => each >= "c")));
        }
        for (const name of "abcd")
          expect(pending.find(key(name))).toBe(
            model.flatMap(({ keys }) => keys).findLast(([each]) => each === name)?.[1],
          );
      }),
      { seed: 5, numRuns: 500 },
    );
  });
});
