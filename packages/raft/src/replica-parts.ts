/** What the roles of one replica share. */
import type { Clock, ReplicaId } from "@flotilla/base";
import type { GroupLog } from "./group-log.ts";
import type { Members } from "./members.ts";
import type { Outbox } from "./outbox.ts";
import type { RawNodeOptions } from "./raw-node-api.ts";
import type { Variant } from "./variant.ts";

export interface ReplicaParts {
  readonly id: ReplicaId;
  readonly options: RawNodeOptions;
  readonly variant: Variant;
  readonly clock: Clock;
  readonly log: GroupLog;
  readonly members: Members;
  readonly outbox: Outbox;
}
