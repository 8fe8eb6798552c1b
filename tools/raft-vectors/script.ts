/**
 * Script files: commands and what they must answer, as a person reads them.
 *
 *     # a comment
 *     verb argument key=value key=(a,b)
 *     more input, line by line
 *     ----
 *     the expected answer, up to the next empty line
 *
 * An answer that has empty lines itself stands between doubled `----` lines.
 */

export interface Argument {
  readonly key: string;
  /** Without `=`. */
  readonly bare: boolean;
  readonly values: readonly string[];
}

export interface Case {
  /** Of the verb, from 1. */
  readonly line: number;
  readonly verb: string;
  readonly arguments: readonly Argument[];
  readonly input: readonly string[];
  readonly expected: readonly string[];
  /** Lines `[from, to)`, from 0, that hold the expected answer, for rewriting. */
  readonly from: number;
  readonly to: number;
}

const separator = "----";

/** Throws an Error that names the line. */
export function parseScript(text: string): Case[] {
  const lines = text.split("\n");
  const cases: Case[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]!.trim();
    if (line === "" || line.startsWith("#")) {
      at++;
      continue;
    }
    const parsed = parseCase(lines, at);
    cases.push(parsed);
    at = parsed.to;
    if (lines[at]?.trim() === separator) at += 2;
  }
  return cases;
}

function parseCase(lines: readonly string[], start: number): Case {
  let at = start;
  let command = lines[at++]!.trim();
  while (command.endsWith("\\")) command = `${command.slice(0, -1)} ${(lines[at++] ?? "").trim()}`;
  const input: string[] = [];
  while (at < lines.length && lines[at]!.trim() !== separator) {
    const line = lines[at++]!;
    if (!line.trim().startsWith("#")) input.push(line.trim());
  }
  if (at === lines.length) throw new Error(`line ${start + 1}: "${command}" has no ${separator} behind it`);
  at++;
  const doubled = lines[at]?.trim() === separator;
  if (doubled) at++;
  const from = at;
  while (at < lines.length && (doubled ? lines[at]!.trim() !== separator : lines[at]!.trim() !== "")) at++;
  const [verb, ...rest] = splitCommand(command, start);
  return {
    line: start + 1,
    verb: verb!,
    arguments: rest.map(parseArgument),
    input: input.filter((line) => line !== ""),
    expected: lines.slice(from, at),
    from,
    to: at,
  };
}

/** Its input lines as commands of their own, behind the first one: a script may give several in one block. */
export const commandsOf = (one: Case): Case[] => [
  { ...one, input: [] },
  ...one.input.map((text, i) => {
    const [verb, ...rest] = splitCommand(text, one.line + i);
    return { ...one, verb: verb!, arguments: rest.map(parseArgument), input: [] };
  }),
];

/** At blanks that are not inside parentheses. */
function splitCommand(command: string, line: number): string[] {
  const words: string[] = [];
  let word = "";
  let depth = 0;
  for (const c of `${command} `) {
    if (c === "(") depth++;
    if (c === ")") depth--;
    if (/\s/.test(c) && depth === 0) {
      if (word !== "") words.push(word);
      word = "";
    } else if (!/\s/.test(c)) {
      word += c;
    } else {
      word += " ";
    }
  }
  if (depth !== 0) throw new Error(`line ${line + 1}: parentheses do not match in "${command}"`);
  return words;
}

function parseArgument(word: string): Argument {
  const equals = word.indexOf("=");
  if (equals < 0) return { key: word, bare: true, values: [] };
  const value = word.slice(equals + 1);
  const list = value.startsWith("(") ? value.slice(1, -1) : value;
  return { key: word.slice(0, equals), bare: false, values: list.split(/[,\s]+/).filter((part) => part !== "") };
}

export const bareArguments = (one: Case): string[] =>
  one.arguments.filter((argument) => argument.bare).map((argument) => argument.key);

export const valuesOf = (one: Case, key: string): readonly string[] | undefined =>
  one.arguments.find((argument) => argument.key === key)?.values;

/** `fallback` when the argument is missing; a bare one means true. */
export function flagOf(one: Case, key: string, fallback: boolean): boolean {
  const values = valuesOf(one, key);
  return values === undefined ? fallback : values[0] !== "false";
}

export function numberOf(one: Case, key: string, fallback: number): number {
  const values = valuesOf(one, key);
  const value = values === undefined ? fallback : Number(values[0]);
  if (!Number.isSafeInteger(value)) throw new Error(`line ${one.line}: ${key} is no integer`);
  return value;
}
