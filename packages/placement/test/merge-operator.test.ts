/** Merges against a tiny model of two neighbours, whose leaders do with steps what they should. */
import { logIndex, rangeId, storeId, term } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import type { OperatorStep, StepOutcome } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import {
  advanceOperator,
  applyOutcome,
  cancelOperator,
  decide,
  decodeOperator,
  encodeOperator,
  indexCluster,
  isEnded,
  mergeGoal,
  startOperator,
} from "../src/index.ts";
import type { ClusterState, Operator, RangeState } from "../src/index.ts";
import { SmallRandom } from "./support/small-random.ts";
import { nowMs, parseState, testIds } from "./support/tables.ts";

const stores = ["store 1", "store 2", "store 3"];
const base = parseState([...stores, "range 2 1* 2 3 end=m", "range 3 1 2* 3 start=m"]);

/** Two ranges as their logs have them. */
class Neighbours {
  left: RangeState;
  right: RangeState | undefined;
  sealedFor: number | undefined = undefined;
  /** The right range went on by itself since it was proven free. */
  freed = false;

  constructor([left, right]: readonly RangeState[]) {
    this.left = left!;
    this.right = right;
  }

  get ranges(): RangeState[] {
    return this.right === undefined ? [this.left] : [this.left, this.right];
  }

  run({ rangeId: id, epoch, action }: OperatorStep): Pick<StepOutcome, "state" | "seal"> {
    const refused = { state: "refused", seal: undefined } as const;
    const done = { state: "done", seal: undefined } as const;
    const range = this.ranges.find(({ descriptor }) => descriptor.rangeId === id);
    if (range?.descriptor.epoch.bounds !== epoch.bounds) return refused;
    switch (action.kind) {
      case "seal":
        this.sealedFor ??= action.leftBounds;
        return this.sealedFor === action.leftBounds
          ? { state: "done", seal: { index: logIndex(9), term: term(3) } }
          : refused;
      case "merge": {
        if (this.right === undefined || this.sealedFor !== epoch.bounds) return refused;
        expect(this.freed).toBe(false);
        this.#set({ end: this.right.descriptor.end }, Math.max(epoch.bounds, this.right.descriptor.epoch.bounds) + 1);
        this.right = undefined;
        return done;
      }
      case "cancel-merge":
        if (this.right === undefined) return { ...refused, state: "failed" };
        if (epoch.bounds === action.bounds) this.#set({}, epoch.bounds + 1);
        return done;
      case "unseal": {
        if (this.sealedFor !== undefined && this.sealedFor >= action.provenBounds) return refused;
        this.sealedFor = undefined;
        this.freed = true;
        const { descriptor } = this.right!;
        const epochs = { ...descriptor.epoch, bounds: epoch.bounds + 1 };
        this.right = { ...this.right!, descriptor: { ...descriptor, epoch: epochs } };
        return done;
      }
      default:
        throw new Error(`a merge has no step ${action.kind}`);
    }
  }

  #set(change: Partial<RangeDescriptor>, bounds: number): void {
    const { descriptor } = this.left;
    this.left = {
      ...this.left,
      descriptor: { ...descriptor, ...change, epoch: { ...descriptor.epoch, bounds } },
    };
  }
}

function begin(ranges: readonly RangeState[], index: ReturnType<typeof indexCluster>): Operator {
  const [left, right] = ranges as [RangeState, RangeState];
  const { rangeId: id, epoch } = left.descriptor;
  const goal = mergeGoal(left, right);
  const decision = { rangeId: id, epoch, goal, source: "admin", reason: "asked for", bytes: 0 } as const;
  return startOperator(decision, 7, index, testIds()) as Operator;
}

