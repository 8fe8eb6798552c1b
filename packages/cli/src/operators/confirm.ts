/** A question before what cannot be taken back. */
import { Failure } from "@flotilla/base";
import type { CommandIo } from "../command-io.ts";

/** Resolves when the answer is yes. Where nobody can be asked, `--yes` is needed. */
export async function confirm(io: CommandIo, title: string, plan: () => Promise<string>): Promise<void> {
  if (!io.inputIsTerminal || !io.noteIsTerminal) {
    throw new Failure("InvalidArgument", `to ${title} needs --yes where nobody can be asked`, {
      hint: "--plan shows what it would do",
    });
  }
  io.note((await plan()) + `${title}? Type yes to go on: `);
  if ((await firstLine(io.input)).trim().toLowerCase() !== "yes")
    throw new Failure("Cancelled", "the answer was not yes; nothing was changed");
}

async function firstLine(input: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of input) {
    text += Buffer.from(chunk).toString("utf8");
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
  }
  return text;
}
