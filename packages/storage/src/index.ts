export * from "./engine-keys.ts";
export * from "./engine.ts";
