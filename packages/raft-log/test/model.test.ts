import { expect, test } from "vitest";
import { ModelDriver } from "./model-driver.ts";

const steps = 400;

test.each(Array.from({ length: 24 }, (_, i) => i + 1))(
  "E22 F2 F21 seed %i: after any crash every group is as it was at one moment since the last flush",
  async (seed) => {
    const driver = new ModelDriver(seed);
    await driver.run(steps);
  },
);

test("the random runs do everything that they are there for", async () => {
  const did: Record<string, number> = {};
  for (let seed = 1; seed <= 4; seed++) {
    const driver = new ModelDriver(seed);
    await driver.run(steps);
    for (const [what, times] of Object.entries(driver.did)) did[what] = (did[what] ?? 0) + times;
  }
  for (const what of [
    "create",
    "conflict",
    "install",
    "tombstone",
    "reclaim",
    "reclaim moved",
    "compare",
    "crash",
    "crash in recovery",
    "clean stop",
  ]) {
    expect(did[what], what).toBeGreaterThan(3);
  }
});
