export * from "./cluster-plan.ts";
export * from "./leader-balance.ts";
