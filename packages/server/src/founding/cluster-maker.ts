/** The maker's side of the making of a cluster: asks around, plans, offers, decides (see founding-node.ts). */
import { Failure, randomBelow, storeId } from "@flotilla/base";
import type { ErrorCode } from "@flotilla/base";
import { planCluster } from "@flotilla/placement";
import type { ClusterPlan, PlannedStore } from "@flotilla/placement";
import type { ClusterOffer } from "../identity/offer-file.ts";
import type { FoundingNode } from "./founding-node.ts";
import { parseState } from "./founding-messages.ts";
import type { FoundingState, InitOptions, InitResult } from "./founding-messages.ts";

/** Others may be making a cluster of the same nodes: after a pause one of them is through. */
const attemptsMax = 12;
const pauseMsMax = 1000;
/** How often a node that is busy with another plan is asked to agree, before this plan is given up. */
const offerRoundsMax = 4;

/** Something is under way elsewhere; another attempt may find it done. */
class Conflict extends Failure {
  constructor({ message, hint, details }: Failure) {
    super("Busy", message, { hint, details: { ...details } });
  }
}

/** Resolves when the cluster exists. Rejects with `Failure`; then nothing was made, and nobody is left promised for long. */
export async function foundCluster(node: FoundingNode, options: InitOptions, pause: Pause): Promise<InitResult> {
  const { peers, address } = node.options;
  if (peers.length === 0) throw new Failure("InvalidArgument", `the node at ${address} was started without --peers`);
  const replicas = options.replicas ?? (peers.length >= 3 ? 3 : 1);
  if (replicas > peers.length) {
    throw new Failure(
      "InvalidArgument",
      `--replicas ${replicas} needs at least ${replicas} nodes, --peers names ${peers.length}`,
    );
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryOnce(node, { ...options, replicas }, pause);
    } catch (error) {
      if (!(error instanceof Conflict) || attempt === attemptsMax) throw error;
      await pause(50 + randomBelow(node.random, Math.min(pauseMsMax, 100 * 2 ** attempt)));
    }
  }
}

type Pause = (ms: number) => Promise<void>;
type Decided = InitOptions & { readonly replicas: number };

async function tryOnce(node: FoundingNode, options: Decided, pause: Pause): Promise<InitResult> {
  const { kind } = node.state;
  if (kind === "member") throw node.promised();
  if (kind === "offered") {
    await node.look();
    const after: FoundingState["kind"] = node.state.kind;
    if (after !== "empty") throw after === "member" ? node.promised() : new Conflict(node.promised());
  }
  const continued = kind === "making";
  const offer = continued ? node.offer! : await planOffer(node, options);
  if (options.planOnly) return resultOf(offer.plan, null, false);
  if (!continued && !(await node.begin(offer))) throw new Conflict(node.promised());
  const others = offer.plan.stores.filter((store) => store.storeId !== offer.storeId);
  const tell = (name: string): Promise<unknown> =>
    Promise.allSettled(others.map((store) => node.ask(store.address, name, { clusterId: offer.plan.clusterId })));
  const refusal = await offerAll(node, offer, others, pause);
  // The own offer goes first: whoever asks from now on learns that nothing comes of it.
  if (refusal !== undefined) await node.giveUp(offer);
  if (refusal !== undefined || !(await node.decide(offer))) {
    await tell("identity-withdraw");
    throw refusal ?? new Conflict(node.promised());
  }
  // Who does not hear of it now asks.
  await tell("identity-confirm");
  return resultOf(offer.plan, offer.plan.clusterId, continued);
}

/** Step 2: every other node is to agree. Why not, if not; who makes a cluster itself may still give that up. */
async function offerAll(
  node: FoundingNode,
  offer: ClusterOffer,
  others: readonly PlannedStore[],
  pause: Pause,
): Promise<Failure | undefined> {
  let open = others;
  for (let round = 1; ; round++) {
    const answers = await Promise.allSettled(
      open.map((store) => node.ask(store.address, "identity-offer", { ...offer, storeId: store.storeId })),
    );
    const refusals = answers.flatMap((answer, index) =>
      answer.status === "rejected" ? [{ store: open[index]!, error: answer.reason as unknown }] : [],
    );
    if (refusals.length === 0) return undefined;
    if (!node.makes(offer)) return new Conflict(node.offer === undefined ? interrupted(node) : node.promised());
    const why = whyNot(refusals.map(({ store, error }) => ({ address: store.address, error })));
    if (!(why instanceof Conflict) || round === offerRoundsMax) return why;
    open = refusals.map(({ store }) => store);
    await pause(50 + randomBelow(node.random, 100));
  }
}

