/** Verbs that change the cluster, and what they say of the operators that do it. */
import { describe, expect, test } from "vitest";
import { FakeCluster, FakeError, run } from "./fake-cluster.ts";

const steps = (...states: string[]): object[] =>
  states.map((state, index) => ({ action: ["add a learner on store 4", "make it a voter"][index], storeId: 4, state }));

const operator = (state: string, ...stepStates: string[]): Record<string, unknown> => ({
  operatorId: 7,
  kind: "move",
  rangeId: 3,
  state,
  reason: "asked for",
  steps: steps(...stepStates),
  startedAt: "2026-01-02T03:04:05.000Z",
  finishedAt: state === "running" ? null : "2026-01-02T03:04:17.000Z",
  error: state === "failed" ? "store 4 is full" : null,
  waitingFor: null,
});

const plan = {
  steps: [
    { rangeId: 3, action: "add learner", storeId: 4, bytes: 3 * 1024 * 1024, text: "add a learner on store 4" },
    { rangeId: 3, action: "promote and remove", storeId: 4, bytes: null, text: "" },
  ],
  bytes: 3 * 1024 * 1024,
  risks: ["range 3 has two of three replicas up"],
  blocked: [] as object[],
};

/** Answers an order, and then shows its operator in one state after the other. */
function ordering(request: string, states: Record<string, unknown>[]): FakeCluster {
  const fake = new FakeCluster();
  fake.answers.set(request, (body: { plan?: boolean }) => (body.plan === true ? { plan } : { operatorIds: [7] }));
  const left = [...states];
  const next = (): Record<string, unknown> => (left.length > 1 ? left.shift()! : left[0]!);
  fake.answers.set("operator-list", () => (left[0]!["state"] === "running" ? [next()] : []));
  fake.answers.set("operator-show", () => left[0]!);
  return fake;
}

const interrupt = (_elapsedMs: number, interruption: AbortController): void => interruption.abort();
const move = ["range", "move", "3", "--from", "1", "--to", "4"];
const running = operator("running", "done", "running");

