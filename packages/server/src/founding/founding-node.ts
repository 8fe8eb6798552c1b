/**
 * A node without an identity, until it has one: what it has promised to whom, and how it learns what became of that
 * (rule: identity). Any node may be told to make the cluster; it becomes the maker:
 *
 *     1. the maker's own offer, durable: from here on the plan exists
 *     2. every other node agrees to its offer, durably; it agrees to no other until that one is withdrawn
 *     3. the maker's identity, durable: from here on the cluster exists
 *     4. the others are told, write their identities, and open their stores
 *
 * No store is opened before step 3, so until then nothing was promised to anybody, and everything can be taken back: the
 * maker removes its own offer first, then tells the others. A maker that crashes before step 3 holds the plan, and goes
 * on with it when it is told again. Who has agreed and hears nothing asks: a member of that cluster means that it
 * exists; a maker that does not hold the plan any more has given it up. So of several acts at once at most one comes
 * about for any node (hazard B13). So that one does, a maker gives its plan up for that of a maker with a lower address.
 */
import { Failure, assert } from "@flotilla/base";
import type { Files, Logger, RandomSource } from "@flotilla/base";
import { refuseDamaged } from "../identity/make-cluster.ts";
import { identityOf, plannedStore, readOffer, removeOffer, wrongOffer, writeOffer } from "../identity/offer-file.ts";
import type { ClusterOffer } from "../identity/offer-file.ts";
import { readIdentity, writeIdentity } from "../identity/identity-file.ts";
import type { Identity } from "../identity/identity-file.ts";
import { foundCluster } from "./cluster-maker.ts";
import { parseClusterId, parseInit, parseState } from "./founding-messages.ts";
import type { FoundingState, InitResult } from "./founding-messages.ts";

export interface FoundingDependencies {
  /** The node's directory, which this process has locked. */
  readonly files: Files;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** One question to the node that listens at `address`. Rejects with an error that has a code. */
  ask(address: string, name: string, argument: unknown): Promise<unknown>;
  pause(ms: number): Promise<void>;
}

export interface FoundingOptions {
  /** Of all nodes, this one among them, as they reach each other. */
  readonly peers: readonly string[];
  /** Where this node listens, for messages. */
  readonly address: string;
}

type State =
  | { readonly kind: "empty" }
  | { readonly kind: "offered" | "making"; readonly offer: ClusterOffer }
  /** The identity is written or being written: this cannot be taken back. */
  | { readonly kind: "member"; readonly offer: ClusterOffer };

export class FoundingNode {
  readonly options: FoundingOptions;
  readonly token: string;
  /** Resolves when the identity is durable; rejects when this directory can get none. */
  readonly made: Promise<Identity>;
  readonly #dependencies: FoundingDependencies;
  #state: State;
  /** Changes of the state follow one another. */
  #changing: Promise<unknown> = Promise.resolve();
  #initUnderWay = false;
  #resolveMade: (identity: Identity) => void = () => {};
  #rejectMade: (error: unknown) => void = () => {};

