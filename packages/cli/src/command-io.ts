/** What a verb sees of the process around it; tests hand in their own. */
import type { Screen } from "./top/terminal-screen.ts";
import type { OutputFormat } from "./output/output-format.ts";
import type { ClusterClient, ConnectOptions } from "./cluster-client.ts";

export interface CommandIo {
  /** Results. Resolves when there is room for more. */
  out(content: string | Uint8Array): Promise<void>;
  /** Everything else. */
  note(text: string): void;
  readonly outIsTerminal: boolean;
  /** Characters in a line of the terminal; undefined where standard output is none, or where it does not say. */
  readonly outColumns: number | undefined;
  readonly noteIsTerminal: boolean;
  readonly inputIsTerminal: boolean;
  readonly input: AsyncIterable<Uint8Array>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The current directory. */
  readonly directory: string;
  connect(options: ConnectOptions): Promise<ClusterClient>;
  /** Milliseconds from some moment on. */
  nowMs(): number;
  /** Ends early, without an error, when the signal is aborted. */
  pause(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** The whole terminal; only where standard output is one. Closed by whoever opened it. */
  openScreen(): Screen;
  /** From now on the verb goes on when nobody reads its output any more; otherwise that ends the process quietly. */
  outliveReaders(): void;
  /** Aborted by the first Ctrl-C or SIGTERM, for verbs that have something to tidy up; the second one ends the process. */
  interrupted(): AbortSignal;
}

/** A verb's module: how its command line looks, and what it does. */
export interface VerbModule {
  readonly verb: Verb;
}

export interface Verb {
  /** It works on directories that the user named: `Refused` and `WrongCluster` are about them (exit code 2). */
  readonly refusalsAreInput?: boolean;
  configure(command: import("commander").Command): void;
  /** Resolves with the exit code; expected failures are thrown. */
  run(invocation: Invocation): Promise<number>;
}

export interface Invocation {
  readonly io: CommandIo;
  /** Positional arguments, as commander gives them: lists for variadic ones. */
  readonly arguments: readonly (string | string[] | undefined)[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly format: OutputFormat;
}
