/** Operators against a tiny model of a range, and their records. */
import { MalformedError, replicaId, storeId } from "@flotilla/base";
import type { ReplicaDescriptor, StoreId } from "@flotilla/base";
import type { OperatorStep, StepOutcome } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import {
  advanceOperator,
  applyOutcome,
  cancelOperator,
  decodeOperator,
  encodeOperator,
  indexCluster,
  isEnded,
  operatorFormat,
  startOperator,
} from "../src/index.ts";
import type { ClusterState, Decision, Operator, RangeState, StoreState } from "../src/index.ts";
import { SmallRandom } from "./support/small-random.ts";
import { nowMs, parseState, testIds } from "./support/tables.ts";

/** A range that does what a leader does with steps; a joint change takes effect in two moments. */
class ModelRange {
  state: RangeState;
  #leave: ReplicaDescriptor[] | undefined = undefined;

  constructor(state: RangeState) {
    this.state = state;
  }

  /** Applies a step, or refuses it: for its epoch, or because a change is under way. */
  run(step: OperatorStep): StepOutcome["state"] {
    const { descriptor } = this.state;
    if (step.epoch.members !== descriptor.epoch.members || this.#leave !== undefined) return "refused";
    const { action } = step;
    if (action.kind === "transfer-leader") {
      const to = descriptor.replicas.find(({ storeId: store }) => store === action.to);
      if (to?.role !== "voter") return "refused";
      this.#set({ leader: action.to });
    }
    if (action.kind === "change-members") {
      const after = descriptor.replicas.filter(
        (replica) =>
          !action.remove.includes(replica.replicaId) &&
          !action.add.some((added) => added.replicaId === replica.replicaId),
      );
      const simple = action.add.length + action.remove.length === 1;
      const final = [
        ...after,
        ...action.add.map(({ replicaId: id, storeId: store, role }) => ({ replicaId: id, storeId: store, role })),
      ];
      if (simple) this.#members(final);
      else {
        const outgoing = descriptor.replicas.filter(({ replicaId: id }) => action.remove.includes(id));
        this.#members([
          ...after,
          ...action.add.map((added) => ({
            replicaId: added.replicaId,
            storeId: added.storeId,
            role: "incoming" as const,
          })),
          ...outgoing.map((replica) => ({ ...replica, role: "outgoing" as const })),
        ]);
        this.#leave = final;
      }
    }
    return "done";
  }

  /** Leaves a joint configuration, brings learners level, elects where the leader is gone. */
  settle(random: SmallRandom): void {
    if (this.#leave !== undefined && random.below(2) === 0) {
      const final = this.#leave;
      this.#leave = undefined;
      this.#members(final);
    }
    const level = this.state.replicas.map((replica) => (random.below(3) === 0 ? { ...replica, lag: 0 } : replica));
    this.#set({ replicas: level });
    const voters = this.state.descriptor.replicas.filter(({ role }) => role === "voter" || role === "incoming");
    if (voters.every(({ storeId: store }) => store !== this.state.leader))
      this.#set({ leader: voters[random.below(voters.length)]!.storeId });
  }

  get voters(): StoreId[] {
    return this.state.descriptor.replicas.filter(({ role }) => role === "voter").map(({ storeId: store }) => store);
  }

  #members(replicas: readonly ReplicaDescriptor[]): void {
    const { descriptor } = this.state;
    const epoch = { ...descriptor.epoch, members: descriptor.epoch.members + 1 };
    const known = new Map(this.state.replicas.map((replica) => [replica.replicaId, replica]));
    const fresh = { match: this.state.replicas[0]!.match, lag: 5000, state: "replicate" as const, active: true };
    this.#set({
      descriptor: { ...descriptor, replicas, epoch },
      replicas: replicas.map(
        ({ replicaId: id, storeId: store }) => known.get(id) ?? { ...fresh, replicaId: id, storeId: store },
      ),
    });
  }

  #set(change: Partial<RangeState>): void {
    this.state = { ...this.state, ...change };
  }
}

const lively = (state: ClusterState, dead: StoreId): readonly StoreState[] =>
  state.stores.map((store) => (store.storeId === dead ? { ...store, health: "dead", downMs: 20_000 } : store));

/** B11: after each step a majority of every configuration is on stores that live. */
function expectQuorum({ descriptor }: RangeState, dead: StoreId): void {
  for (const leaving of ["incoming", "outgoing"]) {
    const voters = descriptor.replicas.filter(({ role }) => role !== "learner" && role !== leaving);
    const live = voters.filter(({ storeId: store }) => store !== dead).length;
    expect(live * 2, JSON.stringify(descriptor.replicas)).toBeGreaterThan(voters.length);
  }
}

