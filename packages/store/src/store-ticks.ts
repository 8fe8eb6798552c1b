/** The store's one timer: what happens every tick, for the store and for its replicas. */
import type { Environment, StoreId, Timer } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { Engine } from "@flotilla/storage";
import { CampaignPace } from "./campaign-pace.ts";
import type { ClockCheck } from "./clock-check.ts";
import type { Intake } from "./intake.ts";
import type { Lifecycle } from "./lifecycle/lifecycle.ts";
import type { PeerLinks } from "./peer-links.ts";
import type { PersistBatches } from "./persist-batches.ts";
import type { PlacementHost } from "./placement/placement-host.ts";
import type { Replica } from "./replica/replica.ts";
import { StoreLiveness, wakeMembersOf } from "./store-liveness.ts";
import type { StoreReplicas } from "./store-replicas.ts";
import type { StoreSettings } from "./store-settings.ts";

/** How much of the election timeout a replica that should lead first waits at start, for its peers' streams. */
const firstCampaignTicks = 2;

export interface StoreTicksHost {
  readonly environment: Environment;
  readonly settings: StoreSettings;
  readonly storeId: StoreId;
  readonly engine: Engine;
  readonly log: SharedLog;
  readonly clock: ClockCheck;
  readonly intake: Intake;
  readonly lifecycle: Lifecycle;
  readonly links: PeerLinks;
  readonly persist: PersistBatches;
  readonly placement: PlacementHost;
  readonly replicas: StoreReplicas;
  stopping(): boolean;
  markDirty(replica: Replica): void;
  /** Runs a step that may find a broken invariant. */
  guard(step: () => void): void;
  schedule(): void;
}

export class StoreTicks {
  /** The log's oldest write is so old that this store must not keep others from leading (hazard H4). */
  stalled = false;
  readonly liveness: StoreLiveness;
  readonly #campaigns = new CampaignPace();
  #ticks = 0;
  #paceTurn = 0;
  /** Right halves of splits that are to lead at once, with the tick at which that is given up. */
  readonly #soon: Map<Replica, number> = new Map();
  #timer: Timer | undefined = undefined;
  #stopped = false;
  readonly #host: StoreTicksHost;

  constructor(host: StoreTicksHost) {
    this.#host = host;
    const { environment, links, settings, storeId } = host;
    this.liveness = new StoreLiveness(storeId, links.peers, environment.clock, settings);
  }

  /** What a store leads may sleep while it could make progress, and is not about to be led elsewhere. */
  get mayRest(): boolean {
    return !this.stalled && !this.#host.stopping() && this.#host.intake.mayLead;
  }

  start(): void {
    const { environment, settings } = this.#host;
    this.#timer = environment.scheduler.after(settings.tickMs, () => {
      if (this.#stopped) return;
      this.#host.guard(() => this.#tick());
      if (!this.#stopped) this.start();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #tick(): void {
    const { clock, intake, links, log, persist, placement, replicas, settings } = this.#host;
    this.#ticks++;
    clock.look();
    this.#pace();
    intake.recount();
    for (const [store, change] of this.liveness.look())
      wakeMembersOf(store, replicas.values(), (replica) => {
        replica.sleep.noteChange(change);
        this.#host.markDirty(replica);
      });
    const stallMs = (settings.electionTicksMin * settings.tickMs) / 2;
    this.stalled = Math.max(log.statistics().flushUnderWayMs, persist.underWayMs) > stallMs;
    const begins = this.#ticks >= firstCampaignTicks && this.#ticks < settings.electionTicksMin;
    const campaigns = this.#campaigns;
    campaigns.beginTick();
    for (const replica of replicas.awake) {
      campaigns.tick(replica);
      if (begins && campaigns.open && this.campaignFirst(replica)) campaigns.noteBegun(replica);
    }
    for (const replica of this.#soon.keys()) this.#campaignAgain(replica);
    links.beat();
    placement.tick();
    this.#host.lifecycle.tick();
    if (persist.idle) log.noteIdle();
    this.#host.schedule();
  }

  /**
   * After a start the replica that comes first in the descriptor need not wait for a timeout; PreVote guards the others.
   * True when it campaigns.
   */
  campaignFirst(replica: Replica): boolean {
    const { intake, links, storeId: own } = this.#host;
    if (replica.node.leader !== 0 || replica.node.role !== "follower" || this.#host.stopping() || !intake.mayLead)
      return false;
    const { replicas } = replica.descriptor;
    if (replicas[0]?.storeId !== own) return false;
    const reachable = replicas.filter(({ storeId }) => storeId === own || links.mutual(storeId, "heartbeat")).length;
    if (reachable * 2 <= replicas.length) return false;
    replica.node.campaign();
    this.#host.markDirty(replica);
    return true;
  }

  /** This store led the whole before it was split: so it campaigns for the right half, at once and every tick. */
  campaignSoon(replica: Replica): void {
    this.#soon.set(replica, this.#ticks + this.#host.settings.electionTicksMin);
    this.#campaignAgain(replica);
  }

  #campaignAgain(replica: Replica): void {
    const { node } = replica;
    if (node.leader !== 0 || this.#soon.get(replica)! <= this.#ticks || !this.#host.intake.mayLead) {
      this.#soon.delete(replica);
      return;
    }
    // A candidate's votes may be on their way.
    if (node.role === "candidate") return;
    node.campaign();
    this.#host.markDirty(replica);
  }

  #pace(): void {
    const { engine, environment, intake } = this.#host;
    const levelZeroFiles = engine.levelZeroFiles();
    const { holds } = intake.pace;
    const goesOn = intake.pace.look(environment.clock.monotonicMs(), levelZeroFiles);
    if (intake.pace.holds !== holds) this.#sayPace(levelZeroFiles);
    if (!goesOn) return;
    const leading = [...this.#host.replicas.values()].filter((replica) => replica.leads);
    // Another one first each time: what one proposes may leave nothing for those behind it.
    const first = this.#paceTurn++ % Math.max(1, leading.length);
    for (const replica of leading.slice(first)) this.#host.markDirty(replica);
    for (const replica of leading.slice(0, first)) this.#host.markDirty(replica);
  }

  #sayPace(levelZeroFiles: number): void {
    const { environment, intake } = this.#host;
    const { holds, rate } = intake.pace;
    if (!holds)
      return environment.logger.info({ levelZeroFiles }, "writers are held no more: compaction has caught up");
    const fields = { levelZeroFiles, bytesPerSecond: Math.round(rate) };
    environment.logger.warn(fields, "writers are held to a pace: the engine is behind with compaction");
  }
}