function interrupted(node: FoundingNode): Failure {
  return new Failure("Busy", `the node at ${node.options.address} gave its plan up for another one`, {
    hint: "run `flotilla cluster init` again, on one node only",
  });
}

function resultOf(plan: ClusterPlan, clusterId: string | null, continued: boolean): InitResult {
  return {
    clusterId,
    nodes: plan.stores.map((store) => ({ nodeId: store.nodeId, storeId: store.storeId, address: store.address })),
    ranges: plan.ranges.length,
    replicas: plan.ranges[0]!.replicas.length,
    continued,
  };
}

/** Every node is there, is a different one, is free, and one of them is this one. */
async function planOffer(node: FoundingNode, options: Decided): Promise<ClusterOffer> {
  const { peers, address } = node.options;
  const answers = await Promise.allSettled(
    peers.map(async (peer) => parseState(await node.ask(peer, "founding-state", {}))),
  );
  const missing = answers.flatMap((answer, index) =>
    answer.status === "rejected" ? [{ address: peers[index]!, error: answer.reason as unknown }] : [],
  );
  if (missing.length > 0) throw whyNot(missing);
  const states = answers.map((answer) => (answer as PromiseFulfilledResult<FoundingState>).value);
  for (const [index, state] of states.entries()) {
    if (state.kind === "member") throw foreign(peers[index]!, state.clusterId);
    const twin = states.findIndex(({ token }) => token === state.token);
    if (twin !== index) {
      throw new Failure("InvalidArgument", `${peers[twin]} and ${peers[index]} are the same node`, {
        hint: "--peers names every node once",
      });
    }
  }
  const own = states.findIndex(({ token }) => token === node.token);
  if (own < 0) {
    throw new Failure(
      "InvalidArgument",
      `--peers ${peers.join(",")} of the node at ${address} does not name that node itself`,
      {
        hint: "start it with --peers that hold the addresses of all nodes, as the others reach them",
      },
    );
  }
  const busy = states.findIndex((state, index) => index !== own && state.kind !== "empty");
  if (busy >= 0) throw new Conflict(elsewhere(peers[busy]!, states[busy]!));
  const { replicas, ranges, splitAt } = options;
  const plan = planCluster({ addresses: peers, replicas, ranges, splitAt }, node.random);
  const ownId = storeId(plan.stores[own]!.storeId);
  return { plan, storeId: ownId, makerId: ownId };
}

function elsewhere(address: string, state: FoundingState): Failure {
  return new Failure("Busy", `the node at ${address} takes part in the making of cluster ${state.clusterId}`, {
    hint: "`flotilla cluster init` was run on another node as well: finish it there",
    details: { address, clusterId: state.clusterId },
  });
}

function foreign(address: string, clusterId: string | null): Failure {
  return new Failure("Refused", `the node at ${address} already belongs to cluster ${clusterId}`, {
    hint: "leave it out of --peers, or give it an empty directory if its data is not needed",
    details: { address, clusterId },
  });
}

function whyNot(refusals: readonly { readonly address: string; readonly error: unknown }[]): Failure {
  const lines = refusals.map(
    ({ address, error }) => `${address}: ${error instanceof Error ? error.message : String(error)}`,
  );
  const codes = refusals.map(({ error }) => codeOf(error));
  const message = `no cluster was made: ${lines.join("; ")}`;
  const first = refusals[0]!.error;
  const hint = first instanceof Error && "hint" in first && typeof first.hint === "string" ? first.hint : "";
  if (codes.every((code) => code === "Busy")) return new Conflict(new Failure("Busy", message, { hint }));
  const unreachable = codes.every(
    (code) => code === "ConnectFailed" || code === "Timeout" || code === "OutcomeUnknown",
  );
  if (unreachable) {
    return new Failure("ConnectFailed", message, {
      hint: "start every node of --peers, then run `flotilla cluster init` again",
    });
  }
  return new Failure("Refused", message, { hint });
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? (error.code as ErrorCode)
    : "Internal";
}
