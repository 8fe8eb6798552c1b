/** Steps go from another store, as from the placement driver; what became of them is seen on the wire. */
import type { Epoch, RangeId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { PeerMessage, StepAction, StepOutcome } from "@flotilla/transport";
import type { MemoryStream } from "./memory-network.ts";
import type { TestCluster, TestStore } from "./test-cluster.ts";

const codec = createCodec(nodeByteOperations);

export class StepSender {
  readonly outcomes: StepOutcome[] = [];
  /** A message that this drops is not delivered. */
  drops: (message: PeerMessage, from: string, to: string) => boolean = () => false;
  readonly #cluster: TestCluster;
  #nextStep = 1;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
    cluster.network.intercept = (from, to, purpose, payload) => {
      if (purpose === "client" || purpose === "snapshot") return payload;
      const messages = codec.decodePeer(payload);
      for (const message of messages) if (message.type === "step-outcome") this.outcomes.push(message);
      const through = messages.filter((message) => !this.drops(message, from, to));
      return through.length === messages.length ? payload : codec.encodePeer(through);
    };
  }

  send(leader: TestStore, rangeId: RangeId, epoch: Epoch, action: StepAction): number {
    const stepId = this.#nextStep++;
    const step: PeerMessage = { type: "operator-step", operatorId: 900, stepId, rangeId, epoch, action };
    const from = this.#cluster.others(leader).find((store) => store.api !== undefined)!;
    this.#stream(from, leader).send(codec.encodePeer([step]));
    return stepId;
  }

  async run(leader: TestStore, rangeId: RangeId, epoch: Epoch, action: StepAction): Promise<StepOutcome> {
    return this.outcome(this.send(leader, rangeId, epoch, action));
  }

  async outcome(stepId: number): Promise<StepOutcome> {
    const find = (): StepOutcome | undefined => this.outcomes.find((outcome) => outcome.stepId === stepId);
    await this.#cluster.world.until(`the outcome of step ${stepId}`, () => find() !== undefined);
    return find()!;
  }

  /** One that `from` accepted and `to` dialled: it carries what `from` sends. */
  #stream(from: TestStore, to: TestStore): MemoryStream {
    return [...this.#cluster.network.streams].find(
      ({ accepted, purpose, host, peer }) =>
        accepted && purpose === "heartbeat" && host === from.host && peer.host === to.host,
    )!;
  }
}