  private constructor(options: FoundingOptions, dependencies: FoundingDependencies, state: State) {
    this.options = options;
    this.#dependencies = dependencies;
    this.#state = state;
    this.token = Array.from(dependencies.random.bytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.made = new Promise((resolve, reject) => {
      this.#resolveMade = resolve;
      this.#rejectMade = reject;
    });
    // Whoever awaits it sees the rejection.
    this.made.catch(() => {});
  }

  /** Of a directory without an identity. Throws `Corruption` when parts of a store lie there. */
  static async open(options: FoundingOptions, dependencies: FoundingDependencies): Promise<FoundingNode> {
    const offer = await readOffer(dependencies.files);
    if (offer === undefined) {
      await refuseDamaged(dependencies.files, ".");
      return new FoundingNode(options, dependencies, { kind: "empty" });
    }
    const kind = offer.makerId === offer.storeId ? "making" : "offered";
    return new FoundingNode(options, dependencies, { kind, offer });
  }

  get state(): FoundingState {
    const state = this.#state;
    return {
      token: this.token,
      kind: state.kind,
      clusterId: state.kind === "empty" ? null : state.offer.plan.clusterId,
    };
  }

  get offer(): ClusterOffer | undefined {
    return this.#state.kind === "empty" ? undefined : this.#state.offer;
  }

  /** Throws `Failure`. */
  async answer(name: string, argument: unknown): Promise<unknown> {
    switch (name) {
      case "founding-state":
        return this.state;
      case "cluster-init":
        return this.#init(argument);
      case "identity-offer":
        return this.#change(() => this.#takeOffer(argument));
      case "identity-withdraw": {
        const clusterId = parseClusterId(name, argument);
        return this.#change(() => this.#withdraw(clusterId));
      }
      case "identity-confirm": {
        const clusterId = parseClusterId(name, argument);
        return this.#change(() => this.#confirm(clusterId));
      }
      default:
        throw this.noCluster();
    }
  }

  noCluster(): Failure {
    const { address, peers } = this.options;
    return new Failure("Refused", `the node at ${address} has no cluster yet`, {
      hint: `start all of ${peers.join(", ")}, then run once: flotilla cluster init --endpoints ${address}`,
    });
  }

  /** Gives the directory up: it can get no identity. */
  fail(error: unknown): void {
    this.#rejectMade(error);
  }

  // ---- for the maker ----

  /** One question to another node; to be answered within seconds. */
  ask(address: string, name: string, argument: unknown): Promise<unknown> {
    return this.#dependencies.ask(address, name, argument);
  }

  get random(): RandomSource {
    return this.#dependencies.random;
  }

  /** Step 1. False when the node has promised itself elsewhere meanwhile. Durable when it resolves. */
  begin(offer: ClusterOffer): Promise<boolean> {
    return this.#change(async () => {
      if (this.#state.kind !== "empty") return false;
      await refuseDamaged(this.#dependencies.files, ".");
      this.#state = { kind: "making", offer };
      await writeOffer(this.#dependencies.files, offer);
      return true;
    });
  }

  /** Whether the plan of this offer still stands. */
  makes(offer: ClusterOffer): boolean {
    return this.#state.kind === "making" && isSame(this.#state.offer, offer);
  }

  /** Before step 3 only; no effect when it was given up before. Durable when it resolves. */
  giveUp(offer: ClusterOffer): Promise<void> {
    return this.#change(async () => {
      if (this.makes(offer)) await this.#forget(offer, "not all nodes agreed");
    });
  }

