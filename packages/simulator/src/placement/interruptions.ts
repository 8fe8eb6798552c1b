/**
 * Ends processes where it hurts most: right behind a step of a change that is under way, and for longer than placement
 * waits before it makes replicas anew. Beside the faults that every seed has (fault-driver.ts).
 */
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedCluster } from "../cluster/simulated-cluster.ts";
import type { SimulatedNode } from "../cluster/simulated-node.ts";
import type { StepKind } from "./placement-watch.ts";

export interface InterruptionOptions {
  /** Of 1: a node is stopped behind a step, or an order. */
  readonly killChance: number;
  /** Of 1: one node is away for long, isolated or down. */
  readonly absenceChance: number;
  readonly absenceMsMin: number;
  readonly absenceMsMax: number;
}

/** From the step to the end of the process. */
const delaysMicrosMax = [0, 3000, 50_000, 1_000_000] as const;
const startMicrosMin = 50_000;
const startMicrosMax = 2_000_000;
const cutAgainMicros = 100_000;

/** Of the chance; ranges fall asleep far more often than anything else becomes of them, and wake as often. */
function shareOf(what: StepKind | "order"): number {
  if (what === "asleep") return 0.1;
  return what === "stopped asleep" || what.startsWith("woken:") ? 0 : 1;
}

export class Interruptions {
  readonly #options: InterruptionOptions;
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #count: (what: string) => void;
  #stopped = false;
  #away: SimulatedNode | undefined;

  constructor(options: InterruptionOptions, cluster: SimulatedCluster, count: (what: string) => void) {
    this.#options = options;
    this.#cluster = cluster;
    this.#random = cluster.random.fork("interruptions");
    this.#count = count;
  }

  /** Everybody may come back from now on. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#away !== undefined) this.#away.keptDown = false;
  }

  /** `node`: by its place, the one that took the step. */
  behind(what: StepKind | "order", node: number | undefined): void {
    if (this.#stopped || !this.#random.chance(this.#options.killChance * shareOf(what))) return;
    const { time, nodes } = this.#cluster;
    const own = node === undefined ? undefined : nodes[node];
    const victim = own !== undefined && this.#random.chance(0.6) ? own : this.#random.pick(nodes);
    const powerLoss = this.#random.chance(0.4);
    const delayMicros = this.#random.below(this.#random.pick(delaysMicrosMax) + 1);
    const downMicros = this.#random.between(startMicrosMin, startMicrosMax);
    time.after(delayMicros, () => {
      if (this.#stopped || !victim.alive) return;
      this.#count(`stopped behind: ${what}`);
      this.#cluster.note(`${victim.name} is stopped behind: ${what}`);
      if (powerLoss) victim.losePower("torn");
      else victim.kill();
      time.after(downMicros, () => {
        if (!victim.alive) void victim.start();
      });
    });
  }

  /** To be called once, when the cluster has begun. */
  planAbsence(): void {
    const { absenceChance, absenceMsMin, absenceMsMax } = this.#options;
    if (!this.#random.chance(absenceChance)) return;
    const { time, nodes } = this.#cluster;
    const node = this.#random.pick(nodes);
    const down = this.#random.chance(0.5);
    const startMicros = this.#random.between(500, 6000) * 1000;
    const endMicros = startMicros + this.#random.between(absenceMsMin, absenceMsMax) * 1000;
    time.after(startMicros, () => {
      if (this.#stopped) return;
      this.#away = node;
      this.#count(down ? "away: down" : "away: isolated");
      this.#cluster.note(`${node.name} is away, ${down ? "down" : "isolated"}`);
      if (down) {
        node.keptDown = true;
        node.kill();
      } else this.#isolate(node, time.nowMicros + endMicros - startMicros);
    });
    time.after(endMicros, () => {
      if (this.#stopped || !down) return;
      node.keptDown = false;
      if (!node.alive) void node.start();
    });
  }

  /** Cut again and again: other faults that end free the same ways. */
  #isolate(node: SimulatedNode, untilMicros: number): void {
    const { time, network, nodes } = this.#cluster;
    const others = nodes.filter((each) => each !== node).map(({ name }) => name);
    if (this.#stopped) return;
    if (time.nowMicros < untilMicros) {
      network.partition([node.name], others);
      time.after(cutAgainMicros, () => this.#isolate(node, untilMicros));
      return;
    }
    for (const other of others) {
      network.free(node.name, other);
      network.free(other, node.name);
    }
  }
}
