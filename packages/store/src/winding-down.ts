/**
 * A clean stop, step by step: others lead, clients go, the log is durable, the engine has everything, all is closed. A step
 * that takes long says what it waits for.
 */
import type { Listener } from "@flotilla/transport";
import type { ClientService } from "./clients/client-service.ts";
import type { DiskSpace } from "./disk-space.ts";
import type { EngineQueue } from "./engine/engine-queue.ts";
import type { Flusher } from "./engine/flusher.ts";
import type { IntervalClearer } from "./engine/interval-clearer.ts";
import type { HandOver } from "./hand-over.ts";
import type { Housekeeping } from "./housekeeping.ts";
import { sayIfLong } from "./long-waits.ts";
import type { PeerLinks } from "./peer-links.ts";
import type { PersistBatches } from "./persist-batches.ts";
import type { SnapshotService } from "./snapshot/snapshot-service.ts";
import type { StoreDependencies } from "./store-api.ts";
import type { StoreReplicas } from "./store-replicas.ts";
import type { StoreTicks } from "./store-ticks.ts";

const pollMs = 2;
/** Ranges that are named, of those that are still led. */
const namedMax = 10;

export interface WindingDownHost {
  readonly dependencies: StoreDependencies;
  readonly replicas: StoreReplicas;
  readonly handOver: HandOver;
  readonly clients: ClientService;
  readonly ticks: StoreTicks;
  readonly housekeeping: Housekeeping;
  readonly snapshots: SnapshotService;
  readonly clearer: IntervalClearer;
  readonly links: PeerLinks;
  readonly listener: Listener | undefined;
  readonly persist: PersistBatches;
  readonly disk: DiskSpace;
  readonly flusher: Flusher;
  readonly queue: EngineQueue;
  halted(): boolean;
  /** Nothing runs any more; log and engine are closed next. */
  onQuiet(): void;
}

export async function windDown(transferMs: number, host: WindingDownHost): Promise<void> {
  const { clients, disk, flusher, queue } = host;
  const { log, engine, snapshotJobs, environment } = host.dependencies;
  let isOver = (): boolean => host.halted();
  const step = (what: string, wait: Promise<unknown>, fields: () => object = () => ({})): Promise<unknown> =>
    sayIfLong(wait, `the stop waits for ${what}`, environment, () => (isOver() ? undefined : fields()));
  const engineJobs = (): object => ({ engineJobs: queue.waiting });

  const handedOver = host.handOver.all(transferMs, () => host.halted());
  await step("other stores to lead what this one leads", handedOver, () => stillLed(host.replicas));
  // Only now, when somebody else can serve them.
  clients.drain();
  clients.flush();
  host.ticks.stop();
  host.housekeeping.stop();
  host.snapshots.stop();
  host.clearer.stop();
  host.links.close();
  clients.close();
  await step("its connections to close", host.listener?.close() ?? Promise.resolve());
  await step("the log to be durable", persisted(host), () => ({ writeMs: Math.round(host.persist.underWayMs) }));
  // What is not flushed stands in the log; on a full disk it stays there.
  if (!disk.full) await step("memtables to be written to the engine", flusher.flushAll(), engineJobs);
  if (!disk.full) await step("the engine to make durable what it has", flusher.settle(), engineJobs);
  const idle = queue.run(() => Promise.resolve());
  await step("what else the engine was given", idle, engineJobs);
  if (host.halted()) return;
  host.onQuiet();
  isOver = () => false;
  await step("the thread of range snapshots to end", snapshotJobs.close());
  await step("the log to close", log.close());
  await step("the engine to close", engine.close());
}

async function persisted({ persist, dependencies, halted }: WindingDownHost): Promise<void> {
  const { scheduler } = dependencies.environment;
  while (!persist.idle && !halted()) await new Promise<void>((resolve) => scheduler.after(pollMs, resolve));
}

function stillLed(replicas: StoreReplicas): { readonly led: number; readonly ranges: readonly number[] } {
  const led = [...replicas.values()].filter((replica) => replica.leads).map(({ rangeId }) => rangeId);
  return { led: led.length, ranges: led.slice(0, namedMax) };
}
