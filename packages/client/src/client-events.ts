/** What a client tells the outside about itself, apart from answers. The door publishes it on `node:diagnostics_channel`. */
import type { StoreId } from "@flotilla/base";
import type { FlotillaError } from "./flotilla-error.ts";

export type ClientEvent =
  /** Channel `flotilla:client:connection`. */
  | {
      readonly type: "connection";
      readonly state: "open" | "closed" | "failed";
      readonly address: string;
      readonly storeId: StoreId;
      readonly reason: string;
    }
  /** Channel `flotilla:client:retry`: an operation is tried again with the same number. */
  | { readonly type: "retry"; readonly operation: string; readonly attempts: number; readonly reason: string }
  /** Channel `flotilla:client:error`: an operation ended with an error. */
  | { readonly type: "error"; readonly operation: string; readonly error: FlotillaError };

export interface ClientEventSink {
  /** False while nobody listens: then no event is even built. */
  enabled(type: ClientEvent["type"]): boolean;
  publish(event: ClientEvent): void;
}

export const noEvents: ClientEventSink = { enabled: () => false, publish() {} };
