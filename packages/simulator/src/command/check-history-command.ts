/** The command `check-history`: arguments in, text and exit code out. */
import { readFileSync } from "node:fs";
import { HistoryFormatError, parseKvHistory, parseRegisterHistory } from "../history/history-file.ts";
import { KvModel } from "../history/kv-model.ts";
import { checkHistory, checkOptionsDefault } from "../history/linearizability.ts";
import type { HistoryVerdict } from "../history/linearizability.ts";
import type { Operation } from "../history/model.ts";
import { RegisterModel } from "../history/register-model.ts";

const help = `Usage: npm run check-history -- --model register|kv [-o table|json] [--steps N] FILE

Says whether a recorded history is linearizable: whether all answers can be explained by the operations taking
effect one after the other, each between the moment it was asked and the moment it was answered.

FILE is JSON Lines, one operation a line, in any order; "-" reads standard input. Empty lines and lines that begin
with # are skipped.

Every operation:
  client   string or number   who asked
  key      string or number   left out: one key for all
  invoke   number             when it was asked; any unit, one clock for the whole file
  return   number or null     when it was answered; null or left out: never
  result   "ok"               done, with the answer given in the line
           "mismatch"         answered: the condition (or comparison) did not hold
           "fail"             certainly without effect; the line is not looked at further
           "unknown", "info"  no answer: it may have taken effect any time after invoke, or never

--model register: a register for each key, null at first; values are strings, numbers, booleans or null
  {"op":"read","value":V}   {"op":"write","value":V}   {"op":"cas","from":V,"to":V}  (mismatch: optional "found":V)

--model kv: keys with versions, absent at first; every write of a key has a higher version than those before
  {"op":"get","value":STRING or null,"version":N}   null and 0 for absent; the version may be left out
  {"op":"put","value":STRING,"version":N}           {"op":"delete","existed":true or false,"version":N}
  put and delete also "condition": "if-absent", or "if-version" with "expected":N; with result "mismatch" the
  version is the one that was found, 0 for absent

Example:
  {"client":1,"key":"x","op":"write","value":3,"invoke":10,"return":14,"result":"ok"}
  {"client":2,"key":"x","op":"read","value":3,"invoke":12,"return":13,"result":"ok"}
  {"client":3,"key":"x","op":"cas","from":3,"to":4,"invoke":15,"return":null,"result":"unknown"}

Exit code 0: pass. 1: fail or undecided (the search was given up after --steps steps for one key, default
${checkOptionsDefault.stepsMax}). 2: the input or the arguments are wrong; the line is named.
`;

interface Arguments {
  readonly model: "register" | "kv";
  readonly file: string;
  readonly output: "table" | "json";
  readonly stepsMax: number;
}

class UsageError extends Error {}

function parseArguments(given: readonly string[]): Arguments {
  let model: string | undefined;
  let file: string | undefined;
  let output = "table";
  let stepsMax = checkOptionsDefault.stepsMax;
  const rest = [...given];
  while (rest.length > 0) {
    const argument = rest.shift()!;
    const [name, inline] = argument.startsWith("--") ? argument.split("=", 2) : [argument, undefined];
    const value = (): string => {
      const found = inline ?? rest.shift();
      if (found === undefined) throw new UsageError(`${name} needs a value`);
      return found;
    };
    if (name === "--model") model = value();
    else if (name === "-o" || name === "--output") output = value();
    else if (name === "--steps") stepsMax = Number(value());
    else if (argument.startsWith("-") && argument !== "-") throw new UsageError(`unknown option ${argument}`);
    else if (file === undefined) file = argument;
    else throw new UsageError(`one file at a time: ${file} and ${argument}`);
  }
  if (model !== "register" && model !== "kv") {
    throw new UsageError(
      model === undefined ? "--model is missing: register or kv" : `no model ${model}: register or kv`,
    );
  }
  if (output !== "table" && output !== "json") throw new UsageError(`-o is table or json, not ${output}`);
  if (!Number.isInteger(stepsMax) || stepsMax < 1) throw new UsageError("--steps must be a whole number from 1");
  if (file === undefined) throw new UsageError("FILE is missing");
  return { model, file, output, stepsMax };
}

function check({ model, file, stepsMax }: Arguments): HistoryVerdict<Operation> {
  let text: string;
  try {
    text = readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const options = { ...checkOptionsDefault, stepsMax };
  return model === "register"
    ? checkHistory(parseRegisterHistory(text), () => new RegisterModel(), options)
    : checkHistory(parseKvHistory(text), () => new KvModel(), options);
}

/** The operation as a line of the file would say it, its place in the file in front. */
function printable({ line, return: returned, ...rest }: Operation): string {
  const until = returned === Infinity ? "…" : String(returned);
  const fields = Object.entries(rest).filter(
    ([name, value]) => name !== "invoke" && name !== "key" && value !== undefined,
  );
  const shown = fields.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return `  line ${line}: [${rest.invoke}, ${until}] ${shown.join(" ")}`;
}

function report(verdict: HistoryVerdict<Operation>): string {
  const lines = [`${verdict.verdict}  ${verdict.operations} operations, ${verdict.keys} keys, ${verdict.steps} steps`];
  for (const failure of verdict.failures) {
    if (failure.contradiction === undefined) {
      lines.push(`key ${failure.key}: undecided after ${failure.steps} steps; try again with a higher --steps`);
      continue;
    }
    const { cut, operations } = failure.contradiction;
    lines.push(
      `key ${failure.key}: no order explains these together${cut === -Infinity ? "" : ", whatever was before"}:`,
    );
    for (const operation of operations) lines.push(printable(operation));
  }
  return lines.join("\n") + "\n";
}

export interface CommandOutput {
  /** 0 pass, 1 fail or undecided, 2 wrong input or arguments. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Reads the file named in the arguments, and standard input for `-`. */
export function checkHistoryCommand(given: readonly string[]): CommandOutput {
  if (given.includes("--help") || given.includes("-h")) return { exitCode: 0, stdout: help, stderr: "" };
  try {
    const parsed = parseArguments(given);
    const verdict = check(parsed);
    const stdout = parsed.output === "json" ? JSON.stringify(verdict) + "\n" : report(verdict);
    return { exitCode: verdict.verdict === "pass" ? 0 : 1, stdout, stderr: "" };
  } catch (error) {
    if (error instanceof HistoryFormatError)
      return { exitCode: 2, stdout: "", stderr: `check-history: ${error.message}\n` };
    if (error instanceof UsageError)
      return { exitCode: 2, stdout: "", stderr: `check-history: ${error.message}\nTry --help.\n` };
    throw error;
  }
}
