export * from "./store-api.ts";
export * from "./store-settings.ts";
export { openStore } from "./store.ts";
