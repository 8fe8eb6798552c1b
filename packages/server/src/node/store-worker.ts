/**
 * A store's thread. Takes the directory's lock before it touches anything else in it, reads who the store is, raises the
 * incarnation, opens log and engine, and runs the store. It shares nothing with other threads. The build makes one file of
 * it and of all that it leads to, `store-worker.cjs`, and that is what runs.
 */
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { Failure, assert } from "@flotilla/base";
import type { Environment, Files } from "@flotilla/base";
import { nodeEnvironment } from "@flotilla/platform";
import { FileSharedLog } from "@flotilla/raft-log";
import type { SharedLog } from "@flotilla/raft-log";
import { LevelEngine, acquireDirectoryLock } from "@flotilla/storage/leveldb";
import { openStore } from "@flotilla/store";
import type { StoreApi } from "@flotilla/store";
import { createCodec } from "@flotilla/transport";
import type { Codec, ListenerFactory } from "@flotilla/transport";
import { GrpcDialer, GrpcListenerFactory } from "@flotilla/transport/grpc";
import { awaitIdentity } from "../founding/await-identity.ts";
import { readIdentityOrOffer } from "../founding/founding-node.ts";
import { raiseIncarnation, readIdentity } from "../identity/identity-file.ts";
import type { Identity } from "../identity/identity-file.ts";
import { joinCluster } from "../joining/join-cluster.ts";
import { refuseOtherCluster } from "../joining/refuse-other-cluster.ts";
import { isUnspecified, parseAddress } from "../settings/address.ts";
import { filesOf } from "./delayed-sync-files.ts";
import { LoopMeter } from "./loop-meter.ts";
import { toPlainError } from "./plain-error.ts";
import { SnapshotPool } from "../snapshots/snapshot-pool.ts";
import type { FromStoreThread, StoreThreadData, ToStoreThread } from "./store-thread-messages.ts";
import { createThreadLogger } from "./thread-logger.ts";
import { ThreadSockets } from "./thread-sockets.ts";

const readyPollMs = 5;

/** From here: in the bundle of this file (tools/bootstrap/bundle.mjs) every module has the bundle's place. */
const snapshotTask = new URL("../snapshots/snapshot-task.js", import.meta.url);

interface OpenedStore {
  readonly identity: Identity;
  readonly incarnation: number;
  readonly store: StoreApi;
  readonly log: SharedLog;
  readonly engine: LevelEngine;
  releaseLock(): Promise<void>;
}

class StoreWorker {
  readonly #port: NonNullable<typeof parentPort>;
  readonly #data: StoreThreadData;
  readonly #meter = new LoopMeter();
  readonly #sockets = new ThreadSockets();
  readonly #environment: Environment;
  #phase: "start" | "running" | "stop" = "start";
  #opened: OpenedStore | undefined;
  #stopWith: number | undefined;
  #halted = false;
  /** Ends the waiting for a cluster. */
  #stopWaiting: ((reason: Failure) => void) | undefined;

  constructor(port: NonNullable<typeof parentPort>, data: StoreThreadData) {
    this.#port = port;
    this.#data = data;
    this.#environment = nodeEnvironment(createThreadLogger(port, data.logLevel));
    port.on("message", (message: ToStoreThread) => this.#receive(message));
  }

  async run(): Promise<void> {
    try {
      const opened = await this.#open();
      this.#opened = opened;
      this.#phase = "running";
      const { identity, incarnation, store } = opened;
      this.#send({
        type: "listening",
        node: {
          clusterId: identity.clusterId,
          nodeId: identity.nodeId,
          storeId: identity.storeId,
          incarnation,
          address: store.address,
          plannedRanges: identity.plan.ranges.length,
          plannedStores: identity.plan.stores.length,
        },
      });
      this.#pollReady(store);
      if (this.#stopWith !== undefined) await this.#stop(opened, this.#stopWith);
    } catch (error) {
      this.#halt(error);
    }
  }

