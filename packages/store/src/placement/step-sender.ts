/** Sends each operator's next step to the leader of its range, again while nothing comes of it. */
import type { Clock, StoreId } from "@flotilla/base";
import type { OperatorStep } from "@flotilla/transport";

const repeatMs = 1000;

interface Sent {
  readonly stepId: number;
  readonly leader: StoreId;
  readonly bounds: number;
  readonly members: number;
  readonly atMs: number;
}

export class StepSender {
  readonly #clock: Clock;
  readonly #send: (to: StoreId, step: OperatorStep) => void;
  readonly #sent: Map<number, Sent> = new Map();

  constructor(clock: Clock, send: (to: StoreId, step: OperatorStep) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** At once when the step, the leader or the range's epoch is another than before. */
  send(step: OperatorStep, leader: StoreId): void {
    const { operatorId, stepId, epoch } = step;
    const last = this.#sent.get(operatorId);
    const now = this.#clock.monotonicMs();
    const same =
      last?.stepId === stepId &&
      last.leader === leader &&
      last.bounds === epoch.bounds &&
      last.members === epoch.members;
    if (same && now - last.atMs < repeatMs) return;
    this.#sent.set(operatorId, { stepId, leader, bounds: epoch.bounds, members: epoch.members, atMs: now });
    this.#send(leader, step);
  }

  forget(operatorId: number): void {
    this.#sent.delete(operatorId);
  }

  clear(): void {
    this.#sent.clear();
  }
}
