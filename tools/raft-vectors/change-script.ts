/**
 * `simple`, `enter-joint [autoleave=true]` and `leave-joint` on one configuration that begins empty. Input lines hold changes:
 * `v1` voter, `l1` learner, `r1` remove, `u1` nothing; replica 0 is skipped. The answer is the configuration and a line for
 * each member's progress, or a reason. The n-th command adds members with a last index of n - 1.
 */
import { logIndex, replicaId } from "@flotilla/base";
import type { ReplicaId } from "@flotilla/base";
import { changer } from "@flotilla/raft";
import type { ChangeRefused, Changed, Configuration, MemberChange, MemberProgress } from "@flotilla/raft";
import { flagOf } from "./script.ts";
import type { Case } from "./script.ts";
import type { ScriptRun } from "./script-run.ts";

/** How other implementations word the same refusals. */
const reasons: readonly (readonly [RegExp, ChangeRefused])[] = [
  [/removed all voters|zero-voter/, "no-voters"],
  [/more than one voter/, "needs-joint"],
  [/non-joint|not joint/, "not-joint"],
  [/already joint|in joint/, "already-joint"],
];

export function changeRun(): ScriptRun {
  let configuration: Configuration = {
    voters: [],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
  let progress: ReadonlyMap<ReplicaId, MemberProgress> = new Map();
  let commands = 0;
  return {
    answer(one) {
      const next = changer(configuration, progress, logIndex(commands++));
      const changes = one.input.flatMap((line) => parseChanges(line));
      const changed = carryOut(one, next, changes);
      if (changed === undefined) return undefined;
      if (!changed.ok) return [`refused: ${changed.reason}`];
      configuration = changed.configuration;
      progress = changed.progress;
      return [describeConfiguration(configuration), ...describeProgress(progress)];
    },
    normalize: (lines) => lines.map((line) => reasonOf(line.trim())).filter((line) => line !== ""),
  };
}

function carryOut(one: Case, next: ReturnType<typeof changer>, changes: readonly MemberChange[]): Changed | undefined {
  switch (one.verb) {
    case "simple":
      return next.simple(changes);
    case "enter-joint":
      return next.enterJoint({ autoLeave: flagOf(one, "autoleave", false) }, changes);
    case "leave-joint":
      return next.leaveJoint();
    default:
      return undefined;
  }
}

function reasonOf(line: string): string {
  // Some implementations keep a commit index in the progress, too.
  if (/^(voters=|\d+: )/.test(line)) return line.replace(/ commit=\d+/, "");
  const known = reasons.find(([wording]) => wording.test(line));
  return known === undefined ? line : `refused: ${known[1]}`;
}

export function parseChanges(line: string): MemberChange[] {
  const kinds = { v: "add-voter", l: "add-learner", r: "remove" } as const;
  const changes: MemberChange[] = [];
  for (const word of line.split(/\s+/).filter((part) => part !== "")) {
    const id = replicaId(Number(word.slice(1)));
    const kind = word[0]!;
    if (kind === "u" || id === 0) continue;
    if (kind !== "v" && kind !== "l" && kind !== "r") throw new Error(`unknown change "${word}"`);
    changes.push({ type: kinds[kind], id });
  }
  return changes;
}

export function describeConfiguration(configuration: Configuration): string {
  const list = (ids: readonly ReplicaId[]): string => `(${ids.join(" ")})`;
  let text = `voters=${list(configuration.voters)}`;
  if (configuration.votersOutgoing.length > 0) text += `&&${list(configuration.votersOutgoing)}`;
  if (configuration.learners.length > 0) text += ` learners=${list(configuration.learners)}`;
  if (configuration.learnersNext.length > 0) text += ` learners_next=${list(configuration.learnersNext)}`;
  return configuration.autoLeave ? `${text} autoleave` : text;
}

const describeProgress = (progress: ReadonlyMap<ReplicaId, MemberProgress>): string[] =>
  [...progress]
    .sort(([a], [b]) => a - b)
    .map(
      ([id, { match, next, learner }]) => `${id}: StateProbe match=${match} next=${next}${learner ? " learner" : ""}`,
    );
