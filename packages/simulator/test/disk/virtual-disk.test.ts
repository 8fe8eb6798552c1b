import { describe, expect, test } from "vitest";
import type { OpenFile } from "@flotilla/base";
import { filesConformance } from "@flotilla/platform/conformance";
import { NodeTime, SeededRandom, VirtualDisk, VirtualTime } from "@flotilla/simulator";

interface Machine {
  readonly time: VirtualTime;
  readonly node: NodeTime;
  readonly disk: VirtualDisk;
  do<T>(promise: Promise<T>): Promise<T>;
  restart(): void;
}

function machine(seed = 1): Machine {
  const time = new VirtualTime();
  const random = new SeededRandom(seed);
  const node = new NodeTime("node-1", time, random.fork("node"));
  const disk = new VirtualDisk(node, time, random.fork("disk"));
  return {
    time,
    node,
    disk,
    do: (promise) => time.complete(promise),
    restart: () => {
      node.crash();
      node.start();
    },
  };
}

const text = (value: string): Uint8Array => Buffer.from(value, "latin1");

async function content(m: Machine, path: string): Promise<string> {
  const file = await m.do(m.disk.open(path, "read"));
  return Buffer.from(await m.do(file.read(0, 1 << 20))).toString("latin1");
}

async function synced(m: Machine, path: string, value: string): Promise<OpenFile> {
  const file = await m.do(m.disk.open(path, "create"));
  await m.do(file.write(0, [text(value)]));
  await m.do(file.sync());
  await m.do(m.disk.syncDirectory(""));
  return file;
}

describe("VirtualDisk conforms to Files", () => {
  for (const { name, run } of filesConformance) {
    test(name, async () => {
      const m = machine();
      await m.do(run(() => Promise.resolve(m.disk)));
    });
  }
});

