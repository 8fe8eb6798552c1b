/** What a step wants to tell others, until `ready()` takes it. */
import type { LogIndex } from "@flotilla/base";
import type { AppendResponse, Message } from "./message.ts";
import type { ReadState } from "./ready.ts";

const noMessages: readonly Message[] = Object.freeze([]) as readonly Message[];
const noReadStates: readonly ReadState[] = Object.freeze([]) as readonly ReadState[];

export class Outbox {
  /** May leave at once. */
  #messages: Message[] = [];
  /** Promise something that must be durable first: a vote, a term, entries (hazard A2). */
  #afterPersisted: Message[] = [];
  #readStates: ReadState[] = [];

  get empty(): boolean {
    return this.#messages.length === 0 && this.#afterPersisted.length === 0 && this.#readStates.length === 0;
  }

  get waitsForPersistence(): boolean {
    return this.#afterPersisted.length > 0;
  }

  send(message: Message): void {
    this.#messages.push(message);
  }

  sendAfterPersisted(message: Message): void {
    this.#afterPersisted.push(message);
  }

  /** An acknowledgement makes an older one of the same turn, to the same leader, superfluous. */
  acknowledgeAfterPersisted(message: AppendResponse): void {
    const last = this.#afterPersisted[this.#afterPersisted.length - 1];
    if (
      last !== undefined &&
      last.type === "append-response" &&
      !last.reject &&
      last.to === message.to &&
      last.term === message.term &&
      last.index <= message.index
    ) {
      this.#afterPersisted[this.#afterPersisted.length - 1] = message;
    } else {
      this.#afterPersisted.push(message);
    }
  }

  confirmRead(context: number, index: LogIndex): void {
    this.#readStates.push({ context, index });
  }

  takeMessages(): readonly Message[] {
    if (this.#messages.length === 0) return noMessages;
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  takeAfterPersisted(): readonly Message[] {
    if (this.#afterPersisted.length === 0) return noMessages;
    const messages = this.#afterPersisted;
    this.#afterPersisted = [];
    return messages;
  }

  takeReadStates(): readonly ReadState[] {
    if (this.#readStates.length === 0) return noReadStates;
    const readStates = this.#readStates;
    this.#readStates = [];
    return readStates;
  }
}
