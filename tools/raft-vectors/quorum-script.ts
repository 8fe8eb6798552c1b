/**
 * `committed cfg=(1,2,3) idx=(100,_,99)` and `vote cfg=(1,2) cfgj=(2,3) votes=(y,n,_)`; also spelled `joint_committed` and
 * `joint_vote`. The values belong to the voters in the order in which cfg and then cfgj name them, each once.
 * An answer may show a picture first; its last line is what counts.
 */
import { integerMax, logIndex, replicaId } from "@flotilla/base";
import type { ReplicaId } from "@flotilla/base";
import { committedIndex, sortedConfiguration, voteResult } from "@flotilla/raft";
import type { Configuration } from "@flotilla/raft";
import { valuesOf } from "./script.ts";
import type { Case } from "./script.ts";
import type { ScriptRun } from "./script-run.ts";

const voteNames = { won: "VoteWon", lost: "VoteLost", pending: "VotePending" } as const;

export function quorumRun(): ScriptRun {
  return {
    answer(one) {
      const outgoing = valuesOf(one, "cfgj") ?? [];
      const incoming = valuesOf(one, "cfg") ?? [];
      const voters = [...new Set([...incoming, ...outgoing].filter((id) => id !== "zero"))].map(idOf);
      const configuration = configurationOf(incoming, outgoing);
      switch (one.verb.replace(/^(joint|majority)_/, "")) {
        case "committed":
          return [committed(one, configuration, voters)];
        case "vote":
          return [vote(one, configuration, voters)];
        default:
          return undefined;
      }
    },
    normalize(lines) {
      const last = lines.filter((line) => line.trim() !== "").at(-1) ?? "";
      return [last.trim().replace(/^<.*>/, "")];
    },
  };
}

const idOf = (text: string): ReplicaId => replicaId(Number(text));

function configurationOf(incoming: readonly string[], outgoing: readonly string[]): Configuration {
  const ids = (list: readonly string[]): ReplicaId[] => list.filter((id) => id !== "zero").map(idOf);
  return sortedConfiguration({
    voters: ids(incoming),
    votersOutgoing: ids(outgoing),
    learners: [],
    learnersNext: [],
    autoLeave: false,
  });
}

function committed(one: Case, configuration: Configuration, voters: readonly ReplicaId[]): string {
  const given = valuesOf(one, "idx") ?? [];
  if (given.length !== voters.length) return mismatch(given, voters);
  const match = new Map(voters.flatMap((id, i) => (given[i] === "_" ? [] : [[id, logIndex(Number(given[i]))]])));
  const index = committedIndex(configuration, match);
  return index === integerMax ? "∞" : `${index}`;
}

function vote(one: Case, configuration: Configuration, voters: readonly ReplicaId[]): string {
  const given = valuesOf(one, "votes") ?? [];
  if (given.length !== voters.length) return mismatch(given, voters);
  const votes = new Map(voters.flatMap((id, i) => (given[i] === "_" ? [] : [[id, given[i] === "y"]])));
  return voteNames[voteResult(configuration, votes)];
}

const mismatch = (given: readonly string[], voters: readonly ReplicaId[]): string =>
  `error: ${given.length} values for voters ${voters.join(" ")}`;
