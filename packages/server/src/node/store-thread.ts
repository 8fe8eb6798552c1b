/** The main thread's hold on a store's thread: starts it, asks it, stops it, and learns of its end. */
import { Worker } from "node:worker_threads";
import type { WorkerOptions } from "node:worker_threads";
import { Failure } from "@flotilla/base";
import type { Logger } from "@flotilla/base";
import { fromPlainError } from "./plain-error.ts";
import type {
  FromStoreThread,
  StoreThreadData,
  StoreThreadIdentity,
  StoreThreadStatistics,
  ToStoreThread,
} from "./store-thread-messages.ts";

/** Beyond the time for handing leaderships over: flush, settle, close. */
const closeMsMax = 30_000;
const statisticsMsMax = 2_000;
/** For the thread to cut its sockets and end; then it is ended from outside (thread-sockets.ts says what that can do). */
const endMsMax = 3_000;

interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(error: Error): void;
}

function deferred<Value>(): Deferred<Value> {
  let resolve!: (value: Value) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // Whoever awaits it sees the rejection; that nobody does is no error of its own.
  promise.catch(() => {});
  return { promise, resolve, reject };
}

interface StatisticsQuestion extends Deferred<StoreThreadStatistics> {
  readonly timeout: NodeJS.Timeout;
}

export class StoreThread {
  readonly #worker: Worker;
  readonly #logger: Logger;
  readonly #listening = deferred<StoreThreadIdentity>();
  #waiting: string | undefined;
  readonly #ready = deferred<void>();
  readonly #closed = deferred<void>();
  readonly #exited = deferred<void>();
  /** By request id; at most as many as HTTP lets in, each for `statisticsMsMax`. */
  readonly #questions = new Map<number, StatisticsQuestion>();
  #nextRequest = 1;
  #state: "starting" | "running" | "stopping" | "closed" = "starting";

  /** `worker`: what the thread takes over from the process it runs in; by default everything. */
  constructor(data: StoreThreadData, logger: Logger, worker: Pick<WorkerOptions, "env" | "execArgv"> = {}) {
    this.#logger = logger;
    this.#worker = new Worker(new URL("./store-worker.cjs", import.meta.url), {
      ...worker,
      workerData: data,
      name: "flotilla-store",
    });
    this.#worker.on("message", (message: FromStoreThread) => this.#receive(message));
    this.#worker.on("messageerror", (error) => this.#end(error));
    this.#worker.on("error", (error) =>
      this.#end(new Failure("Internal", `the store's thread failed: ${error.message}`, { cause: error })),
    );
    this.#worker.on("exit", (code) => {
      this.#exited.resolve();
      this.#end(new Failure("Internal", `the store's thread ended by itself with code ${code}`));
    });
  }

  /** It takes part in the cluster. Rejects with the reason when it cannot. */
  get listening(): Promise<StoreThreadIdentity> {
    return this.#listening.promise;
  }

  /** Why it does not take part yet although nothing is wrong: there is no cluster. */
  get waiting(): string | undefined {
    return this.#waiting;
  }

  /** Every range of the store had a leader. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves after `stop`; rejects with the reason when the store halted. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Rejects with `Timeout` when the thread does not answer in time, with `Closed` after its end. */
  statistics(): Promise<StoreThreadStatistics> {
    if (this.#state === "closed") return Promise.reject(new Failure("Closed", "the store is closed"));
    const requestId = this.#nextRequest++;
    const answer = deferred<StoreThreadStatistics>();
    const timeout = setTimeout(() => {
      this.#questions.delete(requestId);
      answer.reject(new Failure("Timeout", `the store's thread did not answer within ${statisticsMsMax} ms`));
    }, statisticsMsMax);
    this.#questions.set(requestId, { ...answer, timeout });
    this.#send({ type: "statistics", requestId });
    return answer.promise;
  }

  /** Before anything that is asked of the thread later. */
  collectGarbage(): void {
    if (this.#state !== "closed") this.#send({ type: "collect-garbage" });
  }

  /** Settles with `closed`; when the thread does not manage in time it is ended as by a crash, which loses nothing acknowledged. */
  stop(transferMs: number): Promise<void> {
    if (this.#state === "closed" || this.#state === "stopping") return this.#closed.promise;
    this.#state = "stopping";
    const timeout = setTimeout(() => {
      this.#end(new Failure("Timeout", `the store did not stop within ${transferMs + closeMsMax} ms`));
    }, transferMs + closeMsMax);
    const clear = (): void => clearTimeout(timeout);
    this.#closed.promise.then(clear, clear);
    this.#send({ type: "stop", transferMs });
    return this.#closed.promise;
  }

  /** Ends the thread as a crash of the process would, and settles with `closed`. What was acknowledged is on disk. */
  kill(): Promise<void> {
    // Its end is waited for.
    this.#worker.ref();
    this.#end(undefined);
    return this.#closed.promise;
  }

  /** Whether the running thread keeps the process alive; it does from the start. */
  holdProcess(hold: boolean): void {
    if (hold) this.#worker.ref();
    else this.#worker.unref();
  }

  #send(message: ToStoreThread): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromStoreThread): void {
    switch (message.type) {
      case "log":
        this.#logger[message.level](message.fields, message.message);
        return;
      case "waiting":
        this.#waiting = message.reason;
        return;
      case "listening":
        this.#waiting = undefined;
        if (this.#state === "starting") this.#state = "running";
        this.#listening.resolve(message.node);
        return;
      case "ready":
        this.#ready.resolve();
        return;
      case "statistics": {
        const question = this.#questions.get(message.requestId);
        if (question === undefined) return;
        this.#questions.delete(message.requestId);
        clearTimeout(question.timeout);
        question.resolve(message.statistics);
        return;
      }
      case "halted":
        this.#end(fromPlainError(message.error));
        return;
      case "stopped":
        this.#end(undefined);
        return;
      default:
        message satisfies never;
    }
  }

  /** The thread is of no more use, whatever told so first. */
  #end(error: Error | undefined): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    const reason = error ?? new Failure("Closed", "the node was stopped");
    this.#listening.reject(reason);
    this.#ready.reject(reason);
    for (const { timeout, reject } of this.#questions.values()) {
      clearTimeout(timeout);
      reject(reason);
    }
    this.#questions.clear();
    const timeout = setTimeout(() => void this.#worker.terminate(), endMsMax);
    this.#send({ type: "end" });
    // Only when the thread is gone may another one open the directory.
    void this.#exited.promise.then(() => {
      clearTimeout(timeout);
      if (error === undefined) this.#closed.resolve();
      else this.#closed.reject(error);
    });
  }
}
