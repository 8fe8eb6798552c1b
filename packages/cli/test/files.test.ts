import {
  constants,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import fc from "fast-check";
import { ClashDetector, unsafePath } from "../src/files/export-path.ts";
import { formatJsonLine, parseJsonLine } from "../src/files/json-line.ts";
import { readLines } from "../src/files/read-lines.ts";
import { FakeCluster, FakeError, run } from "./fake-cluster.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "flotilla-files-"));
});
afterEach(async () => rm(directory, { recursive: true, force: true }));

interface Report {
  records: number;
  bytes: number;
  skipped: number;
  failed: number;
  failures: {
    name: string;
    line: number | null;
    code: string;
    message: string;
    sizeBytes: number | null;
    limitBytes: number | null;
  }[];
}
const reportOf = ({ out }: { out: string }): Report => JSON.parse(out) as Report;

describe("import dir", () => {
  test("takes regular files, with the path as key, and counts links, pipes and empty directories as skipped", async () => {
    await mkdir(join(directory, "tree/sub/..two"), { recursive: true });
    await mkdir(join(directory, "tree/empty"));
    await writeFile(join(directory, "tree/a b"), "1");
    await writeFile(join(directory, "tree/sub/größe"), "");
    await writeFile(join(directory, "tree/sub/..two/.x"), new Uint8Array([0, 255]));
    await symlink("/etc/passwd", join(directory, "tree/link"));
    await symlink("/etc", join(directory, "tree/linked"));
    execFileSync("mkfifo", [join(directory, "tree/pipe")]);
    const cluster = new FakeCluster();
    const ran = await run(["import", "dir", "tree", "--prefix", "p/", "-o", "json"], { cluster, directory });
    expect(ran.exitCode).toBe(0);
    expect(reportOf(ran)).toMatchObject({ records: 3, skipped: 4, failed: 0, failures: [] });
    expect([...cluster.records.keys()].map((key) => Buffer.from(key, "latin1").toString()).sort()).toEqual([
      "p/a b",
      "p/sub/..two/.x",
      "p/sub/größe",
    ]);
    expect([...cluster.records.get("p/sub/..two/.x")!.value]).toEqual([0, 255]);
    expect((await run(["import", "dir", "tree"], { cluster, directory })).out).toMatch(
      /imported 3 records.*skipped 2 links, 1 devices, 1 empty directories\n/,
    );
  });

  test("a file over the limit is not read, is listed with size and limit, and the rest goes in: exit code 1", async () => {
    await mkdir(join(directory, "tree"));
    await writeFile(join(directory, "tree/small"), "x");
    await writeFile(join(directory, "tree/huge"), "");
    await truncate(join(directory, "tree/huge"), 2 ** 33);
    const cluster = new FakeCluster();
    const ran = await run(["import", "dir", "tree", "-o", "json"], { cluster, directory });
    expect(ran.exitCode).toBe(1);
    const { records, failed, failures } = reportOf(ran);
    expect([records, failed]).toEqual([1, 1]);
    expect(failures).toEqual([
      {
        name: "huge",
        line: null,
        code: "ValueTooLarge",
        message: expect.any(String),
        sizeBytes: 2 ** 33,
        limitBytes: 1024 * 1024,
      },
    ]);
  });

  test("names that are not UTF-8 become keys of the same bytes", async () => {
    const tree = Buffer.from(join(directory, "tree"));
    await mkdir(tree);
    await writeFile(Buffer.concat([tree, Buffer.from([0x2f, 0xff, 0xfe])]), "raw");
    const cluster = new FakeCluster();
    await run(["import", "dir", "tree"], { cluster, directory });
    expect([...cluster.records.keys()]).toEqual(["\xff\xfe"]);
  });

  test("a directory that is none is what the user gave", async () => {
    await writeFile(join(directory, "file"), "x");
    for (const path of ["file", "nowhere"])
      expect((await run(["import", "dir", path], { directory })).exitCode).toBe(2);
  });

  test("ends when the cluster is gone instead of trying every file", async () => {
    await mkdir(join(directory, "tree"));
    for (let i = 0; i < 20; i++) await writeFile(join(directory, `tree/${i}`), "x");
    const cluster = new FakeCluster();
    cluster.failNext = new FakeError("ConnectFailed", "nobody there", "not-applied");
    const ran = await run(["import", "dir", "tree", "-o", "json"], { cluster, directory });
    expect(ran.exitCode).toBe(1);
    expect(JSON.parse(ran.notes).error.code).toBe("ConnectFailed");
    expect(cluster.records.size).toBe(0);
  });
});

