/** Nodes that are killed under load inside a program: the program goes on. Uses the build. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { TemporaryPlace, runProgram } from "../cluster/run-program.ts";

const killsForMs = 12_000;

/** New streams and data on them all the time, so that a kill meets one that is just being opened. */
const program = `
  import { createClient } from "flotilla";
  import { createCluster } from "flotilla/cluster";
  const cluster = await createCluster({ nodes: 3 });
  const value = "x".repeat(4000);
  let running = true;
  const loads = Array.from({ length: 6 }, async (_, load) => {
    while (running) {
      const client = createClient({ endpoints: cluster.endpoints, timeoutMs: 2000 });
      const puts = Array.from({ length: 50 }, (_, i) => client.put(load + "/" + i, value).catch(() => {}));
      await Promise.all(puts);
      await client.close();
    }
  });
  const endMs = performance.now() + ${killsForMs};
  for (let round = 0; round < 3 || performance.now() < endMs; round++) {
    const node = cluster.nodes[round % 3];
    await new Promise((resolve) => setTimeout(resolve, 60 + (round * 37) % 90));
    await node.kill();
    await node.start();
  }
  running = false;
  await Promise.all(loads);
  await cluster.close();
  console.log("went on");`;

let place: TemporaryPlace;

beforeEach(() => {
  place = new TemporaryPlace();
});

afterEach(() => place.remove());

it("a program survives that its nodes are killed again and again under load", { timeout: 60_000 }, async () => {
  const result = await runProgram(program, place);
  expect(result).toMatchObject({ exitCode: 0, signal: null, out: "went on\n" });
  expect(place.leftovers()).toEqual([]);
});
