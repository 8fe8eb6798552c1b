/** How Readys, messages and progress are written in interaction scripts. */
import type { ReplicaId } from "@flotilla/base";
import { decodeConfigurationChange } from "@flotilla/raft";
import type { Configuration, Entry, Message, ProgressStatus, Ready, Role, SnapshotLabel } from "@flotilla/raft";

export const roleNames: Readonly<Record<Role, string>> = {
  follower: "StateFollower",
  "pre-candidate": "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

export const messageNames: Readonly<Record<Message["type"], string>> = {
  append: "MsgApp",
  "append-response": "MsgAppResp",
  heartbeat: "MsgHeartbeat",
  "heartbeat-response": "MsgHeartbeatResp",
  "pre-vote": "MsgPreVote",
  "pre-vote-response": "MsgPreVoteResp",
  vote: "MsgVote",
  "vote-response": "MsgVoteResp",
  "timeout-now": "MsgTimeoutNow",
  snapshot: "MsgSnap",
};

const stateNames = { probe: "StateProbe", replicate: "StateReplicate", snapshot: "StateSnapshot" } as const;

const text = (data: Uint8Array): string => new TextDecoder().decode(data);

export function describeEntry(entry: Entry): string {
  const place = `${entry.term}/${entry.index}`;
  if (entry.kind === "normal") return `${place} EntryNormal ${JSON.stringify(text(entry.data))}`;
  return `${place} ${describeChange(entry.data)}`;
}

export function describeChange(data: Uint8Array): string {
  const letters = { "add-voter": "v", "add-learner": "l", remove: "r" } as const;
  const { changes } = decodeConfigurationChange(data);
  return ["EntryConfChangeV2", ...changes.map(({ type, id }) => `${letters[type]}${id}`)].join(" ");
}

function describeState(configuration: Configuration): string {
  const list = (ids: readonly ReplicaId[]): string => `[${ids.join(" ")}]`;
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  return (
    `Voters:${list(voters)} VotersOutgoing:${list(votersOutgoing)} Learners:${list(learners)} ` +
    `LearnersNext:${list(learnersNext)} AutoLeave:${autoLeave}`
  );
}

const describeLabel = ({ index, term, configuration }: SnapshotLabel): string =>
  `Index:${index} Term:${term} ConfState:${describeState(configuration)}`;

export function describeMessage(message: Message): string[] {
  const head = `${message.from}->${message.to} ${messageNames[message.type]} Term:${message.term}`;
  switch (message.type) {
    case "append": {
      const commit = message.commit > 0 ? ` Commit:${message.commit}` : "";
      return withEntries(`${head} Log:${message.prevTerm}/${message.prevIndex}${commit}`, message.entries);
    }
    case "append-response": {
      const refused = message.reject ? ` Rejected (Hint: ${message.hintIndex})` : "";
      return [`${head} Log:${message.hintTerm}/${message.index}${refused}`];
    }
    case "heartbeat":
      return [`${head} Log:0/0${message.commit > 0 ? ` Commit:${message.commit}` : ""}`];
    case "pre-vote":
    case "vote":
      return [`${head} Log:${message.lastTerm}/${message.lastIndex}`];
    case "pre-vote-response":
    case "vote-response":
      return [`${head} Log:0/0${message.reject ? " Rejected (Hint: 0)" : ""}`];
    case "heartbeat-response":
    case "timeout-now":
      return [`${head} Log:0/0`];
    case "snapshot":
      return [`${head} Log:0/0`, `  Snapshot: ${describeLabel(message.label)}`];
    default:
      message satisfies never;
      return [head];
  }
}

export function withEntries(head: string, entries: readonly Entry[]): string[] {
  if (entries.length === 0) return [head];
  if (entries.length === 1) return [`${head} Entries:[${describeEntry(entries[0]!)}]`];
  return [`${head} Entries:[`, ...entries.map((entry) => `  ${describeEntry(entry)}`), "]"];
}

/** Without its messages. Durable writes are what a Ready owes; a snapshot alone is not counted as one here. */
export function describeReady(ready: Ready, committed: readonly Entry[]): string[] {
  const { softState, hardState, entries, snapshot } = ready;
  const lines = [`Ready MustSync=${ready.mustSync}:`];
  if (softState !== undefined) lines.push(`Lead:${softState.leader} State:${roleNames[softState.role]}`);
  if (hardState !== undefined) {
    const vote = hardState.vote > 0 ? ` Vote:${hardState.vote}` : "";
    lines.push(`HardState Term:${hardState.term}${vote} Commit:${hardState.commit}`);
  }
  if (entries.length > 0) lines.push("Entries:", ...entries.map(describeEntry));
  if (snapshot !== undefined) lines.push(`Snapshot ${describeLabel(snapshot)}`);
  if (committed.length > 0) lines.push("CommittedEntries:", ...committed.map(describeEntry));
  return lines;
}

export function describeProgress(progress: ProgressStatus): string {
  const { id, state, match, next, learner, paused, recentActive, pendingSnapshot, inflightMessages, inflightFull } =
    progress;
  let line = `${id}: ${stateNames[state]} match=${match} next=${next}`;
  if (learner) line += " learner";
  if (paused) line += " paused";
  if (pendingSnapshot > 0) line += ` pendingSnap=${pendingSnapshot}`;
  if (!recentActive) line += " inactive";
  if (inflightMessages > 0) line += ` inflight=${inflightMessages}${inflightFull ? "[full]" : ""}`;
  return line;
}

/**
 * What has a meaning in an answer, in one spelling. Left out: log lines; what a replica tells itself or its own storage,
 * which is an acknowledgement here and not a message; whether a write must be synced, for which implementations differ
 * with the commit index; the follower's commit index in its answers; headings of lists.
 */
export function normalizeInteraction(lines: readonly string[]): string[] {
  return joined(lines)
    .filter((line) => !/^(INFO|DEBUG|WARN|WARNING|ERROR) /.test(line))
    .filter((line) => !/AppendThread|ApplyThread/.test(line) && !/^(dropped: )?(\d+)->\2 /.test(line))
    .filter((line) => !["ok", "ok (quiet)", "Messages:", "Processing:", "Responses:", "]", ""].includes(line))
    .filter((line) => line !== "raft: cannot step as peer not found")
    .map((line) =>
      line
        .replace(/^Ready MustSync=\w+:$/, "Ready")
        .replace(/, (?=\d+\/\d+ Entry)/g, "; ")
        .replace(/(MsgAppResp .*?) Commit:\d+/, "$1")
        .replace(/EntryConfChange(V2)?/g, "EntryConfChange")
        .replace(/^(\d+: State\w+ match=\d+) commit=\d+/, "$1")
        .replace(/^(\d+: StateSnapshot match=\d+) next=\d+/, "$1"),
    );
}

/** Entries and snapshots of a message on its own line. */
function joined(lines: readonly string[]): string[] {
  const result: string[] = [];
  let open = false;
  for (const raw of lines) {
    const line = raw.trim();
    if (open) {
      const before = result.pop()!;
      result.push(line.startsWith("]") ? before + line : `${before}${before.endsWith("[") ? "" : "; "}${line}`);
      open = !line.startsWith("]");
    } else if (line.startsWith("Snapshot: ")) {
      result.push(`${result.pop() ?? ""} ${line}`);
    } else {
      result.push(line);
      open = line.endsWith("Entries:[");
    }
  }
  return result;
}
