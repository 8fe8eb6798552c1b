/** Births and deaths of this store's replicas, put together; the store asks here who may come and who has to go. */
import { replicaId as toReplicaId } from "@flotilla/base";
import type { RangeId, ReplicaId, StoreId } from "@flotilla/base";
import type { RoutingRefusal } from "../clients/client-connection.ts";
import type { PeerMessage, RaftEnvelope, ReplicaCheck, ReplicaGone, ReplicaVerdict } from "@flotilla/transport";
import type { IntervalClearer } from "../engine/interval-clearer.ts";
import type { EngineQueue } from "../engine/engine-queue.ts";
import type { Flusher } from "../engine/flusher.ts";
import type { PersistBatches } from "../persist-batches.ts";
import type { MetaDirectory } from "../placement/meta-directory.ts";
import { replicaVerdict } from "../placement/replica-verdict.ts";
import type { AddReplica } from "../replica/replica-host.ts";
import type { Replica } from "../replica/replica.ts";
import { ReplicaCreation } from "../snapshot/replica-creation.ts";
import type { Creation } from "../snapshot/replica-creation.ts";
import type { StoreDependencies } from "../store-api.ts";
import { loadBatchBytes } from "../store-settings.ts";
import type { StoreSettings } from "../store-settings.ts";
import { RangeRecovery } from "../unsafe-recovery/range-recovery.ts";
import { Orphans } from "./orphans.ts";
import type { SilentGroup } from "./orphans.ts";
import { ReplicaDeaths } from "./replica-deaths.ts";
import { TakenIn } from "./taken-in.ts";

/** Between two messages of the same kind about one range. */
const tellMs = 300;

export interface LifecycleHost {
  readonly dependencies: StoreDependencies;
  readonly settings: StoreSettings;
  readonly storeId: StoreId;
  readonly queue: EngineQueue;
  readonly flusher: Flusher;
  readonly clearer: IntervalClearer;
  readonly persist: PersistBatches;
  readonly directory: MetaDirectory;
  replica(rangeId: number): Replica | undefined;
  replicas(): Iterable<Replica>;
  awake(): Iterable<Replica>;
  readonly addReplica: AddReplica;
  /** `refusal`: for clients that were reading there; else they look for it elsewhere. */
  forget(replica: Replica, refusal?: RoutingRefusal): void;
  epochMismatch(replica: Replica): RoutingRefusal;
  onCreated(creation: Creation): Promise<void>;
  onBuried(rangeId: RangeId, replicaId: ReplicaId): void;
  /** The store that leads the meta range, 0 = unknown. */
  driver(): StoreId;
  /** This store leads the meta range. */
  drives(): boolean;
  send(to: StoreId, message: PeerMessage): void;
  diskFull(): boolean;
  halted(): boolean;
  fail(error: unknown): void;
  schedule(): void;
}

export class Lifecycle {
  readonly deaths: ReplicaDeaths;
  readonly creation: ReplicaCreation;
  readonly takenIn: TakenIn;
  readonly recovery: RangeRecovery;
  readonly #orphans: Orphans;
  readonly #host: LifecycleHost;
  /** What was told lately, to whom it does not matter. */
  readonly #toldMs: Map<string, number> = new Map();

