/** What a store's thread and its snapshot thread say to each other. All of it is plain data, chunks are handed over. */
import type { MessagePort } from "node:worker_threads";
import type { RangeId } from "@flotilla/base";
import type { EncodedPart, VerifiedSnapshot, ViewedRange } from "@flotilla/store";
import type { PlainError } from "../node/store-thread-messages.ts";

export type SnapshotTask =
  /** Goes on until the port says `close`, or is closed. */
  | {
      readonly kind: "encode";
      /** As the engine spells it. */
      readonly engineDirectory: string;
      readonly rangeId: RangeId;
      readonly chunkBytes: number;
      readonly port: MessagePort;
    }
  | { readonly kind: "verify"; readonly dataDir: string; readonly path: string; readonly rangeId: RangeId };

/** Of one that encodes: how it ended. Errors cross as data, for a clone of one is no `Failure` any more. */
export type SnapshotTaskResult = { readonly verified: VerifiedSnapshot | undefined } | { readonly error: PlainError };

/** One `next` is answered by one part; it is not sent again before that. */
export type EncodeRequest = "next" | "close";

export type EncodeAnswer =
  | { readonly type: "found"; readonly found: ViewedRange | undefined }
  | { readonly type: "part"; readonly part: EncodedPart | undefined };
