/** Asks every store that is not lost what it has. All must answer: who is silent may have what a range still needs. */
import { Failure, keyMax, systemPrefix, userKey, userPrefix } from "@flotilla/base";
import type { BuriedReplicas, KnownRange, RecoverySurvey, SurveyedReplica } from "@flotilla/client/internal";
import type { ClusterClient } from "../cluster-client.ts";
import { isCoded } from "../exit-code.ts";
import { requireList, requireObject } from "../output/answer-shape.ts";
import type { RangeRow, StoreRow } from "../output/cluster-report.ts";

export interface Survey extends RecoverySurvey {
  /** By rising id. */
  readonly addresses: ReadonlyMap<number, string>;
}

const pagesMax = 10_000;

export async function surveyCluster(client: ClusterClient, lost: ReadonlySet<number>): Promise<Survey> {
  const addresses = await leftStores(client, lost);
  const replicas: SurveyedReplica[] = [];
  const buried: BuriedReplicas[] = [];
  const map = new Map<string, KnownRange>();
  for (const [storeId, address] of addresses) {
    const store = await surveyStore(client, storeId, address, lost);
    replicas.push(...store.replicas);
    buried.push(...store.buried);
    for (const range of await knownRanges(client, address)) {
      const { bounds, members } = range.epoch;
      map.set(`${range.rangeId} ${bounds} ${members}`, range);
    }
  }
  return { addresses, storeIds: [...addresses.keys()], replicas, map: [...map.values()], buried };
}

/** A store's own directory may lack those that joined last: everybody's are put together. */
async function leftStores(client: ClusterClient, lost: ReadonlySet<number>): Promise<Map<number, string>> {
  const known = new Set<number>();
  const left = new Map<number, string>();
  const note = (rows: readonly StoreRow[]): void => {
    for (const { storeId, address, state } of rows) {
      known.add(storeId);
      if (state !== "decommissioned" && !lost.has(storeId) && !left.has(storeId)) left.set(storeId, address);
    }
  };
  note(storesIn(await client.admin("store-list", { local: true }, { readOnly: true })));
  const asked = new Set<number>();
  for (;;) {
    const next = [...left].find(([storeId]) => !asked.has(storeId));
    if (next === undefined) break;
    asked.add(next[0]);
    note(storesIn(await askLeft(client, next[0], next[1], "store-list", { local: true })));
  }
  for (const storeId of lost)
    if (!known.has(storeId))
      throw new Failure("NotFound", `there is no store ${storeId}`, { hint: "flotilla store list" });
  return new Map([...left].sort(([a], [b]) => a - b));
}

const storesIn = (answer: unknown): StoreRow[] =>
  requireList(answer, "store-list", ["storeId", "address", "state"]) as unknown as StoreRow[];

async function askLeft(
  client: ClusterClient,
  storeId: number,
  address: string,
  name: string,
  body: object,
): Promise<unknown> {
  try {
    return await client.adminAt(address, name, body);
  } catch (error) {
    if (!isCoded(error) || (error.code !== "ConnectFailed" && error.code !== "Timeout")) throw error;
    throw new Failure("Refused", `store ${storeId} at ${address} does not answer: it may have what is needed`, {
      cause: error,
      hint: "start it, or name it in --lost-stores, too, when it never comes back",
    });
  }
}

async function surveyStore(
  client: ClusterClient,
  storeId: number,
  address: string,
  lost: ReadonlySet<number>,
): Promise<Pick<Survey, "replicas" | "buried">> {
  const name = "unsafe-recovery-survey";
  const replicas: SurveyedReplica[] = [];
  const buried: BuriedReplicas[] = [];
  let from = 0;
  for (let page = 0; page < pagesMax; page++) {
    const body = { lostStores: [...lost], from };
    const answer = requireObject(await askLeft(client, storeId, address, name, body), name, ["storeId", "replicas"]);
    if (answer["storeId"] !== storeId)
      throw new Failure("Refused", `at ${address} is store ${String(answer["storeId"])}, not store ${storeId}`, {
        hint: "ask again when the stores have told each other where they are",
      });
    const fields = [
      ...["rangeId", "replicaId", "start", "end", "appliedEnd", "epoch", "replicas", "lastTerm", "lastIndex", "serves"],
      ...["lastEnd", "takesIn", "loading"],
    ];
    const rows = requireList(answer["replicas"], name, fields) as unknown as SurveyedReplica[];
    replicas.push(...rows.map((row) => ({ ...row, surveyedStoreId: storeId })));
    const ended = requireList(answer["buried"] ?? [], name, ["rangeId", "tombstone"]) as unknown as BuriedReplicas[];
    buried.push(...ended.map((row) => ({ ...row, storeId })));
    if (typeof answer["next"] !== "number") break;
    from = answer["next"];
  }
  return { replicas, buried };
}

/** As the store's own replica of the meta range has the map; a store without one knows none. */
async function knownRanges(client: ClusterClient, address: string): Promise<KnownRange[]> {
  const answer = await client.adminAt(address, "range-list", { local: true });
  const rows = requireList(answer, "range-list", ["rangeId", "start", "end", "epoch", "replicas"]);
  return (rows as unknown as RangeRow[]).map(({ rangeId, start, end, system, epoch, replicas }) => ({
    rangeId,
    start: system === true ? systemPrefix : start === "" ? userPrefix : userKey(start),
    end: system === true ? userPrefix : end === "" ? keyMax : userKey(end),
    epoch: epoch!,
    replicas,
  }));
}
