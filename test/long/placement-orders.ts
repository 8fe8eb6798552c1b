/** Orders to the placement driver as an administrator gives them, without a process of its own for each. */
import type { Client } from "@flotilla/client";

export interface RangeRow {
  readonly rangeId: number;
  readonly start: string;
  readonly sizeBytes: number | null;
  readonly writesPerSecond: number | null;
  readonly leaderStoreId: number | null;
  readonly replicas: readonly { readonly storeId: number; readonly role: string }[];
}

interface OperatorRow {
  readonly operatorId: number;
  readonly state: string;
  readonly error: string | null;
}

export interface StoreRow {
  readonly storeId: number;
  readonly nodeId: number;
  readonly state: string;
  readonly replicas: number;
  readonly leaders: number;
  readonly sizeBytes: number;
}

const pollMs = 100;
/** Ten seconds and more. */
const triesMax = 100;
const metaRangeId = 1;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, pollMs));

export class PlacementOrders {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Without the meta range. */
  async ranges(): Promise<RangeRow[]> {
    const rows = (await this.#ask("range-list")) as RangeRow[];
    return rows.filter(({ rangeId }) => rangeId !== metaRangeId);
  }

  /** With the meta range: those that have fewer than `wanted` voters on the given stores. */
  async lacking(wanted: number, stores: readonly number[]): Promise<number[]> {
    const rows = (await this.#ask("range-list")) as RangeRow[];
    const good = ({ replicas }: RangeRow): boolean =>
      replicas.filter(({ storeId, role }) => role === "voter" && stores.includes(storeId)).length >= wanted &&
      replicas.every(({ storeId }) => stores.includes(storeId));
    return rows.filter((row) => !good(row)).map(({ rangeId }) => rangeId);
  }

  async stores(): Promise<StoreRow[]> {
    return (await this.#ask("store-list")) as StoreRow[];
  }

  /**
   * Resolves with true when all that it began is done, with false when it was refused, came to nothing or nobody knows,
   * because the range or the driver was another one by then: the cluster changes them by itself, too.
   */
  async follow(request: string, body: object): Promise<boolean> {
    let operatorIds: readonly number[];
    try {
      ({ operatorIds } = (await this.#client.admin(request, body)) as { operatorIds: readonly number[] });
    } catch (error) {
      const { code, retryable } = error as { code?: string; retryable?: boolean };
      if (["Refused", "Busy", "InvalidArgument", "OutcomeUnknown"].includes(code ?? "")) return false;
      if (retryable !== true) throw error;
      await pause();
      return false;
    }
    const states = await Promise.all(operatorIds.map((operatorId) => this.#ended(operatorId)));
    return states.every((state) => state === "done");
  }

  async #ended(operatorId: number): Promise<string> {
    for (;;) {
      const row = (await this.#ask("operator-show", { operatorId })) as OperatorRow;
      if (row.state !== "running" && row.state !== "pending" && row.state !== "cancelling") return row.state;
      await pause();
    }
  }

  /** Patient while another store takes the driver's office. */
  async #ask(name: string, body: object = {}): Promise<unknown> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#client.admin(name, body, { readOnly: true });
      } catch (error) {
        if (tries === triesMax || (error as { retryable?: boolean }).retryable !== true) throw error;
        await pause();
      }
    }
  }
}
