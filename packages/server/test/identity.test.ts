import { describe, expect, test } from "vitest";
import { nodeRandom } from "@flotilla/platform";
import {
  inspectDirectories,
  makeCluster,
  planCluster,
  planFile,
  raiseIncarnation,
  readIdentity,
} from "../src/identity/index.ts";
import { PowerLoss, VolatileFiles } from "./volatile-files.ts";

const directories = ["node-1", "node-2", "node-3"];
const addresses = ["127.0.0.1:7400", "127.0.0.1:7401", "127.0.0.1:7402"];
const newPlan = (): ReturnType<typeof planCluster> =>
  planCluster({ addresses, replicas: 3, ranges: 4, splitAt: [] }, nodeRandom);

describe("the making of a cluster", () => {
  test("gives every directory an identity of its own and the same plan", async () => {
    const files = new VolatileFiles();
    const plan = newPlan();
    await makeCluster(files, directories, plan);
    const state = await inspectDirectories(files.reopened(), directories);
    expect(state.kind).toBe("cluster");
    if (state.kind !== "cluster") return;
    expect(state.identities.map(({ storeId }) => storeId)).toEqual([1, 2, 3]);
    expect(new Set(state.identities.map(({ storeKey }) => storeKey)).size).toBe(3);
    for (const identity of state.identities) expect(identity.plan).toEqual(plan);
  });

  test("after a crash at any step it is either not begun or can be finished, with the one plan", async () => {
    const whole = new VolatileFiles();
    await makeCluster(whole, directories, newPlan());
    const steps = whole.operations;
    expect(steps).toBeGreaterThan(20);
    const kinds = new Set<string>();
    for (let step = 0; step < steps; step++) {
      const files = new VolatileFiles();
      files.crashAfter = step;
      const plan = newPlan();
      await expect(makeCluster(files, directories, plan)).rejects.toThrow(PowerLoss);
      const after = files.reopened();
      const state = await inspectDirectories(after, directories);
      kinds.add(state.kind);
      if (state.kind === "empty") continue;
      const known = state.kind === "unfinished" ? state.plan : state.identities[0]!.plan;
      expect(known).toEqual(plan);
      if (state.kind === "unfinished") await makeCluster(after, directories, state.plan);
      const finished = await inspectDirectories(after.reopened(), directories);
      expect(finished.kind, `crash at step ${step}`).toBe("cluster");
      expect(after.paths()).not.toContain(planFile);
    }
    expect([...kinds].sort()).toEqual(["empty", "unfinished"]);
  });

  test("a crash while it is finished after a crash is survived as well", async () => {
    const plan = newPlan();
    const first = new VolatileFiles();
    first.crashAfter = 12;
    await expect(makeCluster(first, directories, plan)).rejects.toThrow(PowerLoss);
    for (let step = 0; step < 40; step++) {
      const second = first.reopened();
      second.crashAfter = step;
      try {
        await makeCluster(second, directories, plan);
      } catch (error) {
        expect(error).toBeInstanceOf(PowerLoss);
      }
      const third = second.reopened();
      const state = await inspectDirectories(third, directories);
      if (state.kind === "unfinished") await makeCluster(third, directories, state.plan);
      expect((await inspectDirectories(third.reopened(), directories)).kind, `crash at step ${step}`).toBe("cluster");
    }
  });
});

