/** Commands or reads of one range that went out in one message, until all of them are answered or given up on. */
import type { CachedRange } from "./route-cache.ts";
import type { Lane, Operation } from "./operation.ts";
import type { StoreLink } from "./store-link.ts";

export class SentBatch {
  readonly id: number;
  readonly lane: Lane;
  readonly link: StoreLink;
  readonly range: CachedRange;
  readonly operations: readonly Operation[];
  /** `numbers[i]` is what `operations[i].number` was when it was sent: operations are reused. */
  readonly numbers: readonly number[];
  /** Operations that still belong to this batch. */
  remaining: number;
  /** Where it ends among all bytes that the link sent on this stream; undefined: not sent yet. */
  endsAtBytes: number | undefined = undefined;
  /** When the store had taken it off the stream (monotonic); undefined: it is on its way. */
  takenMs: number | undefined = undefined;
  readonly sentMs: number;
  /** With the store for so long, and no answer: the operations are tried elsewhere. */
  readonly stallMs: number;
  /** The value that each read is expected to bring; 0 for writes. */
  readonly expectedBytes: number;

  constructor(
    id: number,
    lane: Lane,
    link: StoreLink,
    range: CachedRange,
    operations: readonly Operation[],
    numbers: readonly number[],
    sentMs: number,
    stallMs: number,
    expectedBytes: number,
  ) {
    this.id = id;
    this.lane = lane;
    this.link = link;
    this.range = range;
    this.operations = operations;
    this.numbers = numbers;
    this.remaining = operations.length;
    this.sentMs = sentMs;
    this.stallMs = stallMs;
    this.expectedBytes = expectedBytes;
  }

  /** Calls back with every operation that still waits for this batch. */
  forEachWaiting(callback: (operation: Operation) => void): void {
    for (let i = 0; i < this.operations.length; i++) {
      const operation = this.operations[i]!;
      if (operation.batch === this && operation.number === this.numbers[i]) callback(operation);
    }
  }

  /** The operation leaves: it was answered, given up, or will be sent again. */
  release(operation: Operation): void {
    operation.batch = undefined;
    operation.state = "idle";
    this.remaining--;
    this.link.inFlight--;
    this.link.inFlightBytes -= operation.bytes;
    this.link.expectedBytes -= this.expectedBytes;
    if (this.remaining === 0) this.link.outstanding.delete(this.id);
  }
}
