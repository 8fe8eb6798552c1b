/** Runs a program to its end and keeps what it says. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { Failure } from "@flotilla/base";

const outputBytesMax = 32 * 1024 * 1024;

export interface ProgramRun {
  /** `node` for one of our own scripts. */
  readonly program: string;
  readonly parameters: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** After that it is ended, and that is an error. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  started?(child: ChildProcess): void;
}

export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly out: string;
  readonly errors: string;
}

export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  const { program, parameters, environment, timeoutMs, signal } = run;
  signal.throwIfAborted();
  const child = spawn(program, parameters, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    if (out.length < outputBytesMax) out += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    if (errors.length < outputBytesMax) errors += chunk;
  });
  let timedOut = false;
  const timeout = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  const onAbort = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    run.started?.(child);
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    signal.throwIfAborted();
    if (timedOut) throw new Failure("Timeout", `${program} ${parameters[0] ?? ""} took longer than ${timeoutMs} ms`);
    return { exitCode, out, errors };
  } finally {
    clearTimeout(timeout);
    signal.removeEventListener("abort", onAbort);
  }
}
