/**
 * Time of one decision round of the placement driver, for 100 stores and 100 000 ranges of three replicas. Prints; asserts
 * nothing. After a build: `node packages/placement/bench/round.bench.mjs`.
 */
import { key, keyMax } from "@flotilla/base";
import { decide, defaultPlacementSettings, indexCluster } from "../dist/index.js";

const storesCount = 100;
const rangesCount = 100_000;
const rounds = 7;

function cluster({ used = storesCount, down = 0, leads = (i) => i % 3 }) {
  const stores = Array.from({ length: storesCount }, (_, i) => {
    const dead = i < down;
    return {
      storeId: i + 1,
      nodeId: i + 1,
      membership: "active",
      health: dead ? "dead" : "live",
      downMs: dead ? 400_000 : 0,
      diskFull: false,
      labels: { host: `host${i}`, zone: `zone${i % 5}` },
      sizeBytes: 0,
      freeBytes: 1e13,
      snapshotsSending: 0,
      snapshotsReceiving: 0,
    };
  });
  const ranges = Array.from({ length: rangesCount }, (_, i) => {
    const members = [0, 1, 2].map((step) => ((i + step) % used) + 1);
    const replicas = members.map((storeId, k) => ({ replicaId: i * 10 + k, storeId, role: "voter" }));
    const alive = replicas.filter(({ storeId }) => storeId > down);
    return {
      descriptor: { rangeId: i + 2, start: key("\x01"), end: keyMax, epoch: { bounds: 1, members: 1 }, replicas },
      leader: (alive[leads(i) % alive.length] ?? { storeId: 0 }).storeId,
      term: 1,
      sizeBytes: 100e6,
      writesPerSecond: 0,
      readsPerSecond: 0,
      configurationPending: false,
      replicas: replicas.map(({ replicaId, storeId }) => ({
        replicaId,
        storeId,
        match: 10,
        lag: 0,
        state: "replicate",
        active: storeId > down,
      })),
    };
  });
  return {
    nowMs: 1_000_000,
    stores,
    ranges,
    operators: [],
    recent: [],
    paused: new Set(),
    colocatedPrefixes: [],
    settings: defaultPlacementSettings,
  };
}

function measure(name, state) {
  const indexMs = [];
  const decideMs = [];
  let decisions = 0;
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    const index = indexCluster({ ...state, nowMs: state.nowMs + i * 1000 });
    const indexed = performance.now();
    decisions = decide(index).length;
    decideMs.push(performance.now() - indexed);
    indexMs.push(indexed - start);
  }
  const median = (values) => values.sort((a, b) => a - b)[rounds >> 1].toFixed(0);
  console.log(`${name}: index ${median(indexMs)} ms, decisions ${median(decideMs)} ms (${decisions} of them)`);
}

measure("all is well", cluster({}));
measure("two stores lead twice as many", cluster({ leads: (i) => (i % 100 < 50 ? 0 : 2) }));
measure("ten stores are empty", cluster({ used: 90 }));
measure("five stores are lost", cluster({ down: 5 }));
