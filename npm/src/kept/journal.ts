// The changes since the last snapshot, one record after the other in a file that only grows. A change is written before it is made, and
// acknowledged once it was flushed; changes of one turn share a flush.
import { NearshoreError } from "../errors.js";
import { guarded, readFrom, writeTo, type Handle } from "./handle.js";
import { HEAD, decode, encode, recordAt, type Change } from "./record.js";

/** Zeros at the end of a file that a machine's end may leave. */
const STEP = 8;

/** One journal, open to be appended to. */
export class Journal {
  /** Changes in the file. */
  #count = 0;
  /** Of which so many were flushed. */
  #flushed = 0;
  #end = 0;
  /** Where the last record begins, as long as it can be taken back. */
  #last = 0;
  #flushing: Promise<void> | undefined;
  #broken: NearshoreError | undefined;

  /** @param name its file's, for messages */
  constructor(readonly handle: Handle, readonly generation: number, readonly name = "journal") {}

  /** Bytes of the journal. */
  get bytes(): number {
    return this.#end;
  }

  /**
   * Gives every change of the file to `make`, in their order. What a write left unfinished at the end is cut off. Throws `corrupt` where a
   * change that was flushed is damaged, after those before it.
   */
  replay(make: (change: Change) => void): void {
    const bytes = guarded(() => readFrom(this.handle, 0));
    for (;;) {
      const record = recordAt(bytes, this.#end, this.generation);
      if (!record || record.number !== this.#count) break;
      const change = decode(bytes, this.#end, record.end);
      if (!change) throw new NearshoreError("unsupported", `${this.name} was written by a newer version of this package`);
      make(change);
      this.#count++;
      this.#end = record.end;
    }
    this.#demandUnflushed(bytes);
    if (bytes.length > this.#end) guarded(() => this.handle.truncate(this.#end));
    guarded(() => this.handle.flush());
    this.#flushed = this.#count;
  }

  /** Looks behind the last sound record: one that was written once this one had been flushed tells that it is damaged, not unfinished. */
  #demandUnflushed(bytes: Uint8Array): void {
    for (let at = this.#end + STEP; at + HEAD <= bytes.length; at += STEP) {
      const later = recordAt(bytes, at, this.generation);
      if (later && later.flushed > this.#count) {
        throw new NearshoreError("corrupt", `${this.name} is damaged at byte ${this.#end}, in change ${this.#count}, with sound ones behind it`);
      }
    }
  }

  /** Writes a change; when it throws, nothing is different. The change is safe once {@link Journal.settled} resolves. */
  append(change: Change): void {
    if (this.#broken) throw this.#broken;
    const record = this.#encoded(change);
    this.#last = this.#end;
    try {
      writeTo(this.handle, this.#end, record);
    } catch (thrown) {
      this.#cut(false);
      throw thrown;
    }
    this.#end += record.length;
    this.#count++;
  }

  #encoded(change: Change): Uint8Array {
    try {
      return encode(change, { generation: this.generation, number: this.#count, flushed: this.#flushed });
    } catch (cause) {
      if (cause instanceof RangeError) throw new NearshoreError("quota", "there is no room for a change of that size", { cause });
      throw cause;
    }
  }

  /** Takes the change back that was appended last: it could not be made. When it returns the disk does not have it, whatever ends now. */
  takeBack(): void {
    this.#end = this.#last;
    this.#count--;
    this.#cut(true);
    this.#flushed = this.#count;
  }

  /** Cuts off what does not hold. What stays there might be made when the journal is opened: then nothing may come behind it. */
  #cut(flush: boolean): void {
    try {
      guarded(() => {
        this.handle.truncate(this.#end);
        if (flush) this.handle.flush();
      });
    } catch (thrown) {
      const { code, message, cause } = thrown as NearshoreError;
      throw this.end(new NearshoreError(code, `${message}; a change that was refused may be in the journal all the same`, { cause }));
    }
  }

  /** Resolves once every change so far is flushed. */
  settled(): Promise<void> {
    return (this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = undefined; // first: a change that comes while this settles needs a flush of its own
      this.flush();
    }));
  }

  /** Flushes what was written. A failure leaves unknown what the disk has: nothing more is written. */
  flush(): void {
    if (this.#broken) throw this.#broken;
    if (this.#flushed === this.#count) return;
    try {
      guarded(() => this.handle.flush());
    } catch (thrown) {
      throw this.end(thrown as NearshoreError);
    }
    this.#flushed = this.#count;
  }

  /** Takes no more changes, for this reason; returns what each is refused with. */
  end({ code, message, cause }: NearshoreError): NearshoreError {
    return (this.#broken = new NearshoreError(code, `${message}; changes cannot be kept any more, open the index again`, { cause }));
  }
}
