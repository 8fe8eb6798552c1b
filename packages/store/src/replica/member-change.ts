/**
 * Changes of a range's members: what is proposed, and the descriptor that follows from the configuration in force. Raft
 * knows replica ids only; where added members live stands in the context of the configuration entry:
 *
 *     format number 1, 1 byte; count 2; per added member: replica id 8, store id 8 (big-endian)
 *
 * An empty context (the automatic leave of a joint configuration) adds nobody.
 */
import { BinaryReader, InvariantError, MalformedError, replicaId, storeId, writeUint53 } from "@flotilla/base";
import type { RangeDescriptor, ReplicaDescriptor, ReplicaId, ReplicaRole, StoreId } from "@flotilla/base";
import { decodeConfigurationChange } from "@flotilla/raft";
import type { Configuration, ConfigurationChange, Entry } from "@flotilla/raft";
import { replicasPerRangeMax } from "@flotilla/storage";

export interface MemberPlace {
  readonly replicaId: ReplicaId;
  readonly storeId: StoreId;
}

/** A learner that is added as voter is promoted. */
export interface MemberChange {
  readonly add: readonly (MemberPlace & { readonly role: "voter" | "learner" })[];
  readonly remove: readonly ReplicaId[];
}

const contextFormat = 1;

/** Why the change makes no sense for these members; undefined when Raft may decide. */
export function memberChangeRefusal(descriptor: RangeDescriptor, { add, remove }: MemberChange): string | undefined {
  const { rangeId, replicas } = descriptor;
  if (add.length + remove.length === 0) return "the change adds and removes nobody";
  if (replicas.length + add.length > replicasPerRangeMax) return `a range has at most ${replicasPerRangeMax} replicas`;
  const touched = new Set<ReplicaId>();
  for (const id of remove) {
    if (touched.has(id)) return `replica ${id} is named twice`;
    touched.add(id);
    if (!replicas.some((member) => member.replicaId === id)) return `replica ${id} is no member of range ${rangeId}`;
  }
  const stores = new Map(replicas.map((member) => [member.storeId, member.replicaId] as const));
  for (const { replicaId: id, storeId: store } of add) {
    if (touched.has(id)) return `replica ${id} is named twice`;
    touched.add(id);
    if (id < 1 || store < 1) return `replica ${id} on store ${store} cannot be`;
    const known = replicas.find((member) => member.replicaId === id);
    if (known !== undefined && known.storeId !== store) return `replica ${id} is on store ${known.storeId}`;
    const there = stores.get(store);
    // Two members of one range on a store would share its interval.
    if (there !== undefined && there !== id) return `store ${store} has replica ${there} of range ${rangeId} already`;
    stores.set(store, id);
  }
  return undefined;
}

/** One voter more or less is a simple change, anything else joint with automatic leave. */
export function configurationChange({ add, remove }: MemberChange): ConfigurationChange {
  const changes: ConfigurationChange["changes"][number][] = add.map(({ replicaId: id, role }) => ({
    type: role === "voter" ? "add-voter" : "add-learner",
    id,
  }));
  for (const id of remove) changes.push({ type: "remove", id });
  return { changes, transition: "auto", context: encodePlaces(add) };
}

function encodePlaces(places: readonly MemberPlace[]): Uint8Array {
  if (places.length === 0) return new Uint8Array(0);
  const bytes = new Uint8Array(3 + 16 * places.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = contextFormat;
  view.setUint16(1, places.length);
  places.forEach((place, i) => {
    writeUint53(view, 3 + 16 * i, place.replicaId);
    writeUint53(view, 11 + 16 * i, place.storeId);
  });
  return bytes;
}

/** Of a configuration entry: where the members that it adds live. Throws `MalformedError`. */
export function placesIn(entry: Entry): MemberPlace[] {
  const { context } = decodeConfigurationChange(entry.data);
  if (context.length === 0) return [];
  const reader = new BinaryReader(context);
  const format = reader.uint8();
  if (format !== contextFormat) throw new MalformedError(`added members of unknown format ${format}`);
  const count = reader.uint16();
  const places: MemberPlace[] = [];
  for (let i = 0; i < count; i++)
    places.push({ replicaId: replicaId(reader.uint53()), storeId: storeId(reader.uint53()) });
  if (reader.remaining > 0) throw new MalformedError(`added members with ${reader.remaining} bytes behind their end`);
  return places;
}

export const isMember = ({ voters, votersOutgoing, learners }: Configuration, id: ReplicaId): boolean =>
  voters.includes(id) || votersOutgoing.includes(id) || learners.includes(id);

export function sameMembers(a: Configuration, b: Configuration): boolean {
  return (
    a === b ||
    (a.autoLeave === b.autoLeave &&
      sameList(a.voters, b.voters) &&
      sameList(a.votersOutgoing, b.votersOutgoing) &&
      sameList(a.learners, b.learners) &&
      sameList(a.learnersNext, b.learnersNext))
  );
}

const sameList = (a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i]);

/** The descriptor under another configuration: its epoch's `members` rises by one. */
export function withMembers(
  descriptor: RangeDescriptor,
  configuration: Configuration,
  added: readonly MemberPlace[],
): RangeDescriptor {
  const stores = new Map<ReplicaId, StoreId>();
  for (const place of [...descriptor.replicas, ...added]) stores.set(place.replicaId, place.storeId);
  const { voters, votersOutgoing, learners } = configuration;
  const ids = new Set([...voters, ...votersOutgoing, ...learners]);
  const replicas: ReplicaDescriptor[] = [...ids]
    .sort((a, b) => a - b)
    .map((id) => {
      const store = stores.get(id);
      if (store === undefined)
        throw new InvariantError(`range ${descriptor.rangeId}: nobody knows the store of replica ${id}`);
      return { replicaId: id, storeId: store, role: roleIn(configuration, id) };
    });
  const { bounds, members } = descriptor.epoch;
  return { ...descriptor, epoch: { bounds, members: members + 1 }, replicas };
}

function roleIn({ voters, votersOutgoing, learners }: Configuration, id: ReplicaId): ReplicaRole {
  if (learners.includes(id)) return "learner";
  if (votersOutgoing.length === 0) return "voter";
  if (!voters.includes(id)) return "outgoing";
  return votersOutgoing.includes(id) ? "voter" : "incoming";
}