function drive(seed: number): { operator: Operator; neighbours: Neighbours } {
  const random = new SmallRandom(seed);
  const neighbours = new Neighbours(base.ranges);
  let moment = 0;
  const index = (ranges: readonly RangeState[]): ReturnType<typeof indexCluster> => {
    const state: ClusterState = { ...base, nowMs: nowMs + moment * 100, ranges };
    return indexCluster(state);
  };
  let seen = neighbours.ranges;
  let operator = begin(seen, index(seen));
  const cancelAt = random.below(2) === 0 ? random.below(30) : -1;
  const deaf = random.below(4) === 0 ? random.below(20) : Infinity;
  const posted: OperatorStep[] = [];
  const answers: StepOutcome[] = [];
  const work = (step: OperatorStep): void => {
    const { operatorId, stepId, rangeId: id } = step;
    const { state, seal } = neighbours.run(step);
    const answer = { type: "step-outcome", operatorId, stepId, rangeId: id, state, reason: "", keys: [] } as const;
    answers.push({ ...answer, seal, descriptor: undefined });
  };
  for (; !isEnded(operator); moment++) {
    if (moment > 5000) throw new Error(`seed ${seed} never ends: ${JSON.stringify(operator)}`);
    if (moment === cancelAt) operator = cancelOperator(operator, "enough");
    if (random.below(3) > 0) seen = neighbours.ranges;
    if (random.below(4) === 0) operator = decodeOperator(encodeOperator(operator));
    for (const answer of answers.splice(0, random.below(3)))
      operator = applyOutcome(operator, answer, index(seen), testIds());
    const advance = advanceOperator(operator, index(seen));
    operator = advance.operator;
    if (advance.step !== undefined) for (let copies = random.below(3); copies > 0; copies--) posted.push(advance.step);
    while (posted.length > 0 && random.below(2) === 0) {
      const step = posted.splice(random.below(posted.length), 1)[0]!;
      // Seals and merges that come late, or in the end.
      if (moment > deaf && moment < deaf + 150 && (step.action.kind === "seal" || step.action.kind === "merge"))
        posted.unshift(step);
      else work(step);
      if (moment > deaf) break;
    }
  }
  // What was under way still comes.
  for (const step of posted) work(step);
  return { operator, neighbours };
}

