/** How long a user waits for one short command, from the shell and back. */
import { afterEach, expect, test } from "vitest";
import { Fleet, closeAllFleets } from "../cluster/fleet.ts";

afterEach(closeAllFleets);

const runs = 9;
const commandMsMax = 350;

test("flotilla get takes less than 350 ms on a running cluster", async () => {
  const fleet = await Fleet.start(1);
  await fleet.client().put("k", "v");
  const elapsedMs: number[] = [];
  for (let i = 0; i < runs; i++) {
    const result = await fleet.run(["get", "k", "--endpoints", fleet.addresses[0]!]);
    expect(result).toMatchObject({ exitCode: 0, out: "v" });
    elapsedMs.push(result.elapsedMs);
  }
  elapsedMs.sort((a, b) => a - b);
  const rounded = elapsedMs.map(Math.round);
  console.log(`flotilla get: ${rounded.join(", ")} ms`);
  // The median: what else the machine does is in the others.
  expect(elapsedMs[Math.floor(runs / 2)]).toBeLessThan(commandMsMax);
});
