/** What users, disks and strangers can do wrong: each has its error, and the cluster goes on. One cluster for all. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, chown, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { keyMax, metaRangeId, userPrefix } from "@flotilla/base";
import type { Client } from "@flotilla/client";
import { NodeFiles, nodeRandom } from "@flotilla/platform";
import { makeCluster, planCluster } from "@flotilla/server/identity";
import { Fleet, closeAllFleets } from "./fleet.ts";
import { isLong, until } from "./harness.ts";
import type { CommandResult } from "./harness.ts";
import { RawCall, sendBytes } from "./raw-client.ts";

let fleet: Fleet;
let client: Client;

beforeAll(async () => {
  fleet = await Fleet.start(3, ["--ranges", "4"]);
  client = fleet.client();
  await client.put("before", "kept");
});

/** Whatever was done to it: every node lives, and holds what it held. */
afterEach(async () => {
  for (const node of [1, 2, 3]) expect(fleet.process(node).hasEnded, `node ${node} ended`).toBe(false);
  expect(Buffer.from((await client.get("before"))!).toString()).toBe("kept");
  await client.put("after", "written");
});

afterAll(closeAllFleets);

/** A command against the cluster. */
function run(...args: string[]): Promise<CommandResult> {
  return fleet.run([...args, "--endpoints", fleet.addresses.join(",")]);
}

interface ErrorFields {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly outcome: string | null;
  readonly details: Record<string, unknown>;
}

async function errorOf(...args: string[]): Promise<ErrorFields & { readonly exitCode: number | null }> {
  const { exitCode, notes } = await run(...args, "-o", "json");
  const { error } = JSON.parse(notes.trim().split("\n").at(-1)!) as { error: ErrorFields };
  return { exitCode, ...error };
}

/** `flotilla start` that is expected to end by itself. */
function startFails(...args: string[]): Promise<CommandResult> {
  return fleet.spawn(["start", "--http-address", "127.0.0.1:0", ...args]).ended;
}

let freePort = 20;
/** Below the ports of HTTP, and not one of the nodes. */
const freeAddress = (): string => `127.0.0.1:${Number(fleet.addresses[0]!.split(":")[1]) + freePort++}`;

describe("keys and values", () => {
  test("a key over 4 KiB, an empty key and a value over the limit are refused with size and limit: exit code 2", async () => {
    const file = join(fleet.directory, "large");
    await writeFile(file, Buffer.alloc(1024 * 1024 + 1));
    const [long, empty, large] = await Promise.all([
      errorOf("put", "k".repeat(4097), "v"),
      errorOf("put", "", "v"),
      errorOf("put", "k", "--value-file", file),
    ]);
    expect(long).toMatchObject({ exitCode: 2, code: "KeyTooLarge", message: expect.stringMatching(/4097.*4096/) });
    expect(empty).toMatchObject({ exitCode: 2, code: "EmptyKey" });
    expect(large).toMatchObject({
      exitCode: 2,
      code: "ValueTooLarge",
      message: expect.stringMatching(/1048577.*1048576/),
    });
    for (const key of ["k", "k".repeat(4097)]) expect(await client.get(key).catch(() => undefined)).toBe(undefined);
  });

  test("the limit is the cluster's, whatever the client was told", async () => {
    const lax = fleet.client({ valueBytesMax: 8 * 1024 * 1024 });
    await expect(lax.put("k", new Uint8Array(1024 * 1024 + 1))).rejects.toMatchObject({
      code: "ValueTooLarge",
      outcome: "not-applied",
    });
  });

  test("a value of exactly the largest size is written, and reaches a node that was away", async () => {
    const value = new Uint8Array(1024 * 1024).fill(7);
    const key = "k".repeat(4096);
    const away = fleet.process(3);
    away.signal("SIGKILL");
    await away.ended;
    await client.put(key, value);
    await fleet.untilAllSay([fleet.startNode(3)], '"msg":"ready');
    // Stale reads go to the replicas in turn.
    const found = new Set<number>();
    await until("each replica has it", async () => {
      const values = await Promise.all([1, 2, 3].map(() => client.get(key, { consistency: "stale" })));
      for (const copy of values) if (copy !== undefined) expect(Buffer.compare(copy, value)).toBe(0);
      found.add(values.filter((copy) => copy !== undefined).length);
      return found.has(3);
    });
  });
});

