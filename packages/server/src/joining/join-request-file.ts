/**
 * `DIR/join-request`: this directory asks to become a new store of a cluster. It stands, durable, from before the first
 * question until the identity is written. The key in it names the request: who asks again with the same key, after a
 * crash on either side, gets the same ids, and no directory ever gets two stores.
 */
import type { Files, RandomSource } from "@flotilla/base";
import { fields, text } from "../identity/plain-shape.ts";
import { corrupt, readSealed, writeSealed } from "../identity/sealed-file.ts";

export interface JoinRequest {
  /** 32 hex digits; the store's key from then on. */
  readonly storeKey: string;
}

const requestFile = "join-request";
const requestKind = { kind: "join-request", format: 1 };
const requestShape = fields({ storeKey: text(/^[0-9a-f]{32}$/) });

/** The one that stands, or a new one, durable when it resolves. */
export async function readOrWriteRequest(files: Files, random: RandomSource): Promise<JoinRequest> {
  const content = await readSealed(files, requestFile, requestKind);
  if (content !== undefined) {
    const wrong = requestShape(content, "");
    if (wrong !== undefined) throw corrupt(requestFile, 0, wrong);
    return content as JoinRequest;
  }
  const storeKey = Array.from(random.bytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  await writeSealed(files, requestFile, requestKind, { storeKey });
  return { storeKey };
}

/** Durable when it resolves; nothing happens when there is none. */
export async function removeRequest(files: Files): Promise<void> {
  if (!(await files.exists(requestFile))) return;
  await files.remove(requestFile);
  await files.syncDirectory(".");
}