describe("a change", () => {
  test("prints the ids of its operators and how to follow them", async () => {
    const fake = ordering("range-move", [running]);
    const { exitCode, out } = await run(move, { cluster: fake });
    expect(out).toBe(
      "operator 7 started: move range 3 from store 1 to store 4\nfollow it  flotilla operator watch 7\n",
    );
    expect(exitCode).toBe(0);
    expect(fake.orders).toEqual([{ name: "range-move", body: { rangeId: 3, from: 1, to: 4 } }]);
    expect(JSON.parse((await run([...move, "-o", "json"], { cluster: fake })).out)).toEqual({
      outcome: "started",
      operatorIds: [7],
      operators: [],
      blocked: [],
    });
  });

  test("with --plan is shown and not ordered; a blocked plan is exit code 1", async () => {
    const fake = ordering("range-move", [running]);
    const { exitCode, out } = await run([...move, "--plan"], { cluster: fake });
    expect(out).toBe(
      "plan to move range 3 from store 1 to store 4\n" +
        "  1  range 3  add a learner on store 4  (3.0 MiB)\n" +
        "  2  range 3  promote and remove\n" +
        "bytes to move  3.0 MiB\n" +
        "risk  range 3 has two of three replicas up\n" +
        "nothing was changed\n",
    );
    expect(exitCode).toBe(0);
    expect(fake.orders.map(({ body }) => body)).toEqual([{ rangeId: 3, from: 1, to: 4, plan: true }]);
    expect(JSON.parse((await run([...move, "--plan", "-o", "json"], { cluster: fake })).out)).toEqual(plan);
    const stuck = { ...plan, steps: [], blocked: [{ rangeId: 3, reason: "no other store has room" }] };
    fake.answers.set("range-move", { plan: stuck });
    const blocked = await run([...move, "--plan"], { cluster: fake });
    expect([blocked.exitCode, blocked.out]).toEqual([
      1,
      expect.stringContaining("blocked  range 3: no other store has room"),
    ]);
    const many = [3, 9, 4].map((rangeId) => ({ rangeId, reason: rangeId === 9 ? "it has no leader" : "no room" }));
    fake.answers.set("range-move", { plan: { ...stuck, blocked: many } });
    expect((await run([...move, "--plan"], { cluster: fake })).out).toContain(
      "blocked  ranges 3, 4: no room\nblocked  range 9: it has no leader\nnothing was changed\n",
    );
  });

  test("with --wait says each step once and ends with the outcome", async () => {
    const states = [
      operator("running", "running", "pending"),
      operator("running", "running", "pending"),
      running,
      operator("done", "done", "done"),
    ];
    const { exitCode, out, notes } = await run([...move, "--wait"], { cluster: ordering("range-move", states) });
    expect(notes).toBe(
      "operator 7  move range 3  running  0 of 2 steps done  add a learner on store 4\n" +
        "operator 7  move range 3  running  1 of 2 steps done  make it a voter\n" +
        "operator 7  move range 3  done  2 of 2 steps done\n",
    );
    expect([exitCode, out]).toEqual([0, "done: move range 3 from store 1 to store 4\n"]);
  });

  test.each([
    ["failed", "Refused", "operator 7 failed: store 4 is full"],
    ["cancelled", "Cancelled", "operator 7 was cancelled"],
    ["timedOut", "Timeout", "operator 7 took too long and was given up"],
  ])("that is waited for and ends as %s is exit code 1 and says why", async (state, code, text) => {
    const cluster = ordering("range-move", [running, operator(state, "done", "failed")]);
    const { exitCode, out, notes } = await run([...move, "--wait", "-o", "json"], { cluster });
    expect(exitCode).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ outcome: state, operatorIds: [7], operators: [{ state }] });
    expect(JSON.parse(notes).error).toMatchObject({ code, message: expect.stringContaining(text) });
  });

  test("is followed while the driver is away for a moment, and no longer than --timeout", async () => {
    const fake = ordering("range-move", [running, operator("done", "done", "done")]);
    const list = fake.answers.get("operator-list") as () => unknown;
    let asked = 0;
    fake.answers.set("operator-list", () =>
      ++asked % 2 === 1 ? new FakeError("NoQuorum", "no leader of the meta range") : list(),
    );
    expect((await run([...move, "--wait"], { cluster: fake })).exitCode).toBe(0);

    const endless = await run([...move, "--wait", "--timeout", "3s"], { cluster: ordering("range-move", [running]) });
    expect([endless.exitCode, endless.notes]).toEqual([1, expect.stringContaining("(Timeout)")]);
    expect(endless.notes).toContain("operator 7: flotilla operator watch");
    const interrupted = await run([...move, "--wait"], {
      cluster: ordering("range-move", [running]),
      onPause: interrupt,
    });
    expect([interrupted.exitCode, interrupted.notes]).toEqual([1, expect.stringContaining("(Cancelled)")]);
  });

  test("is given up when nobody has answered for a minute, or the error does not pass", async () => {
    const fake = ordering("range-move", [running]);
    fake.answers.set("operator-list", new FakeError("ConnectFailed", "nobody there"));
    let lastMs = 0;
    const silent = await run([...move, "--wait"], { cluster: fake, onPause: (ms) => void (lastMs = ms) });
    expect([silent.exitCode, lastMs]).toEqual([1, 60_000]);
    fake.answers.set("operator-list", new FakeError("WrongCluster", "another cluster"));
    expect((await run([...move, "--wait"], { cluster: fake })).notes).toContain("WrongCluster");
  });

  test("whose operator nobody knows any more has no known end: exit code 1", async () => {
    const fake = ordering("range-move", [running]);
    fake.answers.set("operator-list", []);
    fake.answers.set("operator-show", new FakeError("NotFound", "there is no operator 7"));
    const { exitCode, notes } = await run([...move, "--wait"], { cluster: fake });
    expect([exitCode, notes]).toEqual([1, expect.stringContaining("how it ended is not known")]);
  });

  test("refused by the cluster keeps its code, unknown is exit code 3", async () => {
    const fake = new FakeCluster();
    for (const [code, outcome, exitCode] of [
      ["NotFound", undefined, 1],
      ["Refused", undefined, 1],
      ["InvalidArgument", undefined, 2],
      ["OutcomeUnknown", "unknown", 3],
    ] as const) {
      fake.answers.set("range-move", new FakeError(code, "said by the cluster", outcome));
      expect([code, (await run(move, { cluster: fake })).exitCode]).toEqual([code, exitCode]);
    }
  });

  test.each([
    ["node drain 3", "node-drain", "drain node 3"],
    ["node decommission 3 --yes", "node-decommission", "decommission node 3"],
    ["store replace 3 --yes", "store-replace", "replace store 3"],
  ])("%s is said to be started, not done: the driver goes on with it", async (line, request, title) => {
    const fake = new FakeCluster();
    fake.answers.set(request, { changed: true, operatorIds: [] });
    const { exitCode, out } = await run(line.split(" "), { cluster: fake });
    expect([exitCode, out]).toEqual([0, `started: ${title}\nfollow what is done for it  flotilla operator watch\n`]);
    const document = JSON.parse((await run([...line.split(" "), "-o", "json"], { cluster: fake })).out) as object;
    expect(document).toEqual({ outcome: "started", operatorIds: [], operators: [], blocked: [] });
    fake.answers.set(request, { changed: false, operatorIds: [] });
    expect((await run(line.split(" "), { cluster: fake })).out).toBe(`nothing to do: ${title}\n`);
  });

  test("at once is said to be done, or to have been so already", async () => {
    const fake = new FakeCluster();
    fake.answers.set("scheduler-pause", { changed: true });
    expect((await run(["scheduler", "pause", "repair"], { cluster: fake })).out).toBe("done: pause repair\n");
    fake.answers.set("scheduler-resume", { changed: false });
    expect((await run(["scheduler", "resume", "repair", "--wait"], { cluster: fake })).out).toBe(
      "nothing to do: resume repair\n",
    );
    expect(fake.orders.map(({ body }) => body)).toEqual([{ name: "repair" }, { name: "repair" }]);
  });
});

