export * from "./disk/disk-tree.ts";
export * from "./disk/virtual-disk.ts";
export * from "./network/network-faults.ts";
export * from "./network/virtual-network.ts";
export * from "./time/node-time.ts";
export * from "./time/seeded-random.ts";
export * from "./time/trace.ts";
export * from "./time/virtual-time.ts";
