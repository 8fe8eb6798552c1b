export * from "./cluster-plan.ts";
