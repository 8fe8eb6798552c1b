/** What a cluster of real processes keeps while its nodes are killed, stopped and woken. */
import { afterEach, expect, test } from "vitest";
import type { Client } from "@flotilla/client";
import { RealCluster, closeAllClusters, until } from "./harness.ts";

afterEach(closeAllClusters);

/** Writers that go on until they are stopped; they remember what was acknowledged, and what may have been written. */
class Writers {
  readonly acknowledged: string[] = [];
  readonly unknown = new Set<string>();
  readonly refused: string[] = [];
  readonly #stopped = new AbortController();
  readonly #ended: Promise<void>;

  constructor(client: Client, count: number) {
    const work = Array.from({ length: count }, (_, writer) => this.#write(client, writer));
    this.#ended = Promise.all(work).then(() => {});
  }

  async #write(client: Client, writer: number): Promise<void> {
    for (let i = 0; !this.#stopped.signal.aborted; i++) {
      // Keys of all ranges in turn.
      const key = `${String.fromCharCode(0x30 + ((i * 7 + writer) % 78))}-${writer}-${i}`;
      try {
        await client.put(key, key);
        this.acknowledged.push(key);
      } catch (error) {
        if ((error as { outcome?: string }).outcome === "unknown") this.unknown.add(key);
        else this.refused.push(key);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#ended;
  }
}

async function contentOf(client: Client): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for await (const page of client.scan().pages()) {
    for (const { key, value } of page) content.set(Buffer.from(key).toString(), Buffer.from(value).toString());
  }
  return content;
}

/** Every acknowledged write is there, and nothing is that nobody wrote or that was refused. */
async function expectExactly(client: Client, writers: Writers): Promise<void> {
  const content = await contentOf(client);
  const lost = writers.acknowledged.filter((key) => content.get(key) !== key);
  expect(lost).toEqual([]);
  const acknowledged = new Set(writers.acknowledged);
  const invented = [...content.keys()].filter((key) => !acknowledged.has(key) && !writers.unknown.has(key));
  expect(invented).toEqual([]);
}

test("every node killed at once under load loses nothing that was acknowledged, and invents nothing", async () => {
  const cluster = await RealCluster.start();
  const client = cluster.client({ timeoutMs: 3000 });
  const writers = new Writers(client, 50);
  await until("there is load", () => writers.acknowledged.length > 2000);
  for (const { pid } of cluster.entries()) process.kill(pid!, "SIGKILL");
  await until("writers notice", () => writers.unknown.size > 0);
  await writers.stop();
  expect(await cluster.stop()).toMatchObject({ exitCode: 0 });
  await cluster.startDev();
  await expectExactly(cluster.client(), writers);
});

test("one node after the other killed and started again: writes go on, and nothing is lost", async () => {
  const cluster = await RealCluster.start();
  const client = cluster.client({ timeoutMs: 15_000 });
  const writers = new Writers(client, 20);
  for (const node of [1, 2, 3]) {
    const before = writers.acknowledged.length;
    await until("there is load", () => writers.acknowledged.length > before + 200);
    cluster.kill(node);
    await until("cluster.json says so", () => cluster.entries()[node - 1]!.pid === null);
    const without = writers.acknowledged.length;
    await until(`writes go on without node ${node}`, () => writers.acknowledged.length > without + 200);
    await cluster.restart(node);
    await until("the cluster is whole", async () => (await cluster.run(["cluster", "health"])).exitCode === 0);
  }
  await writers.stop();
  await expectExactly(cluster.client(), writers);
  expect(writers.refused).toEqual([]);
});

test("H12 a node that is stopped for a while loses its leaderships, and comes back without doing harm", async () => {
  const cluster = await RealCluster.start();
  const client = cluster.client({ timeoutMs: 15_000 });
  const writers = new Writers(client, 20);
  await until("there is load", () => writers.acknowledged.length > 500);
  cluster.pause(1);
  const without = writers.acknowledged.length;
  await until("all ranges are led elsewhere", () => writers.acknowledged.length > without + 1000);
  cluster.resume(1);
  const after = writers.acknowledged.length;
  await until("writes go on", () => writers.acknowledged.length > after + 500);
  await writers.stop();
  await expectExactly(cluster.client(), writers);
});

test("without a majority a write fails with a code and an outcome that agree, and works again with one", async () => {
  const cluster = await RealCluster.start();
  await cluster.run(["put", "k", "before"]);
  cluster.kill(1);
  cluster.kill(2);
  await until("both are gone", () => cluster.entries().filter(({ pid }) => pid !== null).length === 1);
  const { exitCode, notes } = await cluster.run(["put", "k", "without", "--timeout", "2s", "-o", "json"]);
  const { error } = JSON.parse(notes) as { error: { code: string; outcome: string; message: string } };
  if (exitCode === 3) expect(error).toMatchObject({ code: "OutcomeUnknown", outcome: "unknown" });
  else {
    expect(exitCode).toBe(1);
    expect(["NoQuorum", "Timeout", "Busy"]).toContain(error.code);
    expect(error.outcome).toBe("not-applied");
  }
  await cluster.restart(2);
  await until(
    "writes work again",
    async () => (await cluster.run(["put", "k", "after", "--timeout", "5s"])).exitCode === 0,
  );
  expect((await cluster.run(["get", "k"])).out).toBe("after");
});

test("one endpoint is enough, whichever node it is", async () => {
  const cluster = await RealCluster.start();
  for (let i = 0; i < 30; i++)
    expect(
      (
        await cluster.run([
          "put",
          `${String.fromCharCode(0x30 + i * 2)}`,
          "v",
          "--endpoints",
          cluster.endpoints[i % 3]!,
        ])
      ).exitCode,
    ).toBe(0);
  for (const endpoint of cluster.endpoints)
    expect((await cluster.run(["scan", "--count", "--endpoints", endpoint])).out).toBe("30\n");
});
