/** What `bench idle` was asked for, checked. */
import type { Command } from "commander";
import { Failure } from "@flotilla/base";
import { addOutputOption, countOption } from "../../arguments/common-options.ts";
import { parseDurationMs } from "../../arguments/duration.ts";
import { rangesMax } from "../../arguments/split-keys.ts";
import type { Invocation } from "../../command-io.ts";
import { addResultOptions } from "../result-files.ts";
import { addDirectoryOption } from "../work-directory.ts";

export interface IdlePlan {
  readonly nodes: number;
  readonly ranges: number;
  /** Of the small cluster that the figures are laid beside. */
  readonly baseRanges: number;
  /** How many nodes are killed: 0 or 1. */
  readonly kill: number;
  /** How long a killed node stays away before that is measured. */
  readonly deadForMs: number;
  /** Over which processor time and messages are counted. */
  readonly windowMs: number;
  readonly sleepTicks: number;
}

/** For everything, starts and stops included. */
export const idleMsMax: number = 15 * 60_000;
/** What is waited for may take so long, four starts among it. */
const aroundMs = 7 * 60_000;

export function addIdleOptions(command: Command): void {
  addOutputOption(command)
    .option("--ranges <n>", "ranges of the cluster that is measured", "3000")
    .option("--base-ranges <n>", "ranges of the small cluster that is measured first", "30")
    .option("--nodes <n>", "nodes, each range has three replicas", "3")
    .option("--kill <n>", "kill so many nodes (0 or 1), and measure the others without it", "0")
    .option("--dead-for <duration>", "how long the killed node is away before that is measured", "1m")
    .option("--window <duration>", "how long each state is measured", "30s")
    .option("--sleep-ticks <n>", "quiet ticks after which a range sleeps; 0 = none does", "50");
  addDirectoryOption(command);
  addResultOptions(command);
  command.addHelpText(
    "after",
    "\nIt starts nodes of its own, twice: with few ranges and with many. Nothing is asked of them. At the end a node is\nstopped and started in order, and all data is removed. At most 15 minutes.",
  );
}

export function parseIdlePlan({ options }: Pick<Invocation, "options">): IdlePlan {
  const plan: IdlePlan = {
    nodes: countOption(options, "nodes", "--nodes", 3, 9)!,
    ranges: countOption(options, "ranges", "--ranges", 1, rangesMax)!,
    baseRanges: countOption(options, "baseRanges", "--base-ranges", 1, rangesMax)!,
    kill: countOption(options, "kill", "--kill", 0, 1)!,
    deadForMs: parseDurationMs("--dead-for", String(options["deadFor"])),
    windowMs: parseDurationMs("--window", String(options["window"])),
    sleepTicks: countOption(options, "sleepTicks", "--sleep-ticks", 0, 1_000_000)!,
  };
  if (plan.baseRanges >= plan.ranges)
    throw new Failure("InvalidArgument", `--base-ranges ${plan.baseRanges} must be fewer than --ranges ${plan.ranges}`);
  const asked = 2 * plan.windowMs + plan.kill * (plan.deadForMs + plan.windowMs);
  if (asked + aroundMs > idleMsMax)
    throw new Failure(
      "InvalidArgument",
      `--window and --dead-for: together at most ${(idleMsMax - aroundMs) / 60_000} minutes`,
    );
  return plan;
}