describe("a merge", () => {
  test("E7 E8 ends when it is known what became of it, whatever is lost, doubled, late or taken over", () => {
    const ends = new Map<string, number>();
    for (let seed = 1; seed <= 1500; seed++) {
      const { operator, neighbours } = drive(seed);
      ends.set(operator.state, (ends.get(operator.state) ?? 0) + 1);
      expect(neighbours.right === undefined, `seed ${seed}: ${operator.state}`).toBe(operator.state === "done");
      if (neighbours.right !== undefined) expect(neighbours.sealedFor, `seed ${seed}`).toBeUndefined();
    }
    expect(ends.get("done")).toBeGreaterThan(300);
    expect(ends.get("cancelled")).toBeGreaterThan(100);
    expect(ends.get("timed-out")).toBeGreaterThan(10);
  });

  test("gathers the right range's replicas on the left one's stores before anything is sealed", () => {
    const apart = parseState([...stores, "store 4", "range 2 1* 2 3 end=m", "range 3 1 2* 4 start=m"]);
    const operator = begin(apart.ranges, indexCluster(apart));
    expect(operator.goal).toMatchObject({ moves: [{ from: 4, to: 3, replicaId: 1000 }], phase: "gather" });
    const { step } = advanceOperator(operator, indexCluster(apart));
    expect(step).toMatchObject({
      rangeId: 3,
      action: { kind: "change-members", add: [{ replicaId: 1000, storeId: 3, role: "learner" }] },
    });
    const together = indexCluster(base);
    const sealing = advanceOperator(begin(base.ranges, together), together);
    expect(sealing).toMatchObject({ step: undefined, operator: { goal: { phase: "seal" } } });
    expect(advanceOperator(sealing.operator, together).step).toMatchObject({
      rangeId: 3,
      action: { kind: "seal", leftRangeId: 2, leftBounds: 1, replicas: [{ left: 21, right: 31 }, {}, {}] },
    });
  });

  test("is not sealed while a member is down, and both ranges are the operator's", () => {
    const down = parseState([...stores, "range 2 1* 2 3 end=m", "range 3 1 2* 3! start=m"]);
    const operator = begin(base.ranges, indexCluster(base));
    const { step, waiting } = advanceOperator(operator, indexCluster({ ...down, operators: [operator] }));
    expect(step).toBeUndefined();
    expect(waiting).toBe("the replica of range 3 on store 3 does not answer");
    const index = indexCluster({ ...base, operators: [operator] });
    expect([index.operators.get(rangeId(2)), index.operators.get(rangeId(3))]).toEqual([operator, operator]);
    const move = { kind: "move", from: storeId(1), to: storeId(2), replicaId: 0 } as never;
    const other = { rangeId: rangeId(3), epoch: { bounds: 1, members: 1 }, goal: move, bytes: 0 } as never;
    expect(startOperator(other, 8, index, testIds())).toBe("operator 7 works on range 3");
  });

  test("is given up when a member goes down while it may be sealed, or for long while it is gathered", () => {
    const sealing = advanceOperator(begin(base.ranges, indexCluster(base)), indexCluster(base)).operator;
    const down = parseState([...stores, "range 2 1* 2 3! end=m", "range 3 1 2* 3 start=m"]);
    const given = advanceOperator(sealing, indexCluster(down));
    expect(given.operator).toMatchObject({ state: "cancelling", endsAs: "failed" });
    expect(given.step).toMatchObject({ rangeId: 2, action: { kind: "cancel-merge", rightRangeId: 3 } });
    const away = (seconds: number, store: number): ClusterState =>
      parseState([
        ...[1, 2, 3, 4].map((id) => `store ${id}${id === store ? ` down=${seconds}` : ""}`),
        "range 2 1* 2 3 end=m",
        "range 3 1 2* 4 start=m",
      ]);
    const gathering = begin(away(0, 1).ranges, indexCluster(away(0, 1)));
    const stateAt = (seconds: number, store: number): string =>
      advanceOperator(gathering, indexCluster(away(seconds, store))).operator.state;
    expect([stateAt(200, 1), stateAt(300, 1)]).toEqual(["running", "failed"]);
    expect([stateAt(200, 4), stateAt(300, 4)]).toEqual(["running", "failed"]);
    expect([stateAt(9, 3), stateAt(10, 3)]).toEqual(["running", "failed"]);
  });

  test("has this record", () => {
    const operator = begin(base.ranges, indexCluster(base));
    expect(decodeOperator(encodeOperator(operator))).toEqual(operator);
    expect(encodeOperator(operator)).toMatchInlineSnapshot(
      `"{"format":1,"operatorId":7,"rangeId":2,"goal":{"kind":"merge","rightRangeId":3,"rightBounds":1,"moves":[],"phase":"gather","seal":{"index":0,"term":0},"provenBounds":0},"source":"admin","reason":"asked for","epoch":{"bounds":1,"members":1},"bytes":0,"createdMs":10000000,"deadlineMs":11800000,"state":"running","endsAs":"cancelled","outcome":"","endedMs":0}"`,
    );
  });
});

describe("merging by itself", () => {
  const small = ["range 2 1* 2 3 end=m size=5", "range 3 1 2* 3 start=m end=t size=5", "range 4 1 2 3* start=t size=5"];
  const decided = (...lines: string[]): string[] =>
    decide(indexCluster(parseState([...stores, "set mergeBytes 33554432", ...lines]))).flatMap(
      ({ rangeId: id, goal }) => (goal.kind === "merge" ? [`${id}+${goal.rightRangeId}`] : []),
    );

  test("joins small neighbours, no range twice in one round", () => {
    expect(decided(...small)).toEqual(["2+3"]);
    expect(decided("set mergeBytes 0", ...small)).toEqual([]);
  });

  test("leaves alone what is large, what was reshaped a moment ago, and what co-location keeps apart", () => {
    expect(decided(small[0]!, "range 3 1 2* 3 start=m size=33")).toEqual([]);
    expect(decided("set splitBytes 20000000", small[0]!, small[1]!)).toEqual([]);
    expect(decided(small[0]!, small[1]!, "done 2 split ago=60")).toEqual([]);
    expect(decided(small[0]!, small[1]!, "done 2 split ago=601")).toEqual(["2+3"]);
    expect(decided(small[0]!, small[1]!, "colocate m")).toEqual([]);
    expect(decided(small[0]!, small[1]!, "pause merge")).toEqual([]);
  });
});