describe("files", () => {
  test("a malformed line is named, what stood before it is kept, what comes after is not tried: exit code 2", async () => {
    const file = join(fleet.directory, "bad.jsonl");
    await writeFile(
      file,
      '{"key":"j1","value":"1"}\n{"key":"j2","value":"2"}\n{"key":"j3",\n{"key":"j4","value":"4"}\n',
    );
    const { exitCode, out, notes } = await run("import", "jsonl", file, "-o", "json");
    expect(exitCode).toBe(2);
    expect(notes).toContain("line 3");
    expect(JSON.parse(out)).toMatchObject({ records: 2, failed: 1, failures: [{ line: 3 }] });
    expect(await client.get("j2")).not.toBe(undefined);
    expect(await client.get("j4")).toBe(undefined);
  });

  test("a file that cannot be read is named: exit code 2", async () => {
    const [missing, directory] = await Promise.all([
      errorOf("import", "jsonl", join(fleet.directory, "nowhere.jsonl")),
      errorOf("import", "jsonl", fleet.directory),
    ]);
    expect(missing).toMatchObject({ exitCode: 2, message: expect.stringContaining("nowhere.jsonl") });
    expect(directory).toMatchObject({ exitCode: 2, hint: expect.stringContaining("import dir") });
    // It is there, and nobody can open it.
    const socket = join(fleet.directory, "socket.jsonl");
    const server = createServer().listen(socket);
    await once(server, "listening");
    const closed = await errorOf("import", "jsonl", socket);
    expect(closed).toMatchObject({ exitCode: 2, message: expect.stringMatching(/cannot read .*socket\.jsonl/) });
    server.close();
    if (!isLong) return;
    await chmod(fleet.directory, 0o755);
    const secret = join(fleet.directory, "secret.jsonl");
    await writeFile(secret, '{"key":"s","value":"1"}\n', { mode: 0o000 });
    // As another user, whom the mode of the file stops.
    const denied = await fleet.spawn(["import", "jsonl", secret, "--endpoints", fleet.addresses[0]!], {}, 65534).ended;
    expect(denied).toMatchObject({ exitCode: 2, notes: expect.stringMatching(/secret\.jsonl[\s\S]*permission/i) });
  });
});

describe("names", () => {
  test("an unknown command and an unknown option are told with the nearest one: exit code 2", async () => {
    const [command, verb, option] = await Promise.all([
      fleet.run(["gett", "k"]),
      fleet.run(["cluster", "statsu"]),
      fleet.run(["get", "k", "--endpoint", "x"]),
    ]);
    expect(command).toMatchObject({ exitCode: 2, notes: expect.stringMatching(/unknown command.*gett[\s\S]*get/) });
    expect(verb).toMatchObject({ exitCode: 2, notes: expect.stringMatching(/statsu[\s\S]*status/) });
    expect(option).toMatchObject({ exitCode: 2, notes: expect.stringMatching(/--endpoint[\s\S]*--endpoints/) });
  });

  test("an unknown setting is told with the nearest one, wherever it stands: exit code 2", async () => {
    const file = join(fleet.directory, "unknown.toml");
    await writeFile(file, 'dataDirectory = "x"\n');
    const wanted = [
      [["config", "show", "--config", file], {}, /dataDirectory[\s\S]*dataDir/],
      [["config", "show", "--flush-byte", "1"], {}, /--flush-byte[\s\S]*--flush-bytes/],
      [["config", "show"], { FLOTILLA_DATADIR: "x" }, /FLOTILLA_DATADIR[\s\S]*FLOTILLA_DATA_DIR/],
    ] as const;
    for (const [args, environment, text] of wanted) {
      expect(await fleet.spawn([...args], environment).ended).toMatchObject({
        exitCode: 2,
        notes: expect.stringMatching(text),
      });
    }
  });
});

