/** Lines of a stream, with their numbers, in bounded memory. A line's end may be LF or CRLF; a byte order mark is dropped. */
import { Failure } from "@flotilla/base";

export interface Line {
  /** From 1. */
  readonly number: number;
  readonly bytes: Buffer;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/** Throws `InvalidArgument` with the number of a line longer than `lineBytesMax`. */
export async function* readLines(
  source: AsyncIterable<Uint8Array>,
  lineBytesMax: number,
): AsyncGenerator<Line, void, undefined> {
  let number = 0;
  /** Pieces of a line whose end has not come yet. */
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  const take = (last: Buffer): Line => {
    const whole = pieces.length === 0 ? last : Buffer.concat([...pieces, last]);
    pieces = [];
    pieceBytes = 0;
    number++;
    const end = whole.length > 0 && whole[whole.length - 1] === carriageReturn ? whole.length - 1 : whole.length;
    const start = number === 1 && whole.subarray(0, 3).equals(byteOrderMark) ? 3 : 0;
    return { number, bytes: whole.subarray(start, end) };
  };
  for await (const given of source) {
    const chunk = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      if (pieceBytes + end - start > lineBytesMax) throw tooLong(number + 1, lineBytesMax);
      yield take(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start === chunk.length) continue;
    pieces.push(chunk.subarray(start));
    pieceBytes += chunk.length - start;
    if (pieceBytes > lineBytesMax) throw tooLong(number + 1, lineBytesMax);
  }
  if (pieceBytes > 0) yield take(Buffer.alloc(0));
}

function tooLong(line: number, lineBytesMax: number): Failure {
  return new Failure("InvalidArgument", `line ${line} has more than ${lineBytesMax} bytes`, {
    details: { line, limitBytes: lineBytesMax },
  });
}
