/**
 * Why an endpoint cannot be reached, for people who did not ask which library dials. Of gRPC's
 * `14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:7400. Resolution note: `
 * this leaves `connect ECONNREFUSED 127.0.0.1:7400`; what looks otherwise is kept as it is.
 */
export function endpointReason(address: string, message: string): string {
  const bare = message.startsWith(`${address}: `) ? message.slice(address.length + 2) : message;
  const grpc = /^14 UNAVAILABLE: (.*)$/s.exec(bare)?.[1];
  if (grpc === undefined) return bare;
  return /^No connection established\. Last error: (?:Error: )?(.+)\. Resolution note: $/s.exec(grpc)?.[1] ?? grpc;
}