describe("places", () => {
  test("a port that is in use is named: exit code 2", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const ended = await startFails(
      "--data-dir",
      "elsewhere",
      "--peers",
      "127.0.0.1:1",
      "--address",
      `127.0.0.1:${port}`,
    );
    expect(ended).toMatchObject({ exitCode: 2, notes: expect.stringContaining("InUse") });
    expect(ended.notes).toContain(`127.0.0.1:${port}`);
    await new Promise((resolve) => server.close(resolve));
  });

  test("F24 a directory in use by a running node is refused: exit code 2", async () => {
    const ended = await startFails("--data-dir", fleet.dataDir(1), "--address", freeAddress());
    expect(ended).toMatchObject({ exitCode: 2, notes: expect.stringMatching(/InUse.*in use by another process/) });
  });

  test("F22 a copy of a running node's directory is refused by the others, and ends: exit code 2", async () => {
    const copy = join(fleet.directory, "copy");
    await cp(fleet.dataDir(2), copy, { recursive: true, filter: (path) => !path.endsWith("/lock") });
    const ended = await startFails(
      "--data-dir",
      copy,
      "--address",
      freeAddress(),
      "--peers",
      fleet.addresses.join(","),
    );
    expect(ended.exitCode).toBe(2);
    expect(ended.notes).toMatch(/copy of its directory|started again since/);
  });

  test("H8 a directory of another cluster ends with both clusters' ids: exit code 2", async () => {
    const foreign = join(fleet.directory, "foreign");
    await mkdir(foreign);
    // Made where this cluster is, so that its stores look for each other there.
    const plan = planCluster({ addresses: fleet.addresses, replicas: 3, ranges: 1, splitAt: [] }, nodeRandom);
    await makeCluster(new NodeFiles(foreign), ["1", "2", "3"], plan);
    const ended = await startFails("--data-dir", join(foreign, "1"), "--address", freeAddress());
    expect(ended.exitCode).toBe(2);
    expect(ended.notes).toMatch(/"code":"WrongCluster"/);
    expect(ended.notes).toContain(plan.clusterId);
  });

  test("a directory of a newer format says which version to use, and stays as it is: exit code 2", async () => {
    const newer = join(fleet.directory, "newer");
    await mkdir(newer);
    const identity = readFileSync(join(fleet.dataDir(1), "identity"), "utf8").replace(" 1\n", " 2\n");
    await writeFile(join(newer, "identity"), identity);
    const ended = await startFails("--data-dir", newer, "--address", freeAddress());
    expect(ended).toMatchObject({ exitCode: 2, notes: expect.stringContaining("FormatTooNew") });
    expect(ended.notes).toContain("or a newer one");
    expect(await readFile(join(newer, "identity"), "utf8")).toBe(identity);
  });

  test("a directory that cannot be written to is named: exit code 2", async () => {
    const file = join(fleet.directory, "a-file");
    await writeFile(file, "not a directory");
    const peers = ["--peers", freeAddress(), "--address", freeAddress()];
    const inPlace = await startFails("--data-dir", file, ...peers);
    expect(inPlace).toMatchObject({ exitCode: 2, notes: expect.stringContaining(file) });
    expect(await readFile(file, "utf8")).toBe("not a directory");

    // As another user, whom the mode of the directory stops.
    const locked = join(fleet.directory, "locked");
    await mkdir(locked);
    await chmod(locked, 0o555);
    if (process.getuid!() === 0) {
      await chmod(fleet.directory, 0o755);
      await chown(locked, 0, 0);
    }
    const denied = await fleet.spawn(
      ["start", "--http-address", "127.0.0.1:0", "--data-dir", join(locked, "node"), ...peers],
      {},
      65534,
    ).ended;
    expect(denied).toMatchObject({ exitCode: 2, notes: expect.stringContaining(locked) });
  });
});

