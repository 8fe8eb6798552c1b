import { describe, expect, test } from "vitest";
import { FakeCluster, run } from "./fake-cluster.ts";

const status = {
  clusterId: "00112233445566778899aabbccddeeff",
  formatNumber: 1,
  health: "degraded",
  reasons: ["store 3 (127.0.0.1:7402) does not answer"],
  nodes: { total: 3, live: 2 },
  stores: { total: 3, live: 2 },
  ranges: { total: 9, led: 9, underReplicated: 9, unavailable: 0 },
  placementDriver: { nodeId: 1, storeId: 1, term: 4 },
  sizeBytes: 5 * 1024 * 1024,
};

const range = {
  rangeId: 3,
  start: ",g",
  end: "\xff\x00",
  system: false,
  epoch: { bounds: 1, members: 1 },
  leaderStoreId: null,
  term: 7,
  replicas: [
    { replicaId: 4, storeId: 2, nodeId: 2, role: "voter", state: "down" },
    { replicaId: 5, storeId: 3, nodeId: 3, role: "learner", state: "probe" },
  ],
  sizeBytes: null,
  keys: null,
  writesPerSecond: 12.4,
  readsPerSecond: null,
  bytesPerSecond: null,
  asleep: false,
};

function cluster(): FakeCluster {
  const fake = new FakeCluster();
  fake.answers.set("cluster-status", status);
  fake.answers.set("range-list", [range]);
  fake.answers.set("node-list", [
    {
      nodeId: 1,
      address: "127.0.0.1:7400",
      httpAddress: null,
      pid: null,
      state: "dead",
      serverVersion: null,
      uptimeMs: null,
      stores: [1],
      labels: { zone: "a" },
    },
  ]);
  fake.answers.set("store-list", [
    {
      storeId: 1,
      nodeId: 1,
      address: "h:1",
      state: "live",
      replicas: 9,
      leaders: 3,
      sizeBytes: 2048,
      freeBytes: null,
      logBytes: 0,
      fsyncs: 17,
      dataDir: "/d",
    },
  ]);
  return fake;
}

describe("reports about the cluster", () => {
  test("status is the document of the contract, or lines; a degraded cluster is no failed command", async () => {
    expect(JSON.parse((await run(["cluster", "status", "-o", "json"], { cluster: cluster() })).out)).toEqual(status);
    const { exitCode, out } = await run(["cluster", "status"], { cluster: cluster() });
    expect(exitCode).toBe(0);
    expect(out).toContain("degraded");
    expect(out).toContain("store 3 (127.0.0.1:7402) does not answer");
    expect(out).toContain("5.0 MiB");
  });

  test("health is exit code 1 unless all is well", async () => {
    expect((await run(["cluster", "health"], { cluster: cluster() })).exitCode).toBe(1);
    const well = cluster();
    well.answers.set("cluster-status", { ...status, health: "ok", reasons: [] });
    expect(await run(["cluster", "health"], { cluster: well })).toMatchObject({ exitCode: 0, out: "ok\n" });
  });

  test("a range's bounds are text, in base64 where they are not UTF-8; what is not known is null, and a dash in a table", async () => {
    const [row] = JSON.parse((await run(["range", "list", "-o", "json"], { cluster: cluster() })).out) as Record<
      string,
      unknown
    >[];
    expect(row).toEqual({ ...range, start: "LGc=", end: "/wA=", encoding: "base64" });
    expect(
      JSON.parse((await run(["range", "list", "-o", "jsonl", "--hex"], { cluster: cluster() })).out),
    ).toMatchObject({ start: "2c67", end: "ff00", encoding: "hex" });
    const row1 = async (...options: string[]): Promise<string | undefined> =>
      (await run(["range", "list", ...options], { cluster: cluster() })).out.split("\n")[1];
    expect(await row1()).toMatch(/^ +3 +,g → \\xff\\x00 +2\(down\) 3\(learner\) +7 +- +- +12\/s +-$/);
    expect(await row1("--hex")).toMatch(/^ +3 +2c67 → ff00 /);
    expect(await row1("--base64")).toMatch(/^ +3 +LGc= → \/wA= /);
  });

  test("nodes and stores are lists", async () => {
    expect(JSON.parse((await run(["node", "list", "-o", "json"], { cluster: cluster() })).out)).toEqual(
      cluster().answers.get("node-list"),
    );
    expect((await run(["node", "list"], { cluster: cluster() })).out).toMatch(/dead.*zone=a/);
    expect((await run(["store", "list"], { cluster: cluster() })).out).toMatch(/2\.0 KiB/);
  });

  test("an answer of another shape is a mismatch of versions, not a crash", async () => {
    const odd = cluster();
    odd.answers.set("range-list", { ranges: [] });
    odd.answers.set("cluster-status", null);
    for (const argv of [
      ["range", "list"],
      ["cluster", "status"],
    ]) {
      const { exitCode, notes } = await run([...argv, "-o", "json"], { cluster: odd });
      expect([exitCode, JSON.parse(notes).error.code]).toEqual([1, "ProtocolMismatch"]);
    }
  });
});

