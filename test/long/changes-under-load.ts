/** Splits, moves and transfers of leadership, spread over a time in which a load runs. */
import type { PlacementOrders, RangeRow } from "./placement-orders.ts";

export const splitsWanted = 100;
export const movesWanted = 20;
const transferRounds = 2;
const transfersAtOnce = 4;
const splitsAtOnce = 3;
/** Orders that come to nothing, because the cluster changed the range by itself, are given anew on another range. */
const triesMax = 1000;

export interface Changes {
  splits: number;
  moves: number;
  transfers: number;
  /** Transfers that came to nothing: somebody else changed the range or led it elsewhere. */
  transfersMissed: number;
  ranges: number;
}

const sleepUntil = (atMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));

/** All of it is done when this resolves, at about `seconds` from now when the cluster keeps up. */
export async function changeEverything(orders: PlacementOrders, seconds: number): Promise<Changes> {
  const changes: Changes = { splits: 0, moves: 0, transfers: 0, transfersMissed: 0, ranges: 0 };
  await Promise.all([
    repeat(splitsWanted, splitsAtOnce, seconds, async (i) => {
      const ranges = await orders.ranges();
      const { rangeId } = ranges[(i * 7) % ranges.length]!;
      const done = await orders.follow("range-split", { rangeId, parts: 2 });
      if (done) changes.splits++;
      return done;
    }),
    repeat(movesWanted, 1, seconds, async (i) => {
      const done = await moveOne(orders, i);
      if (done) changes.moves++;
      return done;
    }),
    rounds(orders, timesIn(seconds), changes),
  ]);
  changes.ranges = (await orders.ranges()).length;
  return changes;
}

/** From now on. */
function timesIn(seconds: number): (share: number) => number {
  const fromMs = performance.now();
  return (share) => fromMs + share * seconds * 1000;
}

/** `times` successes, evenly over the time. */
export async function repeat(
  times: number,
  atOnce: number,
  seconds: number,
  change: (attempt: number) => Promise<boolean>,
): Promise<void> {
  const at = timesIn(seconds);
  let begun = 0;
  let tries = 0;
  const worker = async (): Promise<void> => {
    while (begun < times) {
      const turn = begun++;
      await sleepUntil(at(turn / times));
      while (tries < triesMax && !(await change(tries++)));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Every second time the leader's own replica. */
async function moveOne(orders: PlacementOrders, i: number): Promise<boolean> {
  const [ranges, stores] = [await orders.ranges(), await orders.stores()];
  const { rangeId, leaderStoreId, replicas } = ranges[(i * 11) % ranges.length]!;
  const members = replicas.map(({ storeId }) => storeId);
  const to = stores.find(({ storeId }) => !members.includes(storeId))?.storeId;
  const from = members.find((storeId) => (storeId === leaderStoreId) === (i % 2 === 0));
  if (to === undefined || from === undefined) return false;
  return orders.follow("range-move", { rangeId, from, to });
}

/** In each round every range is led by another store. */
async function rounds(orders: PlacementOrders, at: (share: number) => number, changes: Changes): Promise<void> {
  for (let round = 1; round <= transferRounds; round++) {
    await sleepUntil(at(round / (transferRounds + 1)));
    const waiting = await orders.ranges();
    const worker = async (): Promise<void> => {
      for (let range = waiting.pop(); range !== undefined; range = waiting.pop()) {
        const done = await orders.follow("range-transfer-leader", { rangeId: range.rangeId, to: another(range) });
        if (done) changes.transfers++;
        else changes.transfersMissed++;
      }
    };
    await Promise.all(Array.from({ length: transfersAtOnce }, worker));
  }
}

const another = ({ replicas, leaderStoreId }: RangeRow): number =>
  replicas.find(({ storeId }) => storeId !== leaderStoreId)!.storeId;