describe("what a user gives", () => {
  test.each([
    ["range split 3", "one of --at and --parts is needed"],
    ["range split 3 --at m --parts 2", "--at and --parts exclude each other"],
    ["range split 3 --parts 1", "--parts must be a whole number from 2"],
    ["range split x --parts 2", "RANGE must be a whole number"],
    ["range split 3 --at m m", "--at names a key twice"],
    ["range split 3 --hex --at 6x", "--at is not hex"],
    ["range move 3 --from 1 --to 1", "are the same store 1"],
    ["range move 3 --from 1", "--to"],
    ["range move 3 --from 0 --to 2", "--from must be a whole number"],
    ["range scatter 3 --prefix a", "exclude each other"],
    ["range check 1.5", "RANGE must be a whole number"],
    ["node drain", "node"],
    ["node drain 1 --plan --wait", "exclude each other"],
    ["operator show seven", "OPERATOR must be a whole number"],
    ["operator watch -o json", "-o jsonl"],
    ["scheduler pause", "name"],
    ["node decommission 3", "needs --yes"],
    ["store replace 3", "needs --yes"],
  ])("%s is refused before anything is asked, exit code 2", async (line, text) => {
    const cluster = new FakeCluster();
    const { exitCode, notes } = await run(line.split(" "), { cluster });
    expect([exitCode, notes]).toEqual([2, expect.stringContaining(text)]);
    expect(cluster.orders).toEqual([]);
  });

  test("a key to split at is no longer than a key may be", async () => {
    const cluster = new FakeCluster();
    const { exitCode, notes } = await run(["range", "split", "3", "--hex", "--at", "00".repeat(4097)], { cluster });
    expect([exitCode, notes]).toEqual([2, expect.stringContaining("a key has 4097 bytes, at most 4096")]);
    expect(cluster.orders).toEqual([]);
  });

  test("keys to split at are sent in order, as bytes, in any spelling", async () => {
    const fake = ordering("range-split", [running]);
    await run(["range", "split", "3", "--at", "ü", "b"], { cluster: fake });
    await run(["range", "split", "3", "--hex", "--at", "ff00", "62"], { cluster: fake });
    await run(["range", "split", "3", "--base64", "--at", "/wA="], { cluster: fake });
    await run(["range", "split", "3", "--parts", "5"], { cluster: fake });
    await run(["range", "scatter", "--prefix", "a/"], { cluster: fake });
    expect(fake.orders.map(({ body }) => body)).toEqual([
      { rangeId: 3, at: ["b", "\xc3\xbc"] },
      { rangeId: 3, at: ["b", "\xff\x00"] },
      { rangeId: 3, at: ["\xff\x00"] },
      { rangeId: 3, parts: 5 },
      { prefix: "a/" },
    ]);
  });

  test("a dangerous change shows its plan and goes on only after yes", async () => {
    const fake = ordering("node-decommission", [running]);
    const no = await run(["node", "decommission", "3"], { cluster: fake, answer: "y" });
    expect([no.exitCode, no.notes]).toEqual([1, expect.stringContaining("nothing was changed")]);
    expect(no.notes).toContain("range 3  add a learner on store 4  (3.0 MiB)");
    expect(fake.orders.filter(({ body }) => !("plan" in body))).toEqual([]);
    expect(await run(["node", "decommission", "3"], { cluster: fake, answer: "yes" })).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining("operator 7 started: decommission node 3"),
    });
    expect((await run(["node", "decommission", "3", "--yes"], { cluster: fake })).exitCode).toBe(0);
  });
});

