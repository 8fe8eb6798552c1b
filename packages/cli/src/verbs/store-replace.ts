import type { Verb } from "../command-io.ts";
import { emptyingVerb } from "../operators/change-verbs.ts";
import { storeEmpty } from "../operators/goal.ts";

export const verb: Verb = emptyingVerb({
  what: "store",
  argumentText: "the id of the store that is lost",
  request: "store-replace",
  word: "replace",
  help:
    "\nGives up a store that is dead: its replicas are made anew on others, and its directory is refused from then on.\n" +
    "Refused while the store is alive. Start a new one in its place with `flotilla start --join` and an empty directory.",
  goal: storeEmpty,
});