describe("one range", () => {
  const lines = [{ rule: "repair", verdict: "waits", text: "store 2 is down for 12 s of 300 s" }];
  const led = { ...range, start: "", end: "m", leaderStoreId: 3, sizeBytes: 123_456_789, keys: 250_000 };

  test("show has its interval, replicas with the leader marked, and why placement does nothing", async () => {
    const fake = new FakeCluster();
    fake.answers.set("range-show", { ...led, operators: [], explain: lines });
    const { exitCode, out } = await run(["range", "show", "3"], { cluster: fake });
    expect(exitCode).toBe(0);
    expect(out).toContain("keys     -∞ → m\n");
    expect(out).toContain("leader   store 3, term 7\n");
    expect(out).toContain("size     118 MiB\n");
    expect(out).toContain("records  250 k\n");
    expect(out).toMatch(/ 5 +3 +3\* +learner +probe\n/);
    expect(out).toMatch(/repair +waits +store 2 is down for 12 s of 300 s\n/);
    expect(JSON.parse((await run(["range", "show", "3", "-o", "json"], { cluster: fake })).out)).toEqual({
      ...led,
      encoding: "utf8",
      operators: [],
      explain: lines,
    });
    expect(fake.orders[0]).toEqual({ name: "range-show", body: { rangeId: 3 } });
    fake.answers.set("range-show", led);
    expect((await run(["range", "show", "3"], { cluster: fake })).notes).toContain("ProtocolMismatch");
  });

  test("explain lists every rule with its verdict", async () => {
    const fake = new FakeCluster();
    fake.answers.set("range-explain", { rangeId: 3, lines });
    expect((await run(["range", "explain", "3"], { cluster: fake })).out).toBe(
      "RULE    VERDICT  WHY\nrepair  waits    store 2 is down for 12 s of 300 s\n",
    );
  });

  test("explain and show fold long reasons into a terminal's width, and keep them in a line elsewhere", async () => {
    const fake = new FakeCluster();
    const text = "one reason after another, ".repeat(6).trimEnd();
    const long = [{ rule: "balance-replicas", verdict: "blocked", text }];
    fake.answers.set("range-explain", { rangeId: 3, lines: long });
    fake.answers.set("range-show", { ...led, operators: [], explain: long });
    for (const verb of ["explain", "show"]) {
      const { out } = await run(["range", verb, "3"], { cluster: fake, terminal: true });
      const shown = out.slice(out.indexOf("RULE")).trimEnd().split("\n");
      expect(shown.length).toBeGreaterThan(3);
      expect(shown.every((line) => line.length <= 80)).toBe(true);
      expect(
        shown
          .slice(1)
          .map((line) => line.slice(27))
          .join(" "),
      ).toBe(text);
      expect(shown[2]).toMatch(/^ {27}\S/);
      expect((await run(["range", verb, "3"], { cluster: fake })).out).toContain(
        `balance-replicas  blocked  ${text}\n`,
      );
    }
  });

  test("check is exit code 0 only when all replicas are equal", async () => {
    const fake = new FakeCluster();
    const replica = (storeId: number, checksum: string | null): object => ({ storeId, checksum, keys: 4, bytes: 2048 });
    const checked = (equal: boolean | null, other: string | null): object => ({
      ranges: [{ rangeId: 3, appliedIndex: 9, replicas: [replica(1, "aa"), replica(2, other)], equal }],
    });
    fake.answers.set("range-check", checked(true, "aa"));
    const well = await run(["range", "check", "3"], { cluster: fake });
    expect([well.exitCode, well.out.split("\n")[2]]).toEqual([
      0,
      expect.stringMatching(/^ +3 +9 +2 +4 +2\.0 KiB +aa +yes$/),
    ]);
    fake.answers.set("range-check", checked(false, "bb"));
    const bad = await run(["range", "check"], { cluster: fake });
    expect([bad.exitCode, bad.notes]).toEqual([1, expect.stringContaining("replicas differ: range 3")]);
    fake.answers.set("range-check", checked(null, null));
    const open = await run(["range", "check"], { cluster: fake });
    expect([open.exitCode, open.notes]).toEqual([1, expect.stringContaining("could be compared: range 3")]);
    expect(fake.orders.map(({ body }) => body)).toEqual([{ rangeId: 3 }, {}, {}]);
  });

  test("one store is a list of fields", async () => {
    const fake = cluster();
    fake.answers.set("store-show", (fake.answers.get("store-list") as object[])[0]);
    expect((await run(["store", "show", "1"], { cluster: fake })).out).toMatch(/size +2\.0 KiB\nfree +-\n/);
  });
});

describe("range transfer-leader", () => {
  test("needs a range and a store, both numbers", async () => {
    expect((await run(["range", "transfer-leader", "3"])).exitCode).toBe(2);
    expect((await run(["range", "transfer-leader", "three", "--to", "2"])).exitCode).toBe(2);
    expect((await run(["range", "transfer-leader", "3", "--to", "0"])).exitCode).toBe(2);
  });

  test("waits until the range is led there, not only until its operator is done", async () => {
    const fake = new FakeCluster();
    const step = { action: "make store 2 the leader", storeId: 2, state: "done" };
    const times = { startedAt: null, finishedAt: null, error: null, waitingFor: null };
    const operator = { operatorId: 5, kind: "transfer-leader", rangeId: 3, reason: "", steps: [step], ...times };
    fake.answers.set("range-transfer-leader", { operatorIds: [5] });
    fake.answers.set("operator-list", []);
    fake.answers.set("operator-show", { ...operator, state: "done" });
    let leaderStoreId = 1;
    fake.answers.set("range-list", () => [{ ...range, leaderStoreId }]);
    const line = ["range", "transfer-leader", "3", "--to", "2", "--wait"];
    const led = await run(line, { cluster: fake, onPause: (elapsedMs) => elapsedMs >= 2000 && (leaderStoreId = 2) });
    expect([led.exitCode, led.out]).toEqual([0, "done: let store 2 lead range 3\n"]);
    expect(fake.orders.filter(({ name }) => name === "range-list").length).toBe(5);

    fake.answers.set("operator-show", { ...operator, state: "failed", error: "store 2 is not level" });
    leaderStoreId = 1;
    const failed = await run(line, { cluster: fake });
    expect([failed.exitCode, failed.notes]).toEqual([1, expect.stringContaining("operator 5 failed: store 2 is not")]);
  });
});
