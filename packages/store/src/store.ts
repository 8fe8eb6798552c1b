/**
 * A store: one data directory, one shared log, one engine, one listener, and the replicas of many ranges. Its work goes
 * in rounds, one an event-loop turn: what arrived is stepped and evaluated, appends leave, ONE batch goes to the log;
 * when it is durable acknowledgements leave, commits advance, entries are applied and clients answered.
 */
import { metaRangeId, noStore } from "@flotilla/base";
import type { Environment, ReplicaId, StoreId } from "@flotilla/base";
import type { Message, Ready, Role, SnapshotLabel } from "@flotilla/raft";
import type { Admission, Hello, Listener } from "@flotilla/transport";
import { AdminService } from "./placement/admin-service.ts";
import type { RoutingRefusal } from "./clients/client-connection.ts";
import { ClientService } from "./clients/client-service.ts";
import { DiskSpace } from "./disk-space.ts";
import { ClockCheck } from "./clock-check.ts";
import { EngineQueue } from "./engine/engine-queue.ts";
import { IntervalClearer } from "./engine/interval-clearer.ts";
import { Flusher } from "./engine/flusher.ts";
import type { FlushedRange } from "./engine/flusher.ts";
import { HandOver } from "./hand-over.ts";
import { Housekeeping } from "./housekeeping.ts";
import { Intake } from "./intake.ts";
import { Lifecycle } from "./lifecycle/lifecycle.ts";
import { MetaDirectory } from "./placement/meta-directory.ts";
import { MetaWhereabouts } from "./placement/meta-whereabouts.ts";
import { PeerInbox } from "./peer-inbox.ts";
import { PeerLinks } from "./peer-links.ts";
import type { Lane, Peer } from "./peer-links.ts";
import { PersistBatches } from "./persist-batches.ts";
import { RouteAnswers } from "./placement/route-answers.ts";
import { PlacementHost } from "./placement/placement-host.ts";
import { RaftOutbox } from "./raft-outbox.ts";
import { RangeMeters } from "./range-meters.ts";
import { EarlyVotes } from "./replica/early-votes.ts";
import { Replica } from "./replica/replica.ts";
import { noCounts } from "./replica/replica-host.ts";
import type { ReplicaHost, StoreCounters } from "./replica/replica-host.ts";
import type { MergeEntry } from "./replica/merge-entry.ts";
import type { QueuedRead } from "./replica/read-queue.ts";
import { adoptRightHalf } from "./replica/right-halves.ts";
import { epochMismatch, routingRefusal } from "./clients/routing-refusal.ts";
import { SnapshotService } from "./snapshot/snapshot-service.ts";
import { StoreGreetings } from "./store-greetings.ts";
import { StoreRounds } from "./store-rounds.ts";
import { StoreTicks } from "./store-ticks.ts";
import type { StoreDirectory } from "./store-directory.ts";
import { openDirectory } from "./store-directory-record.ts";
import { StoreReplicas } from "./store-replicas.ts";
import { StoreReporter } from "./store-reporter.ts";
import type { StateMachine } from "./replica/state-machine.ts";
import { inTurns, recoverStore } from "./store-recovery.ts";
import type { ReplicaState, StoreApi, StoreDependencies, StoreOptions, StoreStatistics } from "./store-api.ts";
import { raftOptions } from "./store-settings.ts";
import type { StoreSettings } from "./store-settings.ts";
import { windDown } from "./winding-down.ts";
import { WritePace } from "./write-pace.ts";

export async function openStore(options: StoreOptions, dependencies: StoreDependencies): Promise<StoreApi> {
  const store = new Store(options, dependencies);
  await store.open();
  return store;
}

class Store implements StoreApi, ReplicaHost {
  readonly environment: Environment;
  readonly settings: StoreSettings;
  readonly storeId: StoreId;
  readonly counters: StoreCounters = noCounts();

