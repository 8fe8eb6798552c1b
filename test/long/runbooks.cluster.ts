/**
 * The blocks of docs/operations.md that carry a runbook's name and a number, run by a shell, word for word and in order, with what
 * the text says about their variables. A block marked `service` is a node that goes on.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";
import { StoreLog, flipBit } from "../cluster/store-log.ts";
import { Writers, contentOf, expectExactly } from "../cluster/writers.ts";

const launcher: string = fileURLToPath(new URL("../../packages/cli/dist/flotilla.cjs", import.meta.url));
const document: string = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
const blockMsMax = 120_000;
const testMsMax = 280_000;

/** Slow enough that an operator can be cancelled on its way, quick enough for what the runbooks move. */
const environment: Readonly<Record<string, string>> = { FLOTILLA_SNAPSHOT_BYTES_PER_SECOND: "1MiB" };

interface Block {
  readonly name: string;
  readonly service: boolean;
  readonly text: string;
}

/** `lost-node 2`: the block, once run; a runbook whose blocks are not all run is noticed. */
const blocks: ReadonlyMap<string, Block> = new Map(
  [...document.matchAll(/^```sh ([a-z-]+ \d+)( service)?\n(.*?)^```$/gms)].map(([, name, service, text]) => [
    name!,
    { name: name!, service: service !== undefined, text: text! },
  ]),
);
const alreadyRun = new Set<string>();

type Variables = Readonly<Record<string, string | number>>;

interface Result {
  readonly exitCode: number | null;
  readonly output: string;
}

/** A user's shell beside a cluster: `flotilla` is on its path. */
class Shell {
  readonly #cluster: RealCluster;
  readonly #children = new Set<ChildProcess>();
  readonly #bin: string;
  /** What services that have ended had to say. */
  readonly said: string[] = [];