/** Node 3 with store 3; ranges with and without a replica there. */
function emptying(request: string, left: () => number, nodeState: () => string, blocked: object[] = []): FakeCluster {
  const fake = new FakeCluster();
  const on = (storeId: number): object => ({
    replicaId: storeId,
    storeId,
    nodeId: storeId,
    role: "voter",
    state: null,
  });
  fake.answers.set(request, (body: { plan?: boolean }) =>
    body.plan === true ? { plan: { ...plan, blocked } } : { operatorIds: [] },
  );
  fake.answers.set("operator-list", []);
  fake.answers.set("node-list", () => [{ nodeId: 3, address: "h:3", state: nodeState(), stores: [3] }]);
  fake.answers.set("store-list", () => [{ storeId: 3, nodeId: 3, state: nodeState() }]);
  fake.answers.set("range-list", () =>
    [1, 2, 3, 4].map((rangeId) => ({
      rangeId,
      start: "",
      end: "",
      leaderStoreId: rangeId <= left() ? 3 : 1,
      sizeBytes: 1024,
      replicas: rangeId <= left() ? [on(1), on(3)] : [on(1), on(2)],
    })),
  );
  return fake;
}

describe("an end that the state of the cluster tells", () => {
  test.each([
    ["node decommission 3 --yes --wait", "node-decommission", "replicas", "decommission node 3"],
    ["store replace 3 --yes --wait", "store-replace", "replicas", "replace store 3"],
    ["node drain 3 --wait", "node-drain", "leaders", "drain node 3"],
  ])("%s counts down and ends when nothing is left", async (line, request, unit, title) => {
    let left = 3;
    const cluster = emptying(
      request,
      () => left,
      () => (left > 0 ? "decommissioning" : "decommissioned"),
    );
    const { exitCode, out, notes } = await run(line.split(" "), { cluster, onPause: () => left-- });
    expect([exitCode, out]).toEqual([0, `done: ${title}\n`]);
    const size = (count: number): string => (unit === "leaders" ? "" : `, ${count}.0 KiB`);
    expect(notes).toBe([3, 2, 1].map((count) => `${title}: ${count} of 3 ${unit} left${size(count)}\n`).join(""));
  });

  test("blocked without an operator at work ends with the ranges and reasons, exit code 1", async () => {
    const reasons = [{ rangeId: 2, reason: "no store is left that has no replica of it" }];
    const cluster = emptying(
      "node-decommission",
      () => 2,
      () => "decommissioning",
      reasons,
    );
    const line = ["node", "decommission", "3", "--yes", "--wait"];
    const { exitCode, out, notes } = await run(line, { cluster });
    expect([exitCode, out]).toEqual([1, "blocked  range 2: no store is left that has no replica of it\n"]);
    expect(notes).toContain("could not decommission node 3: it is blocked, 2 replicas are left (Refused)");
    expect(JSON.parse((await run([...line, "-o", "json"], { cluster })).out)).toMatchObject({
      outcome: "blocked",
      blocked: reasons,
    });
    // An operator on one of its ranges is at work: that is not blocked.
    cluster.answers.set("operator-list", [{ ...running, rangeId: 1 }]);
    expect((await run([...line, "--timeout", "20s"], { cluster })).notes).toContain("(Timeout)");
  });
});