  readonly #options: StoreOptions;
  readonly #dependencies: StoreDependencies;
  readonly #replicas: StoreReplicas = new StoreReplicas();
  readonly #stores: StoreDirectory;
  readonly #links: PeerLinks;
  readonly #clients: ClientService;
  readonly #persist: PersistBatches;
  readonly #queue: EngineQueue;
  readonly #flusher: Flusher;
  readonly #clearer: IntervalClearer;
  readonly #earlyVotes: EarlyVotes;
  readonly #snapshots: SnapshotService;
  readonly #placement: PlacementHost;
  readonly #admin: AdminService;
  readonly #directory: MetaDirectory;
  readonly #meta: MetaWhereabouts;
  readonly #meters: RangeMeters;
  readonly #housekeeping: Housekeeping;
  readonly #reporter: StoreReporter;
  readonly #handOver: HandOver;
  readonly #disk: DiskSpace;
  readonly #clock: ClockCheck;
  readonly #intake: Intake;
  readonly pace: WritePace = new WritePace();
  readonly #inbox: PeerInbox;
  readonly #lifecycle: Lifecycle;
  readonly #outbox: RaftOutbox;
  readonly #rounds: StoreRounds;
  readonly #routes: RouteAnswers;
  readonly #greetings: StoreGreetings;
  readonly #ticks: StoreTicks;
  #listener: Listener | undefined = undefined;
  #halted = false;
  #stopped: Promise<void> | undefined = undefined;
  #onHaltedInStop: ((error: unknown) => void) | undefined = undefined;
  #readContext = 0;

