/** The simplest thing that a shared log could be: plain values in memory, copied whole after each step. */
import type { FileSharedLog } from "@flotilla/raft-log";

export interface ModelEntry {
  readonly index: number;
  readonly term: number;
  readonly text: string;
}

export interface ModelGroup {
  replica: number;
  term: number;
  vote: number;
  commit: number;
  truncatedIndex: number;
  truncatedTerm: number;
  tombstone: number;
  checkpoint: number;
  /** From truncatedIndex + 1 on. */
  entries: ModelEntry[];
}

export type Model = Map<number, ModelGroup>;

export function emptyGroup(): ModelGroup {
  return {
    replica: 0,
    term: 0,
    vote: 0,
    commit: 0,
    truncatedIndex: 0,
    truncatedTerm: 0,
    tombstone: 0,
    checkpoint: 0,
    entries: [],
  };
}

export const copyOf = (model: Model): Model =>
  new Map([...model].map(([range, group]) => [range, { ...group, entries: [...group.entries] }]));

export const lastIndexOf = (group: ModelGroup): number => group.truncatedIndex + group.entries.length;

export function termAt(group: ModelGroup, index: number): number | undefined {
  return index === group.truncatedIndex ? group.truncatedTerm : group.entries[index - group.truncatedIndex - 1]?.term;
}

/** What the log says of itself, in the model's terms; checkpoints start at what is truncated. */
export function modelOf(log: FileSharedLog): Model {
  const model: Model = new Map();
  for (const group of log.groups()) {
    const reader = log.reader(group.rangeId);
    const entries = reader.entries(reader.firstIndex(), (reader.lastIndex() + 1) as never, Number.POSITIVE_INFINITY);
    model.set(group.rangeId, {
      replica: group.replicaId,
      term: group.hardState.term,
      vote: group.hardState.vote,
      commit: group.hardState.commit,
      truncatedIndex: group.truncatedIndex,
      truncatedTerm: group.truncatedTerm,
      tombstone: group.tombstone,
      checkpoint: group.truncatedIndex,
      entries: entries.map((e) => ({ index: e.index, term: e.term, text: Buffer.from(e.data).toString("latin1") })),
    });
  }
  return model;
}

/** Undefined when the log's state is the model's, but for entries that a reclaim may have freed; else what differs. */
export function difference(log: Model, model: Model): string | undefined {
  for (const range of new Set([...log.keys(), ...model.keys()])) {
    const a = log.get(range) ?? emptyGroup();
    const b = model.get(range) ?? emptyGroup();
    const text = groupDifference(a, b);
    if (text !== undefined) return `range ${range}: ${text}`;
  }
  return undefined;
}

function groupDifference(log: ModelGroup, model: ModelGroup): string | undefined {
  for (const name of ["replica", "term", "vote", "commit", "tombstone"] as const) {
    if (log[name] !== model[name]) return `${name} ${log[name]}, not ${model[name]}`;
  }
  const freed = log.truncatedIndex - model.truncatedIndex;
  if (freed < 0 || log.truncatedIndex > Math.max(model.truncatedIndex, model.checkpoint)) {
    return `truncated to ${log.truncatedIndex}, not between ${model.truncatedIndex} and ${model.checkpoint}`;
  }
  if (log.truncatedTerm !== termAt(model, log.truncatedIndex)) return `truncated term ${log.truncatedTerm}`;
  if (lastIndexOf(log) !== lastIndexOf(model)) return `ends at ${lastIndexOf(log)}, not ${lastIndexOf(model)}`;
  for (let i = 0; i < log.entries.length; i++) {
    const a = log.entries[i]!;
    const b = model.entries[i + freed]!;
    if (a.index !== b.index || a.term !== b.term || a.text !== b.text)
      return `entry ${a.index}/${a.term} is not ${b.index}/${b.term}`;
  }
  return undefined;
}
