/** Which stores there are, and with whom a store speaks when that changes. */
import { describe, expect, test } from "vitest";
import { CorruptionError, nodeId, storeId } from "@flotilla/base";
import { planCluster } from "@flotilla/placement";
import { nodeByteOperations } from "@flotilla/platform";
import { storeRecordKey, storeRecordNames } from "@flotilla/storage";
import { createCodec } from "@flotilla/transport";
import type { Hello, StoreEntry, StoreHeartbeat } from "@flotilla/transport";
import { PeerLinks } from "../src/peer-links.ts";
import { readDirectory, writeDirectory } from "../src/store-directory-record.ts";
import { StoreDirectory } from "../src/store-directory.ts";
import { TestCluster } from "./support/test-cluster.ts";
import { SmallRandom, VirtualProcess, VirtualWorld } from "./support/virtual-world.ts";

const plan = planCluster({ addresses: ["a:1", "b:1", "c:1"], replicas: 3, ranges: 1, splitAt: [] }, new SmallRandom(7));

function entry(id: number, more: Partial<StoreEntry> = {}): StoreEntry {
  return {
    storeId: storeId(id),
    nodeId: nodeId(id),
    address: `store-${id}:1`,
    httpAddress: `store-${id}:2`,
    storeKey: id.toString(16).padStart(32, "0"),
    state: "active",
    labels: { zone: "a" },
    ...more,
  };
}

function linksOf(
  directory: StoreDirectory,
  addresses: readonly string[] = [],
): { readonly links: PeerLinks; readonly dialled: string[] } {
  const dialled: string[] = [];
  const process = new VirtualProcess(new VirtualWorld());
  process.start();
  const environment = {
    clock: process.clock,
    scheduler: process.scheduler,
    random: new SmallRandom(1),
    bytes: nodeByteOperations,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  };
  const dialer = {
    dial: (address: string) => {
      dialled.push(address);
      return { cancel: () => void dialled.splice(dialled.indexOf(address), 1) };
    },
  };
  const links = new PeerLinks(
    {
      clusterId: plan.clusterId,
      directory,
      addresses,
      selfId: storeId(1),
      unconfirmedBytesMax: 1_000_000,
      heartbeatMs: 250,
    },
    {
      environment,
      dialer,
      codec: createCodec(nodeByteOperations),
      hello: () => ({ leaseMs: 400 }) as Hello,
      heartbeat: () => ({}) as StoreHeartbeat,
    },
    { onMessage() {}, onSendBroken() {}, onConnected() {}, onDisowned() {} },
  );
  links.start();
  return { links, dialled };
}

const helloOf = ({ storeId: id, nodeId: node, storeKey, address }: StoreEntry): Hello =>
  ({
    clusterId: plan.clusterId,
    nodeId: node,
    storeId: id,
    storeKey,
    address,
    incarnation: 1,
    wallMs: 0,
    leaseMs: 400,
    purpose: "append",
  }) as unknown as Hello;

describe("the directory of stores", () => {
  const founders = [1, 2, 3].map((id) => ({ ...entry(id), storeKey: plan.stores[id - 1]!.storeKey }));

  test("begins with the stores of the plan, and takes only what is newer", () => {
    const directory = new StoreDirectory(plan);
    expect(directory.revision).toBe(0);
    expect(directory.members().map((store) => store.storeId)).toEqual([1, 2, 3]);
    expect(directory.learn({ revision: 5, stores: [...founders, entry(4)] })).toBe(true);
    expect(directory.learn({ revision: 5, stores: founders })).toBe(false);
    expect(directory.learn({ revision: 4, stores: founders })).toBe(false);
    expect(directory.members().map((store) => store.storeId)).toEqual([1, 2, 3, 4]);
  });

  test("a store that joined is dialled and let in, one that shows another key is not", () => {
    const directory = new StoreDirectory(plan);
    const { links, dialled } = linksOf(directory);
    expect(new Set(dialled)).toEqual(new Set(["b:1", "c:1"]));
    const own = helloOf(founders[0]!);
    expect(links.admit(helloOf(entry(4)), own)).toMatchObject({ ok: false, code: "Refused" });
    directory.learn({ revision: 1, stores: [...founders, entry(4)] });
    expect(dialled.filter((address) => address === "store-4:1")).toHaveLength(3);
    expect(links.admit({ ...helloOf(entry(4)), storeKey: "f".repeat(32) }, own)).toMatchObject({ code: "InUse" });
    expect(links.admit(helloOf(entry(4)), own)).toMatchObject({ ok: true });
  });

  test("addresses that were given at the start are not replaced by those of an older directory", () => {
    const directory = new StoreDirectory(plan);
    directory.learn({ revision: 1, stores: founders });
    const { dialled } = linksOf(directory, ["new-a:1", "new-b:1", "new-c:1"]);
    expect(new Set(dialled)).toEqual(new Set(["new-b:1", "new-c:1"]));
    const { links, dialled: later } = linksOf(directory);
    expect(new Set(later)).toEqual(new Set(["store-2:1", "store-3:1"]));
    directory.learn({ revision: 2, stores: [founders[0]!, founders[1]!, { ...founders[2]!, address: "moved:1" }] });
    expect(links.peers.get(storeId(3))!.address).toBe("moved:1");
  });

  test("a store that was decommissioned is spoken with no more", () => {
    const directory = new StoreDirectory(plan);
    const { links, dialled } = linksOf(directory);
    directory.learn({ revision: 1, stores: [...founders.slice(0, 2), { ...founders[2]!, state: "decommissioned" }] });
    expect([...links.peers.keys()]).toEqual([2]);
    expect(dialled).not.toContain("c:1");
    expect(links.admit(helloOf(founders[2]!), helloOf(founders[0]!))).toMatchObject({
      ok: false,
      code: "NotFound",
      message: "store 3 was decommissioned: it is not part of the cluster any more",
    });
  });

  test("is read back from the engine as it was written, and refused when it is damaged", async () => {
    const cluster = await TestCluster.start();
    const { engine } = cluster.store(1);
    expect(readDirectory(engine!, nodeByteOperations)).toBeUndefined();
    const known = { revision: 9, stores: [entry(1), entry(4, { state: "draining" })] };
    await cluster.world.settled("written", writeDirectory(engine!, known, nodeByteOperations));
    expect(readDirectory(engine!, nodeByteOperations)).toEqual(known);
    const key = storeRecordKey(storeRecordNames.directory, nodeByteOperations);
    const damaged = Uint8Array.from(engine!.getNow(key)!);
    damaged[12]! ^= 1;
    const batch = engine!.batch();
    batch.put(key, damaged);
    await cluster.world.settled("damaged", batch.write());
    expect(() => readDirectory(engine!, nodeByteOperations)).toThrow(CorruptionError);
  });
});