describe("range colocate", () => {
  const fakeWith = (...prefixes: string[]): FakeCluster => {
    const fake = new FakeCluster();
    fake.answers.set("setting-get", { name: "colocatedPrefixes", value: prefixes });
    fake.answers.set("setting-set", { changed: true });
    return fake;
  };
  const valueSet = (fake: FakeCluster): unknown =>
    fake.orders.find(({ name }) => name === "setting-set")?.body as { value: unknown } | undefined;

  test("adds a prefix to those there are, takes one away, or lists them", async () => {
    const added = fakeWith("b/");
    expect((await run(["range", "colocate", "a/"], { cluster: added })).out).toBe(
      "done: keep keys with prefix a/ in one range\n",
    );
    expect(valueSet(added)).toEqual({ name: "colocatedPrefixes", value: ["a/", "b/"] });
    const removed = fakeWith("a/", "\xff");
    await run(["range", "colocate", "--hex", "ff", "--remove"], { cluster: removed });
    expect(valueSet(removed)).toEqual({ name: "colocatedPrefixes", value: ["a/"] });
    const listed = await run(["range", "colocate", "-o", "json"], { cluster: fakeWith("a/", "\xff") });
    expect(JSON.parse(listed.out)).toEqual([
      { prefix: "a/", encoding: "utf8" },
      { prefix: "/w==", encoding: "base64" },
    ]);
  });

  test("an empty prefix, or --remove without one, is refused", async () => {
    expect((await run(["range", "colocate", ""], { cluster: fakeWith() })).exitCode).toBe(2);
    expect((await run(["range", "colocate", "--remove"], { cluster: fakeWith() })).exitCode).toBe(2);
  });
});

