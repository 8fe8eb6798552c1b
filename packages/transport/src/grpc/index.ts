export { formatAddress, parseAddress } from "./address.ts";
export type { HostPort } from "./address.ts";
export { GrpcDialer } from "./grpc-dialer.ts";
export type { DialCallbacks, GrpcDependencies } from "./grpc-dialer.ts";
export { GrpcListenerFactory } from "./grpc-listener.ts";
export { defaultGrpcSettings, exchangePath } from "./grpc-settings.ts";
export type { GrpcSettings } from "./grpc-settings.ts";
