/**
 * The steps by which two neighbours become one range, at the stores that lead them (rule: merge; decision 0010). All of
 * them may be asked for again at any time: each begins with what has come into force already.
 */
import type { Environment, Epoch, StoreId } from "@flotilla/base";
import { logIndex } from "@flotilla/base";
import type { SealCheck, SealState, StepAction, StepOutcome } from "@flotilla/transport";
import type { EntryOutcome } from "../replica/pending-answers.ts";
import type { Replica } from "../replica/replica.ts";

type Action<Kind extends StepAction["kind"]> = Extract<StepAction, { kind: Kind }>;
export type MergeAction = Action<"seal" | "merge" | "cancel-merge" | "unseal">;
export type StepEnd = Pick<StepOutcome, "state" | "reason"> & Partial<Pick<StepOutcome, "keys" | "seal">>;

/** How long the members' stores are asked before the step is answered; the driver asks for it again. */
const askMsMax = 2000;
const askAgainMs = 10;

const done: StepEnd = { state: "done", reason: "" };
const refused = (reason: string): StepEnd => ({ state: "refused", reason });
const failed = (reason: string): StepEnd => ({ state: "failed", reason });
const lost = "the leader changed before it was known whether the entry is applied";

export interface MergeStepsHost {
  readonly environment: Environment;
  readonly storeId: StoreId;
  replica(rangeId: number): Replica | undefined;
  send(to: StoreId, message: SealCheck | SealState): void;
  /** Tries once; see StateMachine.boundsDurable. */
  makeBoundsDurable(): Promise<void>;
  fail(error: unknown): void;
  schedule(): void;
}

/** A question to all members' stores that has not been answered by all. */
interface Asking {
  readonly replica: Replica;
  readonly bounds: number;
  readonly index: number;
  /** By replica: why not; undefined: not known yet. Who is ready is not in here any more. */
  readonly missing: Map<number, string | undefined>;
}

export class MergeSteps {
  readonly #host: MergeStepsHost;
  readonly #askings: Set<Asking> = new Set();
  #settling = false;

  constructor(host: MergeStepsHost) {
    this.#host = host;
  }

  run(replica: Replica, action: MergeAction, answer: (end: StepEnd) => void): void {
    switch (action.kind) {
      case "seal":
        this.#seal(replica, action).then(answer, (error: unknown) => this.#host.fail(error));
        return;
      case "merge":
        return this.#merge(replica, action, answer);
      case "cancel-merge":
        return this.#cancel(replica, action, answer);
      case "unseal":
        return this.#unseal(replica, action, answer);
      default:
        return action satisfies never;
    }
  }

