/**
 * Steps of operators, where they are carried out: at the leader of the range. A step names the epoch that it was planned
 * on and is refused under any other (rule: newest epoch); sent again while it is under way it begins nothing anew.
 */
import { sameEpoch } from "@flotilla/base";
import type { OperatorStep, SplitPart, StepAction, StepOutcome } from "@flotilla/transport";
import type { EntryOutcome } from "../replica/pending-answers.ts";
import type { MemberChange } from "../replica/member-change.ts";
import type { Replica } from "../replica/replica.ts";
import type { MergeSteps, StepEnd } from "./merge-steps.ts";
import { findSplitKeys } from "./split-keys.ts";

type Outcome = StepEnd;
type Reply = (outcome: StepOutcome) => void;

/** Steps under way at once; more are refused. */
const stepsMax = 1024;

const done: Outcome = { state: "done", reason: "" };
const refused = (reason: string): Outcome => ({ state: "refused", reason });
const failed = (reason: string): Outcome => ({ state: "failed", reason });

export interface StepRunnerHost {
  readonly merges: MergeSteps;
  replica(rangeId: number): Replica | undefined;
  fail(error: unknown): void;
}

export class StepRunner {
  readonly #host: StepRunnerHost;
  /** By operator and step. */
  readonly #underWay: Set<string> = new Set();

  constructor(host: StepRunnerHost) {
    this.#host = host;
  }

  /** `reply` is called once, but for a step that is under way already. */
  run(step: OperatorStep, reply: Reply): void {
    const name = `${step.operatorId}/${step.stepId}`;
    if (this.#underWay.has(name)) return;
    const answer = ({ state, reason, keys = [], seal }: Outcome): void => {
      this.#underWay.delete(name);
      const { operatorId, stepId, rangeId } = step;
      const descriptor = this.#host.replica(rangeId)?.descriptor;
      reply({ type: "step-outcome", operatorId, stepId, rangeId, state, reason, keys, seal, descriptor });
    };
    const replica = this.#host.replica(step.rangeId);
    if (replica?.serves !== true) return answer(refused("this store does not lead the range"));
    if (!sameEpoch(replica.descriptor.epoch, step.epoch)) return answer(refused("the range has another epoch by now"));
    if (this.#underWay.size >= stepsMax) return answer(refused("too many steps are under way on this store"));
    this.#underWay.add(name);
    this.#begin(replica, step.action, answer);
  }

  #begin(replica: Replica, action: StepAction, answer: (outcome: Outcome) => void): void {
    switch (action.kind) {
      case "transfer-leader": {
        const to = replica.replicaOn(action.to);
        if (to === undefined) return answer(refused(`store ${action.to} has no replica of the range`));
        if (to === replica.replicaId) return answer(done);
        return answer(replica.transferTo(to) ? done : refused(`store ${action.to} cannot lead the range now`));
      }
      case "split":
        return this.#split(replica, action.parts, 0, answer);
      case "find-split-keys":
        findSplitKeys(replica.machine, action.parts, action.prefixes, () => replica.serves).then(
          // "There is none" is an answer, and final; that the search broke off is not.
          (found) =>
            answer(
              found === undefined ? refused("the range changed while keys were sought") : { state: "done", ...found },
            ),
          (error: unknown) => this.#host.fail(error),
        );
        return;
      case "change-members":
        return this.#changeMembers(replica, action, answer);
      case "seal":
      case "merge":
      case "cancel-merge":
      case "unseal":
        return this.#host.merges.run(replica, action, answer);
      default:
        return action satisfies never;
    }
  }

  #changeMembers(replica: Replica, change: MemberChange, answer: (outcome: Outcome) => void): void {
    const refusal = replica.proposeMembers(change, (outcome) =>
      answer(
        outcome === "applied" ? done : failed("the leader changed before it was known whether the change is applied"),
      ),
    );
    if (refusal !== undefined) answer(refused(refusal));
  }

  /** One part after the other, each on what the one before has left. */
  #split(replica: Replica, parts: readonly SplitPart[], at: number, answer: (outcome: Outcome) => void): void {
    const part = parts[at];
    if (part === undefined) return answer(done);
    const so = at === 0 ? "" : `${at} of ${parts.length} parts are made: `;
    const settle = (outcome: EntryOutcome): void => {
      if (outcome === "applied") return this.#split(replica, parts, at + 1, answer);
      if (outcome === "fallen") return answer(failed(`${so}the range changed before the split was applied`));
      return answer(failed(`${so}the leader changed before it was known whether the split is applied`));
    };
    const refusal = replica.proposeReshape(
      { kind: "split", split: { ...part, epoch: replica.descriptor.epoch } },
      settle,
    );
    if (refusal !== undefined) answer(at === 0 ? refused(refusal) : failed(so + refusal));
  }
}
