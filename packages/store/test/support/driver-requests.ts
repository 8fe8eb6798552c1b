/** What an administrator asks of the store that drives placement, over the wire. */
import { metaRangeId } from "@flotilla/base";
import type { AdminResponse } from "@flotilla/transport";
import type { TestCluster } from "./test-cluster.ts";

export async function ask(cluster: TestCluster, name: string, argument: object = {}): Promise<AdminResponse> {
  const client = await cluster.connect(await cluster.leader(metaRangeId));
  const answer = await client.admin(name, argument);
  client.stream?.close();
  return answer;
}

/** As `ask`, of what is not refused. */
export async function asked<Result>(cluster: TestCluster, name: string, argument: object = {}): Promise<Result> {
  const { result, error } = await ask(cluster, name, argument);
  if (error !== undefined) throw new Error(`${name}: ${error.code}: ${error.message}`);
  return result as Result;
}

/** Nothing is placed that nobody asked for. */
export async function quiet(cluster: TestCluster): Promise<void> {
  for (const name of ["repair", "balance-replicas", "balance-leaders", "split"])
    await asked(cluster, "scheduler-pause", { name });
}