  async #seal(replica: Replica, action: Action<"seal">): Promise<StepEnd> {
    const { machine } = replica;
    // What is asked of the members is asked for these bounds: given up meanwhile, the range has others, and the seal falls.
    const { epoch } = replica.descriptor;
    if (machine.sealed === undefined) {
      // What must survive a crash is made to before clients wait for anything.
      const missing = await this.#ask(replica, action, 0);
      if (missing !== undefined) return refused(missing);
      if (!replica.serves) return refused("this store does not lead the range any more");
      const refusal = await this.#proposeSeal(replica, epoch, action);
      if (refusal !== undefined) return refusal;
    }
    const { sealed } = machine;
    if (sealed?.leftRangeId !== action.leftRangeId || sealed.leftBounds !== action.leftBounds)
      return refused(sealed === undefined ? "the seal fell" : `the range is sealed for range ${sealed.leftRangeId}`);
    const missing = await this.#ask(replica, action, sealed.index);
    if (missing !== undefined) return refused(missing);
    return { state: "done", reason: "", seal: { index: sealed.index, term: sealed.term } };
  }

  #proposeSeal(
    replica: Replica,
    epoch: Epoch,
    { leftRangeId, leftBounds, replicas }: Action<"seal">,
  ): Promise<StepEnd | undefined> {
    const seal = { epoch, leftRangeId, leftBounds, replicas };
    return new Promise((resolve) => {
      const refusal = replica.proposeReshape({ kind: "seal", seal }, (outcome) =>
        resolve(outcome === "lost" ? failed(lost) : undefined),
      );
      if (refusal !== undefined) resolve(refused(refusal));
    });
  }

  #merge(replica: Replica, action: Action<"merge">, answer: (end: StepEnd) => void): void {
    const { rightRangeId, rightBounds, end, seal, replicas } = action;
    const { index: sealIndex, term: sealTerm } = seal;
    const { epoch } = replica.descriptor;
    const sealed = this.#host.replica(rightRangeId)?.machine.sealed;
    // Under other bounds than the seal rests on, the right range may have been proven free, and be in use.
    if (sealed?.leftRangeId !== replica.rangeId || sealed.index !== sealIndex || sealed.leftBounds !== epoch.bounds)
      return answer(refused(`range ${rightRangeId} is not sealed for these bounds on this store`));
    const merge = { epoch, rightRangeId, rightBounds, sealIndex, sealTerm, end, replicas };
    const refusal = replica.proposeReshape({ kind: "merge", merge }, settled(answer, "the merge"));
    if (refusal !== undefined) answer(refused(refusal));
  }

  /**
   * Done says for good: what the left range has committed shows that it has not taken that range in while it had `bounds`,
   * and it has higher ones now. Bounds that rose by anything else prove that as well as a cancel does.
   */
  #cancel(replica: Replica, { rightRangeId, bounds }: Action<"cancel-merge">, answer: (end: StepEnd) => void): void {
    const { descriptor, merged } = replica.machine;
    if (merged?.rangeId === rightRangeId) return answer(failed(`range ${rightRangeId} was taken in`));
    if (descriptor.epoch.bounds > bounds) {
      // Of several merges only the last is remembered.
      const known = merged === undefined || merged.bounds < bounds;
      return answer(known ? done : failed(`range ${merged.rangeId} was taken in since: nothing is known of others`));
    }
    const cancel = { bounds: descriptor.epoch.bounds };
    const refusal = replica.proposeReshape({ kind: "cancel", cancel }, settled(answer, "the cancel"));
    if (refusal !== undefined) answer(refused(refusal));
  }

  #unseal(replica: Replica, { leftRangeId, provenBounds }: Action<"unseal">, answer: (end: StepEnd) => void): void {
    const unseal = { bounds: replica.descriptor.epoch.bounds, leftRangeId, provenBounds };
    const refusal = replica.proposeReshape({ kind: "unseal", unseal }, settled(answer, "the unseal"));
    if (refusal !== undefined) answer(refused(refusal));
  }

  /** Resolves when every replica is ready, or with why one is not. */
  async #ask(replica: Replica, { leftRangeId, replicas }: Action<"seal">, index: number): Promise<string | undefined> {
    const { environment } = this.#host;
    const { bounds } = replica.descriptor.epoch;
    const members = replica.descriptor.replicas;
    const missing = new Map(members.map(({ replicaId }) => [replicaId as number, undefined as string | undefined]));
    const asking: Asking = { replica, bounds, index, missing };
    const untilMs = environment.clock.monotonicMs() + askMsMax;
    this.#askings.add(asking);
    while (missing.size > 0 && replica.serves && environment.clock.monotonicMs() < untilMs) {
      for (const { replicaId, storeId } of members) {
        const leftReplicaId = replicas.find((pair) => pair.right === replicaId)?.left;
        if (!missing.has(replicaId) || leftReplicaId === undefined) continue;
        const { rangeId } = replica;
        const question = { rangeId, replicaId, leftRangeId, leftReplicaId, bounds, index: logIndex(index) };
        this.#send(storeId, { type: "seal-check", ...question });
      }
      await new Promise<void>((resolve) => environment.scheduler.after(askAgainMs, resolve));
    }
    this.#askings.delete(asking);
    for (const [replicaId, reason] of missing) return `replica ${replicaId}: ${reason ?? "its store does not answer"}`;
    return replica.serves ? undefined : "this store does not lead the range any more";
  }

  #send(to: StoreId, message: SealCheck | SealState): void {
    if (to !== this.#host.storeId) this.#host.send(to, message);
    else if (message.type === "seal-check") this.onCheck(to, message);
    else this.onState(message);
    this.#host.schedule();
  }

  onState({ rangeId, replicaId, bounds, index, ready, reason }: SealState): void {
    for (const { replica, bounds: asked, index: at, missing } of this.#askings) {
      if (replica.rangeId !== rangeId || asked !== bounds || at !== index || !missing.has(replicaId)) continue;
      if (ready) missing.delete(replicaId);
      else missing.set(replicaId, reason);
    }
  }

  onCheck(from: StoreId, check: SealCheck): void {
    const { rangeId, replicaId, bounds, index } = check;
    const reason = this.#notReady(check);
    const ready = reason === undefined;
    this.#send(from, { type: "seal-state", rangeId, replicaId, bounds, index, ready, reason: reason ?? "" });
  }

  #notReady({ rangeId, replicaId, leftRangeId, leftReplicaId, bounds, index }: SealCheck): string | undefined {
    const right = this.#host.replica(rangeId);
    const left = this.#host.replica(leftRangeId);
    if (right?.replicaId !== replicaId) return "it is not on its store";
    if (left?.replicaId !== leftReplicaId) return `range ${leftRangeId} has no replica ${leftReplicaId} beside it`;
    if (right.loading || left.loading) return "a range snapshot is being loaded";
    if (left.descriptor.end !== right.descriptor.start) return `it does not begin where range ${leftRangeId} ends`;
    if (index > 0) return right.machine.sealed?.index === index ? undefined : "it has not applied the seal";
    if (right.descriptor.epoch.bounds !== bounds)
      return `it has bounds ${right.descriptor.epoch.bounds}, not ${bounds}`;
    if (right.machine.boundsDurable && left.machine.boundsDurable) return undefined;
    // Born of a split that a crash would take back: then it would not be there for the merge.
    this.#settle();
    return "its bounds are not durable yet";
  }

  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    this.#host.makeBoundsDurable().then(
      () => {
        this.#settling = false;
      },
      (error: unknown) => this.#host.fail(error),
    );
  }
}

const settled =
  (answer: (end: StepEnd) => void, what: string) =>
  (outcome: EntryOutcome): void => {
    if (outcome === "applied") return answer(done);
    answer(failed(outcome === "fallen" ? `the range changed before ${what} was applied` : lost));
  };
