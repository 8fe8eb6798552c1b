/**
 * What becomes of a healed cluster when nothing is asked of it: every range sleeps. Then what sleeps is hurt, in the two ways in
 * which sleep could do harm.
 *
 * A leader is suspended and cut off while another one takes writes: when it goes on it may not answer from what it knew
 * before it slept (hazard C14). And a leader dies: its sleeping followers have to notice (hazard E21).
 */
import { metaRangeId } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import { isFlotillaError } from "@flotilla/client/internal";
import type { StoreApi } from "@flotilla/store";
import type { Within } from "../placement/elastic-run.ts";
import { ClaimViolated } from "./claims.ts";
import type { SimulatedClient, SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedNode } from "./simulated-node.ts";
import { keyName } from "./workload.ts";
import type { Workload } from "./workload.ts";

export interface SilenceHost {
  readonly within: Within;
  readEverything(): Promise<void>;
  checkHistory(): void;
  becomeLevel(): Promise<void>;
}

/** How long a client may take to find the new leader. */
const callMsMax = 20_000;
/** How long the old one is asked: as long as it takes to find out that it leads no more, and longer. */
const readMs = 1500;
/** In the first range of users. */
const key = keyName(0);

interface NamedClient {
  readonly client: SimulatedClient;
  readonly host: string;
}

export class Silence {
  readonly #cluster: SimulatedCluster;
  readonly #workload: Workload;
  readonly #host: SilenceHost;
  readonly #rangeId: RangeId;

  constructor(cluster: SimulatedCluster, workload: Workload, host: SilenceHost) {
    this.#cluster = cluster;
    this.#workload = workload;
    this.#host = host;
    this.#rangeId = cluster.plan.ranges.find(({ rangeId }) => rangeId !== metaRangeId)!.rangeId;
  }

  async run(): Promise<void> {
    await this.#cutOff();
    await this.#death();
    await this.#host.becomeLevel();
  }

  get #leader(): SimulatedNode {
    const name = this.#cluster.claims.leader(this.#rangeId)?.node;
    return this.#cluster.nodes.find((node) => node.name === name)!;
  }

  #untilAsleep(): Promise<void> {
    const awake = (): string[] =>
      this.#cluster.nodes
        .map(({ name, store }) => ({ name, statistics: store!.statistics() }))
        .map(({ name, statistics: { status, replicasAsleep } }) => ({
          name,
          open: status.replicas - 1 - replicasAsleep,
        }))
        .filter(({ open }) => open > 0)
        .map(({ name, open }) => `${open} replicas on ${name} are awake`);
    return this.#host.within("ranges sleep when nothing is asked of them", () => awake().length === 0, awake);
  }

  /** A new client that knows its way. */
  async #newClient(): Promise<NamedClient> {
    const { client } = this.#cluster.client({ timeoutMs: callMsMax, attemptMs: 200, connectTimeoutMs: callMsMax });
    const host = this.#cluster.clientHosts.at(-1)!;
    await this.#cluster.time.complete(client.get(key), (callMsMax + 5000) * 1000);
    return { client, host };
  }

  async #cutOff(): Promise<void> {
    const { nodes, network, time } = this.#cluster;
    const writer = await this.#newClient();
    const reader = await this.#newClient();
    await this.#untilAsleep();
    const leader = this.#leader;
    const others = nodes.filter((node) => node !== leader).map(({ name }) => name);
    this.#cluster.note(`${leader.name} is suspended and cut off in its sleep`);
    network.partition([leader.name], [...others, writer.host]);
    network.partition([reader.host], others);
    leader.time.pause();
    await this.#write(writer);
    // What begins at the very instant at which the write ended would count as concurrent.
    await time.runFor(1000);
    leader.time.resume();
    await this.#read(reader);
    for (const host of [...others, writer.host]) this.#join(leader.name, host);
    for (const host of others) this.#join(reader.host, host);
    for (const { client } of [writer, reader]) await time.complete(client.close());
    this.#host.checkHistory();
    await this.#host.becomeLevel();
  }

  #join(one: string, other: string): void {
    this.#cluster.network.free(one, other);
    this.#cluster.network.free(other, one);
  }

  async #write({ client }: NamedClient): Promise<void> {
    const { time, claims } = this.#cluster;
    const value = this.#workload.nextValue("silence");
    const call = { client: "silence", key, invoke: time.nowMicros };
    const operation = { ...call, op: "put", value, condition: { kind: "none" } } as const;
    try {
      const { version } = await time.complete(client.put(key, value), (callMsMax + 5000) * 1000);
      const line = this.#workload.nextLine();
      this.#workload.record({ ...operation, line, return: time.nowMicros, result: "ok", version });
    } catch (error) {
      if (!isFlotillaError(error)) throw error;
      claims.violate("a sleeping range whose leader is cut off takes writes", this.#rangeId, [
        `put of ${key} within ${callMsMax} ms: ${error.code}: ${error.message}`,
      ]);
      throw new ClaimViolated();
    }
  }

  /** No answer is a fine answer: whoever could know better is out of reach. */
  async #read({ client }: NamedClient): Promise<void> {
    const { time } = this.#cluster;
    const call = { client: "silence", key, invoke: time.nowMicros };
    try {
      const entry = await time.complete(client.getEntry(key, { timeoutMs: readMs }), (readMs + 5000) * 1000);
      const answer = { value: entry?.value ?? null, version: entry?.version ?? 0 };
      const line = this.#workload.nextLine();
      this.#workload.record({ ...call, line, return: time.nowMicros, result: "ok", op: "get", ...answer });
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal") throw error;
    }
  }

  async #death(): Promise<void> {
    const { nodes, plan, time } = this.#cluster;
    await this.#untilAsleep();
    const leader = this.#leader;
    leader.kill();
    const unled = (): string[] =>
      plan.ranges
        .filter(({ rangeId }) => !nodes.some(({ store }) => leadsHere(store, rangeId)))
        .map(({ rangeId }) => `range ${rangeId} is led by nobody, ${leader.name} is dead`);
    await this.#host.within("a sleeping range notices that its leader is gone", () => unled().length === 0, unled);
    await this.#host.readEverything();
    this.#host.checkHistory();
    await time.complete(leader.start(), 30e6);
  }
}

const leadsHere = (store: StoreApi | undefined, range: RangeId): boolean =>
  store?.replicas().some(({ descriptor, serves }) => descriptor.rangeId === range && serves) === true;
