/** The suite that every implementation of `Engine` runs; plain data, for any test runner. */
import type { Engine } from "../engine.ts";
import { readingCases } from "./reading-cases.ts";
import { writingCases } from "./writing-cases.ts";

export interface EngineConformanceCase {
  readonly name: string;
  /** `make` gives a new, empty engine. Rejects when the engine breaks a promise; the engine is closed at the end. */
  run(make: () => Promise<Engine>): Promise<void>;
}

export const engineConformance: readonly EngineConformanceCase[] = [...readingCases, ...writingCases].map(
  ({ name, check }) => ({
    name,
    async run(make) {
      const engine = await make();
      try {
        await check(engine);
      } finally {
        await engine.close();
      }
    },
  }),
);
