import { describe, expect, test } from "vitest";
import { FakeCluster, FakeError, run } from "./fake-cluster.ts";

describe("put and get", () => {
  test("a value comes back byte for byte, with a newline only on a terminal", async () => {
    const cluster = new FakeCluster();
    expect(await run(["put", "k", "wörld"], { cluster })).toMatchObject({
      exitCode: 0,
      out: "version 1001\n",
      notes: "",
    });
    expect((await run(["get", "k"], { cluster })).out).toBe("wörld");
    expect((await run(["get", "k"], { cluster, terminal: true })).out).toBe("wörld\n");
    cluster.set("b", new Uint8Array([0, 255, 10]));
    expect([...(await run(["get", "b"], { cluster })).bytes]).toEqual([0, 255, 10]);
  });

  test("JSON has the fields of the contract; bytes that are not UTF-8 are base64 by themselves", async () => {
    const cluster = new FakeCluster();
    expect(JSON.parse((await run(["put", "k", "v", "-o", "json"], { cluster })).out)).toEqual({
      key: "k",
      version: 1001,
      outcome: "applied",
      encoding: "utf8",
    });
    expect(JSON.parse((await run(["get", "k", "-o", "json"], { cluster })).out)).toEqual({
      key: "k",
      value: "v",
      version: 1001,
      encoding: "utf8",
    });
    cluster.set("b", new Uint8Array([255]));
    expect(JSON.parse((await run(["get", "b", "-o", "json"], { cluster })).out)).toMatchObject({
      key: "Yg==",
      value: "/w==",
      encoding: "base64",
    });
    expect(JSON.parse((await run(["get", "62", "--hex", "-o", "json"], { cluster })).out)).toMatchObject({
      key: "62",
      value: "ff",
      encoding: "hex",
    });
  });

  test("what is not there is exit code 1 and NotFound", async () => {
    const table = await run(["get", "nope"]);
    expect(table).toMatchObject({ exitCode: 1, out: "" });
    expect(table.notes).toMatch(/no key "nope".*NotFound/);
    const { exitCode, out, notes } = await run(["get", "nope", "-o", "json"]);
    expect([exitCode, out]).toEqual([1, ""]);
    expect(JSON.parse(notes)).toEqual({
      error: {
        code: "NotFound",
        message: 'there is no key "nope"',
        hint: null,
        retryable: false,
        outcome: null,
        details: {},
      },
    });
  });

  test("a condition that does not hold is exit code 1", async () => {
    const cluster = new FakeCluster();
    cluster.set("k", "v");
    expect((await run(["put", "k", "w", "--if-absent"], { cluster })).exitCode).toBe(1);
    expect((await run(["put", "k", "w", "--if-version", "7"], { cluster })).exitCode).toBe(1);
    expect((await run(["put", "k", "w", "--if-version", "1001"], { cluster })).exitCode).toBe(0);
    expect(cluster.text("k")).toBe("w");
  });

  test("H2 a write of unknown outcome is exit code 3 and says so, never a plain failure", async () => {
    const cluster = new FakeCluster();
    cluster.failNext = new FakeError("OutcomeUnknown", "the stream broke", "unknown");
    const { exitCode, notes } = await run(["put", "k", "v", "-o", "json"], { cluster });
    expect(exitCode).toBe(3);
    expect(JSON.parse(notes).error).toMatchObject({ code: "OutcomeUnknown", outcome: "unknown" });
  });

  test("a refused write over a limit is what the user gave: exit code 2", async () => {
    const cluster = new FakeCluster();
    cluster.failNext = new FakeError("ValueTooLarge", "too large", "not-applied", { sizeBytes: 2, limitBytes: 1 });
    expect((await run(["put", "k", "v"], { cluster })).exitCode).toBe(2);
  });

  test("the value may come from standard input", async () => {
    const cluster = new FakeCluster();
    expect((await run(["put", "k", "--value-file", "-"], { cluster, input: "from input" })).exitCode).toBe(0);
    expect(cluster.text("k")).toBe("from input");
    const tooLong = await run(["put", "k", "--value-file", "-", "--value-limit", "4"], {
      cluster,
      input: "from input",
    });
    expect([tooLong.exitCode, tooLong.notes]).toEqual([2, expect.stringContaining("ValueTooLarge")]);
  });

  test.each([
    [["put"], "missing required argument"],
    [["put", "k"], "value is missing"],
    [["put", "", "v"], "EmptyKey"],
    [["put", "k", "v", "--value-file", "-"], "exclude each other"],
    [["put", "k", "v", "--if-absent", "--if-version", "3"], "exclude each other"],
    [["put", "k", "v", "--if-version", "x"], "must be a version"],
    [["put", "zz", "v", "--hex"], "not hex"],
    [["get", "k", "--hex", "--base64"], "cannot be used with"],
    [["get", "k", "more"], "too many arguments"],
    [["get", "k", "--colour"], "unknown option"],
    [["get", "k", "-o", "xml"], "-o must be one of"],
    [["get", "k", "--timeout", "soon"], "--timeout must be a duration"],
    [["delete"], "key is missing"],
    [["delete", "k", "--prefix", "p"], "exclude each other"],
    [["scan", "b", "a"], "START must come before END"],
    [["scan", "--limit", "0"], "--limit must be"],
    [["scan", "--count", "--limit", "3"], "exclude each other"],
    [["nothing"], "unknown command"],
    [["range"], "which verb"],
  ])("what cannot be understood is exit code 2 and connects to nothing: %j", async (argv, message) => {
    const cluster = new FakeCluster();
    const { exitCode, out, notes } = await run(argv, { cluster });
    expect([exitCode, out, cluster.connections]).toEqual([2, "", 0]);
    expect(notes).toContain(message);
    const json = await run([...argv.filter((word) => word !== "xml" && word !== "-o"), "-o", "json"], { cluster });
    if (!argv.includes("-o")) expect(JSON.parse(json.notes).error.code).toMatch(/^(InvalidArgument|EmptyKey)$/);
  });
});

