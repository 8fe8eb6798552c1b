/** `flotilla`: the client, as in `@flotilla/client`. The command is `flotilla.cts`, embedding is `flotilla/cluster`. */
export * from "@flotilla/client";
