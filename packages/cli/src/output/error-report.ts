/** How an error looks: a document under `-o json`, lines for a person otherwise. */
import { isCoded } from "../exit-code.ts";
import type { OutputFormat } from "./output-format.ts";

export interface ErrorDocument {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly hint: string | null;
    readonly retryable: boolean;
    readonly outcome: string | null;
    readonly details: Readonly<Record<string, unknown>>;
  };
}

export function errorDocument(error: unknown): ErrorDocument {
  if (!isCoded(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return { error: { code: "Internal", message, hint: null, retryable: false, outcome: null, details: {} } };
  }
  const { code, message, hint, retryable, outcome } = error;
  const requestId = "requestId" in error && typeof error.requestId === "string" ? { requestId: error.requestId } : {};
  const details = { ...error.details, ...requestId };
  return {
    error: {
      code,
      message,
      hint: hint === undefined || hint === "" ? null : hint,
      retryable: retryable ?? false,
      outcome: outcome ?? null,
      details,
    },
  };
}

export function formatError(error: unknown, format: OutputFormat): string {
  const document = errorDocument(error);
  if (format !== "table") return JSON.stringify(document) + "\n";
  const { code, message, hint, outcome } = document.error;
  const lines = [`error: ${message} (${code})`];
  if (outcome === "unknown") lines.push("outcome: unknown, the write may or may not have happened");
  if (hint !== null) lines.push(`hint: ${hint}`);
  // An error nobody foresaw: its origin is the only help there is.
  if (!isCoded(error) && error instanceof Error && error.stack !== undefined) lines.push(error.stack);
  return lines.join("\n") + "\n";
}
