import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { extract } from "tar";
import { FakeCluster, run } from "./fake-cluster.ts";

const clusterId = "00112233445566778899aabbccddeeff";
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-bundle-test-"));
});

afterEach(() => rmSync(directory, { recursive: true }));

function cluster(httpAddress: string, dataDir: string): FakeCluster {
  const fake = new FakeCluster();
  fake.answers.set("cluster-status", { clusterId });
  fake.answers.set("node-list", [{ nodeId: 1, httpAddress }]);
  fake.answers.set("store-list", [{ dataDir }]);
  for (const name of ["range-list", "operator-list", "scheduler-list"]) fake.answers.set(name, []);
  return fake;
}

function makeDataDir(): string {
  const path = join(directory, "store");
  mkdirSync(join(path, "log"), { recursive: true });
  const identity = JSON.stringify({ clusterId, nodeId: 1, storeId: 1, storeKey: "the-stores-key", plan: {} });
  writeFileSync(join(path, "identity"), `flotilla-identity 7\n${identity}\n00000000\n`);
  writeFileSync(join(path, "log", "segment-000000000001"), Buffer.from("FLOG\0\x05\0\0 a value of a user", "latin1"));
  writeFileSync(join(path, "flotilla.toml"), 'address = "127.0.0.1:1"\napiToken = "a secret"\n');
  writeFileSync(join(path, "log.jsonl"), '{"msg":"first"}\n{"msg":"second"}\n{"msg":"third"}\n');
  return path;
}

async function unpack(file: string): Promise<(name: string) => string> {
  await extract({ file: join(directory, file), cwd: directory });
  const root = join(directory, file.replace(".tar.gz", ""));
  return (name) => readFileSync(join(root, name), "utf8");
}

async function listening(): Promise<{ address: string; close(): void }> {
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/healthz" ? 503 : 200).end(`answer to ${request.url}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

test("a bundle holds what the cluster, the nodes and the directories on this machine show", async () => {
  const server = await listening();
  const fake = cluster(server.address, makeDataDir());
  const ran = await run(["debug", "bundle", "--file", "b.tar.gz", "-o", "json"], { cluster: fake, directory });
  server.close();
  expect(ran).toMatchObject({ exitCode: 0 });
  const report = JSON.parse(ran.out) as { path: string; sizeBytes: number; failures: unknown[] };
  expect(report).toMatchObject({ path: join(directory, "b.tar.gz"), failures: [], unreached: [] });
  expect(statSync(report.path)).toMatchObject({ size: report.sizeBytes });
  expect(statSync(report.path).mode & 0o777).toBe(0o600);

  const read = await unpack("b.tar.gz");
  expect(JSON.parse(read("cluster/cluster-status.json"))).toEqual({ clusterId });
  const http = `http/${server.address.replace(":", "_")}`;
  expect(read(`${http}/metrics.txt`)).toBe("answer to /metrics");
  expect(read(`${http}/healthz.json`)).toBe("answer to /healthz");
  expect(JSON.parse(read("directories/1/files.json"))).toMatchObject({
    disk: { freeBytes: expect.any(Number) },
    files: expect.arrayContaining([
      expect.objectContaining({ name: "identity", formatNumber: 7 }),
      expect.objectContaining({ name: "log/segment-000000000001", formatNumber: 5, sizeBytes: 26 }),
    ]),
  });
  expect(JSON.parse(read("bundle.json"))).toMatchObject({ machine: { node: process.version }, failures: [] });
});

test("neither the store's key, nor unknown settings' values, nor bytes of the log are in a bundle", async () => {
  const fake = cluster("127.0.0.1:1", makeDataDir());
  await run(["debug", "bundle", "--file", "b.tar.gz"], { cluster: fake, directory });
  const read = await unpack("b.tar.gz");
  expect(JSON.parse(read("directories/1/settings.json"))).toMatchObject({
    settings: { address: "127.0.0.1:1" },
    unknown: ["apiToken"],
  });
  const names = (JSON.parse(read("bundle.json")) as { files: { name: string }[] }).files.map(({ name }) => name);
  const all = names.map(read).join("");
  for (const secret of ["the-stores-key", "a secret", "a value of a user"]) expect(all).not.toContain(secret);
});

test("with nobody there a bundle is made of the rest: exit code 1, and what is not in it is listed", async () => {
  const path = makeDataDir();
  const argv = ["debug", "bundle", "--file", "b.tar.gz", "--data-dir", path, join(directory, "no-such")];
  const { exitCode, out } = await run(argv, { cluster: new FakeCluster(), directory });
  expect(exitCode).toBe(1);
  expect(out).toMatch(/not in it: cluster\/node-list\.json: /);
  expect(out).toMatch(/not in it: directories\/2\/files\.json: .*no-such/);
  expect((await unpack("b.tar.gz"))("directories/1/log.jsonl")).toContain("third");
});

test("a node that does not answer is named with its number and address, beside those that do: exit code 1", async () => {
  const server = await listening();
  const fake = cluster(server.address, makeDataDir());
  fake.answers.set("node-list", [
    { nodeId: 1, httpAddress: server.address },
    { nodeId: 2, httpAddress: "127.0.0.1:1" },
  ]);
  const { exitCode, out } = await run(["debug", "bundle", "--file", "b.tar.gz"], { cluster: fake, directory });
  server.close();
  expect(exitCode).toBe(1);
  expect(out).toContain("not reached: node 2, http 127.0.0.1:1\n");
  expect(out).not.toContain("not reached: node 1");
  const read = await unpack("b.tar.gz");
  expect(JSON.parse(read("bundle.json"))).toMatchObject({ unreached: [{ nodeId: 2, httpAddress: "127.0.0.1:1" }] });
  expect(read(`http/${server.address.replace(":", "_")}/metrics.txt`)).toBe("answer to /metrics");
});

test("of a log the last whole lines are kept, and a bundle says that it is not all", async () => {
  const fake = cluster("127.0.0.1:1", makeDataDir());
  await run(["debug", "bundle", "--file", "b.tar.gz", "--log-bytes", "40"], { cluster: fake, directory });
  const read = await unpack("b.tar.gz");
  expect(read("directories/1/log.jsonl")).toBe('{"msg":"second"}\n{"msg":"third"}\n');
  expect(JSON.parse(read("bundle.json"))).toMatchObject({
    files: expect.arrayContaining([expect.objectContaining({ name: "directories/1/log.jsonl", truncated: true })]),
  });
});

test.each([
  ["a file that exists", ["--file", "there"], "exists already"],
  ["a place that is not there", ["--file", "no/such/place.tar.gz"], "cannot write"],
  ["too long a log", ["--log-bytes", "1GiB"], "at most 8.0 MiB"],
])("%s is refused, exit code 2, and nothing is left behind", async (_, more, message) => {
  writeFileSync(join(directory, "there"), "kept");
  const { exitCode, notes } = await run(["debug", "bundle", ...more], { cluster: new FakeCluster(), directory });
  expect(exitCode).toBe(2);
  expect(notes).toContain(message);
  expect(readdirSync(directory)).toEqual(["there"]);
  expect(readFileSync(join(directory, "there"), "utf8")).toBe("kept");
});
