/** What a node that was started by `flotilla dev` and `dev` itself say to each other over the IPC channel. */
export type FromNode =
  | { readonly type: "listening"; readonly address: string; readonly httpAddress: string }
  | { readonly type: "ready"; readonly ranges: number }
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly hint: string };

export type ToNode = { readonly type: "stop"; readonly transferMs: number };

export function isToNode(message: unknown): message is ToNode {
  return (
    typeof message === "object" &&
    message !== null &&
    "type" in message &&
    message.type === "stop" &&
    "transferMs" in message &&
    typeof message.transferMs === "number"
  );
}

export function isFromNode(message: unknown): message is FromNode {
  return (
    typeof message === "object" &&
    message !== null &&
    "type" in message &&
    (message.type === "listening" || message.type === "ready" || message.type === "failed")
  );
}
