/**
 * Scripts of whole groups: replicas are added, told to campaign, propose or tick, and messages are delivered or dropped, one
 * command at a time. The verbs are those of the table at the end.
 */
import { replicaId } from "@flotilla/base";
import type { ReplicaId } from "@flotilla/base";
import { encodeConfigurationChange, sortedConfiguration, standardVariant } from "@flotilla/raft";
import type { ConfigurationChange, Entry, Message, Proposed } from "@flotilla/raft";
import { parseChanges } from "./change-script.ts";
import {
  describeChange,
  describeEntry,
  describeMessage,
  describeProgress,
  describeReady,
  messageNames,
  normalizeInteraction,
  roleNames,
  withEntries,
} from "./interaction-text.ts";
import { bareArguments, commandsOf, flagOf, numberOf, valuesOf } from "./script.ts";
import type { Case } from "./script.ts";
import { ScriptReplica } from "./script-replica.ts";
import type { AppendWork } from "./script-replica.ts";
import type { ScriptRun } from "./script-run.ts";

const unlimitedBytes = 2 ** 40;
const unlimitedMessages = 2 ** 30;
/** A script in which messages never end is wrong. */
const roundsMax = 10_000;

/** On the way to a replica. */
interface Envelope {
  readonly to: ReplicaId;
  readonly type: string;
  readonly lines: readonly string[];
  /** From the replica itself or its storage: never dropped. */
  readonly local: boolean;
  readonly deliver: () => void;
}

type Verb = (group: ScriptGroup, one: Case) => string[];

export function interactionRun(): ScriptRun {
  const group = new ScriptGroup();
  return {
    answer(one) {
      const lines: string[] = [];
      for (const command of one.verb === inputVerb ? [one] : commandsOf(one)) {
        const verb = verbs[command.verb];
        if (verb === undefined) return undefined;
        const answer = verb(group, command);
        const quiet = group.quiet || valuesOf(command, "log-level")?.[0] === "none";
        if (!quiet) lines.push(...answer);
      }
      return lines.length === 0 ? ["ok"] : lines;
    },
    normalize: normalizeInteraction,
  };
}

/** The only one whose further lines are input. */
const inputVerb = "propose-conf-change";

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

class ScriptGroup {
  readonly #replicas: ScriptReplica[] = [];
  #queue: Envelope[] = [];
  /** Answers are not wanted. */
  quiet = false;

  all(): readonly ScriptReplica[] {
    return this.#replicas;
  }

  at(text: string | undefined): ScriptReplica {
    const replica = this.#replicas[Number(text) - 1];
    if (replica === undefined) throw new Error(`there is no replica ${text}`);
    return replica;
  }

  add(one: Case): void {
    const count = Number(bareArguments(one)[0]);
    const ids = (key: string): ReplicaId[] => (valuesOf(one, key) ?? []).map((id) => replicaId(Number(id)));
    const configuration = sortedConfiguration({
      voters: ids("voters"),
      votersOutgoing: [],
      learners: ids("learners"),
      learnersNext: [],
      autoLeave: false,
    });
    for (let i = 0; i < count; i++) {
      this.#replicas.push(
        new ScriptReplica({
          options: {
            id: replicaId(this.#replicas.length + 1),
            electionTicksMin: 3,
            heartbeatTicks: 1,
            appendBytesMax: unlimitedBytes,
            inflightMessagesMax: numberOf(one, "inflight", unlimitedMessages),
            inflightBytesMax: unlimitedBytes,
            uncommittedBytesMax: unlimitedBytes,
            committedBytesMax: numberOf(one, "max-committed-size-per-ready", unlimitedBytes),
            leaseMs: 0,
          },
          variant: variantOf(one),
          asynchronous: flagOf(one, "async-storage-writes", false),
          leaseOfLeader: valuesOf(one, "read-only")?.[0] === "lease-based",
          index: numberOf(one, "index", 0),
          configuration,
        }),
      );
    }
  }

