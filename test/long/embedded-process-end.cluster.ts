/** What is left when a program ends without closing its cluster: nothing, and nothing keeps it from ending. Uses the build. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TemporaryPlace, runProgram } from "../cluster/run-program.ts";

const begin = `
  import { createCluster } from "flotilla/cluster";
  const cluster = await createCluster({ nodes: 2 });
  const client = cluster.client({ key: "utf8", value: "json" });
  await client.put("key", 1);
  console.log("began");`;

let place: TemporaryPlace;

beforeEach(() => {
  place = new TemporaryPlace();
});

afterEach(() => place.remove());

describe("a program with an open cluster", { timeout: 30_000 }, () => {
  it("ends when it has nothing more to do, and takes the directory along", async () => {
    expect(await runProgram(begin, place)).toEqual({ exitCode: 0, signal: null, out: "began\n", errors: "" });
    expect(place.leftovers()).toEqual([]);
  });

  it("ends although it waits for something that never comes", async () => {
    const result = await runProgram(`${begin}\n await new Promise(() => {});`, place);
    // 13: the top-level await was never settled.
    expect(result).toMatchObject({ exitCode: 13, signal: null, out: "began\n" });
    expect(place.leftovers()).toEqual([]);
  });

  it("does not end while a call is under way", async () => {
    const program = `${begin}
      await Promise.all(cluster.nodes.map((node) => node.stop()));
      void client.get("key", { timeoutMs: 300 }).catch((error) => console.log(error.name));`;
    expect(await runProgram(program, place)).toMatchObject({ exitCode: 0, out: "began\nFlotillaError\n", errors: "" });
  });

  it.each([
    ["process.exit", "process.exit(3);", 3],
    ["an exception", "throw new Error('of the program');", 1],
  ])("takes the directory along when it ends by %s", async (_, end, exitCode) => {
    expect(await runProgram(`${begin}\n${end}`, place)).toMatchObject({ exitCode, out: "began\n" });
    expect(place.leftovers()).toEqual([]);
  });

  it("that was killed leaves its directory to the next one, which removes it and no other", async () => {
    const killed = await runProgram(`${begin}\n setInterval(() => {}, 1000);`, place, (_, child) =>
      child.kill("SIGKILL"),
    );
    expect(killed.signal).toBe("SIGKILL");
    expect(place.leftovers()).toHaveLength(1);
    const ofAnotherHost = `flotilla-00000000-${2 ** 22 + 1}-abcdef`;
    mkdirSync(join(place.path, ofAnotherHost));
    await runProgram(begin, place);
    expect(place.leftovers()).toEqual([ofAnotherHost]);
  });

  it("is not disturbed by loaders and flags that are the program's own", async () => {
    const program = `import { createCluster } from "flotilla/cluster"; await (await createCluster()).close(); console.log("ok");`;
    const before = process.env["NODE_OPTIONS"];
    process.env["NODE_OPTIONS"] = "--import=data:text/javascript,process.stdout.write('[loaded]')";
    try {
      expect(await runProgram(program, place)).toMatchObject({ out: "[loaded]ok\n", exitCode: 0 });
    } finally {
      if (before === undefined) delete process.env["NODE_OPTIONS"];
      else process.env["NODE_OPTIONS"] = before;
    }
  });
});
