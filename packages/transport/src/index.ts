export * from "./bundle.ts";
export * from "./client-messages.ts";
export * from "./link.ts";
export * from "./peer-messages.ts";