describe("operators and schedulers", () => {
  test("operators are a table with steps, time and reason, or the documents of the contract", async () => {
    const fake = new FakeCluster();
    fake.answers.set("operator-list", (body: { all?: boolean }) =>
      body.all === true ? [operator("failed", "done", "failed")] : [running],
    );
    const { out } = await run(["operator", "list"], { cluster: fake });
    expect(out.split("\n")[1]).toMatch(/^ +7 +3 +move +running +1\/2 +make it a voter +- +asked for$/);
    const all = await run(["operator", "list", "--all"], { cluster: fake });
    expect(all.out.split("\n")[1]).toMatch(/^ +7 +3 +move +failed +1\/2 +- +12\.0 s +store 4 is full$/);
    expect(JSON.parse((await run(["operator", "list", "-o", "json"], { cluster: fake })).out)).toEqual([running]);
    fake.answers.set("operator-list", []);
    expect((await run(["operator", "list"], { cluster: fake })).notes).toContain("--all shows those that have ended");
    for (const more of [["--all"], ["-o", "json"]])
      expect((await run(["operator", "list", ...more], { cluster: fake })).notes).toBe("");
    fake.answers.set("operator-show", running);
    const shown = await run(["operator", "show", "7"], { cluster: fake });
    expect(shown.out).toMatch(/why +asked for\n/);
    expect(shown.out).toMatch(/make it a voter +4 +running\n/);
    fake.answers.set("operator-show", { ...running, waitingFor: "store 4 is not level yet" });
    expect((await run(["operator", "watch", "7"], { cluster: fake, onPause: interrupt })).out).toContain(
      "1 of 2 steps done  make it a voter: store 4 is not level yet\n",
    );
  });

  test("a cancelled operator is waited for; one that was done before was not cancelled", async () => {
    for (const [state, exitCode, text] of [
      ["cancelled", 0, ""],
      ["done", 1, "it has ended: done"],
    ] as const) {
      const looks = [operator("cancelling", "done", "running"), operator(state, "done", "done")];
      const fake = new FakeCluster();
      fake.answers.set("operator-cancel", { changed: true, operatorIds: [7] });
      fake.answers.set("operator-show", () => (looks.length > 1 ? looks.shift() : looks[0]));
      expect((await run(["operator", "cancel", "7"], { cluster: fake })).out).toMatch(/^started: cancel operator 7\n/);
      const ran = await run(["operator", "cancel", "7", "--wait"], { cluster: fake });
      expect([ran.exitCode, ran.notes]).toEqual([exitCode, expect.stringContaining(text)]);
    }
  });

  test("watch prints each change once, leaves history out, and ends with Ctrl-C", async () => {
    const fake = new FakeCluster();
    const old = { ...operator("done", "done", "done"), operatorId: 5 };
    const brief = { ...operator("cancelled", "pending"), operatorId: 8 };
    const looks = [
      [old, running],
      [old, running],
      [old, operator("done", "done", "done"), brief],
    ];
    fake.answers.set("operator-list", () => (looks.length > 1 ? looks.shift() : looks[0]));
    const { exitCode, out } = await run(["operator", "watch", "-o", "jsonl"], {
      cluster: fake,
      onPause: (elapsedMs, interruption) => elapsedMs >= 2500 && interruption.abort(),
    });
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { operatorId: number; state: string });
    expect(lines.map(({ operatorId, state }) => [operatorId, state])).toEqual([
      [7, "running"],
      [7, "done"],
      [8, "cancelled"],
    ]);
    expect(exitCode).toBe(0);
  });

  test("watch of one operator ends with it, and with its outcome", async () => {
    for (const [state, exitCode] of [
      ["done", 0],
      ["failed", 1],
    ] as const) {
      const looks = [running, operator(state, "done", state)];
      const fake = new FakeCluster();
      fake.answers.set("operator-show", () => (looks.length > 1 ? looks.shift() : looks[0]));
      const ran = await run(["operator", "watch", "7"], { cluster: fake });
      expect([ran.exitCode, ran.out.split("\n").length]).toEqual([exitCode, 3]);
    }
  });

  test("schedulers say who paused them", async () => {
    const fake = new FakeCluster();
    const rows = [
      { name: "repair", paused: false },
      { name: "split", paused: true, pausedBy: "admin", since: "2026-01-02T03:04:05.000Z" },
    ];
    fake.answers.set("scheduler-list", rows);
    expect(JSON.parse((await run(["scheduler", "list", "-o", "json"], { cluster: fake })).out)).toEqual(rows);
    expect((await run(["scheduler", "list"], { cluster: fake })).out).toMatch(
      /split +paused +admin +2026-01-02T03:04:05\.000Z\n/,
    );
  });
});
