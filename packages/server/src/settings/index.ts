/** `@flotilla/server/settings`: configuration without the server behind it. */
export * from "./address.ts";
export * from "./log-level.ts";
export * from "./nearest-name.ts";
export * from "./node-settings.ts";
export * from "./quantity.ts";
export * from "./resolve-settings.ts";
export * from "./settings-file.ts";
