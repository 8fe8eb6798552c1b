/** The real process behind a verb. */
import { setTimeout } from "node:timers/promises";
import { Failure } from "@flotilla/base";
import type { CommandIo } from "./command-io.ts";
import { openScreen } from "./top/terminal-screen.ts";
import { connectCluster } from "./cluster-client.ts";

export function createProcessIo(): CommandIo {
  let endsWithReader = true;
  process.stdout.on("error", () => {
    // There is nobody left to tell, and nothing went wrong.
    if (endsWithReader) process.exit(0);
  });
  process.stderr.on("error", () => {});
  let interruption: AbortController | undefined;
  return {
    out: (content) =>
      new Promise((resolve) => {
        if (process.stdout.destroyed || process.stdout.write(content)) resolve();
        else process.stdout.once("drain", resolve);
      }),
    note: (text) => void process.stderr.write(text),
    outIsTerminal: process.stdout.isTTY === true,
    // It changes with the window.
    get outColumns() {
      return process.stdout.isTTY === true ? process.stdout.columns : undefined;
    },
    noteIsTerminal: process.stderr.isTTY === true,
    // Node opens the stream when it is asked for, and most verbs never ask.
    get inputIsTerminal() {
      return process.stdin.isTTY === true;
    },
    get input() {
      return process.stdin;
    },
    environment: process.env,
    directory: process.cwd(),
    connect: connectCluster,
    nowMs: () => performance.now(),
    pause: (milliseconds, signal) => setTimeout(milliseconds, undefined, { signal }).catch(() => {}),
    openScreen: () => openScreen(process.stdin, process.stdout),
    outliveReaders: () => void (endsWithReader = false),
    interrupted() {
      interruption ??= listenForInterruption();
      return interruption.signal;
    },
  };
}

/** npm passes on the Ctrl-C that the terminal has already delivered: within this time a second signal is the same one. */
const sameSignalMs = 500;

function listenForInterruption(): AbortController {
  const controller = new AbortController();
  let firstAt = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (!controller.signal.aborted) {
      firstAt = performance.now();
      controller.abort(new Failure("Cancelled", `interrupted by ${signal}`));
    } else if (performance.now() - firstAt > sameSignalMs) process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller;
}

/** Waits until what was written has left, then ends the process: open sockets of a closing client need not be waited for. */
export async function exitProcess(exitCode: number): Promise<never> {
  await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
  if (process.stderr.writableLength > 0)
    await Promise.race([new Promise<void>((resolve) => process.stderr.write("", () => resolve())), setTimeout(1000)]);
  process.exit(exitCode);
}
