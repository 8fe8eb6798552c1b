import { describe, expect, it } from "vitest";
import { keyMax, metaRangeId, nodeId, noStore, replicaId, storeId, systemPrefix } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import type { StoreHeartbeat } from "@flotilla/transport";
import { MetaWhereabouts } from "../src/placement/meta-whereabouts.ts";

function metaRange(members: number, ...stores: number[]): RangeDescriptor {
  const replicas = stores.map((store, index) => ({
    replicaId: replicaId(index + 1),
    storeId: storeId(store),
    role: "voter" as const,
  }));
  return { rangeId: metaRangeId, start: systemPrefix, end: keyMax, epoch: { bounds: 1, members }, replicas };
}

function heartbeat(descriptor: RangeDescriptor, leader: number): StoreHeartbeat {
  const metaLeader = leader === 0 ? noStore : storeId(leader);
  return {
    type: "store-heartbeat",
    wallMs: 0,
    nodeId: nodeId(1),
    address: "",
    httpAddress: "",
    metaRange: descriptor,
    metaLeader,
    directoryRevision: 0,
    logHangs: false,
  };
}

describe("a store without a replica of the meta range", () => {
  it("knows its members from the plan, and its leader from nobody", () => {
    const planned = metaRange(1, 1, 2);
    const meta = new MetaWhereabouts(planned, () => undefined);
    expect([meta.descriptor, meta.leader, meta.leaderFirstHand]).toEqual([planned, noStore, noStore]);
  });

  it("believes the leader before its followers, and does not pass on what it heard", () => {
    const planned = metaRange(1, 1, 2);
    const meta = new MetaWhereabouts(planned, () => undefined);
    meta.onHeartbeat(storeId(1), heartbeat(planned, 2));
    expect(meta.leader).toBe(2);
    meta.onHeartbeat(storeId(2), heartbeat(planned, 2));
    meta.onHeartbeat(storeId(1), heartbeat(planned, 0));
    expect(meta.leader).toBe(2);
    // The one claims it, the other has not noticed yet.
    meta.onHeartbeat(storeId(1), heartbeat(planned, 1));
    meta.onHeartbeat(storeId(2), heartbeat(planned, 0));
    expect(meta.leader).toBe(1);
    meta.onHeartbeat(storeId(1), heartbeat(planned, 0));
    expect([meta.leader, meta.leaderFirstHand]).toEqual([noStore, noStore]);
  });

  it("takes a descriptor with a newer epoch of members, and no older one", () => {
    const meta = new MetaWhereabouts(metaRange(1, 1, 2), () => undefined);
    const newer = metaRange(3, 4, 5);
    meta.onHeartbeat(storeId(4), heartbeat(newer, 4));
    meta.onHeartbeat(storeId(1), heartbeat(metaRange(2, 1, 4), 1));
    expect(meta.descriptor).toBe(newer);
  });
});
