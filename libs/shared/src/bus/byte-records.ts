/**
 * Contents with holes, as records in a stream of bytes: one byte that says what it is, eight that say how long (big
 * endian), and for data the bytes themselves. A stream that is cut has no end record.
 */
const kinds = { data: 1, hole: 2, end: 3 } as const;
const headSize = 9;

const head = (kind: number, length: number): Uint8Array => {
  const bytes = Buffer.alloc(headSize);
  bytes.writeUInt8(kind);
  bytes.writeBigUInt64BE(BigInt(length), 1);
  return bytes;
};

export const records = {
  data: (bytes: Uint8Array): Uint8Array => Buffer.concat([head(kinds.data, bytes.length), bytes]),
  hole: (length: number): Uint8Array => head(kinds.hole, length),
  end: (): Uint8Array => head(kinds.end, 0),
};

export interface TakesRecords {
  /** Some of the data; a record may come in several calls. */
  data(bytes: Uint8Array): void | Promise<void>;
  hole(length: number): void | Promise<void>;
  end(): void | Promise<void>;
}

/** The other end: takes a stream apart, however it was cut into messages. */
export class RecordReader {
  private rest: Uint8Array = new Uint8Array();
  /** Bytes of the current data record that are still to come. */
  private left = 0;
  private over = false;

  constructor(private readonly to: TakesRecords) {}

  /** Throws TypeError for what is no such stream. */
  async push(bytes: Uint8Array): Promise<void> {
    let at = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    while (at.length > 0) {
      if (this.over) throw new TypeError('there are bytes after the end');
      if (this.left > 0) {
        const part = at.subarray(0, this.left);
        this.left -= part.length;
        at = at.subarray(part.length);
        await this.to.data(part);
      } else if (at.length < headSize) break;
      else {
        const { kind, length } = readHead(at);
        at = at.subarray(headSize);
        if (kind === kinds.data) this.left = length;
        else if (kind === kinds.hole) await this.to.hole(length);
        else {
          this.over = true;
          await this.to.end();
        }
      }
    }
    this.rest = at;
  }
}

function readHead(bytes: Uint8Array): { kind: number; length: number } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, headSize);
  const kind = view.readUInt8();
  const length = Number(view.readBigUInt64BE(1));
  if (!Object.values<number>(kinds).includes(kind) || !Number.isSafeInteger(length))
    throw new TypeError('this is no stream of records');
  return { kind, length };
}