  constructor(cluster: RealCluster) {
    this.#cluster = cluster;
    this.#bin = join(cluster.directory, "bin");
    mkdirSync(this.#bin);
    const command = join(this.#bin, "flotilla");
    writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${launcher}" "$@"\n`);
    chmodSync(command, 0o755);
  }

  #spawn(name: string, service: boolean, variables: Variables): { child: ChildProcess; ended: Promise<Result> } {
    const block = blocks.get(name);
    if (block?.service !== service) throw new Error(`docs/operations.md has no block ${name}`);
    alreadyRun.add(name);
    return this.spawn(block.text, variables);
  }

  /** As it stands there, ended by the first command that fails. */
  spawn(text: string, variables: Variables): { child: ChildProcess; ended: Promise<Result> } {
    const given = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
    const child = spawn("bash", ["-euo", "pipefail", "-c", text], {
      cwd: this.#cluster.directory,
      env: { ...process.env, ...environment, ...given, PATH: `${this.#bin}:${process.env["PATH"]}` },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    const timer = setTimeout(() => child.kill("SIGKILL"), testMsMax);
    const ended = new Promise<Result>((resolve) => {
      child.once("close", (exitCode) => {
        clearTimeout(timer);
        this.#children.delete(child);
        resolve({ exitCode, output });
      });
    });
    return { child, ended };
  }

  async block(name: string, variables: Variables): Promise<string> {
    return this.#finished(name, this.#spawn(name, false, variables));
  }

  async command(text: string, variables: Variables): Promise<string> {
    return this.#finished(text, this.spawn(text, variables));
  }

  async #finished(what: string, { child, ended }: { child: ChildProcess; ended: Promise<Result> }): Promise<string> {
    const timer = setTimeout(() => child.kill("SIGKILL"), blockMsMax);
    const { exitCode, output } = await ended;
    clearTimeout(timer);
    expect(exitCode, `${what}:\n${output}`).toBe(0);
    return output;
  }

  service(name: string, variables: Variables): { child: ChildProcess; ended: Promise<Result> } {
    const service = this.#spawn(name, true, variables);
    // One that was not meant to end says why where somebody waits for it.
    void service.ended.then(({ exitCode, output }) => this.said.push(`${name} ended with ${exitCode}:\n${output}`));
    return service;
  }

  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }
}

const shells: Shell[] = [];
afterEach(async () => {
  for (const shell of shells.splice(0)) shell.close();
  await closeAllClusters();
});

interface Node {
  readonly nodeId: number;
  readonly address: string;
  readonly state: string;
  readonly stores: readonly number[];
}

/** A cluster of three with what somebody wrote, and how it is asked. */
async function started(): Promise<{
  cluster: RealCluster;
  shell: Shell;
  written: Writers;
  /** Where the node of that number listens, from 1. */
  at(node: number): { ADDRESS: string; HTTP_ADDRESS: string; DATA_DIR: string };
  endpoints(...without: readonly number[]): string;
  nodes(): Promise<readonly Node[]>;
  /** Until the node at that place is what is said. */
  is(node: number, state: string): Promise<Node>;
  same(): Promise<void>;
}> {
  const cluster = await RealCluster.start({ nodes: 3, ranges: 4, environment });
  const shell = new Shell(cluster);
  shells.push(shell);
  const written = new Writers(cluster.client(), 4);
  await until("something is written", () => written.acknowledged.length > 200);
  await written.stop();
  let more = 3;
  const at = (node: number): { ADDRESS: string; HTTP_ADDRESS: string; DATA_DIR: string } => {
    more = Math.max(more, node);
    const ADDRESS = `127.0.0.1:${cluster.port + node - 1}`;
    return { ADDRESS, HTTP_ADDRESS: `127.0.0.1:${cluster.port + 79 + node}`, DATA_DIR: cluster.path(`node-${node}`) };
  };
  const endpoints = (...without: readonly number[]): string => {
    const all = Array.from({ length: more }, (_, i) => i + 1).filter((node) => !without.includes(node));
    return all.map((node) => at(node).ADDRESS).join(",");
  };
  const nodes = async (): Promise<readonly Node[]> =>
    JSON.parse(await shell.command("flotilla node list -o json", { FLOTILLA_ENDPOINTS: endpoints() })) as Node[];
  const is = async (node: number, state: string): Promise<Node> => {
    let found: Node | undefined;
    let rows: readonly Node[] = [];
    const look = async (): Promise<boolean> => {
      rows = await nodes();
      found = rows.find((row) => row.address === at(node).ADDRESS && row.state === state);
      return found !== undefined;
    };
    await until(`the node at ${at(node).ADDRESS} is ${state}`, look, 60_000).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${JSON.stringify(rows)}\n${shell.said.join("\n")}`, { cause: error });
    });
    return found!;
  };
  const same = async (): Promise<void> => {
    const client = cluster.client({ endpoints: endpoints().split(","), timeoutMs: 20_000 });
    expectExactly(await contentOf(client), written);
    await client.close();
  };
  return { cluster, shell, written, at, endpoints, nodes, is, same };
}

async function ended(pid: number): Promise<void> {
  await until(`process ${pid} is gone`, () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
}

/** One bit in the middle of what the log knows to be durable. */
async function corrupt(cluster: RealCluster, node: number): Promise<void> {
  const directory = cluster.path(`node-${node}`);
  const { segments } = await StoreLog.read(directory, cluster.path("scratch"));
  const { path, frames } = segments.toSorted((a, b) => b.frames.length - a.frames.length)[0]!;
  expect(frames.length).toBeGreaterThan(3);
  await flipBit(join(directory, path), frames[1]!.offset + 40, 3);
}

test(
  "the runbooks for a corrupt store, a wiped disk and a lost node end with every replica there and nothing lost",
  { timeout: testMsMax },
  async () => {
    const { cluster, shell, at, endpoints, is, same } = await started();
    // A corrupt store: it does not start any more.
    const second = cluster.pid(2);
    cluster.kill(2);
    await ended(second);
    await corrupt(cluster, 2);
    const broken = await cluster.run(["start", "--config", cluster.path("node-2", "flotilla.toml")]);
    expect([broken.exitCode, broken.notes]).toEqual([2, expect.stringMatching(/log\/segment-\d+ at byte \d+/)]);
    const [lost] = (await is(2, "dead")).stores;
    const at2 = { ...at(2), LOST_STORE: lost!, FLOTILLA_ENDPOINTS: endpoints(2) };
    await shell.block("corrupt-store 1", at2);
    shell.service("corrupt-store 2", at2);
    expect((await is(2, "live")).stores).not.toContain(lost);
    await shell.block("corrupt-store 3", at2);
    await same();

    // A wiped disk: as before it is refused.
    const third = cluster.pid(3);
    const config = readFileSync(cluster.path("node-3", "flotilla.toml"));
    cluster.kill(3);
    await ended(third);
    for (const name of await readdir(cluster.path("node-3")))
      await rm(cluster.path("node-3", name), { recursive: true });
    await mkdir(cluster.path("kept"), { recursive: true });
    writeFileSync(
      cluster.path("kept", "flotilla.toml"),
      String(config).replace(/^dataDir.*$/m, 'dataDir = "../node-3"'),
    );
    const empty = await cluster.run(["start", "--config", cluster.path("kept", "flotilla.toml")]);
    expect([empty.exitCode, empty.notes]).toEqual([2, expect.stringContaining("forgotten the votes")]);
    const [wiped] = (await is(3, "dead")).stores;
    const at3 = { ...at(3), LOST_STORE: wiped!, FLOTILLA_ENDPOINTS: endpoints(3) };
    await shell.block("wiped-disk 1", at3);
    const service3 = shell.service("wiped-disk 2", at3);
    expect((await is(3, "live")).stores).not.toContain(wiped);
    await shell.block("wiped-disk 3", at3);
    await same();

    // A lost node: another one, elsewhere, in its place.
    service3.child.kill("SIGKILL");
    await service3.ended;
    const [gone] = (await is(3, "dead")).stores;
    const at4 = { ...at(4), LOST_STORE: gone!, FLOTILLA_ENDPOINTS: endpoints(3, 4) };
    await shell.block("lost-node 1", at4);
    shell.service("lost-node 2", at4);
    await is(4, "live");
    expect(await shell.block("lost-node 3", at4)).toContain(`plan to replace store ${gone}`);
    await shell.block("lost-node 4", at4);
    await same();
    // Once more, should it turn up again: it says so itself, and harms nobody.
    shell.service("wiped-disk 2", { ...at3, FLOTILLA_ENDPOINTS: endpoints(3) });
    const health = `http://${at(3).HTTP_ADDRESS}/healthz`;
    await until("the lost node knows that it is out", async () => {
      const answer = await fetch(health).catch(() => undefined);
      return answer?.ok === true && ((await answer.json()) as { status: string }).status === "decommissioned";
    });
    await same();
  },
);

test(
  "growing, a rolling restart, taking a node out and back, scattering and cancelling, as the text says",
  { timeout: testMsMax },
  async () => {
    const { cluster, shell, at, endpoints, is, same } = await started();
    const all = { ...at(4), FLOTILLA_ENDPOINTS: endpoints(4) };
    const joined = shell.service("grow 1", all);
    const { nodeId } = await is(4, "live");
    expect(await shell.block("grow 2", all)).toContain(at(4).ADDRESS);
    await until(
      "the new node has replicas",
      async () => (await cluster.ranges()).some(({ replicas }) => replicas.some(({ storeId }) => storeId === nodeId)),
      60_000,
    );

    // Rolling restart, of one of them: the others go the same way.
    const first = cluster.pid(1);
    await shell.block("restart 1", { ...all, NODE: 1 });
    process.kill(first, "SIGTERM");
    await ended(first);
    await cluster.restart(1, environment);
    await shell.block("restart 2", { ...all, ...at(1), NODE: 1 });
    await same();

    // A decommission that is taken back, and one that is not.
    await shell.command("flotilla scheduler pause balance-replicas", all);
    await shell.command(`flotilla node decommission ${nodeId} --yes`, all);
    await shell.command(`flotilla node recommission ${nodeId} --wait`, all);
    await is(4, "live");
    await shell.command("flotilla range scatter --wait || flotilla range scatter --wait", all);

    // An operator that is cancelled on its way leaves the range with the replicas it had.
    const client = cluster.client({ endpoints: endpoints().split(",") });
    const value = new Uint8Array(500_000);
    for (let i = 0; i < 24; i++) await client.put(`!large-${i}`, value);
    const range = (await cluster.ranges()).find(({ rangeId, start }) => rangeId > 1 && start === "")!;
    const before = range.replicas.map(({ storeId }) => storeId);
    const from = before.find((id) => id !== range.leaderStoreId)!;
    const stores = JSON.parse(await shell.command("flotilla store list -o json", all)) as { storeId: number }[];
    const to = stores.map(({ storeId }) => storeId).find((id) => !before.includes(id))!;
    const begun = await shell.command(`flotilla range move ${range.rangeId} --from ${from} --to ${to} -o json`, all);
    const [operatorId] = (JSON.parse(begun) as { operatorIds: [number] }).operatorIds;
    await shell.command(`flotilla operator cancel ${operatorId} --wait`, all);
    const row = (await cluster.ranges()).find(({ rangeId }) => rangeId === range.rangeId)!;
    expect(row.replicas.map(({ storeId }) => storeId).sort()).toEqual(before.toSorted());
    for (let i = 0; i < 24; i++) await client.delete(`!large-${i}`);
    await same();

    await shell.block("decommission 1", { ...all, NODE: nodeId });
    joined.child.kill("SIGTERM");
    expect((await joined.ended).exitCode).toBe(0);
    await same();
  },
);

test(
  "the runbook for a lost majority lets the ranges go on with what is left, and two new nodes make them whole",
  { timeout: testMsMax },
  async () => {
    const { cluster, shell, at, endpoints, is, same } = await started();
    // What is confirmed everywhere is not lost with the two.
    await until("every replica is level", async () =>
      (await cluster.ranges()).every(({ replicas }) =>
        replicas.every(({ state }) => state === "leader" || state === "replicate"),
      ),
    );
    for (const node of [2, 3]) cluster.kill(node);
    const all = { ...at(4), FLOTILLA_ENDPOINTS: at(1).ADDRESS, LOST_STORES: "2,3" };
    const plan = "flotilla unsafe-recover --lost-stores $LOST_STORES";
    await until("nothing blocks the plan", async () => (await shell.spawn(plan, all).ended).exitCode === 0, 60_000);
    await shell.block("lost-majority 1", all);
    await shell.block("lost-majority 2", all);
    await same();
    for (const node of [4, 5]) {
      shell.service("lost-majority 3", { ...all, ...at(node) });
      await is(node, "live");
    }
    await until(
      "every range has three replicas again",
      async () =>
        (await cluster.ranges()).every(
          ({ replicas }) => replicas.every(({ role }) => role === "voter") && replicas.length === 3,
        ),
      60_000,
    );
    expect(endpoints(2, 3)).toBe([1, 4, 5].map((node) => at(node).ADDRESS).join(","));
    await same();
  },
);

test("every block that is marked was run", () => {
  expect([...blocks.keys()].filter((name) => !alreadyRun.has(name))).toEqual([]);
});
