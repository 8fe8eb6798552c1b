/** A node: HTTP and supervision on this thread, the store on a thread of its own. */
import { Failure } from "@flotilla/base";
import type { Logger } from "@flotilla/base";
import { HttpEndpoint, jsonAnswer } from "../http/http-endpoint.ts";
import type { HttpAnswer, HttpRoutes } from "../http/http-endpoint.ts";
import { Metrics } from "../http/metrics.ts";
import { isLoopback, parseAddress } from "../settings/address.ts";
import type { NodeSettings } from "../settings/node-settings.ts";
import { serverVersion } from "../server-version.ts";
import { StoreThread } from "./store-thread.ts";
import type { StoreThreadIdentity, StoreThreadStatistics } from "./store-thread-messages.ts";

export interface RunningNode extends StoreThreadIdentity {
  readonly httpAddress: string;
  /** Every range of the store had a leader. */
  readonly ready: Promise<void>;
  /** Resolves after `stop`; rejects with the reason when the node halted. All its threads and ports are gone by then. */
  readonly closed: Promise<void>;
  statistics(): Promise<StoreThreadStatistics>;
  stop(options: { readonly transferMs: number }): Promise<void>;
}

/** What a node without TLS and users on a reachable address repeats wherever it is looked at. */
export function exposureWarnings({ address, httpAddress }: Pick<NodeSettings, "address" | "httpAddress">): string[] {
  return [address, httpAddress]
    .filter((text) => !isLoopback(parseAddress("address", text).host))
    .map((text) => `${text} can be reached from other machines, without TLS and users`);
}

/**
 * Resolves when the node takes part in its cluster; rejects with the reason, and leaves nothing behind, when it cannot.
 * While there is no cluster yet it waits; `signal` ends that with `Closed`.
 */
export async function startNode(settings: NodeSettings, logger: Logger, signal?: AbortSignal): Promise<RunningNode> {
  const warnings = exposureWarnings(settings);
  for (const warning of warnings) logger.warn({}, warning);
  const metrics = new Metrics();
  const health = new Health(warnings);
  const http = await HttpEndpoint.listen(settings.httpAddress, health.routes(metrics));
  const thread = new StoreThread(
    {
      dataDir: settings.dataDir,
      address: settings.address,
      advertiseAddress: settings.advertiseAddress,
      httpAddress: http.address,
      peers: settings.peers,
      join: settings.join,
      labels: settings.labels,
      logLevel: settings.logLevel,
      serverVersion,
      settings: settings.store,
      log: settings.log,
    },
    logger,
  );
  health.watch(thread);
  const tidy = async (): Promise<void> => {
    await http.close();
    metrics.close();
  };
  const closed = thread.closed.then(tidy, async (error: unknown) => {
    await tidy();
    throw error;
  });
  closed.catch(() => {});
  let identity: StoreThreadIdentity;
  const giveUp = (): void => void thread.stop(0).catch(() => {});
  signal?.addEventListener("abort", giveUp, { once: true });
  if (signal?.aborted === true) giveUp();
  try {
    identity = await thread.listening;
  } catch (error) {
    await closed.catch(() => {});
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
  return {
    ...identity,
    httpAddress: http.address,
    ready: thread.ready,
    closed,
    statistics: () => thread.statistics(),
    async stop({ transferMs }) {
      health.stopping = true;
      thread.stop(transferMs).catch(() => {});
      await closed;
    },
  };
}

class Health {
  stopping = false;
  readonly #warnings: readonly string[];
  #thread: StoreThread | undefined;
  #identity: StoreThreadIdentity | undefined;
  #halted: string | undefined;
  /** Shared by all who ask while it is under way. */
  #asking: Promise<StoreThreadStatistics> | undefined;

  constructor(warnings: readonly string[]) {
    this.#warnings = warnings;
  }

  watch(thread: StoreThread): void {
    this.#thread = thread;
    thread.listening.then(
      (identity) => (this.#identity = identity),
      () => {},
    );
    thread.closed.catch((error: unknown) => (this.#halted = error instanceof Error ? error.message : String(error)));
  }

  routes(metrics: Metrics): HttpRoutes {
    return {
      "/metrics": async () => ({
        status: 200,
        contentType: metrics.contentType,
        body: await metrics.text(await this.#statistics()),
      }),
      "/healthz": () => this.#healthz(),
      "/readyz": () => this.#readyz(),
      ...(globalThis.gc === undefined ? {} : { "/collect-garbage": () => this.#collectGarbage() }),
    };
  }

  #statistics(): Promise<StoreThreadStatistics> {
    if (this.#thread === undefined) return Promise.reject(new Failure("Busy", "the node is starting"));
    if (this.#asking === undefined) {
      this.#asking = this.#thread.statistics();
      const done = (): void => void (this.#asking = undefined);
      this.#asking.then(done, done);
    }
    return this.#asking;
  }

  /** What `/metrics` says of memory afterwards, and what the process has, is alive. Only under `node --expose-gc`. */
  async #collectGarbage(): Promise<HttpAnswer> {
    globalThis.gc?.();
    this.#thread?.collectGarbage();
    await this.#statistics();
    return jsonAnswer(200, { collected: true });
  }

  #fields(): Record<string, unknown> {
    const node = this.#identity;
    return {
      clusterId: node?.clusterId ?? null,
      nodeId: node?.nodeId ?? null,
      storeId: node?.storeId ?? null,
      pid: process.pid,
      serverVersion,
      uptimeMs: Math.round(process.uptime() * 1000),
      warnings: this.#warnings,
    };
  }

  /** Alive: the store's thread answers, or is still recovering. */
  async #healthz(): Promise<HttpAnswer> {
    if (this.#halted !== undefined)
      return jsonAnswer(503, { status: "halted", reason: this.#halted, ...this.#fields() });
    if (this.#identity === undefined) {
      const reason = this.#thread?.waiting;
      const status = reason === undefined ? { status: "starting" } : { status: "waiting", reason };
      return jsonAnswer(200, { ...status, ...this.#fields() });
    }
    let statistics: StoreThreadStatistics;
    try {
      statistics = await this.#statistics();
    } catch (error) {
      return jsonAnswer(503, {
        status: "stalled",
        reason: error instanceof Error ? error.message : String(error),
        ...this.#fields(),
      });
    }
    if (statistics.store.decommissioned && !this.stopping) {
      const reason = "its store was decommissioned: stop this node and remove its directory";
      return jsonAnswer(200, { status: "decommissioned", reason, ...this.#fields() });
    }
    return jsonAnswer(200, { status: this.stopping ? "stopping" : "ok", ...this.#fields() });
  }

  /** Every range of the store has a leader now. */
  async #readyz(): Promise<HttpAnswer> {
    if (this.#identity === undefined || this.stopping) {
      const reason = this.stopping ? "stopping" : (this.#thread?.waiting ?? "starting");
      return jsonAnswer(503, { ready: false, reason, ...this.#fields() });
    }
    const { ready, store } = await this.#statistics();
    const reason = ready ? null : `${store.rangesWithoutLeader} ranges have no leader`;
    return jsonAnswer(ready ? 200 : 503, {
      ready,
      reason,
      rangesWithoutLeader: store.rangesWithoutLeader,
      ...this.#fields(),
    });
  }
}
