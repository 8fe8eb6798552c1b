import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Operation } from "../src/operation.ts";
import { OperationWindow } from "../src/operation-window.ts";

const owner = { settled(): void {} };

describe("OperationWindow", () => {
  it("gives rising numbers, finds exactly the unsettled, and its floor is the lowest of them", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100), { maxLength: 4000 }), (steps) => {
        const window = new OperationWindow(2048);
        const unsettled: Operation[] = [];
        let next = 1;
        for (const step of steps) {
          if (step < 60 && !window.full) {
            const operation = new Operation(owner);
            window.add(operation);
            expect(operation.number).toBe(next++);
            unsettled.push(operation);
          } else if (unsettled.length > 0) {
            const [operation] = unsettled.splice(step % Math.min(unsettled.length, 50), 1);
            window.remove(operation!);
            expect(window.find(operation!.number)).toBeUndefined();
          }
          expect(window.floor).toBe(unsettled[0]?.number ?? next);
        }
        for (const operation of unsettled) expect(window.find(operation.number)).toBe(operation);
        const seen: Operation[] = [];
        window.forEach((operation) => void seen.push(operation));
        expect(seen).toEqual(unsettled);
        expect(window.find(0)).toBeUndefined();
        expect(window.find(next)).toBeUndefined();
      }),
      { seed: 3, numRuns: 8 },
    );
  });

  it("is full when one stuck operation holds the floor back too far", () => {
    const window = new OperationWindow(1024);
    window.add(new Operation(owner));
    while (!window.full) {
      const operation = new Operation(owner);
      window.add(operation);
      window.remove(operation);
    }
    expect(window.floor).toBe(1);
    expect(() => window.add(new Operation(owner))).toThrow(/beyond the window/);
  });
});
