/** The door for siblings: the simulator, the benchmark, tests. */
export { ClientCore } from "./client-core.ts";
export type { ClientDependencies } from "./client-core.ts";
export type { ClientEvent, ClientEventSink } from "./client-events.ts";
export { Client } from "./client.ts";
export type { ClientOptions } from "./client.ts";
export { defaultSettings, parseEndpoints, resolveSettings } from "./client-settings.ts";
export type { ClientSettings, ConnectionOptions } from "./client-settings.ts";
export { FlotillaError, isFlotillaError } from "./flotilla-error.ts";
export { Operation } from "./operation.ts";
export type { Lane, OperationOwner, OperationState } from "./operation.ts";
export { planRecovery } from "./recovery-plan.ts";
export type {
  BuriedReplicas,
  HopelessRange,
  KnownRange,
  RecoveryAction,
  RecoveryPlan,
  RecoverySurvey,
  SurveyedReplica,
} from "./recovery-plan.ts";
export { decodeTuple, encodeTuple } from "./tuple-codec.ts";
export { createNodeClient } from "./node-client.ts";
export type { NodeClientOptions } from "./node-client.ts";