  send(message: Message): void {
    this.#post(message.to, messageNames[message.type], describeMessage(message), false, () => {
      this.at(`${message.to}`).node.step(message);
    });
  }

  #post(to: ReplicaId, type: string, lines: readonly string[], local: boolean, deliver: () => void): void {
    this.#queue.push({ to, type, lines, local, deliver });
  }

  processReady(replica: ScriptReplica): string[] {
    if (!replica.hasReady) return ["<empty Ready>"];
    return replica.asynchronous ? this.#processAsynchronously(replica) : this.#processAtOnce(replica);
  }

  #processAtOnce(replica: ScriptReplica): string[] {
    const { node } = replica;
    const ready = replica.takeReady();
    const committed = [...ready.committedEntries];
    replica.makeDurable(ready);
    const leads = node.role === "leader" || node.role === "candidate";
    const acknowledge = (): void => {
      if (ready.persistence !== undefined) replica.acknowledge(ready.persistence, ready.snapshot);
    };
    if (!leads) {
      // What is durable at once may be applied with the same Ready.
      acknowledge();
      if (node.hasReady()) committed.push(...replica.takeReady().committedEntries);
    }
    const messages = [...ready.messages, ...ready.messagesAfterPersisted];
    const lines = this.#withForwarded(replica, describeReady(ready, committed), messages);
    for (const message of messages) this.send(message);
    replica.applyToState(committed);
    if (leads) acknowledge();
    replica.applied(committed);
    return lines;
  }

  #withForwarded(replica: ScriptReplica, head: readonly string[], messages: readonly Message[]): string[] {
    const forwarded = replica.forwarded.splice(0);
    for (const { to, text, propose } of forwarded) this.#post(to, "MsgProp", [text], false, propose);
    const lines = [...forwarded.map(({ text }) => text), ...messages.flatMap(describeMessage)];
    return lines.length === 0 ? [...head] : [...head, "Messages:", ...lines];
  }

  #processAsynchronously(replica: ScriptReplica): string[] {
    const ready = replica.takeReady();
    const { persistence } = ready;
    const lines = this.#withForwarded(replica, describeReady(ready, ready.committedEntries), ready.messages);
    for (const message of ready.messages) this.send(message);
    if (ready.hardState !== undefined || persistence !== undefined) {
      const campaigns = replica.node.role === "candidate" && ready.mustSync;
      const work: AppendWork = {
        entries: ready.entries,
        snapshot: ready.snapshot,
        persistence,
        messages: ready.messagesAfterPersisted,
        answersItself:
          persistence !== undefined && (persistence.lastIndex > 0 || persistence.snapshotIndex > 0 || campaigns),
      };
      replica.appendWork.push(work);
      lines.push(...describeAppendWork(replica, work));
    }
    if (ready.committedEntries.length > 0) {
      replica.applyWork.push(ready.committedEntries);
      lines.push(...withEntries(`${replica.id}->ApplyThread MsgStorageApply`, ready.committedEntries));
    }
    return lines;
  }

  processAppend(replica: ScriptReplica): string[] {
    const work = replica.appendWork.shift();
    if (work === undefined) return ["no append work to perform"];
    replica.makeDurable(work);
    const { persistence } = work;
    if (persistence !== undefined) {
      const acknowledge = (): void => replica.acknowledge(persistence, work.snapshot);
      if (work.answersItself)
        this.#post(replica.id, "MsgStorageAppendResp", [`AppendThread->${replica.id}`], true, acknowledge);
      else acknowledge();
    }
    for (const message of work.messages) this.send(message);
    const head = `${replica.id}->AppendThread MsgStorageAppend`;
    return ["Processing:", head, "Responses:", ...work.messages.flatMap(describeMessage)];
  }

  processApply(replica: ScriptReplica): string[] {
    const entries = replica.applyWork.shift();
    if (entries === undefined) return ["no apply work to perform"];
    replica.applyToState(entries);
    this.#post(replica.id, "MsgStorageApplyResp", [`ApplyThread->${replica.id}`], true, () => replica.applied(entries));
    return ["Processing:", ...withEntries(`${replica.id}->ApplyThread MsgStorageApply`, entries), "Responses:"];
  }

  /** Lines of the messages to one replica that were taken from the queue. */
  deliver(replica: ReplicaId, drop: boolean, type: string | undefined): string[] {
    const takes = (envelope: Envelope): boolean =>
      envelope.to === replica && !(drop && envelope.local) && (type === undefined || envelope.type === type);
    const taken = this.#queue.filter(takes);
    this.#queue = this.#queue.filter((envelope) => !takes(envelope));
    const lines: string[] = [];
    for (const envelope of taken) {
      const [first, ...rest] = envelope.lines;
      lines.push(`${drop ? "dropped: " : ""}${first}`, ...rest);
      if (!drop) envelope.deliver();
    }
    return lines;
  }

  #waitsFor(replica: ReplicaId): boolean {
    return this.#queue.some((envelope) => envelope.to === replica);
  }

  stabilize(replicas: readonly ScriptReplica[]): string[] {
    const lines: string[] = [];
    const heading = (replica: ScriptReplica, what: string, content: readonly string[]): void => {
      lines.push(`> ${replica.id} ${what}`, ...indented(content));
    };
    for (let round = 0; ; round++) {
      if (round > roundsMax) throw new Error("messages never end");
      const before = lines.length;
      for (const replica of replicas)
        if (replica.hasReady) heading(replica, "handling Ready", this.processReady(replica));
      for (const replica of replicas) {
        if (this.#waitsFor(replica.id))
          heading(replica, "receiving messages", this.deliver(replica.id, false, undefined));
      }
      for (const replica of replicas) {
        if (replica.appendWork.length > 0) heading(replica, "processing append thread", this.#allOf(replica, "append"));
      }
      for (const replica of replicas) {
        if (replica.applyWork.length > 0) heading(replica, "processing apply thread", this.#allOf(replica, "apply"));
      }
      if (lines.length === before) return lines;
    }
  }

  #allOf(replica: ScriptReplica, thread: "append" | "apply"): string[] {
    const lines: string[] = [];
    while ((thread === "append" ? replica.appendWork : replica.applyWork).length > 0) {
      lines.push(...(thread === "append" ? this.processAppend(replica) : this.processApply(replica)));
    }
    return lines;
  }

  propose(replica: ScriptReplica, data: Uint8Array): string[] {
    return this.#proposeOrForward(replica, `EntryNormal ${JSON.stringify(new TextDecoder().decode(data))}`, (leader) =>
      leader.node.propose(leader.node.term, data),
    );
  }

  proposeChange(replica: ScriptReplica, change: ConfigurationChange): string[] {
    return this.#proposeOrForward(replica, describeChange(encodeConfigurationChange(change)), (leader) => {
      const proposed = leader.node.proposeConfigurationChange(leader.node.term, change);
      // Elsewhere a change that may not be proposed leaves an entry without content.
      const replaced = !proposed.ok && (proposed.reason === "configuration-pending" || proposed.reason === "invalid");
      return replaced ? leader.node.propose(leader.node.term, new Uint8Array(0)) : proposed;
    });
  }

  /** A replica here never forwards; in a script it is the client at its side that goes on to the leader. */
  #proposeOrForward(replica: ScriptReplica, what: string, propose: (to: ScriptReplica) => Proposed): string[] {
    const { leader, role } = replica.node;
    if (role === "follower" && leader !== 0) {
      const text = `${replica.id}->${leader} MsgProp Term:0 Log:0/0 Entries:[0/0 ${what}]`;
      replica.forwarded.push({ text, to: leader, propose: () => void propose(this.at(`${leader}`)) });
      return [];
    }
    return propose(replica).ok ? [] : ["raft proposal dropped"];
  }
}

