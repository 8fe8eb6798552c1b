/**
 * What a range costs while nothing happens, and how long ranges are without a leader when nodes come and go. First a small
 * cluster, to lay the figures beside; then the one that is asked for: started, left alone until it sleeps, measured; one
 * node killed, and the others measured; all stopped and started; one node stopped and started in order.
 */
import type { CommandIo, Invocation } from "../../command-io.ts";
import { exitDone, exitNotDone } from "../../exit-code.ts";
import { writeObject } from "../../output/documents.ts";
import { hundredths } from "../load-result.ts";
import { cpuMicrosOf, rssBytesOf } from "../process-meters.ts";
import { provenance } from "../provenance.ts";
import { saveResult } from "../result-files.ts";
import { clusterBytesNeeded, makeWorkDirectory } from "../work-directory.ts";
import { ClusterWatch, allAsleep, allLed, metricOf, sumOver } from "./cluster-watch.ts";
import type { Look } from "./cluster-watch.ts";
import { idleMsMax, parseIdlePlan } from "./idle-plan.ts";
import type { IdlePlan } from "./idle-plan.ts";
import type { IdleRestart, IdleResult, IdleState, LedAgain } from "./idle-result.ts";
import { idleTable } from "./idle-table.ts";
import { NodeFleet } from "./node-fleet.ts";

const ledMsMax = 90_000;
/** After a start balance of leaders goes on for a while: a few transfers a round. */
const asleepMsMax = 240_000;
const transferMs = 10_000;
/** After the last range fell asleep: what was caused by that is over. */
const settleMs = 5_000;

export async function runIdle(invocation: Invocation): Promise<number> {
  const { io } = invocation;
  const plan = parseIdlePlan(invocation);
  const origin = provenance();
  const untilMs = performance.now() + idleMsMax;
  const directory = await makeWorkDirectory(invocation, clusterBytesNeeded(0));
  let measured: Measured;
  try {
    const withFleet = async <Result>(ranges: number, task: (run: IdleRun) => Promise<Result>): Promise<Result> => {
      const settings = { sleepTicks: plan.sleepTicks };
      const fleet = await NodeFleet.prepare({ directory: directory.path, nodes: plan.nodes, ranges, settings });
      try {
        return await task(new IdleRun(io, fleet, plan, ranges, untilMs));
      } finally {
        await fleet.remove();
      }
    };
    const base = await withFleet(plan.baseRanges, (run) => run.small());
    measured = await withFleet(plan.ranges, (run) => run.large(base));
  } finally {
    await directory.remove();
  }
  const { nodes, ranges, sleepTicks, deadForMs } = plan;
  const result: IdleResult = {
    kind: "idle",
    ...origin,
    disk: directory.disk,
    ...{ nodes, ranges, sleepTicks, deadForMs },
    ...measured,
  };
  await writeObject(io, invocation.format, result, () => idleTable(result));
  await saveResult(invocation, result);
  const led = [result.start, result.coldStart, result.restart, ...(result.kill === null ? [] : [result.kill])];
  return led.every(({ ledMs }) => ledMs !== null) ? exitDone : exitNotDone;
}

type Measured = Pick<
  IdleResult,
  | "base"
  | "idle"
  | "asleepMs"
  | "dead"
  | "rssBytesPerReplica"
  | "heapBytesPerReplica"
  | "start"
  | "kill"
  | "coldStart"
  | "restart"
>;

interface Reading {
  readonly atMs: number;
  readonly look: Look;
  readonly cpuMicros: readonly (number | null)[];
  readonly rssBytes: readonly (number | null)[];
}

class IdleRun {
  readonly #io: CommandIo;
  readonly #fleet: NodeFleet;
  readonly #plan: IdlePlan;
  readonly #ranges: number;
  readonly #watch: ClusterWatch;

  constructor(io: CommandIo, fleet: NodeFleet, plan: IdlePlan, ranges: number, untilMs: number) {
    this.#io = io;
    this.#fleet = fleet;
    this.#plan = plan;
    this.#ranges = ranges;
    this.#watch = new ClusterWatch(fleet, io.interrupted(), untilMs);
  }

