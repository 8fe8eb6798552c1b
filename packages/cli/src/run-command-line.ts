/** From the arguments to an exit code: finds the verb, loads it alone, parses, runs, reports what went wrong. */
import { Command, CommanderError } from "commander";
import { Failure } from "@flotilla/base";
import type { CommandIo, Verb } from "./command-io.ts";
import { exitCodeOf, exitDone, exitWrongInput } from "./exit-code.ts";
import { formatError } from "./output/error-report.ts";
import { guessOutputFormat, parseOutputFormat } from "./output/output-format.ts";
import { groups } from "./verb-table.ts";
import type { VerbEntry } from "./verb-table.ts";

/** Where the terminal does not say. */
const helpWidth = 80;

/** `argv` without node and script. Never rejects. */
export async function runCommandLine(
  argv: readonly string[],
  io: CommandIo,
  table: readonly VerbEntry[],
): Promise<number> {
  const words =
    argv[0] === "help" ? [...argv.slice(1), "--help"] : argv[0] === "--version" ? ["version", ...argv.slice(1)] : argv;
  try {
    return await parseAndRun(words, io, table);
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(error, words, io, table);
    io.note(formatError(error, guessOutputFormat(words)));
    return exitCodeOf(error);
  }
}

async function parseAndRun(words: readonly string[], io: CommandIo, table: readonly VerbEntry[]): Promise<number> {
  const called = table.find(({ path }) => path.every((word, index) => words[index] === word));
  const program = newCommand("flotilla", io).description("Flotilla: a sharded, replicated, ordered key-value store");
  program.usage("<verb> [arguments]").addHelpText("after", "\n`flotilla <verb> --help` shows what a verb takes.");
  program.helpCommand(false);
  let exitCode: Promise<number> | undefined;
  const groupCommands = new Map<string, Command>();
  for (const entry of table) {
    const parent = entry.path.length === 1 ? program : groupOf(entry.path[0]!, program, groupCommands, io);
    const command = newCommand(entry.path.at(-1)!, io).description(entry.summary);
    parent.addCommand(command);
    if (entry !== called) continue;
    const { verb } = await entry.load();
    verb.configure(command);
    command.action(() => void (exitCode = runVerb(verb, command, io)));
  }
  await program.parseAsync([...words], { from: "user" });
  return exitCode ?? exitDone;
}

function newCommand(name: string, io: CommandIo): Command {
  return new Command(name)
    .exitOverride()
    .showSuggestionAfterError(true)
    .allowExcessArguments(false)
    .configureOutput({
      writeOut: (text) => void io.out(text),
      writeErr: () => {},
      outputError: () => {},
      getOutHelpWidth: () => (io.outIsTerminal ? (process.stdout.columns ?? helpWidth) : helpWidth),
    });
}

function groupOf(name: string, program: Command, known: Map<string, Command>, io: CommandIo): Command {
  let group = known.get(name);
  if (group === undefined) {
    group = newCommand(name, io)
      .description(groups[name] ?? "")
      .usage("<verb> [arguments]")
      .helpCommand(false);
    known.set(name, group);
    program.addCommand(group);
  }
  return group;
}

async function runVerb(verb: Verb, command: Command, io: CommandIo): Promise<number> {
  const options = command.opts<Record<string, unknown>>();
  const format = parseOutputFormat(options["output"] ?? "table");
  try {
    return await verb.run({
      io,
      arguments: command.processedArgs as (string | string[] | undefined)[],
      options,
      format,
    });
  } catch (error) {
    io.note(formatError(error, format));
    return exitCodeOf(error, verb.refusalsAreInput);
  }
}

/** Help asked for is no error; everything else that the parser refuses is what the user gave. */
function reportUsage(
  error: CommanderError,
  words: readonly string[],
  io: CommandIo,
  table: readonly VerbEntry[],
): number {
  if (error.code === "commander.helpDisplayed" || error.code === "commander.version") return exitDone;
  // The longest part of what was typed that exists.
  const known =
    table.find(({ path }) => path.every((word, index) => words[index] === word))?.path ??
    (words[0] !== undefined && words[0] in groups ? [words[0]] : []);
  const help = `\`${["flotilla", ...known].join(" ")} --help\``;
  const message =
    error.code === "commander.help"
      ? "which verb?"
      : error.message.replace(/^error: /, "").replace(/\n\(Did you mean (.*)\?\)$/, "; did you mean $1?");
  const failure = new Failure("InvalidArgument", message.split("\n")[0]!, { hint: `see ${help}` });
  io.note(formatError(failure, guessOutputFormat(words)));
  return exitWrongInput;
}