/** With the messages that wait for it. */
function describeAppendWork(replica: ScriptReplica, work: AppendWork): string[] {
  const head = `${replica.id}->AppendThread MsgStorageAppend`;
  if (work.messages.length === 0) return [head];
  return [`${head} Responses:[`, ...indented(work.messages.flatMap(describeMessage)), "]"];
}

const variantOf = (one: Case): typeof standardVariant => ({
  ...standardVariant,
  preVote: flagOf(one, "prevote", false),
  checkQuorum: flagOf(one, "checkquorum", false),
  stepDownOnRemoval: flagOf(one, "step-down-on-removal", false),
  configurationChanges: flagOf(one, "disable-conf-change-validation", false) ? "unchecked" : "one-at-a-time",
  batched: false,
  durableVoteRequests: false,
});

function changeOf(one: Case): ConfigurationChange {
  const transitions = { auto: "auto", implicit: "joint-implicit", explicit: "joint-explicit" } as const;
  const name = valuesOf(one, "transition")?.[0] ?? "auto";
  if (!(name in transitions)) throw new Error(`unknown transition "${name}"`);
  return {
    changes: one.input.flatMap((line) => parseChanges(line)),
    transition: transitions[name as keyof typeof transitions],
    context: new Uint8Array(0),
  };
}