describe("export dir", () => {
  test("what was imported comes out the same", async () => {
    await mkdir(join(directory, "tree/a/b"), { recursive: true });
    await writeFile(join(directory, "tree/a/b/c"), new Uint8Array([0, 1, 255]));
    await writeFile(join(directory, "tree/été 🚢"), "text");
    const cluster = new FakeCluster();
    await run(["import", "dir", "tree", "--prefix", "p/"], { cluster, directory });
    cluster.set("q/other", "not this");
    expect((await run(["export", "dir", "out", "--prefix", "p/"], { cluster, directory })).exitCode).toBe(0);
    execFileSync("diff", ["-r", join(directory, "tree"), join(directory, "out")]);
  });

  test("keys that would leave the directory or clash are refused and listed; the rest is written", async () => {
    const cluster = new FakeCluster();
    const refused = [
      "../up",
      "a/../../up",
      "/etc/absolute",
      "a//b",
      "./dot",
      "dir/",
      "nul\0nul",
      "clash/below",
      "clash/below/more",
      `${"n".repeat(256)}`,
    ];
    for (const key of [...refused, "clash", "clash-free", "fine/file"]) cluster.set(key, key);
    const ran = await run(["export", "dir", "out", "-o", "json"], { cluster, directory });
    expect(ran.exitCode).toBe(1);
    const { records, failed, failures } = reportOf(ran);
    expect([records, failed]).toEqual([3, refused.length]);
    for (const failure of failures) expect(failure.code).toBe("Refused");
    expect((await readdir(join(directory, "out"), { recursive: true })).sort()).toEqual([
      "clash",
      "clash-free",
      "fine",
      "fine/file",
    ]);
    expect(await readdir(directory)).toEqual(["out"]);
  });

  test("nothing is written through a symbolic link, as a directory or as a file", async () => {
    await mkdir(join(directory, "out"));
    await mkdir(join(directory, "outside"));
    await writeFile(join(directory, "outside/target"), "untouched");
    await symlink("../outside", join(directory, "out/linked"));
    await symlink("../outside/target", join(directory, "out/file"));
    const cluster = new FakeCluster();
    for (const key of ["linked/new", "file", "good"]) cluster.set(key, "written");
    const ran = await run(["export", "dir", "out", "-o", "json"], { cluster, directory });
    expect(reportOf(ran).failures.map(({ name }) => name)).toEqual(["file", "linked/new"]);
    expect(await readdir(join(directory, "outside"))).toEqual(["target"]);
    expect(await readFile(join(directory, "outside/target"), "utf8")).toBe("untouched");
    expect((await lstat(join(directory, "out/file"))).isSymbolicLink()).toBe(true);
    expect(await readFile(join(directory, "out/good"), "utf8")).toBe("written");
  });

  test("something of another kind in a file's place is refused, and no temporary file stays", async () => {
    await mkdir(join(directory, "out/k"), { recursive: true });
    await writeFile(join(directory, "out/f"), "a file");
    const cluster = new FakeCluster();
    cluster.set("k", "v");
    cluster.set("f/g", "v");
    const ran = await run(["export", "dir", "out", "-o", "json"], { cluster, directory });
    expect(reportOf(ran)).toMatchObject({ records: 0, failed: 2 });
    expect((await readdir(join(directory, "out"))).sort()).toEqual(["f", "k"]);
  });

  test("no key, whatever its bytes, gets a path outside", () => {
    const segment = fc.constantFrom("..", ".", "", "a", "b", "\0", "..a");
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 6 }), (segments) => {
        const path = Buffer.from(segments.join("/"));
        const safe = unsafePath(path) === undefined;
        expect(safe).toBe(segments.every((part) => part === "a" || part === "b" || part === "..a"));
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test("a clash is found between keys in order, however many stand between them, and only there", () => {
    const path = fc
      .array(fc.constantFrom("a", "ab", "a-", "b"), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join("/"));
    fc.assert(
      fc.property(fc.uniqueArray(path, { maxLength: 12 }), (paths) => {
        const sorted = paths.map((text) => Buffer.from(text)).sort(Buffer.compare);
        const detector = new ClashDetector();
        const written: string[] = [];
        for (const bytes of sorted) {
          const clash = detector.add(bytes);
          expect(clash !== undefined).toBe(written.some((earlier) => bytes.toString().startsWith(`${earlier}/`)));
          if (clash === undefined) written.push(bytes.toString());
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe("jsonl", () => {
  test("what is exported is imported the same, bytes that are not UTF-8 included", async () => {
    const from = new FakeCluster();
    from.set("plain", 'text\n"quoted"\u2028');
    from.set(new Uint8Array([0, 255, 10]), new Uint8Array([200, 201]));
    from.set("empty", "");
    for (const flags of [[], ["--hex"], ["--base64"]]) {
      expect((await run(["export", "jsonl", "f.jsonl", ...flags], { cluster: from, directory })).exitCode).toBe(0);
      const to = new FakeCluster();
      expect((await run(["import", "jsonl", "f.jsonl"], { cluster: to, directory })).exitCode).toBe(0);
      const content = (cluster: FakeCluster): unknown =>
        [...cluster.records].map(([key, { value }]) => [key, [...value]]).sort();
      expect(content(to)).toEqual(content(from));
    }
    expect((await readdir(directory)).filter((name) => name.includes("part"))).toEqual([]);
  });

  test("to standard output the records stand alone there", async () => {
    const cluster = new FakeCluster();
    cluster.set("k", "v");
    const { out, notes } = await run(["export", "jsonl", "-"], { cluster });
    expect(JSON.parse(out)).toEqual({ key: "k", value: "v", version: 1001, encoding: "utf8" });
    expect(notes).toMatch(/^exported 1 records/);
  });

  test("--key-field takes any objects: the key from that field, the line as it stands as value", async () => {
    const cluster = new FakeCluster();
    const line = '{"id": "x1",  "n": 1}';
    const { exitCode } = await run(["import", "jsonl", "-", "--key-field", "id", "--prefix", "u/"], {
      cluster,
      input: `\ufeff${line}\r\n\n{"id":7}`,
    });
    expect(exitCode).toBe(0);
    expect([cluster.text("u/x1"), cluster.text("u/7")]).toEqual([line, '{"id":7}']);
  });

  test.each([
    ["{", "not JSON"],
    ["[1]", "not an object"],
    ['{"value":"v"}', 'no string "key"'],
    ['{"key":"k"}', 'no string "value"'],
    ['{"key":"k","value":{}}', 'no string "value"'],
    ['{"key":"k","value":"zz","encoding":"hex"}', "not hex"],
    ['{"key":"k","value":"v","encoding":"latin1"}', '"encoding" must be'],
  ])("a malformed line is exit code 2 with its number: %s", async (line, message) => {
    const cluster = new FakeCluster();
    const ran = await run(["import", "jsonl", "-", "-o", "json"], {
      cluster,
      input: `{"key":"a","value":"1"}\n\n${line}\n{"key":"b","value":"2"}\n`,
    });
    expect(ran.exitCode).toBe(2);
    expect(reportOf(ran)).toMatchObject({ records: 1, failed: 1, failures: [{ line: 3, code: "InvalidArgument" }] });
    expect(JSON.parse(ran.notes).error).toMatchObject({
      code: "InvalidArgument",
      message: expect.stringContaining(message),
      details: { line: 3 },
    });
  });

  test("records that the cluster refuses are listed with their line; the others go in: exit code 1", async () => {
    const cluster = new FakeCluster();
    cluster.failNext = new FakeError("KeyTooLarge", "too long", "not-applied", { sizeBytes: 5000, limitBytes: 4096 });
    const ran = await run(["import", "jsonl", "-", "-o", "json"], {
      cluster,
      input: '{"key":"a","value":"1"}\n{"key":"b","value":"2"}\n',
    });
    expect(ran.exitCode).toBe(1);
    expect(reportOf(ran)).toMatchObject({
      records: 1,
      failed: 1,
      failures: [{ name: "a", line: 1, code: "KeyTooLarge", sizeBytes: 5000, limitBytes: 4096 }],
    });
  });

  test("a line without end does not fill the memory", async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(1000, 0x61);
    }
    const lines = readLines(endless(), 10_000);
    await expect(lines.next()).rejects.toMatchObject({ code: "InvalidArgument", details: { line: 1 } });
  });

  test("lines come out the same however the stream is cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom("a", "\n", "\r\n", "é") }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 5 }),
        async (pieces, size) => {
          const whole = Buffer.from(pieces.join(""));
          async function* cut(): AsyncGenerator<Uint8Array> {
            for (let i = 0; i < whole.length; i += size) yield whole.subarray(i, i + size);
          }
          const lines: string[] = [];
          for await (const { bytes } of readLines(cut(), 1000)) lines.push(bytes.toString());
          const expected = whole.toString().split(/\r?\n/);
          if (expected.at(-1) === "") expected.pop();
          expect(lines).toEqual(expected);
        },
      ),
      { seed: 11, numRuns: 200 },
    );
  });

  test("every key and value survives a line of JSON", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 20 }),
        fc.uint8Array({ maxLength: 20 }),
        fc.constantFrom("utf8" as const, "hex" as const, "base64" as const),
        (key, value, encoding) => {
          const line = Buffer.from(formatJsonLine(key, value, 1, encoding).trimEnd());
          const parsed = parseJsonLine({ number: 1, bytes: line }, undefined);
          expect([[...parsed.key], [...parsed.value]]).toEqual([[...key], [...value]]);
        },
      ),
      { seed: 13, numRuns: 300 },
    );
  });
});

test("a file that became a link between listing and reading is not followed", async () => {
  const { readFiles } = await import("../src/files/read-files.ts");
  await writeFile(join(directory, "secret"), "secret");
  await symlink("secret", join(directory, "listed"));
  async function* listed(): AsyncGenerator<{ path: Buffer }> {
    yield { path: Buffer.from("listed") };
  }
  for await (const { content, error } of readFiles(Buffer.from(directory), listed(), 100)) {
    expect(content).toBeUndefined();
    expect(error?.message).toContain("ELOOP");
  }
  expect(constants.O_NOFOLLOW).toBeGreaterThan(0);
});
