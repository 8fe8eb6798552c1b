/** Questions and orders for the operators' side of the cluster: any store, or one by id or address, answers. */
import { keyMax, storeId, systemPrefix } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import type { AdminResponse, RouteEntry, RouteResponse, StoreAddress } from "@flotilla/transport";
import { backoffMs } from "./backoff.ts";
import { Call } from "./call.ts";
import type { CallOptions } from "./call.ts";
import type { ClientCore } from "./client-core.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { parseEndpoints } from "./client-settings.ts";
import { inCluster } from "./store-links.ts";
import type { StoreLink } from "./store-link.ts";

export interface AdminOptions extends CallOptions {
  /** Only this store. */
  readonly storeId?: number | undefined;
  /** Only the store that listens there, `host:port`, which may have no cluster yet. */
  readonly endpoint?: string | undefined;
  /** It changes nothing: when the answer is lost, another store is asked. */
  readonly readOnly?: boolean | undefined;
}

const redirectsMax = 4;

export interface ClusterRoutes {
  readonly clusterId: string;
  /** Every range, in the order of keys, the meta range included. */
  readonly ranges: readonly RouteEntry[];
  readonly stores: readonly StoreAddress[];
}

/**
 * Resolves with the server's result, or throws its error; as long as nobody drives placement it asks again, until its time is
 * up. When the stream breaks after the request was sent and it is not
 * `readOnly`, the code is `OutcomeUnknown`.
 */
export async function callAdmin(
  core: ClientCore,
  name: string,
  body: unknown,
  options: AdminOptions,
): Promise<unknown> {
  const call = new Call(core, `admin ${name}`, options);
  let asked = options;
  let redirects = 0;
  let refusals = 0;
  call.enter();
  try {
    for (;;) {
      // Whoever was named may be gone by now: then any store is asked once more.
      const untilMs = asked === options ? Infinity : core.nowMs() + core.settings.attemptMs;
      const link = await openLink(core, call, asked, untilMs);
      const post = (requestId: number): void => link!.post({ type: "admin", requestId, name, arguments: body }, 1024);
      const answer = link === undefined ? undefined : await ask(core, call, link, post, asked);
      if (answer === undefined) {
        asked = options;
        continue;
      }
      const { result, error } = answer as AdminResponse;
      if (error === undefined) return result;
      // Another store is the one to ask: leaders and the placement driver move, so a few hops are normal.
      const { redirectStoreId } = error.details;
      if (typeof redirectStoreId === "number" && options.storeId === undefined && redirects++ < redirectsMax) {
        asked = { ...options, storeId: redirectStoreId };
        continue;
      }
      const refusal = new FlotillaError(error.code, error.message, { hint: error.hint, details: error.details });
      if (error.code !== "NoQuorum" || isAddressed(options)) throw refusal;
      // Nothing was done: another store is about to lead the meta range, and drives placement then.
      const { backoffMinMs, backoffMaxMs } = core.settings;
      const waitMs = backoffMs(core.environment.random, refusals++, backoffMinMs, backoffMaxMs);
      if (core.nowMs() + waitMs >= call.deadlineMs) throw refusal;
      await pause(core, call, error.message, waitMs);
      asked = options;
      redirects = 0;
    }
  } finally {
    call.leave();
  }
}

/** Only one store's answer will do. */
const isAddressed = ({ storeId: wanted, endpoint }: AdminOptions): boolean =>
  wanted !== undefined || endpoint !== undefined;

/** Fetches the whole map afresh, page by page; the cache takes what is newer. */
export async function fetchRoutes(core: ClientCore, options: CallOptions): Promise<ClusterRoutes> {
  const call = new Call(core, "routes", options);
  const entries: RouteEntry[] = [];
  const stores = new Map<number, StoreAddress>();
  let start: Key = systemPrefix;
  let misses = 0;
  let problem: string | undefined;
  call.enter();
  try {
    while (start < keyMax) {
      const link = await openLink(core, call, ...whomToAsk(core, misses), problem);
      if (link === undefined) {
        misses++;
        continue;
      }
      const limit = core.settings.routeReadAhead;
      const from = start;
      const post = (requestId: number): void =>
        link.post({ type: "route", requestId, start: from, end: keyMax, limit }, 64 + from.length);
      const answer = (await ask(core, call, link, post, { readOnly: true })) as RouteResponse | undefined;
      if (answer === undefined) continue;
      core.links.learn(answer.stores);
      core.dispatcher.learn(answer.ranges, false);
      for (const store of answer.stores) stores.set(store.storeId, store);
      for (const entry of answer.ranges) {
        if (entry.descriptor.start > start || entry.descriptor.end <= start) continue;
        entries.push(entry);
        start = entry.descriptor.end;
        misses = 0;
      }
      if (start === from) {
        // The store does not know yet what covers `start`: another one, a little later.
        problem = `store ${link.storeId} does not know all ranges`;
        const { backoffMinMs, backoffMaxMs } = core.settings;
        await pause(core, call, problem, backoffMs(core.environment.random, misses++, backoffMinMs, backoffMaxMs));
      }
    }
    return {
      clusterId: core.links.clusterId,
      ranges: entries,
      stores: [...stores.values()].sort((a, b) => a.storeId - b.storeId),
    };
  } finally {
    call.leave();
  }
}