  async small(): Promise<IdleState> {
    await this.#start("starting");
    await this.#sleep();
    return this.#window();
  }

  async large(base: IdleState): Promise<Measured> {
    const start = await this.#start("starting");
    const asleepMs = await this.#sleep();
    const idle = await this.#window();
    const { kill, dead } = this.#plan.kill === 0 ? { kill: null, dead: null } : await this.#kill();
    this.#io.note("stopping all nodes\n");
    await this.#fleet.stopAll();
    const coldStart = await this.#start("starting all nodes again");
    await this.#sleep();
    const restart = await this.#restart();
    return {
      ...{ base, idle, asleepMs, dead, start, kill, coldStart, restart },
      rssBytesPerReplica: costOfReplica(base, idle, "rssBytes"),
      heapBytesPerReplica: costOfReplica(base, idle, "heapUsedBytes"),
    };
  }

  /** The meta range is one more. */
  #isLed = (look: Look): boolean => allLed(look, this.#ranges + 1);

  async #start(what: string): Promise<LedAgain> {
    this.#io.note(`${what}: ${this.#fleet.size} nodes, ${this.#ranges} ranges\n`);
    const fromMs = performance.now();
    this.#fleet.startAll();
    const { ms, loopDelayMaxMs } = await this.#watch.until(this.#isLed, fromMs, ledMsMax);
    this.#io.note(
      `every range led after ${ms ?? "more than the time"} ms, loop blocked ${loopDelayMaxMs} ms at most\n`,
    );
    return { ledMs: ms, loopDelayMaxMs };
  }

  /** Until everything sleeps that can; null: it does not. */
  async #sleep(): Promise<number | null> {
    if (this.#plan.sleepTicks === 0) return null;
    const { ms } = await this.#watch.until(allAsleep, performance.now(), asleepMsMax);
    this.#io.note(ms === null ? "not all of it sleeps\n" : `asleep after ${ms} ms\n`);
    await this.#watch.pause(settleMs);
    return ms;
  }

  async #window(): Promise<IdleState> {
    const before = await this.#read(false);
    await this.#watch.pause(this.#plan.windowMs);
    const after = await this.#read(true);
    const windowMs = after.atMs - before.atMs;
    const perSecond = (name: string): number | null => {
      const [from, to] = [sumOver(before.look, name), sumOver(after.look, name)];
      return from === undefined || to === undefined ? null : hundredths(((to - from) * 1000) / windowMs);
    };
    const state: IdleState = {
      ranges: this.#ranges,
      windowMs: Math.round(windowMs),
      cpuPercent: after.cpuMicros.map((micros, at) => {
        const from = before.cpuMicros[at] ?? null;
        return micros === null || from === null ? null : hundredths((micros - from) / 10 / windowMs);
      }),
      rssBytes: after.rssBytes,
      heapUsedBytes: after.look.map((metrics) => metrics?.get("flotilla_store_heap_used_bytes") ?? null),
      peerMessagesPerSecond: perSecond("peer_messages_sent_total"),
      peerPayloadsPerSecond: perSecond("peer_payloads_sent_total"),
      replicas: eachOf(after.look, "replicas"),
      replicasAsleep: eachOf(after.look, "replicas_asleep"),
      loopDelayMaxMs: Math.round(1000 * Math.max(...eachOf(after.look, "store_loop_delay_max_seconds"))),
    };
    const { cpuPercent, peerMessagesPerSecond } = state;
    this.#io.note(`${cpuPercent.join(", ")} % of a core a node, ${peerMessagesPerSecond} messages/s between stores\n`);
    return state;
  }

  /**
   * Asking the nodes costs them some: that belongs to neither end of the window. Memory is what is left behind a collection:
   * the less a node does, the later V8 looks for garbage of its start.
   */
  async #read(isEnd: boolean): Promise<Reading> {
    const pids = this.#fleet.running.map((node) => this.#fleet.pid(node));
    const [endMs, endMicros] = [performance.now(), pids.map(cpuMicrosOf)];
    if (isEnd) await this.#fleet.collectGarbage();
    const look = await this.#watch.look();
    const rssBytes = pids.map(rssBytesOf);
    if (isEnd) return { look, rssBytes, cpuMicros: endMicros, atMs: endMs };
    return { look, rssBytes, cpuMicros: pids.map(cpuMicrosOf), atMs: performance.now() };
  }

  /** The node that leads most; the last one of them, so that the driver stays where it is. */
  async #kill(): Promise<Pick<Measured, "kill" | "dead">> {
    const leaders = eachOf(await this.#watch.look(), "leaders");
    const ledBefore = Math.max(...leaders);
    const node = leaders.lastIndexOf(ledBefore);
    this.#io.note(`killing node ${node + 1}, which leads ${ledBefore} ranges\n`);
    const fromMs = performance.now();
    await this.#fleet.kill(node);
    const { ms: ledMs, loopDelayMaxMs } = await this.#watch.until(this.#isLed, fromMs, ledMsMax);
    this.#io.note(`every range led again after ${ledMs ?? "more than the time"} ms\n`);
    await this.#sleep();
    await this.#watch.pause(Math.max(1, this.#plan.deadForMs - (performance.now() - fromMs)));
    const dead = await this.#window();
    return { kill: { ledBefore, ledMs, loopDelayMaxMs }, dead };
  }

  async #restart(): Promise<IdleRestart> {
    const node = 1;
    const before = await this.#watch.look();
    const others = before.filter((_, at) => at !== node);
    const ledBefore = metricOf(before[node]!, "leaders");
    this.#io.note(`stopping node ${node + 1}, which leads ${ledBefore} ranges, and starting it again\n`);
    const fromMs = performance.now();
    let stopped = false;
    const stopping = this.#fleet.stop(node, transferMs).finally(() => (stopped = true));
    const without = await this.#watch.until(() => stopped, fromMs, ledMsMax, node);
    await stopping;
    const startedMs = performance.now();
    this.#fleet.start(node);
    const back = await this.#watch.until(this.#isLed, startedMs, ledMsMax, node);
    this.#io.note(`every range led, as all nodes see it, after ${back.ms ?? "more than the time"} ms\n`);
    const electionsBefore = sumOver(others, "elections_total");
    const after = sumOver(
      back.last.filter((_, at) => at !== node),
      "elections_total",
    );
    const own = back.last[node];
    return {
      ledMs: back.ms,
      stopMs: Math.round(startedMs - fromMs),
      ledBefore,
      loopDelayMaxMs: Math.max(without.loopDelayMaxMs, back.loopDelayMaxMs),
      electionsElsewhere: after === undefined || electionsBefore === undefined ? null : after - electionsBefore,
      electionsOwn: own === undefined ? null : metricOf(own, "elections_total"),
      withoutLeaderMs: Math.max(without.withoutLeaderMs, back.withoutLeaderMs),
    };
  }
}

const eachOf = (look: Look, name: string): number[] =>
  look.map((metrics) => (metrics === undefined ? 0 : metricOf(metrics, name)));

/** On the node where it is most. */
export function costOfReplica(
  base: Pick<IdleState, "replicas" | "rssBytes" | "heapUsedBytes">,
  idle: Pick<IdleState, "replicas" | "rssBytes" | "heapUsedBytes">,
  what: "rssBytes" | "heapUsedBytes",
): number | null {
  let most: number | null = null;
  for (const [at, bytes] of idle[what].entries()) {
    const before = base[what][at] ?? null;
    const more = idle.replicas[at]! - (base.replicas[at] ?? 0);
    if (bytes === null || before === null || more <= 0) return null;
    const each = Math.round((bytes - before) / more);
    if (most === null || each > most) most = each;
  }
  return most;
}