/** One replica answers plainly, several under headings. */
function forEach(group: ScriptGroup, one: Case, what: string, process: (replica: ScriptReplica) => string[]): string[] {
  const ids = bareArguments(one);
  if (ids.length === 1) return process(group.at(ids[0]));
  return ids.flatMap((id) => [`> ${id} ${what}`, ...indented(process(group.at(id)))]);
}

function ticks(group: ScriptGroup, one: Case, count: number): string[] {
  for (const id of bareArguments(one)) for (let i = 0; i < count; i++) group.at(id).node.tick();
  return [];
}

function deliverMessages(group: ScriptGroup, one: Case): string[] {
  const type = valuesOf(one, "type")?.[0];
  const lines = bareArguments(one).flatMap((id) => group.deliver(group.at(id).id, false, type));
  for (const id of valuesOf(one, "drop") ?? []) lines.push(...group.deliver(replicaId(Number(id)), true, type));
  return lines.length === 0 ? ["no messages"] : lines;
}

function raftState(group: ScriptGroup): string[] {
  return group.all().map(({ id, node }) => {
    const { role, term, leader, configuration } = node.status();
    const votes = configuration.voters.includes(id) || configuration.votersOutgoing.includes(id);
    return `${id}: ${roleNames[role]} (${votes ? "Voter" : "Non-Voter"}) Term:${term} Lead:${leader}`;
  });
}

function raftLog(replica: ScriptReplica): string[] {
  const { stable } = replica;
  const entries: readonly Entry[] = stable.all();
  if (entries.length > 0) return entries.map(describeEntry);
  return [`log is empty: first index=${stable.firstIndex()}, last index=${stable.lastIndex()}`];
}

const verbs: Readonly<Record<string, Verb>> = {
  _breakpoint: () => [],
  "add-nodes": (group, one) => {
    group.add(one);
    return [];
  },
  campaign: (group, one) => {
    group.at(bareArguments(one)[0]).node.campaign();
    return [];
  },
  compact: (group, one) => {
    const [id, index] = bareArguments(one);
    group.at(id).compact(Number(index));
    return raftLog(group.at(id));
  },
  "deliver-msgs": deliverMessages,
  "forget-leader": (group, one) => {
    const replica = group.at(bareArguments(one)[0]);
    if (!replica.leaseOfLeader) replica.node.forgetLeader();
    return [];
  },
  "log-level": (group, one) => {
    group.quiet = bareArguments(one)[0]?.toLowerCase() === "none";
    return [];
  },
  "process-append-thread": (group, one) =>
    forEach(group, one, "processing append thread", (replica) => group.processAppend(replica)),
  "process-apply-thread": (group, one) =>
    forEach(group, one, "processing apply thread", (replica) => group.processApply(replica)),
  "process-ready": (group, one) => forEach(group, one, "handling Ready", (replica) => group.processReady(replica)),
  propose: (group, one) => {
    const [id, data] = bareArguments(one);
    return group.propose(group.at(id), new TextEncoder().encode(data ?? ""));
  },
  "propose-conf-change": (group, one) => group.proposeChange(group.at(bareArguments(one)[0]), changeOf(one)),
  "raft-log": (group, one) => raftLog(group.at(bareArguments(one)[0])),
  "raft-state": (group) => raftState(group),
  "report-unreachable": (group, one) => {
    const [id, other] = bareArguments(one);
    group.at(id).node.reportUnreachable(group.at(other).id);
    return [];
  },
  "send-snapshot": (group, one) => {
    const [from, to] = bareArguments(one).map((id) => group.at(id));
    const message: Message = {
      type: "snapshot",
      from: from!.id,
      to: to!.id,
      term: from!.node.term,
      label: from!.snapshot(),
    };
    group.send(message);
    return describeMessage(message);
  },
  "set-randomized-election-timeout": (group, one) => {
    group.at(bareArguments(one)[0]).setElectionTimeout(numberOf(one, "timeout", 0));
    return [];
  },
  stabilize: (group, one) => {
    const ids = bareArguments(one);
    return group.stabilize(ids.length === 0 ? group.all() : ids.map((id) => group.at(id)));
  },
  status: (group, one) => group.at(bareArguments(one)[0]).node.status().progress.map(describeProgress),
  "tick-election": (group, one) => ticks(group, one, 3),
  "tick-heartbeat": (group, one) => ticks(group, one, 1),
  "transfer-leadership": (group, one) => {
    const [from, to] = ["from", "to"].map((key) => group.at(valuesOf(one, key)?.[0]));
    from!.node.transferLeader(to!.id);
    return [];
  },
};