describe("delete", () => {
  test("says whether there was something, and 0 is no failure", async () => {
    const cluster = new FakeCluster();
    cluster.set("k", "v");
    expect(JSON.parse((await run(["delete", "k", "-o", "json"], { cluster })).out)).toEqual({
      key: "k",
      version: 1002,
      outcome: "applied",
      deleted: 1,
      encoding: "utf8",
    });
    expect(await run(["delete", "k"], { cluster })).toMatchObject({ exitCode: 0, out: "there was no such key\n" });
  });

  test("--prefix deletes all keys that begin with it, and no other", async () => {
    const cluster = new FakeCluster();
    for (const key of ["a", "p/1", "p/2", "p0", "q"]) cluster.set(key, "v");
    expect((await run(["delete", "--prefix", "p/"], { cluster })).out).toBe("deleted 2\n");
    expect([...cluster.records.keys()]).toEqual(["a", "p0", "q"]);
  });
});

describe("scan", () => {
  const filled = (): FakeCluster => {
    const cluster = new FakeCluster();
    for (const key of ["a", "bb", "é", "z"]) cluster.set(key, `value of ${key}`);
    cluster.set(new Uint8Array([255]), "raw");
    return cluster;
  };

  test("lists in the order of bytes, in lines, one document or a line each", async () => {
    const cluster = filled();
    expect((await run(["scan"], { cluster })).out).toBe(
      "a   value of a\nbb  value of bb\nz   value of z\né   value of é\n\\xff  raw\n",
    );
    const document = JSON.parse((await run(["scan", "-o", "json"], { cluster })).out) as {
      key: string;
      encoding: string;
    }[];
    expect(document.map(({ key }) => key)).toEqual(["a", "bb", "z", "é", "/w=="]);
    expect(document.map(({ encoding }) => encoding)).toEqual(["utf8", "utf8", "utf8", "utf8", "base64"]);
    const lines = (await run(["scan", "--reverse", "--limit", "2", "--keys-only", "-o", "jsonl"], { cluster })).out
      .trim()
      .split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { key: "/w==", value: null, version: 1005, encoding: "base64" },
      { key: "é", value: null, version: 1003, encoding: "utf8" },
    ]);
  });

  test("of nothing is an empty list, not an error", async () => {
    expect(await run(["scan", "-o", "json"])).toMatchObject({ exitCode: 0, out: "[]\n" });
    expect(await run(["scan"])).toMatchObject({ exitCode: 0, out: "" });
  });

  test("--count counts", async () => {
    expect((await run(["scan", "--count"], { cluster: filled() })).out).toBe("5\n");
    expect(JSON.parse((await run(["scan", "--count", "-o", "json"], { cluster: filled() })).out)).toEqual({ count: 5 });
  });

  test("control characters never reach a terminal as they are", async () => {
    const cluster = new FakeCluster();
    cluster.set("k\x1b[31m", "v\x07\n");
    expect((await run(["scan"], { cluster, terminal: true })).out).toBe("k\\x1b[31m  v\\x07\\x0a\n");
  });
});

test("every connection is closed, also after a failure", async () => {
  const cluster = new FakeCluster();
  cluster.failNext = new FakeError("Timeout", "late", "not-applied");
  await run(["put", "k", "v"], { cluster });
  await run(["get", "k"], { cluster });
  await run(["scan"], { cluster });
  expect([cluster.connections, cluster.closed]).toEqual([3, 3]);
});
