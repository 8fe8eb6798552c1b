export { linkConformance } from "./link-conformance.ts";
export type { LinkConformanceCase, LinkConformanceParties } from "./link-conformance.ts";
