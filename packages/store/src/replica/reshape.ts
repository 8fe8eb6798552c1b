/**
 * Entries that change which keys a range has, or whether it serves them. A leader evaluates nothing and uses no lease from
 * proposing one of them until it is applied or the term ends (rule: bounds at the data).
 */
import type { ByteOperations } from "@flotilla/base";
import { encodeCancel, encodeMergeEntry, encodeSeal, encodeUnseal } from "./merge-entry.ts";
import type { CancelEntry, MergeEntry, SealEntry, UnsealEntry } from "./merge-entry.ts";
import { cancelRefusal, mergeRefusal, sealRefusal, unsealRefusal } from "./merge-machine.ts";
import { encodeSplit } from "./split-entry.ts";
import type { SplitEntry } from "./split-entry.ts";
import { splitRefusal } from "./split-machine.ts";
import type { StateMachine } from "./state-machine.ts";

export type Reshape =
  | { readonly kind: "split"; readonly split: SplitEntry }
  | { readonly kind: "seal"; readonly seal: SealEntry }
  | { readonly kind: "unseal"; readonly unseal: UnsealEntry }
  | { readonly kind: "merge"; readonly merge: MergeEntry }
  | { readonly kind: "cancel"; readonly cancel: CancelEntry };

export function reshapeRefusal(machine: StateMachine, reshape: Reshape): string | undefined {
  switch (reshape.kind) {
    case "split":
      return splitRefusal(machine, reshape.split);
    case "seal":
      return sealRefusal(machine, reshape.seal);
    case "unseal":
      return unsealRefusal(machine, reshape.unseal);
    case "merge":
      return mergeRefusal(machine, reshape.merge);
    case "cancel":
      return cancelRefusal(machine, reshape.cancel);
    default:
      return reshape satisfies never;
  }
}

export function encodeReshape(reshape: Reshape, operations: ByteOperations): Uint8Array {
  switch (reshape.kind) {
    case "split":
      return encodeSplit(reshape.split, operations);
    case "seal":
      return encodeSeal(reshape.seal, operations);
    case "unseal":
      return encodeUnseal(reshape.unseal, operations);
    case "merge":
      return encodeMergeEntry(reshape.merge, operations);
    case "cancel":
      return encodeCancel(reshape.cancel, operations);
    default:
      return reshape satisfies never;
  }
}
