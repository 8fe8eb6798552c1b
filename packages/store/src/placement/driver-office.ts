/**
 * The placement driver's term of office: it begins when this store leads the meta range and has applied what earlier
 * leaders left there, and ends with that term. All that changes the meta range goes through here, one step after another;
 * each step sees what the one before has made durable, and nobody learns of a step before it is.
 */
import { Failure, assert, keyMax, noTerm, systemPrefix, userPrefix } from "@flotilla/base";
import type { Environment, Term } from "@flotilla/base";
import type { Engine } from "@flotilla/storage";
import type { StoreEntry } from "@flotilla/transport";
import type { Replica } from "../replica/replica.ts";
import { MetaDraft } from "./meta-draft.ts";
import { scanMeta } from "./meta-scan.ts";
import { MetaState } from "./meta-state.ts";

/** Steps that wait for the ones before; beyond, they are answered Busy. */
const stepsMax = 1000;

export interface OfficeHost {
  readonly environment: Environment;
  readonly engine: Engine;
  /** The stores that the cluster began with. */
  readonly founded: readonly StoreEntry[];
  metaReplica(): Replica | undefined;
  /** The directory of stores as it is written now. */
  onDirectory(meta: MetaState): void;
  /** An error that nobody expected: the store must halt. */
  fail(error: unknown): void;
}

/** Decides synchronously, by the draft only; what it throws changes nothing. */
type Step<Result> = (draft: MetaDraft) => Result;

interface QueuedStep {
  run(): Promise<void>;
  refuse(error: Failure): void;
}

export class DriverOffice {
  readonly #host: OfficeHost;
  #meta: MetaState | undefined = undefined;
  #term: Term = noTerm;
  #sinceMs = 0;
  #taking = false;
  #queue: QueuedStep[] = [];
  #working = false;

  constructor(host: OfficeHost) {
    this.#host = host;
  }

  /** Undefined: this store is not in office (any more, or not yet). */
  get meta(): MetaState | undefined {
    return this.#holds() ? this.#meta : undefined;
  }

  /** On the monotonic clock; of the office held now. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  get idle(): boolean {
    return !this.#working;
  }

  #holds(): boolean {
    const replica = this.#host.metaReplica();
    return replica?.serves === true && replica.node.term === this.#term;
  }

  /** Every tick: takes office or leaves it. */
  tick(): void {
    if (this.#holds() && (this.#meta !== undefined || this.#taking)) return;
    this.#leave();
    const replica = this.#host.metaReplica();
    if (replica?.serves === true && !replica.loading) void this.#take(replica);
  }

  #leave(): void {
    this.#meta = undefined;
    const queue = this.#queue;
    this.#queue = [];
    for (const step of queue) step.refuse(notInOffice());
  }

  async #take(replica: Replica): Promise<void> {
    const { environment, engine, founded } = this.#host;
    const { term } = replica.node;
    this.#term = term;
    this.#taking = true;
    try {
      // Whoever led before has written what it ever will: the no-op of this term is behind it. So the scan has no rival.
      const records = await scanMeta(replica.machine, engine, environment.bytes, systemPrefix, userPrefix);
      if (this.#term !== term || !this.#holds()) return;
      this.#meta = MetaState.of(records, founded, environment.bytes);
      this.#sinceMs = environment.clock.monotonicMs();
      environment.logger.info(
        { term, ranges: this.#meta.map.all().length, operators: this.#meta.running.size },
        "this store drives placement",
      );
      this.#host.onDirectory(this.#meta);
    } catch (error) {
      this.#host.fail(error);
    } finally {
      if (this.#term === term) this.#taking = false;
    }
  }

  /**
   * Resolves with the step's result when what it changes is committed. Rejects with what the step throws; with Refused when
   * this store is not in office, with OutcomeUnknown when it left it meanwhile.
   */
  perform<Result>(step: Step<Result>): Promise<Result> {
    if (this.meta === undefined) return Promise.reject(notInOffice());
    if (this.#queue.length >= stepsMax)
      return Promise.reject(new Failure("Busy", "too many requests wait for the placement driver"));
    const done = new Promise<Result>((resolve, reject) => {
      this.#queue.push({ run: () => this.#run(step).then(resolve, reject), refuse: reject });
    });
    void this.#work();
    return done;
  }

  /** What the step would do now, or why not; nothing is written. */
  preview<Result>(step: Step<Result>): Result {
    if (this.meta === undefined) throw notInOffice();
    return step(new MetaDraft(this.meta, this.#host.environment.bytes));
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (let step = this.#queue.shift(); step !== undefined; step = this.#queue.shift()) await step.run();
    this.#working = false;
  }

  async #run<Result>(step: Step<Result>): Promise<Result> {
    const { meta } = this;
    const replica = this.#host.metaReplica();
    if (meta === undefined || replica === undefined) throw notInOffice();
    const draft = new MetaDraft(meta, this.#host.environment.bytes);
    const result = step(draft);
    const changes = draft.changes();
    if (changes.length === 0) {
      draft.commit();
      return result;
    }
    for (const { key } of changes) assert(key >= systemPrefix && key < userPrefix && key < keyMax, "no meta key");
    const outcome = await replica.proposeRecords(this.#term, changes);
    if (outcome === "applied" && this.#meta === meta) {
      const { revision } = meta.directory;
      draft.commit();
      if (meta.directory.revision !== revision) this.#host.onDirectory(meta);
      return result;
    }
    // What is true now the meta range says, to the next driver, or to this one when it takes office again.
    if (this.#meta === meta) this.#leave();
    throw new Failure("OutcomeUnknown", "the placement driver changed while it was writing this down", {
      hint: "look at the state of the cluster before asking again",
    });
  }
}

function notInOffice(): Failure {
  return new Failure("Busy", "this store does not drive placement, or not yet", {
    hint: "the driver is being elected; try again in a moment",
  });
}
