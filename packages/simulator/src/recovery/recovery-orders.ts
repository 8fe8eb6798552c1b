/**
 * What `flotilla unsafe-recover` does, with the plan that it makes: asks every store that is left what it has, has the meta
 * range go on first, then the others, and looks anew after each round.
 */
import { keyMax, metaRangeId, rangeId as toRangeId, systemPrefix, userKey, userPrefix } from "@flotilla/base";
import { isFlotillaError, planRecovery } from "@flotilla/client/internal";
import type {
  BuriedReplicas,
  KnownRange,
  RecoveryAction,
  RecoverySurvey,
  SurveyedReplica,
} from "@flotilla/client/internal";
import type { SimulatedClient, SimulatedCluster } from "../cluster/simulated-cluster.ts";
import type { RangeRow } from "../placement/administrator.ts";

/** Of `store-list`. */
interface StoreRow {
  readonly storeId: number;
  readonly state: string;
}

/** Of `node-list`. */
interface NodeRow {
  readonly nodeId: number;
  readonly state: string;
}

/** A round of orders: what each of these rests on is checked by the store. */
export interface RecoveryRound {
  /** In words, what is still to be done; none: every range has its majority. */
  readonly open: readonly string[];
  /** Nothing can be done about any of them, now or later. */
  readonly hopeless: boolean;
}

const again = (what: string): RecoveryRound => ({ open: [what], hopeless: false });

export class RecoveryOrders {
  /** By range: the last one that was sent. Whether it has come into force, the next round sees. */
  readonly sent: Map<number, RecoveryAction> = new Map();
  readonly #cluster: SimulatedCluster;
  readonly #client: SimulatedClient;
  readonly #lost: ReadonlySet<number>;

  constructor(cluster: SimulatedCluster, client: SimulatedClient, lost: ReadonlySet<number>) {
    this.#cluster = cluster;
    this.#client = client;
    this.#lost = lost;
  }

  async round(): Promise<RecoveryRound> {
    try {
      const { actions, blocked, nothingLeft } = planRecovery(await this.#survey(), this.#lost);
      if (actions.length === 0) {
        const open = [...blocked, ...nothingLeft].map(({ rangeId, reason }) => `range ${rangeId}: ${reason}`);
        const hopeless = open.length > 0 && blocked.every(({ reason }) => reason.includes(beforeSplit));
        return { open, hopeless };
      }
      const meta = actions.find(({ rangeId }) => rangeId === metaRangeId);
      // Without the meta range nobody gives ids: it comes alone.
      const now = meta === undefined ? actions : [meta];
      const ids = meta === undefined ? await this.#begin(now.length) : [0];
      for (const [i, action] of now.entries()) await this.#force(action, ids[i]!);
      return again(`ranges ${now.map(({ rangeId }) => rangeId).join(", ")} were told to go on`);
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal") throw error;
      return again(`${error.code}: ${error.message}`);
    }
  }

  /** Rejects when one of them does not answer: it may have what a range still needs. */
  async #survey(): Promise<RecoverySurvey> {
    const storeIds = await this.#left();
    const survey = {
      storeIds,
      replicas: [] as SurveyedReplica[],
      map: [] as KnownRange[],
      buried: [] as BuriedReplicas[],
    };
    for (const storeId of storeIds) {
      for (let from: number | null = 0; from !== null;) {
        const given = { lostStores: [...this.#lost], from };
        const page = (await this.#client.admin("unsafe-recovery-survey", given, { storeId })) as {
          readonly replicas: Omit<SurveyedReplica, "surveyedStoreId">[];
          readonly buried: Omit<BuriedReplicas, "storeId">[];
          readonly next: number | null;
        };
        survey.replicas.push(...page.replicas.map((row) => ({ ...row, surveyedStoreId: storeId })));
        survey.buried.push(...page.buried.map((row) => ({ ...row, storeId })));
        from = page.next;
      }
      const rows = (await this.#client.admin("range-list", { local: true }, { storeId })) as RangeRow[];
      survey.map.push(...rows.map(knownRange));
    }
    return survey;
  }

  /** Stores that are neither lost nor known to anybody as out of the cluster. */
  async #left(): Promise<number[]> {
    const running = this.#cluster.nodes.map((_, i) => i + 1).filter((storeId) => !this.#lost.has(storeId));
    const out = new Set<number>();
    const silent = new Map<number, unknown>();
    for (const storeId of running) {
      if (out.has(storeId)) continue;
      try {
        const given = { storeId, timeoutMs: 1000 };
        const rows = (await this.#client.admin("store-list", { local: true }, given)) as StoreRow[];
        for (const row of rows) if (row.state === "decommissioned") out.add(row.storeId);
      } catch (error) {
        silent.set(storeId, error);
      }
    }
    // Who is out speaks with nobody.
    for (const [storeId, error] of silent) if (!out.has(storeId)) throw error;
    return running.filter((storeId) => !out.has(storeId));
  }

  /** The order that ended one may be among what is lost. Resolves with the nodes that were drained still; undefined: nobody says. */
  async endDrains(): Promise<readonly number[] | undefined> {
    try {
      const rows = (await this.#client.admin("node-list", {})) as NodeRow[];
      const drained = rows.filter(({ state }) => state === "draining").map(({ nodeId }) => nodeId);
      for (const nodeId of drained) await this.#client.admin("node-drain", { nodeId, undo: true });
      return drained;
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal") throw error;
      return undefined;
    }
  }

  async #begin(replicaIds: number): Promise<readonly number[]> {
    const given = { lostStores: [...this.#lost], replicaIds };
    const answer = (await this.#client.admin("unsafe-recovery-begin", given)) as { readonly replicaIds: number[] };
    return answer.replicaIds;
  }

  async #force(action: RecoveryAction, newReplicaId: number): Promise<void> {
    const { rangeId, replicaId, lastTerm, lastIndex, floor, provenBounds, goneReplicas, storeId } = action;
    const at = { rangeId, replicaId, lastTerm, lastIndex };
    const gone = goneReplicas.length > 0 ? { goneReplicas } : {};
    const given = { boundsFloor: floor.bounds, membersFloor: floor.members, provenBounds, newReplicaId, ...gone };
    // As the report, which is on the disk before anything is forced.
    this.sent.set(rangeId, action);
    this.#cluster.claims.goesOnAlone(toRangeId(rangeId));
    await this.#client.admin("unsafe-recovery-force", { ...at, ...given, lostStores: [...this.#lost] }, { storeId });
  }
}

/** Of a range whose last replica missed a split, while a replica of the half that it lacks is left: no order helps. */
const beforeSplit = "is from before a split or merge";

function knownRange({ rangeId, start, end, system, epoch, replicas }: RangeRow): KnownRange {
  return {
    rangeId,
    start: system ? systemPrefix : start === "" ? userPrefix : userKey(start),
    end: system ? userPrefix : end === "" ? keyMax : userKey(end),
    epoch,
    replicas,
  };
}
