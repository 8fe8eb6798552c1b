/** What runs in the snapshot thread: reads and encodes a range, or verifies a file. It keeps nothing from task to task. */
import type { MessagePort } from "node:worker_threads";
import { NodeFiles, nodeByteOperations } from "@flotilla/platform";
import { LevelReader } from "@flotilla/storage/leveldb";
import { RangeEncoding, verifySnapshot } from "@flotilla/store";
import { toPlainError } from "../node/plain-error.ts";
import type { EncodeAnswer, EncodeRequest, SnapshotTask, SnapshotTaskResult } from "./snapshot-tasks.ts";

export default async function run(task: SnapshotTask): Promise<SnapshotTaskResult> {
  try {
    if (task.kind === "encode") {
      await encode(task);
      return { verified: undefined };
    }
    const files = new NodeFiles(task.dataDir);
    return { verified: await verifySnapshot(task.path, task.rangeId, files, nodeByteOperations) };
  } catch (error) {
    return { error: toPlainError(error) };
  }
}

async function encode(task: Extract<SnapshotTask, { kind: "encode" }>): Promise<void> {
  const { port } = task;
  const requests = new Requests(port);
  const answer = (message: EncodeAnswer, handedOver: readonly ArrayBuffer[] = []): void =>
    port.postMessage(message, handedOver);
  try {
    const reader = await LevelReader.open(task.engineDirectory);
    try {
      const source = await RangeEncoding.open(task.rangeId, task.chunkBytes, reader, nodeByteOperations);
      try {
        answer({ type: "found", found: source.found });
        while ((await requests.next()) === "next") {
          const part = await source.next();
          answer({ type: "part", part }, part === undefined ? [] : [part.bytes.buffer as ArrayBuffer]);
        }
      } finally {
        await source.close();
      }
    } finally {
      await reader.close();
    }
  } finally {
    port.close();
  }
}

/** In order; a closed port asks for the end. At most two wait, `next` and `close`. */
class Requests {
  readonly #waiting: EncodeRequest[] = [];
  #wake: (() => void) | undefined = undefined;

  constructor(port: MessagePort) {
    port.on("message", (request: EncodeRequest) => this.#take(request));
    port.on("close", () => this.#take("close"));
  }

  #take(request: EncodeRequest): void {
    this.#waiting.push(request);
    this.#wake?.();
  }

  async next(): Promise<EncodeRequest> {
    while (this.#waiting.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#waiting.shift()!;
  }
}
