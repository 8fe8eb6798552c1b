/** Child processes that share the terminal. */
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** A command that did not end with 0. Its message is for the user, and complete. */
export class CommandFailed extends Error {
  /**
   * @param {string} message
   * @param {number} exitCode
   */
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Runs to the end. Ctrl-C reaches the child by itself, from the terminal, so here it only must not end the parent
 * first; SIGTERM and SIGHUP are passed on.
 *
 * @typedef {object} CommandOptions
 * @property {string} cwd
 * @property {NodeJS.ProcessEnv} [env]
 * @property {"inherit" | "stderr" | "capture"} [stdout] where standard output goes; standard error always stays itself
 * @property {number} [timeoutMs] the child is killed after that long
 *
 * @param {string[]} command
 * @param {CommandOptions} options
 * @returns {Promise<{ exitCode: number, output: string, timedOut: boolean }>} exit code 128 + n stands for signal n, as
 * in a shell; `output` is what was captured
 */
export function runCommand(command, options) {
  const [file = "", ...rest] = command;
  const stdout = options.stdout === "stderr" ? 2 : options.stdout === "capture" ? "pipe" : "inherit";
  const { cwd, env = process.env } = options;
  const child = spawn(file, rest, { cwd, env, stdio: ["inherit", stdout, "inherit"] });
  /** @type {Buffer[]} */
  const chunks = [];
  child.stdout?.on("data", (chunk) => chunks.push(chunk));
  const stayAlive = () => {};
  /** @param {NodeJS.Signals} signal */
  const passOn = (signal) => child.kill(signal);
  process.on("SIGINT", stayAlive).on("SIGTERM", passOn).on("SIGHUP", passOn);
  let timedOut = false;
  const timer = setTimeout(
    () => {
      timedOut = true;
      child.kill("SIGKILL");
    },
    options.timeoutMs ?? 2 ** 31 - 1,
  );
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      process.off("SIGINT", stayAlive).off("SIGTERM", passOn).off("SIGHUP", passOn);
      const exitCode = signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0);
      resolve({ exitCode, output: Buffer.concat(chunks).toString("utf8"), timedOut });
    });
  });
}

/**
 * @param {string} what names the command in the error
 * @param {string[]} command
 * @param {CommandOptions} options
 */
export async function runOrFail(what, command, options) {
  const { exitCode } = await runCommand(command, options);
  if (exitCode !== 0) throw new CommandFailed(`${what} ended with ${exitCode}`, exitCode);
}