describe("strangers on the port", () => {
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  test("an HTTP/1.1 request is answered with one line that says what this port is", async () => {
    const answer = await sendBytes(fleet.addresses[0]!, ["GET / HTTP/1.1\r\nHost: x\r\n\r\n"]);
    expect(answer).toMatch(/^HTTP\/1\.1 426 /);
    const body = answer.split("\r\n\r\n")[1]!;
    expect(body.trimEnd().split("\n")).toHaveLength(1);
    expect(body).toContain("Flotilla");
  });

  test("H7 random bytes, a truncated and an oversized frame end their connection only", async () => {
    const noise = (seed: number): Buffer =>
      Buffer.concat(Array.from({ length: 64 }, (_, i) => createHash("sha256").update(`${seed}.${i}`).digest()));
    const address = fleet.addresses[1]!;
    const calls = Array.from({ length: 3 }, () => new RawCall(address, true));
    calls[0]!.sendMessage(noise(4));
    calls[1]!.sendMessage(Buffer.alloc(1000), 0x7fffffff);
    calls[2]!.sayHello();
    calls[2]!.sendMessage(noise(5));
    await Promise.all([
      sendBytes(address, [noise(1)]),
      sendBytes(address, [preface, Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0), noise(2)]),
      // Half of an HTTP/2 frame.
      sendBytes(address, [preface, Uint8Array.of(0, 0x40, 0, 1)]),
      ...calls.map(({ closed }) => closed),
    ]);
    for (const call of calls) call.destroy();
  });

  test("H7 a frame without end takes no memory: it is cut off", async () => {
    const address = fleet.addresses[1]!;
    const before = residentBytes(fleet.process(2).pid);
    const call = new RawCall(address, true);
    call.sayHello();
    call.sendMessage(Buffer.alloc(16), 64 * 1024 * 1024);
    const block = Buffer.alloc(256 * 1024);
    let ended = false;
    void call.closed.then(() => (ended = true));
    for (let i = 0; i < 256 && !ended; i++) {
      call.sendMore(block);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await call.closed;
    call.destroy();
    expect(residentBytes(fleet.process(2).pid) - before).toBeLessThan(64 * 1024 * 1024);
  });

  test("a client that asks for much and reads nothing costs bounded memory, and others do not wait for it", async () => {
    await client.putMany(Array.from({ length: 64 }, (_, i) => [`slow-${i}`, new Uint8Array(256 * 1024)] as const));
    const { ranges } = await client.routes();
    const pids = [1, 2, 3].map((node) => fleet.process(node).pid);
    const before = pids.map(residentBytes);
    const slow = fleet.addresses.map((address) => new RawCall(address, false));
    for (const call of slow) {
      call.sayHello();
      let scanId = 1;
      for (let i = 0; i < 25; i++) {
        call.send(
          ranges
            .filter(({ descriptor }) => descriptor.rangeId !== metaRangeId)
            .map(({ descriptor }) => ({
              type: "scan" as const,
              scanId: scanId++,
              rangeId: descriptor.rangeId,
              bounds: descriptor.epoch.bounds,
              consistency: "stale" as const,
              start: descriptor.start > userPrefix ? descriptor.start : userPrefix,
              end: descriptor.end < keyMax ? descriptor.end : keyMax,
              reverse: false,
              limit: 0,
              keysOnly: false,
              countOnly: false,
              creditBytes: 64 * 1024 * 1024,
            })),
        );
      }
    }
    const untilMs = performance.now() + 1500;
    while (performance.now() < untilMs) await client.put("beside", "served");
    for (const [index, pid] of pids.entries()) {
      // All that was asked for would be 400 MiB for each of them.
      expect(residentBytes(pid) - before[index]!).toBeLessThan(150 * 1024 * 1024);
    }
    for (const call of slow) call.destroy();
  });
});

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))![1]) * 1024;
}