  /** Step 3. False when it was given up meanwhile. Durable when it resolves. */
  decide(offer: ClusterOffer): Promise<boolean> {
    return this.#change(async () => {
      if (!this.makes(offer)) return false;
      await this.#becomeMember(offer);
      return true;
    });
  }

  // ---- requests ----

  async #init(argument: unknown): Promise<InitResult> {
    const options = parseInit(argument);
    if (this.#initUnderWay) throw new Failure("Busy", `${this.options.address} is making a cluster at this moment`);
    this.#initUnderWay = true;
    try {
      return await foundCluster(this, options, (ms) => this.#dependencies.pause(ms));
    } finally {
      this.#initUnderWay = false;
    }
  }

  async #takeOffer(argument: unknown): Promise<{ readonly taken: true }> {
    const why = wrongOffer(argument);
    if (why !== undefined) throw new Failure("InvalidArgument", `identity-offer: ${why}`);
    const offer = argument as ClusterOffer;
    if (this.#state.kind === "offered" && !isSame(this.#state.offer, offer)) await this.#resolveDoubt();
    if (this.#state.kind === "making" && makerOf(offer) < makerOf(this.#state.offer)) {
      await this.#forget(this.#state.offer, `${makerOf(offer)} makes one at the same time`);
    }
    const state = this.#state;
    if (state.kind !== "empty") {
      if (state.kind !== "making" && isSame(state.offer, offer)) return { taken: true };
      throw this.promised();
    }
    await refuseDamaged(this.#dependencies.files, ".");
    await writeOffer(this.#dependencies.files, offer);
    this.#state = { kind: "offered", offer };
    const maker = makerOf(offer);
    this.#dependencies.logger.info(
      { clusterId: offer.plan.clusterId, maker },
      "promised to a cluster that is being made",
    );
    return { taken: true };
  }

  /** Why nothing else can be agreed to now. */
  promised(): Failure {
    const { offer } = this;
    assert(offer !== undefined, "a node without a promise refuses an offer");
    const { clusterId } = offer.plan;
    const maker = makerOf(offer);
    if (this.#state.kind === "member") return alreadyMember(this.options.address, clusterId);
    return new Failure(
      "Busy",
      `the node at ${this.options.address} is promised to cluster ${clusterId}, which ${maker} makes`,
      {
        hint: `finish that with: flotilla cluster init --endpoints ${maker}. If ${maker} is lost for good: stop this node, empty its directory, and start it again`,
        details: { clusterId, maker },
      },
    );
  }

  async #withdraw(clusterId: string): Promise<{ readonly withdrawn: boolean }> {
    const state = this.#state;
    if (state.kind !== "offered" || state.offer.plan.clusterId !== clusterId) return { withdrawn: false };
    await this.#forget(state.offer, "its maker gave it up");
    return { withdrawn: true };
  }

  async #confirm(clusterId: string): Promise<{ readonly member: true }> {
    const state = this.#state;
    if (state.kind === "empty" || state.kind === "making" || state.offer.plan.clusterId !== clusterId) {
      throw new Failure("Refused", `the node at ${this.options.address} is not promised to cluster ${clusterId}`);
    }
    if (state.kind === "offered") await this.#becomeMember(state.offer);
    return { member: true };
  }

  async #becomeMember(offer: ClusterOffer): Promise<void> {
    const { files, logger } = this.#dependencies;
    this.#state = { kind: "member", offer };
    const identity = identityOf(offer);
    await writeIdentity(files, ".", identity);
    await removeOffer(files);
    const { clusterId, nodeId, storeId } = identity;
    logger.info({ clusterId, nodeId, storeId }, "this node has its identity");
    this.#resolveMade(identity);
  }

  async #forget(offer: ClusterOffer, why: string): Promise<void> {
    await removeOffer(this.#dependencies.files);
    this.#state = { kind: "empty" };
    this.#dependencies.logger.info({ clusterId: offer.plan.clusterId }, `the cluster was not made: ${why}`);
  }

  // ---- what became of a promise ----

  /** To be called now and then: asks about a promise, and notices that the others have a cluster without this node. */
  look(): Promise<void> {
    return this.#change(async () => {
      if (this.#state.kind === "offered") await this.#resolveDoubt();
      else if (this.#state.kind === "empty") await this.#refuseLost();
    });
  }

  async #resolveDoubt(): Promise<void> {
    const { offer } = this.#state as { readonly offer: ClusterOffer };
    const { clusterId, stores } = offer.plan;
    const others = stores.filter(({ storeId }) => storeId !== offer.storeId);
    const states = await Promise.all(others.map(({ address }) => this.#stateOf(address)));
    if (states.some((state) => state?.kind === "member" && state.clusterId === clusterId)) {
      await this.#becomeMember(offer);
      return;
    }
    const maker = states[others.findIndex(({ storeId }) => storeId === offer.makerId)];
    if (maker !== undefined && !(maker.kind === "making" && maker.clusterId === clusterId)) {
      await this.#forget(offer, "its maker does not hold the plan any more");
    }
  }

  /** An empty directory beside nodes that have a cluster: it has forgotten its votes, or was never meant to be here. */
  async #refuseLost(): Promise<void> {
    const states = await Promise.all(this.options.peers.map((address) => this.#stateOf(address)));
    const at = states.findIndex((state) => state?.kind === "member");
    if (at < 0 || this.#state.kind !== "empty") return;
    this.fail(
      new Failure(
        "Refused",
        `the node at ${this.options.peers[at]!} belongs to cluster ${states[at]!.clusterId}, and the directory of this node is empty: ` +
          "it would come back as a store that has forgotten the votes it gave",
        {
          hint: "put the directory back from where it was; or start this node with --join instead of --peers, as a new one",
        },
      ),
    );
  }

  /** `undefined`: it cannot be asked now. */
  async #stateOf(address: string): Promise<FoundingState | undefined> {
    try {
      return parseState(await this.ask(address, "founding-state", {}));
    } catch {
      return undefined;
    }
  }

  #change<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.#changing.then(task);
    this.#changing = result.catch(() => {});
    return result;
  }
}

export function alreadyMember(address: string, clusterId: string): Failure {
  return new Failure("Refused", `the node at ${address} already belongs to cluster ${clusterId}`, {
    hint: "a cluster is made once; `flotilla cluster status` shows it",
    details: { clusterId },
  });
}

const makerOf = (offer: ClusterOffer): string => plannedStore(offer, offer.makerId).address;

const isSame = (a: ClusterOffer, b: ClusterOffer): boolean =>
  a.plan.clusterId === b.plan.clusterId && a.storeId === b.storeId && a.makerId === b.makerId;

/** What a start finds: `undefined` when the directory has no identity. An offer that an identity answers is tidied up. */
export async function readIdentityOrOffer(files: Files): Promise<Identity | undefined> {
  const identity = await readIdentity(files, ".");
  if (identity !== undefined) await removeOffer(files);
  return identity;
}
