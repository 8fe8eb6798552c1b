/**
 * `node test/upgrade/make-fixture.mjs`: the data directories of a small cluster of this release, as its stores leave them
 * when they are killed, and what later releases must find in them. Run it once a release, on the release's own build, and
 * commit the result; a fixture is never made again.
 *
 *     test/fixtures/VERSION/data.tar.gz     node-1 node-2 node-3, without locks, reserves and LevelDB's own log of events
 *     test/fixtures/VERSION/expected.json   { formatNumber, clusterId, nodes, records: [{ key, value, version }], deleted: [key],
 *                                           commands: [{ command..., outcome }] }
 *
 * The directories hold: tables of LevelDB and records that only the log has; replaced and deleted records; a store that was
 * away, and got its ranges as range snapshots; outcomes of commands that were applied, that found their condition broken
 * and that deleted nothing, from before and after the last flush.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCluster } from "flotilla/cluster";
import { create } from "tar";
import { sendCommand } from "./session-client.mjs";

const nodes = 3;
const settings = { logSegmentBytes: 1 << 20, logBytesTarget: 1 << 20, flushBytes: 64 * 1024 };
const clientId = 4_503_599_627_370_497;
/** Milliseconds since 2024-01-01 UTC × 4096. */
const versionNow = () => (Date.now() - Date.UTC(2024, 0, 1)) * 4096;

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const target = fileURLToPath(new URL(`../fixtures/${version}`, import.meta.url));
if (existsSync(target)) throw new Error(`${target} exists: a release has one fixture`);
const dataDir = mkdtempSync(join(tmpdir(), "flotilla-fixture-"));

/** @type {Map<string, { value: string, version: number }>} */
const records = new Map();
/** @type {Set<string>} */
const deleted = new Set();
/** @type {object[]} */
const commands = [];
let number = 0;

/**
 * @param {import("flotilla/cluster").Cluster} cluster
 * @param {string} label
 */
async function writeSome(cluster, label) {
  const client = cluster.client({ key: "utf8", value: "utf8" });
  for (let i = 0; i < 40; i++) {
    const key = `${String.fromCharCode(0x21 + ((i * 7) % 94))}/${i % 3 === 0 ? "every" : label}/${i}`;
    const value = `${label} ${i} ${"größe ".repeat(i)}`;
    records.set(key, { value, version: (await client.put(key, value)).version });
    deleted.delete(key);
  }
  for (const key of [...records.keys()].filter((_, index) => index % 9 === 4)) {
    await client.delete(key);
    records.delete(key);
    deleted.add(key);
  }
}

/**
 * @param {import("flotilla/cluster").Cluster} cluster
 * @param {string} label
 */
async function sendSome(cluster, label) {
  const given = /** @type {const} */ ([
    { kind: "put", condition: "none", key: `c/${label}`, value: `command ${label}` },
    { kind: "put", condition: "if-absent", key: `c/${label}`, value: "must not be seen" },
    { kind: "put", condition: "none", key: `d/${label}`, value: "is deleted next" },
    { kind: "delete", condition: "none", key: `d/${label}`, value: "" },
    { kind: "delete", condition: "none", key: `e/${label}`, value: "" },
  ]);
  for (const one of given) {
    const command = { clientId, number: ++number, firstSent: versionNow(), ...one };
    const outcome = await sendCommand(cluster.endpoints, command);
    commands.push({ ...command, outcome });
    if (one.kind === "put" && outcome.status === "applied")
      records.set(one.key, { value: one.value, version: outcome.version });
    if (one.kind !== "delete") continue;
    records.delete(one.key);
    deleted.add(one.key);
  }
}

const first = await createCluster({ nodes, ranges: 4, dataDir, settings });
await writeSome(first, "first");
await sendSome(first, "first");
await first.nodes[2]?.kill();
const bulk = first.client({ key: "utf8", value: "utf8" });
// Longer than the log that is kept for a store that is away.
for (let i = 0; i < 400; i++) {
  const key = `bulk/${i % 4}`;
  const value = String(i).padEnd(16 * 1024, ".");
  records.set(key, { value, version: (await bulk.put(key, value)).version });
}
await first.nodes[2]?.start();
await writeSome(first, "second");
await first.close();

const last = await createCluster({ dataDir, settings });
await writeSome(last, "third");
await sendSome(last, "third");
const { clusterId } = last;
await Promise.all(last.nodes.map((node) => node.kill()));
await last.close();

mkdirSync(target, { recursive: true });
const left = /(^|\/)(lock(\/|$)|reserve-|LOG(\.old)?$|LOCK$)/;
await create(
  {
    gzip: { level: 9 },
    cwd: dataDir,
    file: join(target, "data.tar.gz"),
    portable: true,
    filter: (path) => !left.test(path),
  },
  ["node-1", "node-2", "node-3"],
);
const formatNumber = Number(/ (\d+)\n/.exec(readFileSync(join(dataDir, "node-1", "incarnation"), "utf8"))?.[1]);
const expected = {
  formatNumber,
  clusterId,
  nodes,
  records: [...records].map(([key, record]) => ({ key, ...record })),
  deleted: [...deleted],
  commands,
};
writeFileSync(join(target, "expected.json"), JSON.stringify(expected, null, 1) + "\n");
rmSync(dataDir, { recursive: true });
console.log(`${target}: ${records.size} records, ${deleted.size} deleted, ${commands.length} commands`);
