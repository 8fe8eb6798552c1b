import type { Scheduler } from "@flotilla/base";

/** Runs by itself, without time: the end of a turn is a few microtasks away, a delay as many as it has milliseconds. */
export const microtaskScheduler: Scheduler = {
  after(delayMs, callback) {
    let cancelled = false;
    const step = (left: number): void => {
      if (cancelled) return;
      if (left <= 0) callback();
      else queueMicrotask(() => step(left - 1));
    };
    step(Math.max(1, delayMs));
    return { cancel: () => void (cancelled = true) };
  },
  endOfTurn(callback) {
    queueMicrotask(() => queueMicrotask(callback));
  },
};
