/** A test that never ends, with an open cluster: its runner ends, and nothing of the cluster is left. Uses the build. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TemporaryPlace, runNode, runProgram } from "../cluster/run-program.ts";
import type { ProgramResult } from "../cluster/run-program.ts";

const root: string = fileURLToPath(new URL("../..", import.meta.url));
const vitest: string = join(root, "test", "node_modules", "vitest", "vitest.mjs");
/** Where `flotilla` and `vitest` can be imported. */
const directory: string = join(root, "test", `.hung-${process.pid}`);

/** It waits for an answer that does not come, as a forgotten `await` of an event would; and has a call under way. */
const hangs = `
  const cluster = await createCluster({ nodes: 3 });
  const client = cluster.client({ key: "utf8", value: "utf8" });
  await client.put("key", "value");
  console.log("pid=" + process.pid + " endpoints=" + cluster.endpoints.join(","));
  await new Promise(() => {});`;

let place: TemporaryPlace;

beforeEach(() => {
  place = new TemporaryPlace();
  mkdirSync(directory);
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
  place.remove();
});

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const isTaken = (endpoint: string): Promise<boolean> =>
  new Promise((resolve) => {
    const [host, port] = endpoint.split(":");
    const socket = connect({ host: host!, port: Number(port) });
    socket.once("connect", () => resolve((socket.destroy(), true)));
    socket.once("error", () => resolve(false));
  });

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Neither the process that the test ran in, nor a port of its cluster. */
async function expectEnded({ out, errors }: ProgramResult): Promise<void> {
  const [, pid, endpoints] = /pid=(\d+) endpoints=(\S+)/.exec(out) ?? [];
  expect(pid, out + errors).toBeDefined();
  expect(isAlive(Number(pid))).toBe(false);
  expect(await Promise.all(endpoints!.split(",").map(isTaken))).toEqual([false, false, false]);
}

async function runVitest(pool: "forks" | "threads"): Promise<ProgramResult> {
  write(
    "hung.test.mjs",
    `import { createCluster } from "flotilla/cluster";
     import { it } from "vitest";
     it("never ends", { timeout: 3000 }, async () => {${hangs}\n});`,
  );
  write("vitest.config.mjs", "export default {};\n");
  const args = ["run", "--root", directory, "--no-color", "--disable-console-intercept", "--pool", pool, "hung"];
  const result = await runNode([vitest, ...args], place);
  expect(result.out + result.errors).toMatch(/Test timed out in 3000ms/);
  expect(result).toMatchObject({ exitCode: 1, signal: null });
  return result;
}

describe("a test that hangs with an open cluster", { timeout: 60_000 }, () => {
  it("leaves nothing behind under vitest, which ends its process", async () => {
    await expectEnded(await runVitest("forks"));
    expect(place.leftovers()).toEqual([]);
  });

  it("leaves nothing but its directory under vitest with threads, and the next cluster removes that", async () => {
    await expectEnded(await runVitest("threads"));
    const next = `import { createCluster } from "flotilla/cluster"; await (await createCluster()).close();`;
    expect(await runProgram(next, place)).toMatchObject({ exitCode: 0, errors: "" });
    expect(place.leftovers()).toEqual([]);
  });

  it("leaves nothing behind under node:test, which sees that nothing keeps it going", async () => {
    const path = write(
      "hung.mjs",
      `import { test } from "node:test";
       import { createCluster } from "flotilla/cluster";
       test("never ends", async () => {${hangs}\n});`,
    );
    const result = await runNode(["--test", path], place);
    expect(result.out).toMatch(/^not ok 1 - never ends$/m);
    expect(result).toMatchObject({ exitCode: 1, signal: null });
    await expectEnded(result);
    expect(place.leftovers()).toEqual([]);
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "ends by %s as it would without one, and leaves nothing",
    async (signal) => {
      const program = `import { createCluster } from "flotilla/cluster"; ${hangs.replace("await new", "setInterval(() => {}, 1000); await new")}`;
      const result = await runProgram(program, place, (text, child) => {
        if (text.includes("endpoints=")) child.kill(signal);
      });
      expect(result).toMatchObject({ exitCode: null, signal });
      await expectEnded(result);
      expect(place.leftovers()).toEqual([]);
    },
  );

  it("keeps its directory while the program handles the signal itself", async () => {
    const program = `import { createCluster } from "flotilla/cluster";
      import { existsSync } from "node:fs";
      process.once("SIGTERM", async () => {
        await client.put("key", "last");
        console.log("kept=" + existsSync(cluster.dataDir));
        await cluster.close();
        process.exit(7);
      });
      ${hangs.replace("await new", "setInterval(() => {}, 1000); await new")}`;
    let sent = false;
    const result = await runProgram(program, place, (text, child) => {
      if (!sent && text.includes("endpoints=")) sent = child.kill("SIGTERM");
    });
    expect(result).toMatchObject({ exitCode: 7, out: expect.stringContaining("kept=true") as string, errors: "" });
    expect(place.leftovers()).toEqual([]);
  });
});