  async #open(): Promise<OpenedStore> {
    const data = this.#data;
    // Looked at before the lock, so that a directory without a store stays as it was found.
    const files = filesOf(data.dataDir, process.env);
    const alone = data.peers.length === 0 && data.join.length === 0;
    if (alone && (await readIdentity(files, ".")) === undefined) throw noCluster(data.dataDir);
    const { bytes, logger } = this.#environment;
    const codec = createCodec(bytes);
    const listeners = new GrpcListenerFactory({}, { bytes, logger });
    const lock = await acquireDirectoryLock(data.dataDir);
    const known = await readIdentityOrOffer(files);
    const { identity, address } =
      known === undefined
        ? await this.#awaitIdentity(files, codec, listeners)
        : { identity: known, address: data.address };
    const dialer = new GrpcDialer({}, { bytes, logger });
    if (known !== undefined) await refuseOtherCluster(known, data.join, { environment: this.#environment, dialer });
    const incarnation = await raiseIncarnation(files, ".");
    const [log, engine] = await Promise.all([
      FileSharedLog.open(
        { segmentBytes: data.log.logSegmentBytes, logBytesTarget: data.log.logBytesTarget },
        { ...this.#environment, files },
      ),
      LevelEngine.open(join(data.dataDir, "data"), { lock }),
    ]);
    const { clusterId, nodeId, storeId, storeKey, plan } = identity;
    logger.info({ clusterId, nodeId, storeId, incarnation, address, dataDir: data.dataDir }, "store opens");
    const store = await openStore(
      {
        plan,
        nodeId,
        storeId,
        storeKey,
        incarnation,
        address,
        advertisedAddress: advertisedAddress(data, identity),
        httpAddress: data.httpAddress,
        peerAddresses: data.peers,
        pid: process.pid,
        serverVersion: data.serverVersion,
        dataDir: data.dataDir,
        labels: data.labels,
        settings: data.settings,
      },
      {
        environment: this.#environment,
        files,
        log,
        engine,
        snapshotJobs: new SnapshotPool({
          dataDir: data.dataDir,
          engineDirectory: engine.directory,
          task: snapshotTask,
        }),
        codec,
        dialer,
        listeners,
        loopBusyMs: () => this.#meter.busyMs,
        onHalt: (error) => this.#halt(error),
      },
    );
    return { identity, incarnation, store, log, engine, releaseLock: () => lock.release() };
  }

  async #awaitIdentity(
    files: Files,
    codec: Codec,
    listeners: ListenerFactory,
  ): Promise<{ readonly identity: Identity; readonly address: string }> {
    const { address, peers, join } = this.#data;
    const stopped = new Promise<never>((_resolve, reject) => (this.#stopWaiting = reject));
    stopped.catch(() => {});
    if (this.#stopWith !== undefined) throw stoppedWaiting();
    const onWaiting = (at: string, reason: string): void => this.#send({ type: "waiting", address: at, reason });
    const environment = this.#environment;
    const found =
      join.length > 0
        ? { identity: await this.#join(files, stopped), address }
        : await awaitIdentity({ address, peers }, { environment, files, codec, listeners, onWaiting, stopped });
    this.#stopWaiting = undefined;
    return found;
  }

  #join(files: Files, stopped: Promise<never>): Promise<Identity> {
    const { address, advertiseAddress = "", httpAddress, join, labels } = this.#data;
    const onWaiting = (reason: string): void => this.#send({ type: "waiting", address, reason });
    return joinCluster(
      { join, address: advertiseAddress === "" ? address : advertiseAddress, httpAddress, labels },
      { environment: this.#environment, files, onWaiting, stopped },
    );
  }

  #receive(message: ToStoreThread): void {
    switch (message.type) {
      case "statistics":
        this.#answerStatistics(message.requestId);
        return;
      case "collect-garbage":
        globalThis.gc?.();
        return;
      case "stop":
        this.#stopWith = message.transferMs;
        this.#stopWaiting?.(stoppedWaiting());
        // While it is still opening, `run` comes back to it.
        if (this.#opened !== undefined) void this.#stop(this.#opened, message.transferMs);
        return;
      case "end":
        this.#sockets.end().then(
          () => process.exit(0),
          () => process.exit(1),
        );
        return;
      default:
        message satisfies never;
    }
  }

  #answerStatistics(requestId: number): void {
    const opened = this.#opened;
    if (opened === undefined || this.#phase !== "running") return;
    const { store, log, engine } = opened;
    this.#send({
      type: "statistics",
      requestId,
      statistics: {
        store: store.statistics(),
        log: log.statistics(),
        levelZeroFiles: engine.levelZeroFiles(),
        ready: store.ready,
        loop: this.#meter.take(),
      },
    });
  }

  async #stop({ store, releaseLock }: OpenedStore, transferMs: number): Promise<void> {
    if (this.#phase !== "running") return;
    this.#phase = "stop";
    try {
      await store.stop({ transferMs });
      await releaseLock();
      this.#meter.close();
      this.#send({ type: "stopped" });
    } catch (error) {
      this.#halt(error);
    }
  }

  #pollReady(store: StoreApi): void {
    if (this.#halted || this.#phase !== "running") return;
    if (store.ready) this.#send({ type: "ready" });
    else setTimeout(() => this.#pollReady(store), readyPollMs);
  }

  #halt(error: unknown): void {
    if (this.#halted) return;
    this.#halted = true;
    // Whatever the other thread does: from here on nothing leaves this one.
    void this.#sockets.end();
    this.#send({ type: "halted", phase: this.#phase, error: toPlainError(error) });
  }

  #send(message: FromStoreThread): void {
    this.#port.postMessage(message);
  }
}

/** Under which others find this node: a wildcard address says it to nobody, the cluster's plan does. */
function advertisedAddress(
  { advertiseAddress = "", address }: StoreThreadData,
  { plan, storeId }: Identity,
): string | undefined {
  if (advertiseAddress !== "") return advertiseAddress;
  if (!isUnspecified(parseAddress("address", address).host)) return undefined;
  return plan.stores.find((store) => store.storeId === storeId)!.address;
}

const stoppedWaiting = (): Failure => new Failure("Closed", "the node was stopped before it had a cluster");

function noCluster(dataDir: string): Failure {
  return new Failure("Refused", `${dataDir} holds no store: this node has no cluster`, {
    hint: "start it with --join to add it to a cluster; or with --peers, and make one with `flotilla cluster init`; or `flotilla dev` makes one on this machine",
    details: { dataDir },
  });
}

assert(parentPort !== null, "the store's code runs in a thread of its own");
void new StoreWorker(parentPort, workerData as StoreThreadData).run();