interface Run {
  readonly before: StoreId[];
  readonly after: StoreId[];
  readonly operator: Operator;
}

function drive(seed: number): Run {
  const random = new SmallRandom(seed);
  const single = random.below(3) === 0;
  // One replica is missing, and nothing goes.
  const lacks = !single && random.below(4) === 0;
  const lines = [
    "store 1",
    "store 2",
    "store 3",
    "store 4",
    single ? "range 2 1*" : lacks ? "range 2 1* 2" : "range 2 1* 2 3",
  ];
  const base = parseState(single ? ["replicas 1", ...lines] : lines);
  const from = storeId(lacks ? 0 : single ? 1 : 1 + random.below(3));
  // With three replicas one store may die at some point, the one that goes too.
  const dies = !single && !lacks && random.below(2) === 0 ? storeId(1 + random.below(3)) : storeId(0);
  const diesAt = random.below(30);
  const range = new ModelRange(base.ranges[0]!);
  const { before } = { before: range.voters };
  let moment = 0;
  const dead = (): StoreId => (moment >= diesAt ? dies : storeId(0));
  const index = (range_: RangeState): ReturnType<typeof indexCluster> =>
    indexCluster({ ...base, nowMs: nowMs + moment * 1000, stores: lively(base, dead()), ranges: [range_] });
  const decision: Decision = {
    rangeId: range.state.descriptor.rangeId,
    epoch: range.state.descriptor.epoch,
    goal: {
      kind: lacks || (dies === from && random.below(2) === 0) ? "repair" : "move",
      from,
      to: storeId(4),
      replicaId: replicaId(0),
    },
    source: "admin",
    reason: "asked for",
    bytes: 0,
  };
  const ids = testIds();
  let operator = startOperator(decision, 7, index(range.state), ids) as Operator;
  const settings = base.settings;
  const cancelAt = random.below(3) === 0 ? random.below(40) : -1;
  const posted: OperatorStep[] = [];
  const answers: StepOutcome[] = [];
  /** What the driver sees may be older than what is. */
  let seen = range.state;
  for (; !isEnded(operator); moment++) {
    if (moment * 1000 > 3 * settings.moveTimeoutMs) throw new Error(`seed ${seed} never ends`);
    if (moment === cancelAt) operator = cancelOperator(operator, "enough");
    // The store that died leads no more.
    if (range.state.leader === dead() && dead() !== 0) {
      const heir = range.voters.find((store) => store !== dead());
      if (heir !== undefined) range.state = { ...range.state, leader: heir };
    }
    if (random.below(3) > 0) seen = range.state;
    // Another driver: all that it has is what was written.
    if (random.below(4) === 0) operator = decodeOperator(encodeOperator(operator));
    for (const answer of answers.splice(0, random.below(3)))
      operator = applyOutcome(operator, answer, index(seen), ids);
    const advance = advanceOperator(operator, index(seen));
    operator = advance.operator;
    if (advance.step !== undefined) for (let copies = random.below(3); copies > 0; copies--) posted.push(advance.step);
    while (posted.length > 0 && random.below(2) === 0) {
      const step = posted.splice(random.below(posted.length), 1)[0]!;
      const state = range.run(step);
      expectQuorum(range.state, dead());
      const { operatorId, stepId, rangeId } = step;
      answers.push({
        type: "step-outcome",
        operatorId,
        stepId,
        rangeId,
        state,
        reason: "",
        keys: [],
        seal: undefined,
        descriptor: undefined,
      });
    }
    range.settle(random);
  }
  return { before, after: range.voters, operator };
}

