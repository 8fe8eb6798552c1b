/**
 * What has to be done before a signal ends this process that nobody in it handles. Not npm's signal-exit: it replaces the
 * exit code of a program whose top-level await never settles, and overlooks handlers that are installed for once.
 */
import { isMainThread } from "node:worker_threads";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** On the listeners of every copy of this module, so that two copies do not take each other for the program's own. */
const mark: unique symbol = Symbol.for("flotilla.ending-signals") as never;

interface Listener {
  (signal: NodeJS.Signals): void;
  [mark]?: true;
}

/**
 * Calls `run`, which must not wait for anything, and lets the signal end the process as it would have. A program that
 * handles the signal itself is left alone. Returns how to stop listening. Signals reach the main thread only.
 */
export function beforeEndingSignal(run: () => void): () => void {
  if (!isMainThread) return () => {};
  const stop = (): void => signals.forEach((signal) => void process.off(signal, listener));
  const listener: Listener = (signal) => {
    if (isHandled(signal)) return;
    stop();
    run();
    // Once more, now that it ends the process.
    process.kill(process.pid, signal);
  };
  listener[mark] = true;
  // In front: a listener for once that comes before this one would be gone by now.
  for (const signal of signals) process.prependListener(signal, listener);
  return stop;
}

function isHandled(signal: NodeJS.Signals): boolean {
  const others = process.listeners(signal).filter((listener) => (listener as Listener)[mark] === undefined);
  return others.length > waitingCount();
}

/** The library signal-exit, which many programs have inside, does the same as this and waits for everybody else. */
function waitingCount(): number {
  const known = process as unknown as Record<PropertyKey, { readonly count?: unknown } | undefined>;
  const emitters = [known[Symbol.for("signal-exit emitter")], known["__signal_exit_emitter__"]];
  return emitters.reduce((sum, emitter) => sum + (typeof emitter?.count === "number" ? emitter.count : 0), 0);
}
