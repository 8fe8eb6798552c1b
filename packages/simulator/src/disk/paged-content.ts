/** Content of a simulated file in pages; pages of zeros that were never anything else take no memory. */
const pageBytes = 4096;
const zeros = Buffer.alloc(pageBytes);

export class PagedContent {
  #size = 0;
  readonly #pages = new Map<number, Buffer>();

  get size(): number {
    return this.#size;
  }

  write(offset: number, bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const position = offset + at;
      const number = Math.floor(position / pageBytes);
      const inPage = position - number * pageBytes;
      const length = Math.min(pageBytes - inPage, bytes.length - at);
      const chunk = bytes.subarray(at, at + length);
      let page = this.#pages.get(number);
      if (page !== undefined || zeros.compare(chunk, 0, length, 0, length) !== 0) {
        if (page === undefined) {
          page = Buffer.alloc(pageBytes);
          this.#pages.set(number, page);
        }
        page.set(chunk, inPage);
      }
      at += length;
    }
    if (bytes.length > 0) this.#size = Math.max(this.#size, offset + bytes.length);
  }

  /** Short at the end of the content. */
  read(offset: number, length: number): Uint8Array {
    const available = Math.max(0, Math.min(length, this.#size - offset));
    const target = Buffer.alloc(available);
    let at = 0;
    while (at < available) {
      const position = offset + at;
      const number = Math.floor(position / pageBytes);
      const inPage = position - number * pageBytes;
      const count = Math.min(pageBytes - inPage, available - at);
      const page = this.#pages.get(number);
      if (page !== undefined) page.copy(target, at, inPage, inPage + count);
      at += count;
    }
    return target;
  }

  /** Grows with zeros; never shrinks. */
  extend(size: number): void {
    this.#size = Math.max(this.#size, size);
  }

  copy(): PagedContent {
    const copy = new PagedContent();
    copy.#size = this.#size;
    for (const [number, page] of this.#pages) copy.#pages.set(number, Buffer.from(page));
    return copy;
  }
}