describe("directories", () => {
  async function made(): Promise<VolatileFiles> {
    const files = new VolatileFiles();
    await makeCluster(files, directories, newPlan());
    return files;
  }

  async function removeAll(files: VolatileFiles, directory: string): Promise<void> {
    for (const path of files.paths()) if (path.startsWith(`${directory}/`)) await files.remove(path);
  }

  test("without anything in them are empty", async () => {
    expect((await inspectDirectories(new VolatileFiles(), directories)).kind).toBe("empty");
  });

  test("one that was emptied is refused beside others, with the reason and what to do", async () => {
    const files = await made();
    await removeAll(files, "node-2");
    await expect(inspectDirectories(files, directories)).rejects.toMatchObject({
      code: "Refused",
      message: expect.stringMatching(/node-2 is empty.*forgotten the votes/s),
      hint: expect.stringContaining("--fresh"),
    });
  });

  test("one with a store's data but without its identity is damaged, not empty", async () => {
    const files = await made();
    await removeAll(files, "node-2");
    await files.open("node-2/log", "create");
    await expect(inspectDirectories(files, directories)).rejects.toMatchObject({ code: "Corruption" });
  });

  test("of two clusters do not make one", async () => {
    const files = await made();
    const other = await made();
    files.replace("node-3/identity", other.text("node-3/identity"));
    await expect(inspectDirectories(files, directories)).rejects.toMatchObject({ code: "WrongCluster" });
  });

  test("F22 a copy of a store's directory beside it is refused", async () => {
    const files = await made();
    files.replace("node-3/identity", files.text("node-2/identity"));
    await expect(inspectDirectories(files, directories)).rejects.toMatchObject({
      code: "Refused",
      message: expect.stringContaining("copy"),
    });
  });
});

describe("an identity", () => {
  test("with any byte flipped is corrupt", async () => {
    const files = new VolatileFiles();
    await makeCluster(files, directories, newPlan());
    const length = files.text("node-1/identity").length;
    for (let offset = 0; offset < length; offset += 7) {
      files.flipByte("node-1/identity", offset);
      await expect(readIdentity(files, "node-1"), `byte ${offset}`).rejects.toMatchObject({
        code: expect.stringMatching(/Corruption|FormatTooNew/),
      });
      files.flipByte("node-1/identity", offset);
    }
    expect((await readIdentity(files, "node-1"))?.storeId).toBe(1);
  });

  test("cut off anywhere is corrupt", async () => {
    const files = new VolatileFiles();
    await makeCluster(files, directories, newPlan());
    const text = files.text("node-1/identity");
    for (let end = 0; end < text.length; end += 31) {
      files.replace("node-1/identity", text.slice(0, end));
      await expect(readIdentity(files, "node-1"), `${end} bytes`).rejects.toMatchObject({ code: "Corruption" });
    }
  });

  test("H11 of a newer format says which format it has and which is known", async () => {
    const files = new VolatileFiles();
    await makeCluster(files, directories, newPlan());
    files.replace(
      "node-1/identity",
      files.text("node-1/identity").replace("flotilla-identity 1", "flotilla-identity 2"),
    );
    await expect(readIdentity(files, "node-1")).rejects.toMatchObject({
      code: "FormatTooNew",
      details: { format: 2, known: 1 },
    });
  });
});

describe("an incarnation", () => {
  test("rises by one at each start and is durable before it is given out", async () => {
    let files = new VolatileFiles();
    await makeCluster(files, directories, newPlan());
    for (let expected = 1; expected <= 3; expected++) {
      expect(await raiseIncarnation(files, "node-1")).toBe(expected);
      files = files.reopened();
    }
  });

  test("is never given out twice, whenever the power goes", async () => {
    const start = new VolatileFiles();
    await makeCluster(start, directories, newPlan());
    for (let step = 0; step < 8; step++) {
      const files = start.reopened();
      const given: number[] = [];
      files.crashAfter = step;
      await raiseIncarnation(files, "node-1").then(
        (value) => given.push(value),
        () => {},
      );
      given.push(await raiseIncarnation(files.reopened(), "node-1"));
      expect(new Set(given).size).toBe(given.length);
    }
  });

  test("that is missing beside an identity is corruption, not a first start", async () => {
    const files = new VolatileFiles();
    await makeCluster(files, directories, newPlan());
    await files.remove("node-1/incarnation");
    await expect(raiseIncarnation(files, "node-1")).rejects.toMatchObject({ code: "Corruption" });
  });
});