  constructor(options: StoreOptions, dependencies: StoreDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.environment = dependencies.environment;
    this.settings = options.settings;
    this.storeId = options.storeId;
    const { environment, engine, log } = dependencies;
    const fail = (error: unknown): void => this.#halt(error);
    const replica = (rangeId: number): Replica | undefined => this.#replicas.get(rangeId);
    this.#rounds = new StoreRounds({
      environment,
      guard: (step) => this.#guard(step),
      endRound: (replicas) => this.#endRound(replicas),
    });
    this.#queue = new EngineQueue(fail);
    this.#flusher = new Flusher(() => [...this.#replicas.values(), ...this.#lifecycle.deaths.dying], {
      engine,
      log,
      queue: this.#queue,
      environment,
    });
    this.#clearer = new IntervalClearer(engine, this.#queue, environment.bytes);
    this.#earlyVotes = new EarlyVotes(environment.clock, options.settings.electionTicksMin * options.settings.tickMs);
    this.#meters = new RangeMeters(dependencies, options.settings, this.#flusher);
    this.#handOver = new HandOver(this.#replicas.byRange, environment, (store) =>
      this.#links.alive(store, 4 * options.settings.storeHeartbeatMs),
    );
    this.#disk = new DiskSpace(options.settings.diskFreeBytesMin, environment.logger);
    this.#reporter = new StoreReporter(options, {
      disk: this.#disk,
      clearer: this.#clearer,
      clock: environment.clock,
      log,
      meters: this.#meters,
      replicas: this.#replicas.byRange,
      counters: this.counters,
      snapshots: () => this.#snapshots,
      stopping: () => this.#stopped !== undefined,
      address: () => this.address,
    });
    this.#meta = new MetaWhereabouts(options.plan.ranges[0]!, () => replica(metaRangeId));
    this.#directory = new MetaDirectory(() => replica(metaRangeId)?.wholeMachine, engine, environment.bytes);
    this.#routes = new RouteAnswers(this.#meta, this.#directory, this.#replicas.byRange);
    this.#stores = openDirectory(options.plan, engine, this.#queue, environment.bytes);
    this.#greetings = new StoreGreetings(options, {
      clock: environment.clock,
      meta: this.#meta,
      stores: this.#stores,
      address: () => this.address,
    });
    this.#links = this.#newLinks();
    this.#clock = new ClockCheck(this.#links.peers, environment.logger);
    this.#intake = new Intake(this.#replicas.byRange, this.#disk, this.#clock, this.pace, options.settings);
    this.#persist = new PersistBatches(log, environment.clock, {
      releaseMessages: (from, messages) => {
        for (const message of messages) this.sendRaft(from, message);
      },
      onDurable: () => this.#guard(() => this.#rounds.run()),
      onFailure: fail,
    });
    this.#lifecycle = this.#newLifecycle();
    this.#snapshots = this.#newSnapshots();
    this.#flusher.checkpointLimit = (rangeId, pressing) => this.#snapshots.checkpointLimit(rangeId, pressing);
    this.#flusher.onCheckpoint = (durable) => this.#onCheckpoint(durable);
    this.#outbox = new RaftOutbox({
      log,
      persist: this.#persist,
      links: this.#links,
      snapshots: this.#snapshots,
      stalled: () => this.#ticks.stalled,
    });
    this.#placement = this.#newPlacement();
    this.#admin = this.#newAdmin();
    this.#clients = this.#newClients();
    this.#housekeeping = this.#newHousekeeping();
    this.#inbox = this.#newInbox();
    this.#ticks = this.#newTicks();
  }

  #newLinks(): PeerLinks {
    const { plan, peerAddresses, storeId, settings } = this.#options;
    return new PeerLinks(
      {
        clusterId: plan.clusterId,
        directory: this.#stores,
        addresses: peerAddresses,
        selfId: storeId,
        unconfirmedBytesMax: settings.peerUnconfirmedBytesMax,
        heartbeatMs: settings.storeHeartbeatMs,
      },
      {
        ...this.#dependencies,
        hello: (purpose) => this.#greetings.hello(purpose),
        heartbeat: () => this.#greetings.heartbeat(this.#ticks.stalled),
      },
      {
        onMessage: (peer, message) => this.#guard(() => this.#inbox.onMessage(peer, message)),
        onSendBroken: (peer, lane) => this.#onSendBroken(peer, lane),
        onConnected: () => this.schedule(),
        onDisowned: (error) => this.#halt(error),
      },
    );
  }

  #newSnapshots(): SnapshotService {
    return new SnapshotService({
      dependencies: this.#dependencies,
      settings: this.settings,
      links: this.#links,
      queue: this.#queue,
      flusher: this.#flusher,
      creation: this.#lifecycle.creation,
      replica: (rangeId) => this.#replicas.get(rangeId),
      boundsDurable: () => this.#lifecycle.boundsDurable(),
      makeBoundsDurable: () => this.#lifecycle.makeBoundsDurable(),
      supersede: (replica) => this.#lifecycle.deaths.supersede(replica),
      diskFull: () => this.#disk.full,
      fail: (error) => this.#halt(error),
      schedule: () => this.schedule(),
    });
  }

  #newLifecycle(): Lifecycle {
    return new Lifecycle({
      dependencies: this.#dependencies,
      settings: this.settings,
      storeId: this.storeId,
      queue: this.#queue,
      flusher: this.#flusher,
      clearer: this.#clearer,
      persist: this.#persist,
      directory: this.#directory,
      replica: (rangeId) => this.#replicas.get(rangeId),
      replicas: () => this.#replicas.values(),
      awake: () => this.#replicas.awake,
      addReplica: (machine, replicaId, brandNew) => this.#addReplica(machine, replicaId, brandNew),
      forget: (replica, refusal) => this.#forget(replica, refusal),
      epochMismatch: (replica) => this.epochMismatch(replica),
      onCreated: (creation) => this.#snapshots.onCreated(creation),
      onBuried: (rangeId, replicaId) => this.#snapshots.onBuried(rangeId, replicaId),
      driver: () => this.#meta.leader,
      drives: () => this.#replicas.get(metaRangeId)?.serves === true,
      send: (to, message) => void this.#links.send(to, "heartbeat", message),
      diskFull: () => this.#disk.full,
      halted: () => this.#halted,
      fail: (error) => this.#halt(error),
      schedule: () => this.schedule(),
    });
  }

  #newInbox(): PeerInbox {
    return new PeerInbox({
      intake: this.#intake,
      lifecycle: this.#lifecycle,
      links: this.#links,
      meta: this.#meta,
      stores: this.#stores,
      placement: this.#placement,
      snapshots: this.#snapshots,
      earlyVotes: this.#earlyVotes,
      replica: (rangeId) => this.#replicas.get(rangeId),
      stopping: () => this.#stopped !== undefined,
      schedule: () => this.schedule(),
    });
  }

  #newTicks(): StoreTicks {
    const { environment, settings, storeId } = this;
    return new StoreTicks({
      environment,
      settings,
      storeId,
      engine: this.#dependencies.engine,
      log: this.#dependencies.log,
      clock: this.#clock,
      intake: this.#intake,
      lifecycle: this.#lifecycle,
      links: this.#links,
      persist: this.#persist,
      placement: this.#placement,
      replicas: this.#replicas,
      stopping: () => this.#stopped !== undefined,
      markDirty: (replica) => this.markDirty(replica),
      guard: (step) => this.#guard(step),
      schedule: () => this.schedule(),
    });
  }

  #newHousekeeping(): Housekeeping {
    const { environment, files, log } = this.#dependencies;
    return new Housekeeping({
      environment,
      files,
      log,
      disk: this.#disk,
      handOver: this.#handOver,
      intake: this.#intake,
      clients: this.#clients,
      snapshots: this.#snapshots,
      meters: this.#meters,
      flusher: this.#flusher,
      replicas: this.#replicas,
      fail: (error) => this.#halt(error),
      schedule: () => this.schedule(),
    });
  }

  #newPlacement(): PlacementHost {
    return new PlacementHost(this.#options, {
      dependencies: this.#dependencies,
      meta: this.#meta,
      links: this.#links,
      stores: this.#stores,
      replica: (rangeId) => this.#replicas.get(rangeId),
      replicas: this.#replicas,
      status: () => this.#reporter.status(),
      rangeReport: (led) => this.#reporter.range(led),
      makeBoundsDurable: () => this.#lifecycle.makeBoundsDurable(),
      schedule: () => this.schedule(),
      fail: (error) => this.#halt(error),
    });
  }

  #newAdmin(): AdminService {
    const { storeId, settings, plan } = this.#options;
    return new AdminService({
      plan,
      storeId,
      environment: this.environment,
      directory: this.#stores,
      placement: this.#placement,
      links: this.#links,
      storeDeadMs: settings.storeDeadMs,
      log: this.#dependencies.log,
      lifecycle: this.#lifecycle,
      replica: (rangeId) => this.#replicas.get(rangeId),
      replicas: () => this.#replicas.values(),
      descriptors: () => this.#directory.ranges(),
      leaderOf: (rangeId) => this.#leaderOf(rangeId),
    });
  }

  #newClients(): ClientService {
    const { settings, plan } = this.#options;
    return new ClientService({
      dependencies: this.#dependencies,
      settings,
      counters: this.counters,
      clusterId: plan.clusterId,
      addresses: () => this.#links.addresses(this.address),
      replica: (rangeId) => this.#replicas.get(rangeId),
      successorOf: (rangeId) => this.#lifecycle.takenIn.successorOf(rangeId),
      leaderOf: (rangeId) => this.#leaderOf(rangeId),
      epochMismatch: (replica) => this.epochMismatch(replica),
      routes: (request) => this.#routes.answer(request),
      admin: (name, argument) => this.#admin.answer(name, argument),
      writeRefusal: () => this.#intake.writeRefusal(),
      fail: (error) => this.#halt(error),
      schedule: () => this.schedule(),
    });
  }

  #leaderOf = (rangeId: number): StoreId => this.#replicas.get(rangeId)?.leaderStore ?? noStore;

  // ---- life ----

  get address(): string {
    return this.#options.advertisedAddress ?? this.#listener?.address ?? this.#options.address;
  }

  async open(): Promise<void> {
    const { files, log } = this.#dependencies;
    this.#disk.note(await files.freeBytes());
    const { machines, clearing, leftovers, brandNew } = await recoverStore(this.#options, this.#dependencies);
    await inTurns(machines, this.environment, (machine) => {
      this.#addReplica(machine, log.group(machine.descriptor.rangeId)!.replicaId, brandNew);
    });
    this.#clearer.resume(clearing);
    for (const interval of leftovers) this.#clearer.begin(interval);
    this.#listener = await this.#dependencies.listeners.listen(this.#options.address, (hello) => this.#admit(hello));
    this.#links.start();
    for (const replica of this.#replicas.values()) {
      // Nobody to wait for.
      if (replica.descriptor.replicas.length === 1) this.#ticks.campaignFirst(replica);
      this.markDirty(replica);
    }
    this.#ticks.start();
    this.#housekeeping.start();
  }

  /** Nothing of this store finds it any more. */
  #forget(replica: Replica, refusal?: RoutingRefusal): void {
    this.#replicas.forget(replica);
    this.#clients.closeScans(replica.rangeId, refusal);
    this.schedule();
  }

  #onCheckpoint(durable: FlushedRange): void {
    const replica = this.#replicas.get(durable.rangeId) ?? this.#lifecycle.deaths.dyingReplica(durable.rangeId);
    if (replica?.replicaId === durable.replicaId) replica.machine.noteDurable(durable.index);
    this.#snapshots.onCheckpoint(durable);
  }

  /** `brandNew`: this id has never promised anything. The log has its group already. */
  #addReplica(machine: StateMachine, replicaId: ReplicaId, brandNew: boolean): Replica {
    const { log } = this.#dependencies;
    const { rangeId } = machine.descriptor;
    const { hardState } = log.group(rangeId)!;
    const raft = raftOptions(this.settings);
    const replica = new Replica({ replicaId, hardState, brandNew, raft }, machine, log.reader(rangeId), this);
    this.#replicas.add(replica);
    this.markDirty(replica);
    return replica;
  }

  get ready(): boolean {
    return !this.#halted && this.#replicas.ready;
  }

  /** Rejects when the store halts meanwhile, or log or engine cannot be closed in order. */
  stop(options: { readonly transferMs: number }): Promise<void> {
    if (this.#stopped === undefined && this.#halted) return Promise.resolve();
    this.#stopped ??= new Promise((resolve, reject) => {
      this.#onHaltedInStop = reject;
      this.#windDown(options.transferMs).then(resolve, reject);
    });
    return this.#stopped;
  }

  #windDown(transferMs: number): Promise<void> {
    this.#placement.reportSoon();
    return windDown(transferMs, {
      dependencies: this.#dependencies,
      replicas: this.#replicas,
      handOver: this.#handOver,
      clients: this.#clients,
      ticks: this.#ticks,
      housekeeping: this.#housekeeping,
      snapshots: this.#snapshots,
      clearer: this.#clearer,
      links: this.#links,
      listener: this.#listener,
      persist: this.#persist,
      disk: this.#disk,
      flusher: this.#flusher,
      queue: this.#queue,
      halted: () => this.#halted,
      onQuiet: () => void (this.#halted = true),
    });
  }

  #halt(error: unknown): void {
    if (this.#halted) return;
    this.#halted = true;
    this.#ticks.stop();
    this.#housekeeping.stop();
    this.#links.close();
    this.#clients.close();
    this.#snapshots.halt();
    this.#clearer.stop();
    this.environment.logger.error(
      { error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
      "the store halts",
    );
    this.#dependencies.onHalt(error);
    this.#onHaltedInStop?.(error);
  }

  /** A broken invariant anywhere in a step halts the store; so does every error nobody expected. */
  #guard(step: () => void): void {
    if (this.#halted) return;
    try {
      step();
    } catch (error) {
      this.#halt(error);
    }
  }

  // ---- rounds ----

  schedule(): void {
    this.#rounds.schedule();
  }

  markDirty(replica: Replica): void {
    this.#rounds.markDirty(replica);
  }

  #endRound(replicas: readonly Replica[]): void {
    this.#links.flush();
    this.#persist.flush();
    this.#clients.flush();
    this.#intake.measure(replicas);
    this.#flushIfFull();
  }

  #flushIfFull(): void {
    if (this.#flusher.underWay || this.#disk.full) return;
    if (this.#intake.flushableBytes < this.settings.flushBytes) return;
    const onFlushed = (): void => {
      this.#intake.recount();
      this.schedule();
    };
    this.#flusher.flush().then(onFlushed, (error: unknown) => this.#halt(error));
  }

  // ---- ReplicaHost ----

  isAlive = (store: StoreId): boolean => this.#ticks.liveness.isAlive(store);
  mayRest = (): boolean => this.#ticks.mayRest;
  noteSleep = (replica: Replica, asleep: boolean): void => this.#replicas.noteSleep(replica, asleep);
  nextReadContext = (): number => ++this.#readContext;
  persist = (replica: Replica, ready: Ready): void => this.#outbox.persist(replica, ready);
  sendRaft = (replica: Replica, message: Message): void => this.#outbox.send(replica, message);
  takeIn = (left: Replica, merge: MergeEntry): boolean => this.#lifecycle.takenIn.takeIn(left, merge);

  sendAfterPersisted = (replica: Replica, messages: readonly Message[]): void =>
    this.#persist.addBehind(replica, undefined, messages);
  serveReads = (replica: Replica, reads: readonly QueuedRead[]): void => this.#clients.serve(replica, reads);

  installSnapshot(replica: Replica, label: SnapshotLabel): void {
    this.#snapshots.onInstall(replica);
    const fields = { rangeId: replica.rangeId, index: label.index, term: label.term };
    this.environment.logger.info(fields, "installing a range snapshot");
  }

  onRoleChanged(replica: Replica, role: Role): void {
    this.environment.logger.debug({ rangeId: replica.rangeId, role, term: replica.node.term }, "role changed");
  }

  onRemoved(replica: Replica): void {
    this.#lifecycle.deaths.begin(replica, "it applied a configuration without itself");
  }

  adoptRightHalf(left: Replica, right: StateMachine, replicaId: ReplicaId): void {
    adoptRightHalf(left, right, replicaId, {
      environment: this.environment,
      storeId: this.storeId,
      log: this.#dependencies.log,
      deaths: this.#lifecycle.deaths,
      earlyVotes: this.#earlyVotes,
      persist: this.#persist,
      replica: (rangeId) => this.#replicas.get(rangeId),
      addReplica: (machine, id, brandNew) => this.#addReplica(machine, id, brandNew),
      campaignSoon: (replica) => this.#ticks.campaignSoon(replica),
      markDirty: (replica) => this.markDirty(replica),
    });
  }

  epochMismatch(replica: Replica): RoutingRefusal {
    return epochMismatch(replica, this.#replicas.values(), this.storeId);
  }

  routingRefusal(replica: Replica): RoutingRefusal {
    return routingRefusal(replica, this.storeId, (store) => this.#links.alive(store, this.settings.storeDeadMs));
  }

  // ---- what arrives ----

  #admit(hello: Hello): Admission {
    if (this.#halted) return { ok: false, code: "Closed", message: "this store has halted" };
    const own = this.#greetings.hello(hello.purpose);
    return hello.purpose === "client" ? this.#clients.admit(hello, own) : this.#links.admit(hello, own);
  }

  #onSendBroken(peer: Peer, lane: Lane): void {
    this.#guard(() => {
      if (lane === "snapshot") this.#snapshots.onSendBroken(peer.storeId);
      if (lane === "append") this.#outbox.onBroken(peer.storeId, this.#replicas.values());
    });
  }

  // ---- what is told ----

  replicas = (): ReplicaState[] => this.#reporter.replicas();

  statistics(): StoreStatistics {
    return this.#reporter.statistics({
      flushes: this.#flusher.flushes,
      flushedRecords: this.#flusher.records,
      ...this.#intake.told(),
      snapshotsSent: this.#snapshots.sent,
      snapshotsInstalled: this.#snapshots.installed,
      withoutLeaderMs: this.#lifecycle.withoutLeaderMs,
      clientStreams: this.#clients.streams,
      ...this.#links.told(),
    });
  }
}
