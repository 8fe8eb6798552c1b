/** A client of one cluster. Made by `createClient`; by hand, with other dependencies, in the simulator and in tests. */
import { callAdmin, fetchRoutes } from "./admin-call.ts";
import type { AdminOptions, ClusterRoutes } from "./admin-call.ts";
import type { CallOptions } from "./call.ts";
import { ClientCore } from "./client-core.ts";
import type { ClientDependencies } from "./client-core.ts";
import type { ConnectionOptions } from "./client-settings.ts";
import type { KeyCodecOption, ValueCodecOption } from "./codecs.ts";
import { Keyspace } from "./keyspace.ts";
import type { CodecOptions } from "./keyspace.ts";

export interface ClientOptions<KC extends KeyCodecOption = undefined, VC extends ValueCodecOption = undefined>
  extends ConnectionOptions, CodecOptions<KC, VC> {}

export class Client<KC extends KeyCodecOption = undefined, VC extends ValueCodecOption = undefined> extends Keyspace<
  KC,
  VC
> {
  /** Resolves when the client is closed. */
  readonly closed: Promise<void>;

  constructor(options: ClientOptions<KC, VC>, dependencies: ClientDependencies) {
    const core = new ClientCore(options, dependencies);
    super(core, "", options);
    this.closed = core.closed;
  }

  /** @internal For siblings that submit operations themselves: the benchmark and the simulator. */
  get internals(): ClientCore {
    return this.core;
  }

  /** Calls an operator's function of the cluster by name; the result is plain data. */
  admin(name: string, body: unknown = null, options: AdminOptions = {}): Promise<unknown> {
    return callAdmin(this.core, name, body, options);
  }

  /** All ranges, their leaders and the stores' addresses, asked afresh. */
  routes(options: CallOptions = {}): Promise<ClusterRoutes> {
    return fetchRoutes(this.core, options);
  }

  /**
   * Ends every call that is under way: writes that may have been applied with `OutcomeUnknown`, all else with `Closed`.
   * Frees streams, timers and the servers' cursors. Idempotent.
   */
  close(): Promise<void> {
    return this.core.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