describe("VirtualDisk", () => {
  test("a power loss leaves what was synced and nothing else", async () => {
    const m = machine();
    const file = await synced(m, "log", "durable");
    await m.do(file.write(0, [text("VOLATILE AND LONGER")]));
    m.disk.losePower("none");
    m.restart();
    expect(await content(m, "log")).toBe("durable");
  });

  test("F6 a created file is gone without a sync of its directory, however often itself was synced", async () => {
    const m = machine();
    const file = await m.do(m.disk.open("log", "create"));
    await m.do(file.write(0, [text("content")]));
    await m.do(file.sync());
    m.disk.losePower("none");
    m.restart();
    expect(await m.do(m.disk.list(""))).toEqual([]);
  });

  test("F6 a rename without a sync of the directory is undone, and with one it stays", async () => {
    for (const sync of [false, true]) {
      const m = machine();
      await synced(m, "old", "content");
      await m.do(m.disk.rename("old", "new"));
      if (sync) await m.do(m.disk.syncDirectory(""));
      m.disk.losePower("none");
      m.restart();
      expect(await m.do(m.disk.list(""))).toEqual([sync ? "new" : "old"]);
    }
  });

  test("a removed file comes back without a sync of the directory", async () => {
    const m = machine();
    await synced(m, "log", "content");
    await m.do(m.disk.remove("log"));
    m.disk.losePower("none");
    m.restart();
    expect(await content(m, "log")).toBe("content");
  });

  test("the end of a process alone loses nothing that was written", async () => {
    const m = machine();
    const file = await m.do(m.disk.open("log", "create"));
    await m.do(file.write(0, [text("written")]));
    m.disk.processEnded();
    m.restart();
    expect(await content(m, "log")).toBe("written");
  });

  test("F2 a torn write leaves a prefix of it, cut at every byte by some seed", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const m = machine(seed);
      const file = await synced(m, "log", "------");
      await m.do(file.write(0, [text("abcd")]));
      m.disk.losePower("torn");
      m.restart();
      seen.add(await content(m, "log"));
    }
    expect([...seen].sort()).toEqual(["------", "a-----", "ab----", "abc---", "abcd--"]);
  });

  test("sectors of several unsynced writes survive in any combination, each whole", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const m = machine(seed);
      const file = await synced(m, "log", "-".repeat(1024));
      await m.do(file.write(0, [text("a".repeat(512))]));
      await m.do(file.write(512, [text("b".repeat(512))]));
      m.disk.losePower("sectors");
      m.restart();
      const left = await content(m, "log");
      expect(left).toMatch(/^(a{512}|-{512})(b{512}|-{512})$/);
      seen.add(left[0]! + left[512]!);
    }
    expect([...seen].sort()).toEqual(["--", "-b", "a-", "ab"]);
  });

  test("a write under way when the process ends is done in part", async () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 30; seed++) {
      const m = machine(seed);
      const file = await synced(m, "log", "");
      void file.write(0, [text("abcd")]);
      m.disk.processEnded();
      m.restart();
      lengths.add((await content(m, "log")).length);
    }
    expect([...lengths].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  test("a sync covers only what was written before it began", async () => {
    const m = machine();
    const file = await synced(m, "log", "");
    m.disk.faults.slowness = 100;
    await m.do(file.write(0, [text("early")]));
    const sync = file.sync();
    m.disk.faults.slowness = 1;
    await m.do(file.write(5, [text("late")]));
    await m.do(sync);
    m.disk.losePower("none");
    m.restart();
    expect(await content(m, "log")).toBe("early");
  });

  test("F1 a failed sync rejects with EIO, and what it covered never becomes durable", async () => {
    const m = machine();
    const file = await synced(m, "log", "");
    await m.do(file.write(0, [text("lost")]));
    m.disk.faults.failingSyncs = 1;
    await expect(m.do(file.sync())).rejects.toMatchObject({ code: "EIO" });
    await m.do(file.sync());
    expect(await content(m, "log")).toBe("lost");
    m.disk.losePower("none");
    m.restart();
    expect(await content(m, "log")).toBe("");
  });

  test("F7 a full disk rejects with ENOSPC and keeps what still fitted", async () => {
    const m = machine();
    const file = await synced(m, "log", "12345");
    m.disk.faults.capacityBytes = 8;
    expect(await m.do(m.disk.freeBytes())).toBe(3);
    await m.do(file.write(0, [text("54321")]));
    await expect(m.do(file.write(5, [text("67890")]))).rejects.toMatchObject({ code: "ENOSPC" });
    expect(await content(m, "log")).toBe("54321678");
  });

  test("a failed write rejects with EIO and leaves half of it", async () => {
    const m = machine();
    const file = await synced(m, "log", "");
    m.disk.faults.failingWrites = 1;
    await expect(m.do(file.write(0, [text("abcd")]))).rejects.toMatchObject({ code: "EIO" });
    expect(await content(m, "log")).toBe("ab");
  });

  test("H4 a stuck disk answers nothing until it is released, and reads go on", async () => {
    const m = machine();
    const file = await synced(m, "log", "old");
    m.disk.faults.stuck = true;
    let done = false;
    const write = file.write(0, [text("new")]).then(() => {
      done = true;
    });
    await m.time.runFor(60_000_000);
    expect(done).toBe(false);
    expect(await content(m, "log")).toBe("old");
    m.disk.release();
    await m.do(write);
    expect(await content(m, "log")).toBe("new");
  });

  test("a lying disk syncs without making anything durable", async () => {
    const m = machine();
    const file = await synced(m, "log", "true");
    m.disk.faults.lies = true;
    await m.do(file.write(0, [text("lies")]));
    await m.do(file.sync());
    m.disk.losePower("none");
    m.restart();
    expect(await content(m, "log")).toBe("true");
  });

  test("a flipped bit stays through everything, and a wiped disk is empty", async () => {
    const m = machine();
    await synced(m, "log", "abc");
    expect(m.disk.flipBit("log", 1, 0)).toBe(true);
    expect(m.disk.flipBit("log", 3, 0)).toBe(false);
    m.disk.losePower("none");
    m.restart();
    expect(await content(m, "log")).toBe("acc");
    m.disk.wipe();
    expect(await m.do(m.disk.list(""))).toEqual([]);
  });

  test("I3 a chunk that changes while its write is under way is found", async () => {
    const m = machine();
    const file = await synced(m, "log", "");
    const chunk = Buffer.from("abcd");
    const write = file.write(0, [chunk]);
    chunk[0] = 0;
    await expect(m.do(write)).rejects.toThrow("changed while it was under way");
  });

  test("a paused process hears of its sync only when it goes on, but the sync has happened", async () => {
    const m = machine();
    const file = await synced(m, "log", "");
    await m.do(file.write(0, [text("kept")]));
    let heard = false;
    void file.sync().then(() => {
      heard = true;
    });
    m.node.pause();
    await m.time.runFor(10_000_000);
    expect(heard).toBe(false);
    m.disk.losePower("none");
    m.restart();
    expect(await content(m, "log")).toBe("kept");
    expect(heard).toBe(false);
  });
});
