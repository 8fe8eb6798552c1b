/** Programs that embed a cluster, run as processes of their own: what they print, and what is left when they have ended. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface ProgramResult {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly errors: string;
}

/** A place for temporary directories that nobody else uses: what is in it afterwards was left behind. */
export class TemporaryPlace {
  readonly path: string = mkdtempSync(join(tmpdir(), "flotilla-place-"));

  leftovers(): string[] {
    return readdirSync(this.path).filter((name) => name.startsWith("flotilla-"));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}

/** Resolves when the program has ended; it is killed after 30 s, which no test here takes for success. */
export function runNode(
  args: readonly string[],
  place: TemporaryPlace,
  onOutput: (text: string, child: ChildProcess) => void = () => {},
): Promise<ProgramResult> {
  const env = { ...process.env, TMPDIR: place.path };
  const child = spawn(process.execPath, args, { cwd: join(root, "test"), env, stdio: ["ignore", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  let out = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    onOutput(out, child);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode, signal) => {
      clearTimeout(timer);
      resolve({ exitCode, signal, out, errors });
    });
  });
}

/** An ES module, given as text. */
export function runProgram(
  source: string,
  place: TemporaryPlace,
  onOutput?: (text: string, child: ChildProcess) => void,
): Promise<ProgramResult> {
  return runNode(["--input-type=module", "--eval", source], place, onOutput);
}