describe("operators", () => {
  test("E17 B11 a move or repair ends with the replicas it was for or those from before, whatever is lost, doubled or taken over", () => {
    const ends = new Map<string, number>();
    for (let seed = 1; seed <= 1500; seed++) {
      const { before, after, operator } = drive(seed);
      const end = `${operator.goal.kind} ${operator.state}`;
      ends.set(end, (ends.get(end) ?? 0) + 1);
      const goal = operator.goal as { from: StoreId };
      const moved = [...before.filter((store) => store !== goal.from), storeId(4)];
      const wanted = operator.state === "done" ? moved : before;
      expect([...after].sort(), `seed ${seed}: ${operator.state}`).toEqual([...wanted].sort());
    }
    for (const kind of ["move", "repair"]) {
      expect(ends.get(`${kind} done`)).toBeGreaterThan(100);
      expect(ends.get(`${kind} cancelled`)).toBeGreaterThan(10);
    }
  });

  test.each([
    [
      "removing one of three while another is dead",
      ["range 2 1* 2 3!", "op 2 remove 2"],
      "only 1 of 2 voters would be healthy afterwards",
    ],
    ["adding to a range that has no majority", ["range 2 1* 2! 3!", "op 2 move 1>4"], "only 1 of 3 voters are healthy"],
    ["removing the only voter", ["range 2 1*", "op 2 remove 1"], "it is the range's only voter"],
  ])("B11 %s is not tried: it waits, and says why", (_, lines, reason) => {
    const state = parseState(["store 1", "store 2", "store 3", "store 4", ...lines]);
    const { step, waiting } = advanceOperator(state.operators[0]!, indexCluster(state));
    expect(step).toBeUndefined();
    expect(waiting).toBe(reason);
  });

  test("undoing the move of a single voter goes on without the old one when that cannot lead", () => {
    const [range] = parseState(["range 2 1~ 4*"]).ranges;
    const state = parseState(["replicas 1", "store 1", "store 4", "range 2 1~ 4*"]);
    const [moving] = parseState(["store 1", "range 2 1", "op 2 move 1>4"]).operators;
    const { step } = advanceOperator(cancelOperator(moving!, "enough"), indexCluster(state));
    expect(step?.action).toEqual({
      kind: "change-members",
      add: [],
      remove: [range!.descriptor.replicas[0]!.replicaId],
    });
  });

  test("a move whose new replica is not level when its store dies is given up, and holds nothing back", () => {
    const lines = ["store 1", "store 2", "store 3", "store 4 down=400"];
    const learning = parseState([...lines, "range 2 1* 2 3 4:learner", "op 2 move 3>4"]);
    const [moving] = learning.operators;
    const [learner] = learning.ranges[0]!.descriptor.replicas.filter(({ role }) => role === "learner");
    const given = advanceOperator(moving!, indexCluster(learning));
    expect(given.operator).toMatchObject({
      state: "cancelling",
      endsAs: "failed",
      outcome: "store 4 has not been heard of for 400 s",
    });
    expect(given.step?.action).toEqual({ kind: "change-members", add: [], remove: [learner!.replicaId] });
    const gone = parseState([...lines, "range 2 1* 2 3"]);
    expect(advanceOperator(given.operator, indexCluster(gone)).operator).toMatchObject({ state: "failed" });
    // A voter already: what is under way comes into force, or repair replaces it.
    const voting = parseState([...lines, "range 2 1* 2 3 4", "op 2 move 3>4"]);
    expect(advanceOperator(voting.operators[0]!, indexCluster(voting)).operator.state).toBe("running");
  });

  test("that no key is useful ends a split at once, with the reason", () => {
    const state = parseState(["store 1", "range 2 1*", "op 2 split"]);
    const [operator] = state.operators;
    const outcome: StepOutcome = {
      type: "step-outcome",
      operatorId: operator!.operatorId,
      stepId: 1,
      rangeId: operator!.rangeId,
      state: "done",
      reason: "no useful key: it has fewer than two keys that could be apart",
      keys: [],
      seal: undefined,
      descriptor: undefined,
    };
    const index = indexCluster(state);
    const ended = advanceOperator(applyOutcome(operator!, outcome, index, testIds()), index).operator;
    expect(ended).toMatchObject({ state: "failed", outcome: outcome.reason });
  });
});

describe("an operator's record", () => {
  const [operator] = parseState(["store 1", "range 2 1*", "op 2 move 1>4"]).operators;
  const text = encodeOperator(operator!);

  test("has this form, and another one needs another format number", () => {
    expect(operatorFormat).toBe(1);
    expect(text).toBe(
      '{"format":1,"operatorId":1,"rangeId":2,"goal":{"kind":"move","from":1,"replicaId":24,"to":4},"source":"balance-replicas",' +
        '"reason":"","epoch":{"bounds":1,"members":1},"bytes":0,"createdMs":10000000,"deadlineMs":10060000,"state":"running",' +
        '"endsAs":"cancelled","outcome":"","endedMs":0}',
    );
    expect(decodeOperator(text)).toEqual(operator);
  });

  test.each([
    ["another format", text.replace('"format":1', '"format":2')],
    ["a field too many", text.replace('"format":1', '"format":1,"more":1')],
    ["a field too many in its goal", text.replace('"kind":"move"', '"kind":"move","more":1')],
    ["a missing field", text.replace('"reason":"",', "")],
    ["an unknown state", text.replace('"running"', '"walking"')],
    ["an unknown goal", text.replace('"move"', '"lift"')],
    ["a number that is none", text.replace('"endedMs":0', '"endedMs":-1')],
    ["no JSON", text.slice(1)],
    ["a list", "[]"],
  ])("is refused with %s", (_, wrong) => {
    expect(wrong).not.toBe(text);
    expect(() => decodeOperator(wrong)).toThrow(MalformedError);
  });
});