  constructor(host: LifecycleHost) {
    const { dependencies, settings, storeId, queue, flusher, persist, clearer } = host;
    const { engine, environment, files, log } = dependencies;
    const operations = environment.bytes;
    this.#host = host;
    this.recovery = new RangeRecovery(host);
    clearer.onCleared = (interval) => flusher.deleted.noteCleared(interval);
    this.deaths = new ReplicaDeaths({
      environment,
      log,
      flusher,
      persist,
      clearer,
      forget: (replica) => host.forget(replica),
      onBuried: (rangeId, replicaId) => host.onBuried(rangeId, replicaId),
      diskFull: () => host.diskFull(),
      halted: () => host.halted(),
      fail: (error) => host.fail(error),
      schedule: () => host.schedule(),
    });
    this.takenIn = new TakenIn({
      log,
      clearer,
      persist,
      replica: (rangeId) => host.replica(rangeId),
      forget: (replica, refusal) => host.forget(replica, refusal),
      epochMismatch: (replica) => host.epochMismatch(replica),
      makeBoundsDurable: (replica, patienceMs) => this.deaths.makeBoundsDurable(replica, patienceMs),
      fail: (error) => host.fail(error),
      schedule: () => host.schedule(),
    });
    this.#orphans = new Orphans({
      clock: environment.clock,
      electionMs: 2 * settings.electionTicksMin * settings.tickMs,
      replica: (rangeId) => host.replica(rangeId),
      awake: () => host.awake(),
      silent: () => this.#silent(),
      driver: () => host.driver(),
      send: (to, check) => this.#sendCheck(to, check),
      isAwaited: (replica) => this.takenIn.isAwaited(replica),
      onGone: (replica) => this.deaths.begin(replica, "the placement driver says so"),
      onSilentGone: (rangeId, replicaId) => {
        log.tombstone(rangeId, toReplicaId(replicaId + 1));
        persist.addStep(() => {});
        host.schedule();
      },
    });
    this.creation = new ReplicaCreation({
      storeId,
      batchBytes: loadBatchBytes(settings),
      operations,
      engine,
      files,
      log,
      queue,
      clearer,
      persist,
      replica: (rangeId) => host.replica(rangeId),
      replicas: () => host.replicas(),
      addReplica: (machine, id, brandNew) => host.addReplica(machine, id, brandNew),
      onLoaded: (creation) => host.onCreated(creation),
      suspect: (rangeId) => this.#orphans.suspect(rangeId),
      schedule: () => host.schedule(),
    });
  }

  #now(): number {
    return this.#host.dependencies.environment.clock.monotonicMs();
  }

  tick(): void {
    const now = this.#now();
    for (const [name, atMs] of this.#toldMs) if (now - atMs >= tellMs) this.#toldMs.delete(name);
    this.#orphans.tick();
  }

  get withoutLeaderMs(): number {
    return this.#orphans.withoutLeaderMs;
  }

  /** Log groups that have neither a replica nor one in the making: a split that is not applied again yet makes it. */
  #silent(): SilentGroup[] {
    const silent: SilentGroup[] = [];
    this.#host.dependencies.log.visitReplicas((rangeId, replicaId) => {
      if (this.#host.replica(rangeId) !== undefined || this.#ends(rangeId) || this.creation.underWay(rangeId)) return;
      silent.push({ rangeId, replicaId });
    });
    return silent;
  }

  /** Its replica here is no more, and its tombstone not durable. */
  #ends(rangeId: RangeId): boolean {
    return this.deaths.underWay(rangeId) || this.takenIn.underWay(rangeId);
  }

  #tell(kind: string, to: StoreId, rangeId: RangeId, message: PeerMessage): void {
    const name = `${kind}/${rangeId}`;
    if (this.#toldMs.has(name)) return;
    this.#toldMs.set(name, this.#now());
    this.#host.send(to, message);
    this.#host.schedule();
  }

  /**
   * A Raft message for a replica that is not here. Nothing is made, promised or answered on Raft's level (hazards E3,
   * E13); a leader learns that its member needs a range snapshot.
   */
  onAbsent(from: StoreId, { rangeId, message }: RaftEnvelope): void {
    if (message.type !== "append" && message.type !== "heartbeat") return;
    const { to: replicaId, term } = message;
    const own = this.#host.replica(rangeId);
    if (own !== undefined) {
      // The range has a newer replica here, as far as the sender knows.
      if (own.replicaId < replicaId) this.#orphans.suspect(rangeId);
      return;
    }
    if (this.creation.underWay(rangeId) || this.#ends(rangeId)) return;
    const group = this.#host.dependencies.log.group(rangeId);
    if (group !== undefined && (replicaId < group.tombstone || replicaId < group.replicaId)) return;
    this.#tell("absent", from, rangeId, { type: "replica-absent", rangeId, replicaId, term });
  }

  /** Whoever wants to be elected and is no member here seems to have missed its removal (hazards B8, E14). */
  noteSender(from: StoreId, replica: Replica, { message }: RaftEnvelope): void {
    if (message.type !== "pre-vote" && message.type !== "vote") return;
    if (replica.node.leader === 0 || replica.isMember(message.from)) return;
    const { rangeId, descriptor } = replica;
    const { from: replicaId } = message;
    this.#tell("gone", from, rangeId, { type: "replica-gone", rangeId, replicaId, epoch: descriptor.epoch });
  }

  onGone({ rangeId, replicaId }: ReplicaGone): void {
    if (this.#host.replica(rangeId)?.replicaId === replicaId) this.#orphans.suspect(rangeId);
  }

  #sendCheck(to: StoreId, check: ReplicaCheck): void {
    if (to === this.#host.storeId) this.onCheck(to, check);
    else this.#host.send(to, check);
    this.#host.schedule();
  }

  /** As the placement driver: answered from what is committed in the meta range. */
  onCheck(from: StoreId, check: ReplicaCheck): void {
    if (!this.#host.drives()) return;
    this.#host.directory
      .ranges()
      .then((descriptors) => {
        const verdict = replicaVerdict(check, descriptors);
        if (from === this.#host.storeId) this.onVerdict(verdict);
        else this.#host.send(from, verdict);
        this.#host.schedule();
      })
      .catch((error: unknown) => this.#host.fail(error));
  }

  onVerdict(verdict: ReplicaVerdict): void {
    this.#orphans.onVerdict(verdict);
  }

  /** See StateMachine.boundsDurable; of all replicas, those that are ending included. */
  boundsDurable(): boolean {
    for (const replica of this.#host.replicas()) if (!replica.machine.boundsDurable) return false;
    for (const replica of this.deaths.dying) if (!replica.machine.boundsDurable) return false;
    return true;
  }

  async makeBoundsDurable(): Promise<void> {
    if (this.boundsDurable() || this.#host.diskFull()) return;
    await this.#host.flusher.flushAll();
    await this.#host.flusher.settle();
  }
}
