/** The whole terminal, while somebody looks: an own screen without a cursor, and keys one by one. Given back at any end. */
import { emitKeypressEvents } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** At most `rows` lines of at most `columns` characters. */
  draw(lines: readonly string[]): void;
  /** By name, as `node:readline` has them: `q`, `up`, `escape`; Ctrl-C is `interrupt`. */
  onKey(listener: (name: string) => void): void;
  /** The terminal's size is another one. */
  onResize(listener: () => void): void;
  close(): void;
}

const ownScreen = "\x1b[?1049h\x1b[?25l";
const formerScreen = "\x1b[?25h\x1b[?1049l";
const home = "\x1b[H";
const clearToEnd = "\x1b[J";
const clearLine = "\x1b[K";

interface Key {
  readonly name?: string | undefined;
  readonly ctrl?: boolean | undefined;
}

export function openScreen(input: ReadStream, output: WriteStream): Screen {
  let closed = false;
  const resized: (() => void)[] = [];
  const onResize = (): void => {
    for (const listener of resized) listener();
  };
  const listeners: ((name: string) => void)[] = [];
  const onKeypress = (_text: string | undefined, key: Key | undefined): void => {
    const name = key?.ctrl === true ? (key.name === "c" ? "interrupt" : undefined) : key?.name;
    if (name !== undefined) for (const listener of listeners) listener(name);
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    process.off("exit", close);
    output.off("resize", onResize);
    if (input.isTTY) {
      input.off("keypress", onKeypress);
      input.setRawMode(false);
      input.pause();
    }
    output.write(formerScreen);
  };
  // Also when the process ends by an error that nobody expected, or by a second signal.
  process.on("exit", close);
  output.on("resize", onResize);
  if (input.isTTY) {
    emitKeypressEvents(input);
    input.setRawMode(true);
    input.on("keypress", onKeypress);
    input.resume();
  }
  output.write(ownScreen);
  return {
    get columns() {
      return output.columns;
    },
    get rows() {
      return output.rows;
    },
    draw: (lines) => {
      if (!closed) output.write(home + lines.map((line) => line + clearLine).join("\n") + clearToEnd);
    },
    onKey: (listener) => void listeners.push(listener),
    onResize: (listener) => void resized.push(listener),
    close,
  };
}
