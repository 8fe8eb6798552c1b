import type { ClusterClient, ConnectOptions } from "../cluster-client.ts";
import type { Invocation } from "../command-io.ts";
import { connectOptionsOf } from "./common-options.ts";

/** Connects as the options say, and closes whatever happens. */
export async function withClient<Result>(
  invocation: Invocation,
  task: (client: ClusterClient) => Promise<Result>,
  more: Partial<ConnectOptions> = {},
): Promise<Result> {
  const client = await invocation.io.connect({ ...(await connectOptionsOf(invocation)), ...more });
  try {
    return await task(client);
  } finally {
    await client.close();
  }
}
