export * from "./store-api.ts";
export * from "./store-settings.ts";
