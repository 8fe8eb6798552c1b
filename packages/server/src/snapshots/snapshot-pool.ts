/**
 * A store's snapshot jobs on a thread of Piscina's: reading a range costs the thread that does it some microseconds a record,
 * which at the default rate is more than the store's own thread could give beside its heartbeats. The thread shares LevelDB
 * with the store's (`LevelReader`), and is there only while there is something to do.
 */
import { MessageChannel } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { Failure } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import type { EncodedPart, RangeSource, SnapshotJobs, VerifiedSnapshot, ViewedRange } from "@flotilla/store";
import type { Piscina } from "piscina";
import { fromPlainError } from "../node/plain-error.ts";
import type { EncodeAnswer, EncodeRequest, SnapshotTask, SnapshotTaskResult } from "./snapshot-tasks.ts";

/** One: the log's syncs and the engine's own jobs need libuv's threads, and the store's thread a processor. */
const threadsMax = 1;
/** Tasks that one thread takes turns with: a store sends four at once and receives four at once. */
const tasksMax = 8;
const idleMsMax = 10_000;

export interface SnapshotPoolOptions {
  readonly dataDir: string;
  readonly engineDirectory: string;
  /** The module that runs in the thread: snapshot-task.js. */
  readonly task: URL;
}

/** One pool of Piscina's, and why its thread could not begin. */
interface Threads {
  readonly piscina: Piscina<SnapshotTask, SnapshotTaskResult>;
  failure: Error | undefined;
}

export class SnapshotPool implements SnapshotJobs {
  readonly #options: SnapshotPoolOptions;
  /** Of the next job: made with the first one, and with the first one behind a failure. */
  #threads: Promise<Threads> | undefined = undefined;
  readonly #sources: Set<PoolSource> = new Set();
  #closed = false;
  #closing: Promise<void> | undefined = undefined;

  constructor(options: SnapshotPoolOptions) {
    this.#options = options;
  }

  async encode(rangeId: RangeId, chunkBytes: number): Promise<RangeSource> {
    const { port1, port2: port } = new MessageChannel();
    const { engineDirectory } = this.#options;
    const ended = this.#run({ kind: "encode", engineDirectory, rangeId, chunkBytes, port }, port);
    const source = new PoolSource(port1, ended);
    this.#sources.add(source);
    void source.ended.then(() => this.#sources.delete(source));
    await source.open();
    return source;
  }

  async verify(path: string, rangeId: RangeId): Promise<VerifiedSnapshot | undefined> {
    const result = await this.#run({ kind: "verify", dataDir: this.#options.dataDir, path, rangeId });
    if ("error" in result) throw fromPlainError(result.error);
    return result.verified;
  }

  async #run(task: SnapshotTask, port?: MessagePort): Promise<SnapshotTaskResult> {
    if (this.#closed) throw closed();
    const threads = await (this.#threads ??= this.#newThreads());
    if (this.#closed) throw closed();
    try {
      return await threads.piscina.run(task, port === undefined ? {} : { transferList: [port] });
    } catch (error) {
      throw this.#closed ? closed() : (threads.failure ?? error);
    }
  }

  /** Loaded with the first job: most starts of a store need none. */
  #newThreads(): Promise<Threads> {
    const made = import("piscina").then(({ Piscina }): Threads => {
      const piscina = new Piscina<SnapshotTask, SnapshotTaskResult>({
        filename: this.#options.task.href,
        minThreads: 0,
        maxThreads: threadsMax,
        concurrentTasksPerWorker: tasksMax,
        idleTimeout: idleMsMax,
        // Its loop goes on between tasks and does not block on a signal.
        atomics: "disabled",
        // Nothing that the process was started with is meant for it.
        execArgv: [],
      });
      const threads: Threads = { piscina, failure: undefined };
      piscina.on("error", (error: Error) => {
        threads.failure ??= error;
        discard();
        void piscina.destroy();
      });
      return threads;
    });
    // A thread that cannot begin, for want of memory or of threads: whoever waits for it learns why, and the next job
    // tries again with a new pool.
    const discard = (): void => {
      if (this.#threads === made) this.#threads = undefined;
    };
    made.catch(discard);
    return made;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // LevelDB is in use until each has said that it is not; a file that is being verified is nobody's loss.
    await Promise.all([...this.#sources].map((source) => source.close()));
    const threads = await this.#threads?.catch(() => undefined);
    await threads?.piscina.destroy();
  }
}

const closed = (): Failure => new Failure("Closed", "the store's snapshot jobs are closed");

/** The store's end of a range that is being encoded: one part is asked for ahead. */
class PoolSource implements RangeSource {
  found: ViewedRange | undefined = undefined;
  /** When its thread has let go of the engine, however it ended. */
  readonly ended: Promise<void>;
  readonly #port: MessagePort;
  #answered: ((answer: EncodeAnswer) => void) | undefined = undefined;
  #failed: ((error: Error) => void) | undefined = undefined;
  #failure: Error | undefined = undefined;
  #ahead: Promise<EncodedPart | undefined> | undefined = undefined;
  #closing = false;

  constructor(port: MessagePort, ended: Promise<SnapshotTaskResult>) {
    this.#port = port;
    port.on("message", (answer: EncodeAnswer) => this.#answered?.(answer));
    this.ended = ended.then(
      (result) => this.#end("error" in result ? fromPlainError(result.error) : closed()),
      (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))),
    );
  }

  #end(failure: Error): void {
    this.#failure = failure;
    this.#port.close();
    this.#failed?.(failure);
  }

  /** The next answer that comes; one at a time is waited for. */
  #answer(): Promise<EncodeAnswer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
  }

  #ask(request: EncodeRequest): void {
    this.#port.postMessage(request);
  }

  async open(): Promise<void> {
    const answer = await this.#answer();
    if (answer.type !== "found") throw new Failure("Internal", "the snapshot thread gave a part before it was asked");
    this.found = answer.found;
    if (answer.found !== undefined) this.#ahead = this.#part();
  }

  #part(): Promise<EncodedPart | undefined> {
    this.#ask("next");
    const part = this.#answer().then((answer) => (answer.type === "part" ? answer.part : undefined));
    // Whoever takes it sees the failure; a source that is closed is asked for no more.
    part.catch(() => {});
    return part;
  }

  async next(): Promise<EncodedPart | undefined> {
    const ahead = this.#ahead;
    if (ahead === undefined) return undefined;
    const part = await ahead;
    this.#ahead = part === undefined || part.last || this.#closing ? undefined : this.#part();
    return part;
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      if (this.#failure === undefined) this.#ask("close");
    }
    await this.ended;
  }
}