/** Any store, first. One that has no replica of the meta range does not help, but says which stores have one. */
function whomToAsk(core: ClientCore, misses: number): [options: AdminOptions, untilMs: number] {
  const replicas = misses === 0 ? undefined : core.routes.find(systemPrefix)?.descriptor.replicas;
  if (replicas === undefined) return [{}, Infinity];
  return [{ storeId: replicas[misses % replicas.length]!.storeId }, core.nowMs() + core.settings.dialTimeoutMs];
}

async function pause(core: ClientCore, call: Call, problem: string, ms: number): Promise<void> {
  const untilMs = core.nowMs() + ms;
  while (core.nowMs() < untilMs) {
    call.check(problem);
    await call.change(untilMs);
  }
}

/** Undefined only when `untilMs` has passed. */
async function openLink(
  core: ClientCore,
  call: Call,
  options: AdminOptions,
  untilMs: number,
  problem = "no stream to any store",
): Promise<StoreLink | undefined> {
  const address = options.endpoint === undefined ? undefined : parseEndpoints([options.endpoint])[0]!;
  const wanted = options.storeId === undefined ? undefined : storeId(options.storeId);
  for (;;) {
    const nowMs = core.nowMs();
    if (nowMs >= untilMs) return undefined;
    if (address !== undefined) {
      call.check(
        `no stream to ${address}: ${core.links.link(address)?.lastFailure?.message ?? "still dialing"}`,
        undefined,
        false,
      );
      const link = core.links.link(address);
      if (link?.state === "open") return link;
      link?.connect(nowMs);
    } else if (wanted !== undefined) {
      call.check(`no stream to store ${wanted}`);
      const link = core.links.forStore(wanted);
      if (link?.state === "open") return link;
      if (link === undefined) core.fetcher.want(systemPrefix, nowMs);
      else link.connect(nowMs);
    } else {
      call.check(problem);
      const link = core.links.any(nowMs, inCluster);
      if (link?.usable(nowMs) === true) return link;
      core.links.connectAny(nowMs);
      if (link !== undefined) return link;
    }
    await call.change(nowMs + core.settings.dialStaggerMs);
  }
}

type Answer = RouteResponse | AdminResponse;

/** Undefined: nothing came of it, and another try does no harm. */
async function ask(
  core: ClientCore,
  call: Call,
  link: StoreLink,
  post: (requestId: number) => void,
  options: AdminOptions,
): Promise<Answer | undefined> {
  const requestId = link.nextId();
  const sentMs = core.nowMs();
  let answer: Answer | undefined;
  let lost = false;
  link.requests.set(requestId, {
    answered: (message) => {
      answer = message;
      call.wake();
    },
    linkClosed: () => {
      lost = true;
      call.wake();
    },
  });
  post(requestId);
  try {
    for (;;) {
      if (answer !== undefined) return answer;
      const nowMs = core.nowMs();
      if (
        options.readOnly === true &&
        !lost &&
        options.storeId === undefined &&
        nowMs - sentMs >= core.settings.attemptMs
      ) {
        link.suspect(sentMs, nowMs);
        if (!link.usable(nowMs)) return undefined;
      }
      if (lost && options.readOnly === true) return undefined;
      if (lost) {
        throw new FlotillaError("OutcomeUnknown", `the stream to ${link.address} broke before the answer came`, {
          outcome: "unknown",
          hint: "look at the cluster's state to see whether it was done",
        });
      }
      call.check(`store ${link.storeId} at ${link.address} was asked`, undefined, options.endpoint === undefined);
      await call.change(nowMs + core.settings.attemptMs);
    }
  } finally {
    link.requests.delete(requestId);
  }
}
